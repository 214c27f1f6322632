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
from collections.abc import Callable, Iterator, Sequence
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
# What runs a command line, without the name of the program.
RunCommandLine = Callable[[list[str]], None]

# Seconds for the other processes to end by themselves when one has ended with an error: time to write a checkpoint.
GRACE = 30
# How long processes wait for one another: the main one measures alone, and NCCL's own ten minutes are soon over.
TIMEOUT = timedelta(minutes=30)
PASSED_ON = (signal.SIGINT, signal.SIGTERM)
# Seconds between two looks at runs that go on side by side.
PERIOD = 0.2
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


def launch_each(run: RunCommandLine, command_lines: Sequence[list[str]], at_a_time: int) -> int:
    """Runs ``run(command_line)`` for each command line in its own process, and returns the exit code.

    Those that run at the same time have a GPU each, or share the cores. When one fails, no other begins, and those that
    run get SIGTERM, so that a training ends with a checkpoint. Ctrl-C and SIGTERM are passed on to those that run.

    Args:
        run: a function of a module, which other processes can import.
        command_lines: in the order in which they begin.
        at_a_time: how many run at the same time.

    Raises:
        UserError: the first error of a process.
    """
    errors = multiprocessing.get_context("spawn").SimpleQueue()
    waiting, failure = list(command_lines), None
    running: dict[int, ProcessContext] = {}
    processes: list[multiprocessing.Process] = []
    with _signals_passed_on(processes) as received:
        while waiting or running:
            for slot in sorted(set(range(at_a_time)) - running.keys()):
                with _signals_blocked():  # one that comes now reaches the new process, too
                    if waiting and not received:
                        arguments = slot, at_a_time, run, waiting.pop(0), errors
                        running[slot] = start_processes(_run_alone, arguments, nprocs=1, join=False)
                        processes += running[slot].processes
            for slot, context in list(running.items()):
                try:
                    has_ended = context.join(timeout=PERIOD)
                except ProcessException as error:
                    has_ended = True
                    if not (failure or received):
                        for process in processes:
                            process.terminate()
                    failure = failure or error
                if has_ended:
                    del running[slot]
            if received or failure:
                waiting.clear()
    if failure:
        return _explain(failure, errors)
    return 128 + received[0] if received else 0


def _check_flags(args: argparse.Namespace) -> None:
    machines, rank = args.num_machines or 1, args.machine_rank or 0
    check_size("--num-gpus", 1 if args.num_gpus is None else args.num_gpus)
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


def check_size(flag: str, processes: int) -> None:
    """Refuses a number of processes that this machine has no GPUs, or cores, for.

    Raises:
        UserError: it is below 1, or there are fewer.
    """
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
        with _signals_passed_on(context.processes):
            while not context.join(grace_period=GRACE):
                pass
    except ProcessException as failure:
        return _explain(failure, errors)
    return 0


@contextlib.contextmanager
def _signals_passed_on(processes: Sequence[multiprocessing.Process]) -> Iterator[list[int]]:
    """Ctrl-C and SIGTERM are for the processes to answer, each of which gets them once; yields what has come so far."""
    received: list[int] = []

    def pass_on(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        for process in processes:
            if process.pid and process.is_alive():
                os.kill(process.pid, number)

    previous = {number: signal.signal(number, pass_on) for number in PASSED_ON}
    try:
        yield received
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


@contextlib.contextmanager
def _signals_blocked() -> Iterator[None]:
    """Ctrl-C and SIGTERM wait, also in processes that begin meanwhile: these are ready for them in ``_started``."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)


@contextlib.contextmanager
def _started(errors: multiprocessing.SimpleQueue) -> Iterator[None]:
    """Around what a started process does; the process that started it reports its error."""
    # As in a process that nobody spawned: a loader's worker that is spawned loads PyTorch and Detectron2 first.
    multiprocessing.set_start_method(multiprocessing.get_all_start_methods()[0], force=True)
    if hasattr(os, "setsid"):  # not on Windows
        os.setsid()  # a terminal's Ctrl-C would otherwise come twice
    tqdm.set_lock(threading.RLock())  # its own is shared between processes, and _end_process would leave it behind
    try:
        if hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)
        yield
    except (UserError, OSError, KeyboardInterrupt) as error:
        errors.put(error)
        sys.exit(EXIT_USAGE)


def _run_started(
    index: int, places: list[Place], main: Main, args: argparse.Namespace, errors: multiprocessing.SimpleQueue
) -> None:
    """What a process of :func:`_start` runs."""
    with _started(errors):
        _meet(places[index])
        _take_share(places[index].local_rank, places[index].local_size)
        _join_local_group(places[index])
        main(args)
    _end_process()


def _run_alone(
    _index: int,
    slot: int,
    at_a_time: int,
    run: RunCommandLine,
    command_line: list[str],
    errors: multiprocessing.SimpleQueue,
) -> None:
    """What a process of :func:`launch_each` runs."""
    with _started(errors):
        sys.argv[1:] = command_line  # which the run records
        if at_a_time > 1:
            _take_share(slot, at_a_time)
        run(command_line)


def _join_torchrun(main: Main, args: argparse.Namespace) -> int:
    """Runs ``main`` as one of torchrun's processes; the first one that fails reports its error."""
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
    place = Place("env://", *(int(os.environ[name]) for name in names))
    store = _meet(place)
    try:
        given = [f"--{flag.replace('_', '-')}" for flag in FLAGS if getattr(args, flag) is not None]
        if given:
            raise UserError(f"torchrun starts the processes, and {given[0]} would too", remedy="Leave it out")
        check_size("--nproc-per-node", place.local_size)
        _take_share(place.local_rank, place.local_size)
        _join_local_group(place)
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


def _take_share(rank: int, size: int) -> None:
    """This process's part of the machine, as one of so many: its GPU, or its share of the cores."""
    if torch.cuda.is_available():
        torch.cuda.set_device(rank)
    elif "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, all_cores() // size))


def _join_local_group(place: Place) -> None:
    comm.create_local_process_group(place.local_size)
    comm.synchronize()
