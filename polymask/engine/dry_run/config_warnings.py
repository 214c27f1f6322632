"""What looks wrong with a training and may be meant all the same: said by the dry run, and never an error."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from detectron2.config import CfgNode
from detectron2.data.transforms import ResizeShortestEdge

# LVIS (Gupta et al. 2019, https://arxiv.org/abs/1908.03195) calls a class of up to 10 photos rare, and models are worst
# on these. Counted here are instances, as dataset_tools does.
FEW_INSTANCES = 10
# Of the objects or photos of a training: what less than a tenth of them suffers from is no matter of the configuration.
WORTH_A_WORD = 0.1
# px at the size of the training: the stride of p2, the finest features that an object is looked for in...
TINY_SIDE = 4
# ... and two such steps, below which all of an object is in a single cell or between four.
TINY_AREA = 8**2
# Sides of an object and of the nearest anchor: at 2 their IoU is 1/4 at best, and the RPN counts an anchor of less than
# MODEL.RPN.IOU_THRESHOLDS' 0.3 as background.
ANCHOR_RATIO = 2
# Interpolation adds no detail; beyond this factor a photo is mostly interpolated.
MOST_ENLARGED = 2
# What is left of the wished size where MAX_SIZE_TRAIN limits it. A photo of 16:9 in a square has 0.56, on purpose.
LEAST_OF_WISHED_SIZE = 0.5
# Objects of another size at test time cost accuracy (Touvron et al. 2019, https://arxiv.org/abs/1906.06423).
MOST_SIZE_CHANGE = 1.5

# SGD: the documented 1e-5 ends at an AP of 0.0 on the sample (README). AdamW moves a weight by about the rate in each
# update: below this a thousand updates move it by less than 0.001.
LEAST_RATE = {"SGD": 1e-4, "AdamW": 1e-6}
MOST_RATE_OF_ADAMW = 2e-3
# Detectron2's rate for its 16 photos a batch, scaled linearly (Goyal et al. 2017, https://arxiv.org/abs/1706.02677).
# With clipped gradients four times as much has trained well: 0.02 with 4 photos, from random weights, on the sample.
SGD_RATE, SGD_BATCH, CLIPPING_ALLOWS = 0.02, 16, 4

# From random weights the mini network has half of its AP on the sample after 400 updates of its 1600 (README).
FEWEST_UPDATES_FROM_NOTHING = 500
# Of n values a variance is known to sqrt(2 / (n - 1)), 25 % here, if they are independent; those of neighbouring pixels
# are not. One photo of mini_scratch.yaml has 112 in res5, and trains well.
FEWEST_VALUES_OF_BATCHNORM = 32
BATCHNORMS = ("BN", "SyncBN", "nnSyncBN", "naiveSyncBN")
RES5_STRIDE = 32

# ImageNet's mean and deviation (RGB, of 0..255), with which torchvision's weights were trained; and how far off a value
# may be before it matters.
TORCHVISION_PIXELS = {"PIXEL_MEAN": [123.675, 116.28, 103.53], "PIXEL_STD": [58.395, 57.12, 57.375]}
PIXEL_TOLERANCE = 1.0

GIB = 2**30


@dataclass(frozen=True)
class ConfigWarning:
    """What looks wrong, and what to do about it: sentences as those of ``UserError``."""

    reason: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.reason[0].upper()}{self.reason[1:]}. {self.remedy}."


@dataclass(frozen=True)
class TrainingContext:
    """What the warnings need to know beside the configuration.

    Attributes:
        records: the training photos as Detectron2's dataset dicts, after filtering; boxes are XYWH in px.
        processes: of the training, on all machines.
        torchvision_weights: whether ``MODEL.WEIGHTS`` are torchvision's.
        checkpoint_bytes: the most that the checkpoints take together.
        free_bytes: of the disk of ``OUTPUT_DIR``.
        copies: (photo of VAL or TEST, training photo with the same bytes).
    """

    records: Sequence[dict]
    processes: int = 1
    torchvision_weights: bool = False
    checkpoint_bytes: int = 0
    free_bytes: int = 0
    copies: Sequence[tuple[str, str]] = ()


def training_warnings(cfg: CfgNode, context: TrainingContext) -> list[ConfigWarning]:
    """All warnings about a training that is possible, most about its data first.

    Args:
        cfg: resolved (see ``polymask.engine.setup``).
    """
    return [
        *_about_instances(cfg, context.records),
        *_about_sizes(cfg, context.records),
        *_about_splits(cfg, context),
        *_about_weights(cfg, context),
        *_about_normalisation(cfg, context),
        *_about_rate(cfg),
        *_about_length(cfg, len(context.records)),
        *_about_disk(context),
    ]


def training_scale(cfg: CfgNode, height: int, width: int) -> float:
    """By how much a photo of so many px is enlarged in the training, at the middle of what it varies by."""
    jitter = cfg.INPUT.SCALE_JITTER
    if cfg.INPUT.CROP.ENABLED:  # before it is resized
        height, width = _cropped(cfg, height, width)
    if jitter.ENABLED:
        return statistics.fmean(jitter.RANGE) * jitter.SIZE / max(height, width)
    return _resized(height, width, statistics.median(cfg.INPUT.MIN_SIZE_TRAIN), cfg.INPUT.MAX_SIZE_TRAIN)


def _cropped(cfg: CfgNode, height: int, width: int) -> tuple[float, float]:
    """The middle size (height, width) of Detectron2's random crops of a photo."""
    kind, (first, second) = cfg.INPUT.CROP.TYPE, cfg.INPUT.CROP.SIZE
    if kind == "relative":
        return height * first, width * second
    if kind == "relative_range":
        return height * (1 + first) / 2, width * (1 + second) / 2
    if kind == "absolute":
        return min(first, height), min(second, width)
    return (min(first, height) + min(second, height)) / 2, (min(first, width) + min(second, width)) / 2


