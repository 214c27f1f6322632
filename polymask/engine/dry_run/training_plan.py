"""What a training will be, in words: from its configuration, its photos and what its first moments cost."""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from detectron2.config import CfgNode
from detectron2.solver import build_lr_scheduler
from tabulate import tabulate

from polymask.data.augmentation import build_train_augmentations
from polymask.engine.hooks.best_checkpoint import BEST_NAME
from polymask.engine.hooks.checkpoints import CHECKPOINTS_TO_KEEP, FINAL_NAME

RATE_ROWS = 10

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
    """What the first moments of a training have shown, in seconds and bytes.

    Attributes:
        precision: in which an iteration computes, such as "float32".
        iteration: the median of ``iterations`` of them.
        evaluation, losses: of one photo: its predictions, and its losses. 0 where there is no VAL and no TEST.
        memory_gib: the most so far, of the GPU or of this process.
        state, weights: of a checkpoint to resume from, and of one for use.
    """

    precision: str
    iteration: float
    iterations: int
    evaluation: float
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
    return states * costs.state + len(_weights_for_use(cfg)) * costs.weights


def dataset_table(splits: Splits, classes: Sequence[str]) -> str:
    """Photos and objects of each split; crowds are no objects."""
    rows = defaultdict(list)
    for records in splits.values():
        counts = Counter(a["category_id"] for r in records for a in r["annotations"] if not a.get("iscrowd", 0))
        rows["photos"].append(len(records))
        rows["of them without annotations"].append(sum(not record["annotations"] for record in records))
        for index, name in enumerate(classes):
            rows[f"instances of {name}"].append(counts[index])
    headers = ["", *(key.lower() for key in splits)]
    return tabulate(
        [[name, *numbers] for name, numbers in rows.items()],
        headers=headers,
        tablefmt="pipe",
        colalign=("left", *("right" for _ in splits)),
    )


def plan_table(
    cfg: CfgNode, splits: Splits, costs: TrainingCosts, model: torch.nn.Module, backbone_only: bool, processes: int
) -> str:
    """What is trained, with what, for how long, and what is kept of it.

    Args:
        backbone_only: whether ``MODEL.WEIGHTS`` are those of a backbone.
        processes: of the training, on all machines.
    """
    solver = cfg.SOLVER
    photos = {key: len(records) for key, records in splits.items()}
    epochs = _epochs(cfg, solver.MAX_ITER, photos["TRAIN"])
    rows = {
        "weights": _start(cfg, backbone_only),
        "parameters": _parameters(model),
        "an iteration": _batch(cfg, processes),
        "iterations": f"{solver.MAX_ITER}, which are {epochs:.1f} epochs of {photos['TRAIN']} photos",
        "optimizer": _optimizer(cfg),
        "precision": costs.precision,
        "evaluation on VAL": _evaluation(cfg, photos["VAL"]),
        "evaluation on TEST": f"{photos['TEST']} photos, after the last iteration" if photos["TEST"] else "none",
        "checkpoints": f"every {solver.CHECKPOINT_PERIOD} iterations and after the last, {_mb(costs.state)} each; "
        f"the last {CHECKPOINTS_TO_KEEP} are kept",
        "weights for use": f"{' and '.join(_weights_for_use(cfg))}, {_mb(costs.weights)} each",
        "on the disk": f"{_mb(checkpoint_bytes(cfg, costs))} at most",
    }
    lines = [*rows.items(), *zip(itertools.chain(["augmentations"], itertools.repeat("")), _augmentations(cfg))]
    return tabulate(lines, tablefmt="plain", disable_numparse=True)


def _start(cfg: CfgNode, backbone_only: bool) -> str:
    if not cfg.MODEL.WEIGHTS:
        return f"random (SEED {cfg.SEED})"
    anew = "; all but the backbone starts at random" if backbone_only else ""
    if cfg.MODEL.NEW_HEADS:
        anew = "; the layers that depend on the classes start at random"
    return cfg.MODEL.WEIGHTS + anew


def _parameters(model: torch.nn.Module) -> str:
    sizes = {True: 0, False: 0}
    for parameter in model.parameters():
        sizes[parameter.requires_grad] += parameter.numel()
    frozen = f", and {sizes[False] / 1e6:.1f} million that stay as they are" if sizes[False] else ""
    return f"{sizes[True] / 1e6:.1f} million that learn{frozen}"


def _batch(cfg: CfgNode, processes: int) -> str:
    photos, parts = cfg.SOLVER.IMS_PER_BATCH, cfg.SOLVER.ACCUMULATION_STEPS
    shares = [f"{photos} photo{'s' * (photos > 1)}"]
    if processes > 1:
        shares.append(f"{photos // processes} in each of {processes} processes")
    if parts > 1:
        shares.append(f"in {parts} parts, one after the other")
    return ", ".join(shares)


def _optimizer(cfg: CfgNode) -> str:
    solver = cfg.SOLVER
    words = [solver.OPTIMIZER, f"weight decay {solver.WEIGHT_DECAY:g}"]
    if solver.OPTIMIZER == "SGD":
        words.append(f"momentum {solver.MOMENTUM:g}")
    if solver.CLIP_GRADIENTS.ENABLED:
        words.append(f"gradients clipped at {solver.CLIP_GRADIENTS.CLIP_TYPE} {solver.CLIP_GRADIENTS.CLIP_VALUE:g}")
    if solver.EMA_DECAY:
        words.append(f"moving average of the weights, decay {solver.EMA_DECAY:g}")
    return ", ".join(words)


