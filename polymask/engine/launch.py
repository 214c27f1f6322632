"""How the processes of one run are started and ended: by ``--num-gpus`` or by torchrun."""

from __future__ import annotations

import argparse
import contextlib
import logging
import multiprocessing
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from types import FrameType
from typing import NoReturn

import torch
import torch.distributed as dist
from detectron2.utils import comm
from torch.multiprocessing.spawn import ProcessContext, ProcessException, ProcessExitedException, start_processes
from tqdm import tqdm

from dataset_tools.errors import EXIT_USAGE, UserError
from dataset_tools.parallel import all_cores

log = logging.getLogger(__name__)

Main = Callable[[argparse.Namespace], None]

# Seconds for the other processes to end by themselves when one has ended with an error: time to write a checkpoint.
GRACE = 30
# How long processes wait for one another: the main one measures alone, and NCCL's own ten minutes are soon over.
TIMEOUT = timedelta(minutes=30)
PASSED_ON = (signal.SIGINT, signal.SIGTERM)
FLAGS = ("num_gpus", "num_machines", "machine_rank", "dist_url")


@dataclass(frozen=True)
class Place:
    """Where a process stands among all of the run, and where they meet (a URL of ``init_process_group``)."""

    url: str
    rank: int
    world_size: int
    local_rank: int  # among those of this machine
    local_size: int


def launch(main: Main, args: argparse.Namespace) -> int:
    """Runs ``main(args)`` in as many processes as the flags or torchrun ask for, and returns the exit code.

    With CUDA each process has a GPU and they talk through NCCL; without they share the CPU and talk through gloo.
    Detectron2's ``launch`` does the same, but it ends in a traceback whatever a process says, kills the others at once,
    and leaves a SIGTERM to itself.

    Args:
        main: one process of the run; a function of a module, which other processes can import.
        args: ``num_gpus``, ``num_machines``, ``machine_rank`` and ``dist_url``, each None where it was not given.

    Raises:
        UserError: the flags are wrong, or the first error of a process.
    """
    if dist.is_torchelastic_launched():
        return _join_torchrun(main, args)
    processes, machines, url = args.num_gpus or 1, args.num_machines or 1, args.dist_url
    _check_flags(args)
    if processes * machines == 1:
        main(args)
        return 0
    if processes > 1 and not torch.cuda.is_available():
        log.warning("There is no GPU here: --num-gpus %d starts %d processes on the CPU.", processes, processes)
    return _start(main, args, processes, processes * machines, (args.machine_rank or 0) * processes, url or _free_url())


def _check_flags(args: argparse.Namespace) -> None:
    machines, rank = args.num_machines or 1, args.machine_rank or 0
    _check_size("--num-gpus", 1 if args.num_gpus is None else args.num_gpus)
    if not 0 <= rank < machines:
        raise UserError(
            f"--machine-rank is {rank}, and --num-machines is {machines}",
            remedy="Number the machines from 0 to one less than there are",
        )
    if machines > 1 and not args.dist_url:
        raise UserError(
            "several machines have to know where they meet",
            remedy="Add --dist-url tcp://ADDRESS:PORT to the command on each, with the address of machine 0",
        )


def _check_size(flag: str, processes: int) -> None:
    gpus = torch.cuda.device_count()
    most, of_what = (gpus, "GPUs") if gpus else (all_cores(), "CPU cores and no GPU")
    if not 1 <= processes <= most:
        raise UserError(
            f"{flag} is {processes}, and this machine has {most} {of_what}", remedy=f"Use a number from 1 to {most}"
        )


def _free_url() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{probe.getsockname()[1]}"


def _start(main: Main, args: argparse.Namespace, processes: int, world_size: int, first_rank: int, url: str) -> int:
    """Starts this machine's processes and waits for their end."""
    places = [Place(url, first_rank + i, world_size, i, processes) for i in range(processes)]
    errors = multiprocessing.get_context("spawn").SimpleQueue()
    context = start_processes(_run_started, (places, main, args, errors), nprocs=processes, join=False)
    try:
        with _signals_passed_on(context):
            while not context.join(grace_period=GRACE):
                pass
    except ProcessException as failure:
        return _explain(failure, errors)
    return 0