def _resized(height: int, width: int, short_side: float, longest: int) -> float:
    if short_side == 0:  # Detectron2's word for "as it is"
        return 1.0
    return max(ResizeShortestEdge.get_output_shape(height, width, short_side, longest)) / max(height, width)


def _objects(record: dict) -> list[dict]:
    return [annotation for annotation in record["annotations"] if not annotation.get("iscrowd", 0)]


def _about_instances(cfg: CfgNode, records: Sequence[dict]) -> Iterator[ConfigWarning]:
    counts = [0] * len(cfg.DATASETS.CLASSES)
    for record in records:
        for annotation in _objects(record):
            counts[annotation["category_id"]] += 1
    few = [
        f"{name} ({count})"
        for name, count in zip(cfg.DATASETS.CLASSES, counts, strict=True)
        if 0 < count < FEW_INSTANCES
    ]  # a class with none is warned of before every training
    if few:
        yield ConfigWarning(
            f"fewer than {FEW_INSTANCES} instances in train have {_listed(few)}: too few to show how a class varies",
            "Annotate more of them, or convert without them (--classes)",
        )
    most = max((len(_objects(record)) for record in records), default=0)
    if most > cfg.TEST.DETECTIONS_PER_IMAGE:
        yield ConfigWarning(
            f"a training photo has {most} objects, and no more than TEST.DETECTIONS_PER_IMAGE "
            f"({cfg.TEST.DETECTIONS_PER_IMAGE}) are ever predicted",
            f"Set TEST.DETECTIONS_PER_IMAGE to more than {most}",
        )
    sided = [name for name in cfg.DATASETS.CLASSES if re.search(r"\b(left|right)\b", name, re.IGNORECASE)]
    if sided and cfg.INPUT.RANDOM_FLIP == "horizontal":
        yield ConfigWarning(
            f"photos are mirrored at random, and with them what is called {_listed(sided)}",
            "Set INPUT.RANDOM_FLIP none, if that would be another class",
        )


def _about_sizes(cfg: CfgNode, records: Sequence[dict]) -> Iterator[ConfigWarning]:
    scales = np.array([training_scale(cfg, record["height"], record["width"]) for record in records])
    boxes = [
        np.reshape([annotation["bbox"][2:] for annotation in _objects(record)], (-1, 2)) * scale
        for record, scale in zip(records, scales, strict=True)
    ]
    yield from _about_objects(cfg, np.concatenate(boxes))
    yield from _about_photos(cfg, records, scales)


def _about_objects(cfg: CfgNode, boxes: np.ndarray) -> Iterator[ConfigWarning]:
    """About (N, 2) widths and heights in px at the size of the training."""
    areas = boxes.prod(axis=1)
    tiny = (boxes.min(axis=1) < TINY_SIDE) | (areas < TINY_AREA)
    if _many(tiny):
        yield ConfigWarning(
            f"{_share(tiny)} of the objects are tiny in photos of the training's size: narrower than {TINY_SIDE} px, "
            f"or smaller than {math.isqrt(TINY_AREA)} x {math.isqrt(TINY_AREA)} px",
            "Enlarge INPUT.MIN_SIZE_TRAIN, MAX_SIZE_TRAIN, MIN_SIZE_TEST and MAX_SIZE_TEST, or cut the photos into "
            "tiles",
        )
    anchors = sorted(size for sizes in cfg.MODEL.ANCHOR_GENERATOR.SIZES for size in sizes)
    smallest, largest, sides = anchors[0], anchors[-1], np.sqrt(areas)
    for outside, words, factor in (
        (sides < smallest / ANCHOR_RATIO, f"less than half the size of the smallest anchor, {smallest} px", 0.5),
        (sides > largest * ANCHOR_RATIO, f"more than twice the size of the largest anchor, {largest} px", 2),
    ):
        if _many(outside):
            sizes = [[round(size * factor) for size in level] for level in cfg.MODEL.ANCHOR_GENERATOR.SIZES]
            yield ConfigWarning(
                f"{_share(outside)} of the objects have {words}, in photos of the training's size",
                f'Set MODEL.ANCHOR_GENERATOR.SIZES "{sizes}", or another size of the photos',
            )


