"""One training and its evaluation in this process, timed; what the benchmarks of trainings share."""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from detectron2.config import CfgNode
from tabulate import tabulate

from polymask.engine.setup import setup
from polymask.engine.trainer import Trainer
from polymask.evaluation.coco import evaluate


@dataclass(frozen=True)
class Outcome:
    """What a training came to: AP in percent, and the minutes of its iterations alone."""

    name: str
    mask_ap: float
    box_ap: float
    images_seen: int
    minutes: float
    seconds: float  # of an iteration, the median: the minutes also count what else the machine was doing
    loss: float  # the median of the last iterations


def train(config_file: str, overrides: list[str], folder: Path) -> None:
    """One whole training into a folder, as ``train_net.py`` does it, in this process."""
    trainer = Trainer(set_up(config_file, overrides, folder))
    trainer.resume_or_load(resume=False)
    trainer.train()


def set_up(config_file: str, overrides: list[str], folder: Path) -> CfgNode:
    """The resolved configuration of a training into a folder, its dataset registered."""
    opts = [*overrides, "OUTPUT_DIR", str(folder)]
    return setup(argparse.Namespace(config_file=config_file, opts=opts, eval_only=False, resume=False))


def train_and_evaluate(
    name: str, config_file: str, overrides: list[str], output: Path, trainer_class: type[Trainer] = Trainer
) -> Outcome:
    """Trains into ``output``/``name``, then evaluates on ``DATASETS.TEST``; the evaluation is not timed."""
    cfg = set_up(config_file, overrides, output / name.replace(" ", "_"))
    training = cfg.clone()
    training.defrost()
    training.DATASETS.VAL = training.DATASETS.TEST = ()
    training.freeze()
    trainer = trainer_class(training)
    trainer.resume_or_load(resume=False)
    start = time.perf_counter()
    trainer.train()
    minutes = (time.perf_counter() - start) / 60
    (metrics,) = evaluate(cfg, trainer.evaluated_model, cfg.DATASETS.TEST).values()
    seen = cfg.SOLVER.MAX_ITER * cfg.SOLVER.IMS_PER_BATCH
    loss = float(trainer.storage.history("total_loss").median(20))
    seconds = float(np.median([value for value, _ in trainer.storage.history("time").values()]))
    return Outcome(name, metrics["segm"]["AP"], metrics["bbox"]["AP"], seen, minutes, seconds, loss)


def print_outcomes(outcomes: list[Outcome], file: Path, threads: int | None = None) -> None:
    """A table for people and the same as JSON for programs."""
    machine = f"{threads or torch.get_num_threads()} threads each, torch {torch.__version__}"
    if torch.cuda.is_available():
        machine = f"{torch.cuda.get_device_name()}, torch {torch.__version__}"
    rows = [asdict(outcome) for outcome in outcomes]
    print(f"\n{machine}\n")
    print(tabulate(rows, headers="keys", tablefmt="pipe", floatfmt=".2f"))
    file.write_text(json.dumps({"machine": machine, "outcomes": rows}, indent=2) + "\n")
    print(f"\nAlso in {file}.")
