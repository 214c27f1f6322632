"""The same work on many items, in several processes, with a progress bar."""

from __future__ import annotations

import gc
import math
import multiprocessing
import os
import signal
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar

from tqdm import tqdm

from dataset_tools.errors import UserError

# Bytes. Half of what a process keeps for the next items, see below.
_KEPT_MEMORY = 1 << 22

Item = TypeVar("Item")
Result = TypeVar("Result")

# Items that are worked on at a time: the more, the cheaper is the way between processes; the fewer, the more often does
# the progress bar move. Towards the end they are fewer and fewer, so that all processes end at nearly the same time:
# each time, this share of what is left for every process.
_MOST, _FEWEST = 32, 8
_SHARE = 1 / 4

_SIGNALS = (signal.SIGINT, signal.SIGTERM)

# Fewer items are no work for a process of its own: to start it takes longer.
_WORTH_A_PROCESS = 24


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
    jobs = min(jobs, math.ceil(len(items) / _WORTH_A_PROCESS))
    with tqdm(total=len(items), desc=description, unit=unit, disable=None) as bar:
        for results in _results(work, state, _chunks(items, jobs), jobs):
            bar.update(len(results))
            yield from results


def _chunks(items: Sequence[Item], jobs: int) -> list[Sequence[Item]]:
    chunks, start = [], 0
    while start < len(items):
        share = int((len(items) - start) / jobs * _SHARE)
        end = start + min(max(share, _FEWEST), _MOST)
        chunks.append(items[start:end])
        start = end
    return chunks


def _results(work: Callable, state: Any, chunks: Sequence[Sequence], jobs: int) -> Iterator[Sequence]:
    if jobs <= 1:
        _keep_memory()
        yield from (work(state, chunk) for chunk in chunks)
        return
    pool = ProcessPoolExecutor(jobs, initializer=_begin, initargs=(work, state))
    try:
        with _signals_held():
            results = pool.map(_run, chunks)
        yield from results
    except BrokenProcessPool as error:
        remedy = "Look at the memory, the usual reason: pass a smaller --jobs"
        raise UserError("one of the processes was ended by the system", remedy=remedy) from error
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _signals_held() -> Iterator[None]:
    """Ctrl-C and SIGTERM wait until the end: what their handlers raise in the middle of a fork, Python drops."""
    if threading.current_thread() is not threading.main_thread():  # no other may set a handler
        yield
        return
    received: list[int] = []
    previous = {number: signal.signal(number, lambda number, _: received.append(number)) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        for number in received[:1]:
            signal.raise_signal(number)


_task: tuple[Callable, Any]


def _begin(work: Callable, state: Any) -> None:
    global _task
    _task = work, state
    gc.freeze()  # what the first process has made is shared with it until the garbage collector looks at it
    _keep_memory()
    warnings.filterwarnings("ignore", module="PIL")  # as in the first process
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process; the first one ends the others
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # which it does by this signal where one of them has been killed
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Ends this process when the first one is gone: killed at once, it ends no other."""
    multiprocessing.parent_process().join()
    os._exit(1)


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