def _about_photos(cfg: CfgNode, records: Sequence[dict], scales: np.ndarray) -> Iterator[ConfigWarning]:
    sizes = [(record["height"], record["width"]) for record in records]
    short_sides, long_sides = np.sort(sizes).T
    if _many(scales > MOST_ENLARGED):
        enough = MOST_ENLARGED * np.median(long_sides if cfg.INPUT.SCALE_JITTER.ENABLED else short_sides)
        keys = "SCALE_JITTER.SIZE" if cfg.INPUT.SCALE_JITTER.ENABLED else "MIN_SIZE_TRAIN and INPUT.MIN_SIZE_TEST"
        yield ConfigWarning(
            f"{_share(scales > MOST_ENLARGED)} of the photos are enlarged more than {MOST_ENLARGED} times (the middle "
            f"one {np.median(scales):.1f} times), which adds no detail and takes time",
            f"Set INPUT.{keys} to about {enough:.0f}, unless the objects are small",
        )
    if not cfg.INPUT.SCALE_JITTER.ENABLED:  # which knows no MAX_SIZE_TRAIN
        wished = statistics.median(cfg.INPUT.MIN_SIZE_TRAIN)
        shrunk = scales * short_sides < wished * LEAST_OF_WISHED_SIZE
        if _many(shrunk):
            yield ConfigWarning(
                f"{_share(shrunk)} of the photos are so long that INPUT.MAX_SIZE_TRAIN ({cfg.INPUT.MAX_SIZE_TRAIN}) "
                f"leaves less than half of INPUT.MIN_SIZE_TRAIN ({wished:g}), and shrinks their objects",
                "Enlarge INPUT.MAX_SIZE_TRAIN and INPUT.MAX_SIZE_TEST, or cut the photos into tiles",
            )
    tested = np.array([_resized(*size, cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST) for size in sizes])
    change = float(np.median(tested / scales))
    if not 1 / MOST_SIZE_CHANGE <= change <= MOST_SIZE_CHANGE:
        yield ConfigWarning(
            f"photos are {change:.2g} times as large in an evaluation as in the training",
            f"Set INPUT.MIN_SIZE_TEST to about {np.median(scales * short_sides):.0f}, and INPUT.MAX_SIZE_TEST to suit",
        )


def _about_splits(cfg: CfgNode, context: TrainingContext) -> Iterator[ConfigWarning]:
    if not cfg.DATASETS.VAL:
        yield ConfigWarning(
            "there is no val split: the best weights are not kept, and nothing shows when the training should end",
            "Convert with a val split (--split 0.75 0.125 0.125)",
        )
    if context.copies:
        held_out, trained_on = context.copies[0]
        yield ConfigWarning(
            f"{len(context.copies)} photos of VAL or TEST are copies of training photos, such as {held_out} of "
            f"{trained_on}: the model has seen what it is measured on",
            "Remove the copies and convert again",
        )


def _about_weights(cfg: CfgNode, context: TrainingContext) -> Iterator[ConfigWarning]:
    model = cfg.MODEL
    if not model.WEIGHTS:
        frozen = {f"MODEL.{name}.NORM": "GN" for name in ("RESNETS", "FPN") if model[name].NORM == "FrozenBN"}
        if model.BACKBONE.FREEZE_AT > 0:
            frozen["MODEL.BACKBONE.FREEZE_AT"] = 0
        if frozen:
            yield ConfigWarning(
                f"the training starts from random weights, and {' and '.join(frozen)} keep some of them as they are",
                f"Set {' and '.join(f'{key} {value}' for key, value in frozen.items())}",
            )
    if context.torchvision_weights:
        if cfg.INPUT.FORMAT != "RGB":
            yield ConfigWarning(
                f"MODEL.WEIGHTS are torchvision's, which know photos in RGB, and INPUT.FORMAT is {cfg.INPUT.FORMAT}",
                "Set INPUT.FORMAT RGB",
            )
        for key, values in TORCHVISION_PIXELS.items():
            if np.abs(np.subtract(model[key], values)).max() > PIXEL_TOLERANCE:
                yield ConfigWarning(
                    f"MODEL.WEIGHTS are torchvision's, whose MODEL.{key} is not {list(model[key])}",
                    f'Set MODEL.{key} "{values}"',
                )


