"""The same work on many items, in several processes, with a progress bar."""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from typing import Any, TypeVar

from tqdm import tqdm

# Bytes. Half of what a process keeps for the next items, see below.
_KEPT_MEMORY = 1 << 22

Item = TypeVar("Item")
Result = TypeVar("Result")

# Items that are worked on at a time: enough to make the way between processes cheap, few enough to share out the work
# and to move the progress bar. Where there are no more, no process is started.
_CHUNK = 24


def in_order(
    work: Callable[[Any, Sequence[Item]], Sequence[Result]],
    state: Any,
    items: Sequence[Item],
    jobs: int,
    description: str,
    unit: str,
) -> Iterator[Result]:
    """The results of ``work(state, some_items)``, one an item, for all items in their order.

    Args:
        work: a function of a module, so that another process finds it; it gets a few items at a time.
        state: what it needs besides; handed to each process once.
        items: what to work on.
        jobs: how many processes; the results do not depend on it.
        description, unit: for the progress bar.
    """
    chunks = [items[start : start + _CHUNK] for start in range(0, len(items), _CHUNK)]
    with tqdm(total=len(items), desc=description, unit=unit, disable=None) as bar:
        for results in _results(work, state, chunks, min(jobs, len(chunks))):
            bar.update(len(results))
            yield from results


def _results(work: Callable, state: Any, chunks: Sequence[Sequence], jobs: int) -> Iterator[Sequence]:
    if jobs <= 1:
        _keep_memory()
        yield from (work(state, chunk) for chunk in chunks)
        return
    pool = ProcessPoolExecutor(jobs, initializer=_begin, initargs=(work, state))
    try:
        yield from pool.map(_run, chunks)
    finally:
        pool.shutdown(cancel_futures=True)


_task: tuple[Callable, Any]


def _begin(work: Callable, state: Any) -> None:
    global _task
    _task = work, state
    _keep_memory()
    warnings.filterwarnings("ignore", module="PIL")  # as in the first process
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process; the first one ends the others


def _run(chunk: Sequence) -> Sequence:
    work, state = _task
    return work(state, chunk)


@cache
def _keep_memory() -> None:
    """Let the C library keep what is free for the next items.

    It would hand it back to the system after each few of them, and take it again page by page, which costs a twentieth
    of the time. Once it has seen a block come and go, it keeps twice as much (glibc: mallopt(3), M_MMAP_THRESHOLD).
    """
    bytes(_KEPT_MEMORY)


def all_cores() -> int:
    """How many processes this one may keep busy."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
