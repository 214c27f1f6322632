"""The same work on many items, in several processes, with a progress bar."""

from __future__ import annotations

import gc
import math
import multiprocessing
import os
import signal
import threading
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from functools import partial
from typing import Any, TypeVar

from tqdm import tqdm

from dataset_tools.errors import UserError

Item = TypeVar("Item")
Result = TypeVar("Result")

# Items that a process gets at a time: with more of them the progress bar moves in jumps, with fewer the way between
# processes takes longer.
_BATCH = 16

# Fewer items do not pay for a process: to start one takes longer.
_WORTH_A_PROCESS = 24

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def in_order(
    work: Callable[[Any, Item], Result],
    state: Any,
    items: Sequence[Item],
    jobs: int,
    description: str,
    unit: str,
) -> Generator[Result]:
    """``work(state, item)`` for all items in their order; see ``in_batches``."""
    return in_batches(partial(_one_by_one, work), state, items, jobs, description, unit)


def _one_by_one(work: Callable[[Any, Item], Result], state: Any, items: Sequence[Item]) -> Generator[Result]:
    return (work(state, item) for item in items)


def in_batches(
    work: Callable[[Any, Sequence[Item]], Generator[Result]],
    state: Any,
    items: Sequence[Item],
    jobs: int,
    description: str,
    unit: str,
) -> Generator[Result]:
    """The results of ``work(state, items)`` for all items, one for each, in their order.

    Args:
        work: a function of a module, so that another process finds it; each process calls it with some of the items.
        state: what it needs besides; handed to each process once.
        items: what to work on.
        jobs: how many processes; the results do not depend on it.
        description, unit: for the progress bar.

    Raises:
        UserError: the system has ended a process.
    """
    jobs = min(jobs, math.ceil(len(items) / _WORTH_A_PROCESS))
    results = _in_processes(work, state, items, jobs) if jobs > 1 else work(state, items)
    with closing(results):
        yield from tqdm(results, total=len(items), desc=description, unit=unit, disable=None)


def _in_processes(
    work: Callable[[Any, Sequence[Item]], Generator[Result]], state: Any, items: Sequence[Item], jobs: int
) -> Generator[Result]:
    batches = [items[start : start + _BATCH] for start in range(0, len(items), _BATCH)]
    pool = ProcessPoolExecutor(jobs, initializer=_begin, initargs=(work, state))
    try:
        with _signals_held():
            results = pool.map(_run, batches)
        for batch in results:
            yield from batch
    except BrokenProcessPool as error:
        remedy = "Check the memory, the usual reason: pass a smaller --jobs"
        raise UserError("the system has ended one of the processes", remedy=remedy) from error
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _signals_held() -> Iterator[None]:
    """Ctrl-C and SIGTERM wait until the end: what their handlers raise in the middle of a fork, Python drops."""
    if threading.current_thread() is not threading.main_thread():  # no other may set a handler
        yield
        return
    received: list[int] = []
    previous = {each: signal.signal(each, lambda number, _: received.append(number)) for each in _SIGNALS}
    try:
        yield
    finally:
        for each, handler in previous.items():
            signal.signal(each, handler)
        for number in received[:1]:
            signal.raise_signal(number)


_task: tuple[Callable, Any]


def _begin(work: Callable, state: Any) -> None:
    global _task
    _task = work, state
    gc.freeze()  # the memory of the first process is shared until the garbage collector looks at it
    warnings.filterwarnings("ignore", module="PIL")  # as in the first process
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process; the first one ends the others
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # which it does by this signal where one of them has been killed
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Ends this process when the first one is gone: killed at once, it ends no other."""
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)


def _run(items: Sequence[Any]) -> list[Any]:
    work, state = _task
    return list(work(state, items))


def all_cores() -> int:
    """How many processes this one may keep busy."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