@contextlib.contextmanager
def _signals_passed_on(context: ProcessContext) -> Iterator[None]:
    """Ctrl-C and SIGTERM are for the processes to answer, each of which gets them once."""

    def pass_on(number: int, _frame: FrameType | None) -> None:
        for process in context.processes:
            if process.is_alive():
                os.kill(process.pid, number)

    previous = {number: signal.signal(number, pass_on) for number in PASSED_ON}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _explain(failure: ProcessException, errors: multiprocessing.SimpleQueue) -> int:
    """Raises the first error: those after it may well be of processes that lost their partner."""
    if not errors.empty():
        raise errors.get()
    if not isinstance(failure, ProcessExitedException):
        raise failure  # a fault of ours, with its traceback
    if failure.exit_code < 0 and -failure.exit_code not in PASSED_ON:
        raise UserError(
            f"one of the processes was ended by {failure.signal_name}",
            remedy="Look at the memory, the usual reason: use fewer processes or a smaller SOLVER.IMS_PER_BATCH",
            exit_code=128 - failure.exit_code,
        )
    return failure.exit_code if failure.exit_code >= 0 else 128 - failure.exit_code


def _run_started(
    index: int, places: list[Place], main: Main, args: argparse.Namespace, errors: multiprocessing.SimpleQueue
) -> None:
    """What a process of :func:`_start` runs; the process that started it reports its error."""
    # As in a process that nobody spawned: a loader's worker that is spawned loads PyTorch and Detectron2 first.
    multiprocessing.set_start_method(multiprocessing.get_all_start_methods()[0], force=True)
    if hasattr(os, "setsid"):  # not on Windows
        os.setsid()  # a terminal's Ctrl-C would otherwise come twice
    tqdm.set_lock(threading.RLock())  # its own is shared between processes, and _end_process would leave it behind
    try:
        _meet(places[index])
        _take_share(places[index])
        main(args)
    except (UserError, OSError, KeyboardInterrupt) as error:
        errors.put(error)
        sys.exit(EXIT_USAGE)
    _end_process()


def _join_torchrun(main: Main, args: argparse.Namespace) -> int:
    """Runs ``main`` as one of torchrun's processes; the first one that fails reports its error."""
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
    place = Place("env://", *(int(os.environ[name]) for name in names))
    store = _meet(place)
    try:
        given = [f"--{flag.replace('_', '-')}" for flag in FLAGS if getattr(args, flag) is not None]
        if given:
            raise UserError(f"torchrun starts the processes, and {given[0]} would too", remedy="Leave it out")
        _check_size("--nproc-per-node", place.local_size)
        _take_share(place)
        main(args)
    except (Exception, KeyboardInterrupt):
        if store.add("failures", 1) > 1:
            return EXIT_USAGE
        raise
    _end_process()


def _end_process() -> NoReturn:
    """Ends this process well, when all have come here, without Python's own tidying up.

    In that PyTorch destroys threads of gloo that still run, and now and then aborts the process ("terminate called
    without an active exception", torch 2.14).
    """
    comm.synchronize()
    dist.destroy_process_group()
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _meet(place: Place) -> dist.Store:
    """Waits for all processes, and returns the store that they share."""
    backend = "nccl" if torch.cuda.is_available() else "gloo"
    try:
        meeting = dist.rendezvous(place.url, place.rank, place.world_size, timeout=TIMEOUT)
        store, rank, world_size = next(meeting)
        dist.init_process_group(backend, store=store, rank=rank, world_size=world_size, timeout=TIMEOUT)
    except (RuntimeError, ValueError) as error:
        raise UserError(
            f"the processes cannot meet at {place.url}: {str(error).splitlines()[0]}",
            remedy="Choose another --dist-url, with the address of machine 0 and a port that is free there",
        ) from error
    return store


def _take_share(place: Place) -> None:
    """This process's part of the machine: its GPU, or its share of the cores."""
    if torch.cuda.is_available():
        torch.cuda.set_device(place.local_rank)
    elif "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, all_cores() // place.local_size))
    comm.create_local_process_group(place.local_size)
    comm.synchronize()
