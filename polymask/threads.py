"""Threads that wait without spinning for long: imported for its effect, as the first line of every entry point.

The threads of an OpenMP program spin while they wait for one another. That is fastest on an idle machine; beside one
more busy process (a browser, a loader's worker) each waits for a thread that has no core. GNU's OpenMP reads the
setting once, when PyTorch loads it: this module must come before, and so imports nothing else. Processes that are
started later inherit it.
"""

import os

# A user who has set one of these has decided. GNU's OpenMP, which PyTorch ships, reads the first two, Intel's the third.
_USERS = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")

# Turns of the waiting loop before a thread sleeps. As fast as spinning on an idle machine, up to noise, and beside a
# busy process as fast as OMP_WAIT_POLICY=PASSIVE, which never spins and takes a fifth longer when idle
# (docs/performance.md).
_TURNS = "2500"

if not any(name in os.environ for name in _USERS):
    os.environ["GOMP_SPINCOUNT"] = _TURNS
