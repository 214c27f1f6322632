"""Memory that a training has freed, kept for its next iteration."""

from __future__ import annotations

import ctypes
import platform

# glibc's names of two settings (malloc.h), and what they are set to, in bytes. Every block smaller than the first comes
# from the heap (glibc allows no larger value); as much as the second may be free at its end.
_M_MMAP_THRESHOLD, _LARGEST_BLOCK = -3, 32 * 2**20
_M_TRIM_THRESHOLD, _MOST_FREE = -1, 2**30


def keep_freed_memory() -> None:
    """Lets glibc keep the memory that a CPU's tensors leave, instead of handing it back to the system.

    Each iteration would take it again page by page, which the system fills with zeros: 8 % of an iteration of the mini
    network. The most that the process holds does not grow by it. Other C libraries are left as they are.
    """
    if platform.libc_ver()[0] == "glibc":
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_BLOCK)
        mallopt(_M_TRIM_THRESHOLD, _MOST_FREE)