def _evaluation(cfg: CfgNode, photos: int) -> str:
    times = evaluations_on_val(cfg)
    if not times:
        return "none"
    words = f"{photos} photos, after the last iteration"
    if times > 1:
        words = f"{photos} photos, every {cfg.TEST.EVAL_PERIOD} iterations and after the last: {times} times"
    if cfg.TEST.EARLY_STOPPING_PATIENCE:
        words += f"; {cfg.TEST.EARLY_STOPPING_PATIENCE} in a row without a better mask AP end the training"
    return words


def _augmentations(cfg: CfgNode) -> list[str]:
    names = [repr(augmentation) for augmentation in build_train_augmentations(cfg)]
    if cfg.INPUT.COPY_PASTE.PROBABILITY:
        names.append(f"copy-paste of objects, with probability {cfg.INPUT.COPY_PASTE.PROBABILITY:g}")
    return names


def _weights_for_use(cfg: CfgNode) -> list[str]:
    names = [FINAL_NAME, BEST_NAME] if cfg.DATASETS.VAL else [FINAL_NAME]
    return [f"{name}.pth" for name in names]


def _mb(size: int) -> str:
    return f"{size / 1e6:.3g} MB"


def learning_rates(cfg: CfgNode) -> list[float]:
    """The learning rate of every iteration, from Detectron2's schedule itself."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=cfg.SOLVER.BASE_LR)
    scheduler = build_lr_scheduler(cfg, optimizer)
    rates = []
    for _ in range(cfg.SOLVER.MAX_ITER):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()  # nothing to do; PyTorch wants to see it before the next line
        scheduler.step()
    return rates


def rate_table(cfg: CfgNode, rates: Sequence[float], photos: int) -> str:
    """The rate at about ten iterations: the first, the last, the landmarks of the schedule, and some between."""
    last = len(rates) - 1
    names = {0: "first", last: "last"} | _landmarks(cfg)
    between = max(0, RATE_ROWS - len(names))
    chosen = {len(rates) * index // (between + 1) for index in range(1, between + 1)} | names.keys()
    rows = [[i, f"{_epochs(cfg, i, photos):.1f}", f"{rates[i]:.2g}", names.get(i, "")] for i in sorted(chosen)]
    headers = ["iteration", "epoch", "learning rate", ""]
    alignment = ("right", "right", "right", "left")
    return tabulate(rows, headers=headers, tablefmt="pipe", disable_numparse=True, colalign=alignment)


def _landmarks(cfg: CfgNode) -> dict[int, str]:
    """Iterations inside the training at which the schedule changes."""
    landmarks = dict.fromkeys(cfg.SOLVER.STEPS, "step")
    if cfg.SOLVER.WARMUP_ITERS:
        landmarks[cfg.SOLVER.WARMUP_ITERS] = "end of the warm-up"
    return {iteration: name for iteration, name in landmarks.items() if 0 < iteration < cfg.SOLVER.MAX_ITER}


def estimate(cfg: CfgNode, splits: Splits, costs: TrainingCosts, processes: int) -> str:
    """The time and the memory of the whole training, in sentences."""
    training = cfg.SOLVER.MAX_ITER * costs.iteration
    on_val = costs.evaluation + (costs.losses if cfg.TEST.VALIDATION_LOSS else 0)
    evaluating = evaluations_on_val(cfg) * len(splits["VAL"]) * on_val + len(splits["TEST"]) * costs.evaluation
    looked = f", and photos that were evaluated in {costs.evaluation:.2g} s each" if evaluating else ""
    where = "the GPU" if torch.cuda.is_available() else "this process"
    return (
        f"About {_duration(training)} of training and {_duration(evaluating / processes)} of evaluation on this "
        f"machine, estimated from {costs.iterations} iterations of {costs.iteration:.2g} s{looked}.\n"
        f"Memory of {where} so far: {costs.memory_gib:.1f} GiB; larger photos and more objects take more."
        + (f"\n{TOO_LONG_WITHOUT_GPU}" if cfg.MODEL.DEVICE == "cpu" and training > LONG_TRAINING else "")
    )


def _duration(seconds: float) -> str:
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.{int(seconds < 10 * size)}f} {unit}"
    return f"{seconds:.0f} seconds"


def draw_rates(cfg: CfgNode, rates: Sequence[float], target: Path) -> None:
    """Draws the learning rate over the iterations as a PNG."""
    from matplotlib.figure import Figure  # not pyplot: it would look for a screen

    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot(range(len(rates)), rates, color="tab:blue")
    for iteration, name in _landmarks(cfg).items():
        axes.axvline(iteration, color="gray", linestyle=":")
        at = {"xycoords": axes.get_xaxis_transform(), "xytext": (3, 0), "textcoords": "offset points"}
        axes.annotate(name, (iteration, 0.5), **at, color="gray", rotation="vertical", va="center")
    axes.set(xlabel="iteration", ylabel="learning rate", ylim=(0, None))
    axes.grid(alpha=0.3)
    figure.savefig(target, dpi=120)


def _epochs(cfg: CfgNode, iterations: int, photos: int) -> float:
    return iterations * cfg.SOLVER.IMS_PER_BATCH / photos