def _about_normalisation(cfg: CfgNode, context: TrainingContext) -> Iterator[ConfigWarning]:
    norm = cfg.MODEL.RESNETS.NORM
    if norm not in BATCHNORMS:
        return
    together = 1 if norm == "BN" else context.processes  # the others share their statistics
    photos = together * max(1, cfg.SOLVER.IMS_PER_BATCH // context.processes // cfg.SOLVER.ACCUMULATION_STEPS)
    values = photos * statistics.median(_values_in_res5(cfg, record) for record in context.records)
    if values < FEWEST_VALUES_OF_BATCHNORM:
        yield ConfigWarning(
            f"MODEL.RESNETS.NORM is {norm}, and res5 has {values:g} values of a channel to compute its statistics from",
            f"Set MODEL.RESNETS.NORM {'FrozenBN' if cfg.MODEL.WEIGHTS else 'GN'}, or use larger photos or batches",
        )


def _values_in_res5(cfg: CfgNode, record: dict) -> int:
    height, width = record["height"], record["width"]
    scale = training_scale(cfg, height, width)
    if cfg.INPUT.CROP.ENABLED:
        height, width = _cropped(cfg, height, width)
    return math.ceil(height * scale / RES5_STRIDE) * math.ceil(width * scale / RES5_STRIDE)


def _about_rate(cfg: CfgNode) -> Iterator[ConfigWarning]:
    solver = cfg.SOLVER
    by_rule = SGD_RATE * solver.IMS_PER_BATCH / SGD_BATCH
    if solver.OPTIMIZER == "SGD":
        usual, most = by_rule, by_rule * (CLIPPING_ALLOWS if solver.CLIP_GRADIENTS.ENABLED else 1)
    else:
        usual, most = 3e-4, MOST_RATE_OF_ADAMW  # mini_scratch.yaml's
    if solver.BASE_LR < LEAST_RATE[solver.OPTIMIZER]:
        yield ConfigWarning(
            f"SOLVER.BASE_LR is {solver.BASE_LR:g}, with which {solver.OPTIMIZER} hardly moves the weights",
            f"Begin with {usual:g}",
        )
    elif solver.BASE_LR > most * (1 + 1e-6):  # a rate that is just the rule's, but for rounding
        yield ConfigWarning(
            f"SOLVER.BASE_LR is {solver.BASE_LR:g}, with which {solver.OPTIMIZER} is likely to diverge",
            f"Begin with {usual:g}"
            + ("" if solver.CLIP_GRADIENTS.ENABLED else ", or set SOLVER.CLIP_GRADIENTS.ENABLED True"),
        )


def _about_length(cfg: CfgNode, photos: int) -> Iterator[ConfigWarning]:
    updates, seen = cfg.SOLVER.MAX_ITER, cfg.SOLVER.MAX_ITER * cfg.SOLVER.IMS_PER_BATCH
    if not cfg.MODEL.WEIGHTS and updates < FEWEST_UPDATES_FROM_NOTHING:
        yield ConfigWarning(
            f"the training starts from random weights and has {updates} iterations, which is short",
            f"Train for {FEWEST_UPDATES_FROM_NOTHING} iterations at least (SOLVER.EPOCHS or SOLVER.MAX_ITER), "
            "or start from trained weights",
        )
    if seen < photos:
        yield ConfigWarning(
            f"the training ends before it has seen every photo once: after {seen} of {photos}",
            "Raise SOLVER.EPOCHS or SOLVER.MAX_ITER",
        )


def _about_disk(context: TrainingContext) -> Iterator[ConfigWarning]:
    if context.checkpoint_bytes > context.free_bytes:
        yield ConfigWarning(
            f"the checkpoints take {context.checkpoint_bytes / GIB:.1f} GiB, and the disk of OUTPUT_DIR has "
            f"{context.free_bytes / GIB:.1f} GiB free",
            "Make room, or set OUTPUT_DIR to another disk",
        )


def _many(flags: np.ndarray) -> bool:
    return flags.sum() > WORTH_A_WORD * len(flags)


def _share(flags: np.ndarray) -> str:
    return f"{100 * flags.mean():.0f} %"


def _listed(names: Sequence[str], at_most: int = 5) -> str:
    rest = len(names) - at_most
    return ", ".join(names[:at_most]) + (f" and {rest} more" if rest > 0 else "")
