"""Threads that wait without spinning: imported for its effect, as the first line of every entry point.

The threads of an OpenMP program spin while they wait for one another. That is fastest on an idle machine; beside one
more busy process (a browser, a loader's worker) each waits for a thread that has no core, and two threads are many
times slower than one. OpenMP reads these settings once, when PyTorch loads it: this module must come before, and so
imports nothing else. Processes that are started later inherit them.
"""

import os

# A user who has set one of these has decided. GNU's OpenMP, which PyTorch ships, reads the first two, Intel's the others.
_USERS = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")

if not any(name in os.environ for name in _USERS):
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
