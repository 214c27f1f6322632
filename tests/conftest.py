"""What all tests share."""

import polymask.threads  # noqa: F401  isort: skip  (before anything that loads PyTorch)

import os

if "PYTEST_XDIST_WORKER" in os.environ:  # one of several processes, each of which takes one core
    os.environ.setdefault("OMP_NUM_THREADS", "1")
