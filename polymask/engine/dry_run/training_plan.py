"""What a training will be: from its configuration, its photos and what its first iterations cost."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from detectron2.config import CfgNode
from tabulate import tabulate

from dataset_tools.text import LONGEST_CELL, one_line
from polymask.engine.hooks.checkpoints import CHECKPOINTS_TO_KEEP

# Seconds after which a training without a GPU is called long. The mini network takes less.
LONG_TRAINING = 2 * 3600
TOO_LONG_WITHOUT_GPU = (
    "That is long, because there is no GPU. configs/mini_scratch.yaml trains a smaller network on smaller photos: try "
    "--dry-run with it."
)

# The splits by their key in DATASETS.
Splits = Mapping[str, Sequence[dict]]


@dataclass(frozen=True)
class TrainingCosts:
    """What the first iterations of a training have shown, in seconds and bytes.

    Attributes:
        precision: in which an iteration computes, such as "float32".
        iteration: the median of ``iterations`` of them.
        evaluation, final, losses: of one photo: its predictions during the training and at its end, where ``TEST.AUG``
            counts, and its losses. 0 where there is no VAL and no TEST.
        memory_gib: the most so far, of the GPU or of this process.
        state, weights: of a checkpoint to resume from, and of one for use.
    """

    precision: str
    iteration: float
    iterations: int
    evaluation: float
    final: float
    losses: float
    memory_gib: float
    state: int
    weights: int


def evaluations_on_val(cfg: CfgNode) -> int:
    """How often the training evaluates VAL, unless it is stopped early: the last time after its last iteration."""
    if not cfg.DATASETS.VAL:
        return 0
    return math.ceil(cfg.SOLVER.MAX_ITER / cfg.TEST.EVAL_PERIOD) if cfg.TEST.EVAL_PERIOD else 1


def checkpoint_bytes(cfg: CfgNode, costs: TrainingCosts) -> int:
    """The most that the checkpoints of the training take at one time: an old one goes when a new one is whole."""
    states = min(CHECKPOINTS_TO_KEEP + 1, math.ceil(cfg.SOLVER.MAX_ITER / cfg.SOLVER.CHECKPOINT_PERIOD))
    weights_for_use = 2 if cfg.DATASETS.VAL else 1  # model_final.pth and model_best.pth
    return states * costs.state + weights_for_use * costs.weights


def dataset_table(splits: Splits, classes: Sequence[str]) -> str:
    """Photos and objects of each split; crowds do not count."""
    rows = defaultdict(list)
    for records in splits.values():
        counts = Counter(a["category_id"] for r in records for a in r["annotations"] if not a.get("iscrowd", 0))
        rows["photos"].append(len(records))
        rows["of them without annotations"].append(sum(not record["annotations"] for record in records))
        for index, name in enumerate(classes):
            rows[f"instances of {one_line(name, LONGEST_CELL)}"].append(counts[index])
    headers = ["", *(key.lower() for key in splits)]
    return tabulate(
        [[name, *numbers] for name, numbers in rows.items()],
        headers=headers,
        tablefmt="pipe",
        colalign=("left", *("right" for _ in splits)),
    )


def plan_table(cfg: CfgNode, splits: Splits, costs: TrainingCosts, processes: int) -> str:
    """Iterations, evaluations, time, memory and disk of the whole training.

    Args:
        processes: of the training, on all machines.
    """
    solver = cfg.SOLVER
    photos = {key: len(records) for key, records in splits.items()}
    epochs = solver.MAX_ITER * solver.IMS_PER_BATCH / photos["TRAIN"]
    times = evaluations_on_val(cfg)
    on_val = costs.evaluation + (costs.losses if cfg.TEST.VALIDATION_LOSS else 0)
    training = solver.MAX_ITER * costs.iteration
    with_aug = cfg.TEST.AUG.ENABLED  # without it, the last evaluation of VAL is the final one, too
    at_the_end = photos["TEST"] + with_aug * photos["VAL"]
    evaluating = (times * photos["VAL"] * on_val + at_the_end * costs.final) / processes
    where = "the GPU" if torch.cuda.is_available() else "this process"
    rows = {
        "iterations": f"{solver.MAX_ITER} in batches of {solver.IMS_PER_BATCH}, {epochs:.1f} epochs, in {costs.precision}",
        "evaluations": f"VAL ({photos['VAL']} photos): {times}; TEST ({photos['TEST']} photos): {int(photos['TEST'] > 0)}"
        + "; both at the end with TEST.AUG" * with_aug,
        "training": f"about {_duration(training)} on this machine, from {costs.iterations} iterations of "
        f"{costs.iteration:.2g} s",
        "evaluating": f"about {_duration(evaluating)}, from {costs.evaluation:.2g} s for a photo"
        + f", and {costs.final:.2g} s with TEST.AUG" * with_aug,
        "memory": f"{costs.memory_gib:.1f} GiB of {where} so far; larger photos and more objects take more",
        "disk": f"{checkpoint_bytes(cfg, costs) / 1e6:.3g} MB of checkpoints at most",
    }
    table = tabulate(rows.items(), tablefmt="plain", disable_numparse=True)
    is_long = cfg.MODEL.DEVICE == "cpu" and training > LONG_TRAINING
    return f"{table}\n{TOO_LONG_WITHOUT_GPU}" if is_long else table


def _duration(seconds: float) -> str:
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.{int(seconds < 10 * size)}f} {unit}"
    return f"{seconds:.0f} seconds"
