"""The processes that load photos: how many, and how they end."""

from __future__ import annotations

import contextlib
import multiprocessing.util
import signal
import time
from collections.abc import Iterator
from functools import cache

from detectron2.config import CfgNode
from detectron2.utils import comm

from dataset_tools.errors import UserError
from dataset_tools.parallel import all_cores
from polymask.config.keys import FOLLOW_CORES

# Of one process on a GPU: more workers only take memory.
_MOST_WORKERS = 4


def number_of_workers(cfg: CfgNode) -> int:
    """``DATALOADER.NUM_WORKERS``, or how many processes beside this one suit the machine where that is open.

    On a GPU, up to four: a core reads 19 photos of 12 megapixels a second in the first epoch. On a CPU, where the
    network takes all cores and a second or more for an iteration, one that reads ahead: an evaluation, which decodes in
    full, takes 0.1 s for such a photo. On a single core, none.
    """
    workers = cfg.DATALOADER.NUM_WORKERS
    if workers != FOLLOW_CORES:
        return workers
    others = all_cores() // comm.get_local_size() - 1
    return max(0, min(others, 1 if cfg.MODEL.DEVICE == "cpu" else _MOST_WORKERS))


@contextlib.contextmanager
def lost_workers_reported() -> Iterator[None]:
    """A UserError where the system has ended a worker; PyTorch raises wherever the program is just then.

    Raises:
        UserError: in the place of PyTorch's RuntimeError.
    """
    try:
        yield
    except RuntimeError as error:
        if not str(error).startswith("DataLoader worker (pid"):
            raise
        raise lost_worker(str(error).splitlines()[0].rstrip(". ")) from error


def lost_worker(reason: str) -> UserError:
    """The error that says that a worker was lost."""
    return UserError(
        f"a process that loads photos was lost: {reason}",
        remedy="Look at the memory, the usual reason: use a smaller DATALOADER.NUM_WORKERS, or 0; then go on with "
        "--resume",
    )


def wait_for_the_signal() -> None:
    """Wait until the signal has come that says that a worker has ended.

    The worker closes its connections a moment before. PyTorch raises an error when the signal comes, wherever the program is
    then: here it is caught. Windows sends no signal.

    Raises:
        UserError: in the place of PyTorch's RuntimeError.
    """
    with lost_workers_reported():
        time.sleep(1)


def leave_signals_to_the_parent(_worker: int) -> None:
    """Ctrl-C and SIGTERM reach a whole group of processes, and the parent needs its workers until it has saved."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


@cache
def end_workers_at_exit() -> None:
    """A process that ends sends its workers SIGTERM, which they ignore, and waits for them.

    It would wait for ever if anything still held their loader, such as the traceback of an error in one of them.
    """
    multiprocessing.util.Finalize(None, _end_workers, exitpriority=0)


def _end_workers() -> None:
    if hasattr(signal, "SIGCHLD"):
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # torch's handler makes an error of a worker's end
    for process in multiprocessing.active_children():
        if process.daemon:
            process.kill()
