"""Threads that wait without spinning for long: imported for its effect, before every other module of polymask.

The threads of an OpenMP program spin while they wait for one another. That is fastest on an idle machine; beside one
more busy process (a browser, a loader's worker) each waits for a thread that has no core. GNU's OpenMP reads the
setting once, when PyTorch loads it: this module must come before, and so loads nothing else. Processes that are
started later inherit it.
"""

import os
import sys

# A user who has set one of these has decided. GNU's OpenMP, which PyTorch ships, reads the first two, Intel's the third.
_USERS = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")

# Turns of the waiting loop before a thread sleeps. As fast as spinning on an idle machine, up to noise, and beside a
# busy process as fast as OMP_WAIT_POLICY=PASSIVE, which never spins and takes a fifth longer when idle
# (docs/performance.md).
_TURNS = "2500"

if not any(name in os.environ for name in _USERS):
    os.environ["GOMP_SPINCOUNT"] = _TURNS
    if "torch" in sys.modules:
        import logging  # which PyTorch has loaded

        logging.getLogger("polymask").warning(
            "PyTorch was loaded before polymask, so its threads spin while they wait. Beside another busy program, training "
            "and predicting on a CPU take longer. Import polymask before torch and detectron2."
        )
