"""Trains what has not been measured yet, on folds of datasets."""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from benchmarks.recipes.contenders import PROJECT, Contender, Job, Length
from benchmarks.recipes.judge import judge
from benchmarks.recipes.measured import Measurement, Record, Task
from benchmarks.stages.options import describe_machine
from dataset_tools.dataset.folds import write_folds
from dataset_tools.errors import UserError
from dataset_tools.formats.card import read_card
from dataset_tools.parallel import all_cores
from polymask.engine.hooks.finite_loss import REPORT_NAME


@dataclass(frozen=True)
class Trainings:
    """Where trainings take place.

    Attributes:
        folds: for each dataset its folds: dataset folders, whose test split is held out.
        output: for the runs, which are removed when they are measured.
        record: what is known already, and gets what is measured.
        end: by ``time.monotonic``: no training begins after it.
        threads: of a training. As many trainings run at a time as there are cores for.
    """

    folds: dict[str, Sequence[Path]]
    output: Path
    record: Record
    end: float
    threads: int = 1

    def run_missing(self, tasks: Sequence[Task]) -> None:
        missing = [task for task in tasks if not self.record.find(task)]
        with ThreadPoolExecutor(max(1, all_cores() // self.threads)) as pool:
            for _ in tqdm(pool.map(self._run, missing), total=len(missing), desc="trainings", disable=None):
                pass

    def _run(self, task: Task) -> None:
        if time.monotonic() > self.end:
            return
        name = f"{task.dataset}_{task.fold}_{task.length}_{task.size}_{task.contender.settings()}".replace(" ", "_")
        # A seed belongs to a fold, so that all contenders have the same.
        job = Job(self.folds[task.dataset][task.fold], self.output / name, task.length, task.size, seed=task.fold + 1)
        shutil.rmtree(job.output, ignore_errors=True)  # it was interrupted
        seconds = self._run_command(task.contender.command(job), job.output)
        ap = judge(job.dataset, job.output)
        self.record.add(
            Measurement(
                dataset=task.dataset,
                fold=task.fold,
                content=task.content,
                length=str(task.length),
                size=task.size,
                recipe=task.contender.name,
                settings=task.contender.settings(),
                mask_ap=ap["segm"],
                box_ap=ap["bbox"],
                processor_seconds=round(seconds, 1),
                processor=str(describe_machine()["processor"]),
            )
        )
        shutil.rmtree(job.output)  # dozens of checkpoints would fill the disk

    def _run_command(self, command: Sequence[str], run: Path) -> float:
        """Runs a command in the project's folder, and returns its seconds on the processor.

        If a loss becomes infinite, nothing is found and the AP is 0. Our training fails then, and leaves a report; the peers'
        scripts just end.

        Raises:
            RuntimeError: it failed for another reason.
        """
        log = run.with_name(f"{run.name}.log")
        variables = os.environ | {"OMP_NUM_THREADS": str(self.threads)}
        with log.open("wb") as messages:
            process = subprocess.Popen(command, cwd=PROJECT, env=variables, stdout=messages, stderr=messages)
            _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode and not (run / REPORT_NAME).exists():
            raise RuntimeError(f"{log} says why this failed: {shlex.join(command)}")
        return usage.ru_utime + usage.ru_stime


class Comparison:
    """Contenders at one length of training."""

    def __init__(self, trainings: Trainings, length: Length, size: int):
        self._trainings = trainings
        self._length = length
        self._size = size

    def measure(
        self, contenders: Sequence[Contender], folds: Sequence[int], datasets: int | None = None
    ) -> dict[str, dict[tuple[str, int], Measurement]]:
        """What is known of each contender on each dataset and fold after all that is missing was trained.

        Args:
            contenders: what is trained.
            folds: their numbers.
            datasets: how many of the datasets, from the first on. None: all.
        """
        places = [(dataset, fold) for fold in folds for dataset in [*self._trainings.folds][:datasets]]
        content = {(dataset, fold): _digest(self._trainings.folds[dataset][fold]) for dataset, fold in places}
        tasks = {(c.name, p): Task(c, *p, content[p], self._length, self._size) for p in places for c in contenders}
        self._trainings.run_missing(list(tasks.values()))
        found = {key: self._trainings.record.find(task) for key, task in tasks.items()}
        return {c.name: {p: m for p in places if (m := found[c.name, p])} for c in contenders}


def prepare_folds(datasets: Sequence[Path], output: Path, folds: int) -> dict[str, Sequence[Path]]:
    """The folds of dataset folders, by the names of these; written into a folder.

    Raises:
        UserError: a dataset cannot be divided, or a fold holds out nothing that can be measured.
    """
    parts: dict[str, Sequence[Path]] = {}
    for dataset in datasets:
        name = read_card(dataset).name
        parts[name] = write_folds(dataset, output.resolve() / "folds" / name, folds, seed=0).parts
        for part in parts[name]:
            if not read_card(part).splits["test"].instances:
                raise UserError(f"{part.name} holds out no objects", file=dataset, remedy="Use fewer folds")
    return parts


def own_splits(datasets: Sequence[Path]) -> dict[str, Sequence[Path]]:
    """Dataset folders by their names, each as its only fold: its own train and test split.

    Raises:
        UserError: a test split has no objects.
    """
    for dataset in datasets:
        if not read_card(dataset).splits["test"].instances:
            raise UserError(
                "its test split has no objects", file=dataset, remedy="Convert a folder with train and test folders"
            )
    return {read_card(dataset).name: [dataset.resolve()] for dataset in datasets}


def _digest(fold: Path) -> str:
    """Of the photos and annotations to train on and to test on."""
    card = read_card(fold)
    content = b"".join((fold / card.splits[split].annotations).read_bytes() for split in ("train", "test"))
    return hashlib.sha256(content).hexdigest()[:12]
