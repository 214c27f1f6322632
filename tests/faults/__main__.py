"""Faults that machines and people bring about, and what is there afterwards. Each kind is a file of this folder.

python -m tests.faults                              # all of them, some hours on two slow cores
python -m tests.faults --only killed_conversions    # some of them
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from tabulate import tabulate
from tqdm import tqdm

from tests.faults.killed_commands import Command, conversions, kill_command, reports
from tests.faults.killed_saves import kill_saves
from tests.faults.surroundings import (
    CHANGES,
    CannotMount,
    bare_machine,
    conversion_on_a_full_disk,
    photos_that_go,
    read_only,
    training_on_a_full_disk,
    worker_dies,
)
from tests.faults.trial import Trial

Experiment = Callable[[Path, argparse.Namespace], Iterator[Trial]]


def kill_commands(make: Callable[[Path], list[Command]], folder: Path, args: argparse.Namespace) -> Iterator[Trial]:
    for command in make(folder / "files"):
        yield from kill_command(folder / "files", command, args.times, args.seed)


def full_disk(folder: Path, _: argparse.Namespace) -> Iterator[Trial]:
    for number, experiment in enumerate((conversion_on_a_full_disk, training_on_a_full_disk)):
        yield from experiment(folder / str(number))


def photos_go(folder: Path, _: argparse.Namespace) -> Iterator[Trial]:
    for workers in (0, 1):
        for case in CHANGES:
            yield from photos_that_go(folder / f"{case} {workers}", case, workers)


EXPERIMENTS: dict[str, Experiment] = {
    "killed_saves": lambda folder, args: kill_saves(folder, 1, most=args.points),
    "killed_saves_of_two": lambda folder, args: kill_saves(folder, 2, most=args.points),
    "killed_second_process": lambda folder, args: kill_saves(folder, 2, killed=1, most=args.points),
    "killed_conversions": partial(kill_commands, conversions),
    "killed_reports": partial(kill_commands, reports),
    "full_disk": full_disk,
    "read_only": lambda folder, _: read_only(folder),
    "photos_that_go": photos_go,
    "worker_dies": lambda folder, _: worker_dies(folder),
    "bare_machine": lambda folder, _: bare_machine(folder),
}


def conduct(names: Sequence[str], args: argparse.Namespace) -> Iterator[Trial]:
    """The trials of some experiments; one that is skipped where the system does not allow an experiment."""
    for name in names:
        with tempfile.TemporaryDirectory(prefix="faults_") as folder:
            try:
                yield from EXPERIMENTS[name](Path(folder), args)
            except CannotMount as reason:
                yield Trial(name, "", skipped=str(reason))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = list(EXPERIMENTS)
    parser.add_argument("--only", nargs="+", choices=kinds, default=kinds, metavar="KIND", help=", ".join(kinds))
    parser.add_argument("--times", type=int, default=30, help="how often each command is killed (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: %(default)s)")
    parser.add_argument(
        "--points", type=int, default=1000, help="at most so many events at which a training is killed (default: all)"
    )
    args = parser.parse_args()
    trials: dict[str, list[Trial]] = {}
    seconds: Counter[str] = Counter()
    begin = time.monotonic()
    for trial in tqdm(conduct(args.only, args), unit="fault", disable=None):
        trials.setdefault(trial.fault, []).append(trial)
        seconds[trial.fault] += round(time.monotonic() - begin)
        begin = time.monotonic()
        if trial.failure or trial.skipped:
            tqdm.write(f"{trial.fault}, {trial.case}: {trial.failure or trial.skipped}")
    rows = []
    for fault, of_kind in trials.items():
        failed, skipped = sum(bool(t.failure) for t in of_kind), sum(bool(t.skipped) for t in of_kind)
        rows.append((fault, len(of_kind) - skipped, failed, skipped, seconds[fault]))
    print(tabulate(rows, headers=("fault", "times", "failed", "skipped", "seconds"), tablefmt="pipe"))
    return any(trial.failure for of_kind in trials.values() for trial in of_kind)


if __name__ == "__main__":
    sys.exit(main())
