"""What is compared: our configuration, candidates for it, and the informed peer with its grid."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benchmarks.recipes.informed_detectron2 import LONGEST, SETTINGS
from polymask.config.load import load_config

PROJECT = Path(__file__).resolve().parents[2]
MINI = "configs/mini_scratch.yaml"
OURS, PEER = "polymask", "informed Detectron2"


@dataclass(frozen=True)
class Length:
    """Of a training: one of the two.

    Attributes:
        images: how many it sees.
        minutes: how long it takes.
    """

    images: int = 0
    minutes: float = 0

    def __str__(self) -> str:
        return f"{self.images} images" if self.images else f"{self.minutes:g} minutes"


@dataclass(frozen=True)
class Job:
    """One training.

    Attributes:
        dataset: a dataset folder, whose test split is measured.
        output: a new folder for the run.
        length: of the training.
        size: the short side of test photos, in pixels.
        seed: of weights and order.
    """

    dataset: Path
    output: Path
    length: Length
    size: int
    seed: int


class Contender(Protocol):
    """One way to train.

    Attributes:
        name: for people.
    """

    name: str

    def settings(self) -> str:
        """A short digest of all that decides what a training of it comes to, but for the job."""

    def command(self, job: Job) -> list[str]:
        """Trains, and leaves what it finds on the test split in the output folder; see ``judge.DETECTIONS``."""


@dataclass(frozen=True)
class Recipe:
    """``mini_scratch.yaml`` with other values.

    Attributes:
        name: for people.
        values: KEY VALUE pairs over the file.
    """

    name: str
    values: tuple[str, ...] = ()

    def settings(self) -> str:
        return _digest(load_config(PROJECT / MINI, [*self.values]).dump())

    def command(self, job: Job) -> list[str]:
        cfg = load_config(PROJECT / MINI, [*self.values])
        scaled = tuple(round(side * job.size / cfg.INPUT.MIN_SIZE_TEST) for side in cfg.INPUT.MIN_SIZE_TRAIN)
        longest = str(round(job.size * LONGEST))
        iterations = job.length.images // cfg.SOLVER.IMS_PER_BATCH
        return [
            sys.executable, "train_net.py", "--config-file", MINI, *self.values,
            "INPUT.MIN_SIZE_TRAIN", str(scaled), "INPUT.MIN_SIZE_TEST", str(job.size),
            "INPUT.MAX_SIZE_TRAIN", longest, "INPUT.MAX_SIZE_TEST", longest,
            *(["SOLVER.MAX_ITER", str(iterations)] if iterations else ["SOLVER.MAX_MINUTES", str(job.length.minutes)]),
            "SOLVER.CHECKPOINT_PERIOD", "1000000",
            "TEST.EVAL_PERIOD", "0", "DATALOADER.NUM_WORKERS", "0",
            "DATASETS.ROOT", str(job.dataset), "SEED", str(job.seed), "OUTPUT_DIR", str(job.output),
        ]  # fmt: skip


@dataclass(frozen=True)
class Informed:
    """The informed peer with one batch and rate.

    Attributes:
        batch: images in an update.
        rate: of learning.
    """

    batch: int
    rate: float

    @property
    def name(self) -> str:
        return f"{PEER}, batch {self.batch}, rate {self.rate:g}"

    def settings(self) -> str:
        return _digest(f"{SETTINGS.read_text()} {self.batch} {self.rate}")

    def command(self, job: Job) -> list[str]:
        return [
            sys.executable, "-m", "benchmarks.recipes.informed_detectron2", str(job.dataset), "--output", str(job.output),
            "--images", str(job.length.images), "--minutes", str(job.length.minutes),
            "--batch", str(self.batch), "--rate", str(self.rate),
            "--size", str(job.size), "--seed", str(job.seed),
        ]  # fmt: skip


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


# Of these the peer gets what is best on the first fold, for each number of images.
PEER_GRID = tuple(Informed(batch, rate) for batch in (1, 4) for rate in (0.0002, 0.0004, 0.0008))
