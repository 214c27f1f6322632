"""What looks wrong with a training and may be meant: said by the dry run, and never an error."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterator, Sequence

import numpy as np
from detectron2.config import CfgNode
from detectron2.data.transforms import ResizeShortestEdge

# Of the objects of a training: where fewer have no anchor, the configuration is not the reason.
WORTH_A_WORD = 0.1
# Sides of an object and of the nearest anchor: at 2 their IoU is 1/4 at best, and the RPN counts an anchor of less than
# MODEL.RPN.IOU_THRESHOLDS' 0.3 as background.
ANCHOR_RATIO = 2
# Objects of another size at test time cost accuracy (Touvron et al. 2019, https://arxiv.org/abs/1906.06423).
MOST_SIZE_CHANGE = 1.5

# The documented rate, which ends at an AP of 0.0 on the sample (README).
LEAST_RATE_OF_SGD = 1e-5
# Detectron2's rate for its 16 photos a batch, scaled linearly (Goyal et al. 2017, https://arxiv.org/abs/1706.02677).
# With clipped gradients four times as much has trained well: 0.02 with 4 photos, from random weights, on the sample.
SGD_RATE, SGD_BATCH, CLIPPING_ALLOWS = 0.02, 16, 4

# ImageNet's mean and deviation (RGB, of 0..255), with which torchvision's weights were trained; and how far off a value
# may be before it matters.
TORCHVISION_PIXELS = {"PIXEL_MEAN": [123.675, 116.28, 103.53], "PIXEL_STD": [58.395, 57.12, 57.375]}
PIXEL_TOLERANCE = 1.0

GIB = 2**30


def training_warnings(
    cfg: CfgNode,
    records: Sequence[dict],
    held_out: Sequence[dict] = (),
    *,
    torchvision_weights: bool = False,
    checkpoint_bytes: int = 0,
    free_bytes: int = 0,
) -> list[str]:
    """All warnings about a training that is possible, most about its data first.

    Args:
        cfg: resolved (see ``polymask.engine.setup``).
        records: the training photos as Detectron2's dataset dicts, after filtering; boxes are XYWH in px.
        held_out: the photos of VAL and TEST, likewise.
        torchvision_weights: whether ``MODEL.WEIGHTS`` are torchvision's.
        checkpoint_bytes: the most that the checkpoints take together.
        free_bytes: of the disk of ``OUTPUT_DIR``.
    """
    warnings = (
        *_about_limits(cfg, [*records, *held_out]),
        *_about_sides(cfg),
        *_about_sizes(cfg, records),
        *_about_weights(cfg, torchvision_weights),
        *_about_rate(cfg),
        *_about_length(cfg, len(records)),
        *_about_disk(checkpoint_bytes, free_bytes),
    )
    return [f"{reason[0].upper()}{reason[1:]}. {remedy}." for reason, remedy in warnings]


def training_scale(cfg: CfgNode, height: int, width: int) -> float:
    """By how much a photo of so many px is enlarged in the training, at the middle of what it varies by."""
    jitter = cfg.INPUT.SCALE_JITTER
    if jitter.ENABLED:
        return statistics.fmean(jitter.RANGE) * jitter.SIZE / max(height, width)
    return _resized(height, width, statistics.median(cfg.INPUT.MIN_SIZE_TRAIN), cfg.INPUT.MAX_SIZE_TRAIN)


def _resized(height: int, width: int, short_side: float, longest: int) -> float:
    if short_side == 0:  # Detectron2's word for "as it is"
        return 1.0
    return max(ResizeShortestEdge.get_output_shape(height, width, short_side, longest)) / max(height, width)


def _objects(record: dict) -> list[dict]:
    return [annotation for annotation in record["annotations"] if not annotation.get("iscrowd", 0)]


def _about_limits(cfg: CfgNode, records: Sequence[dict]) -> Iterator[tuple[str, str]]:
    most = max((len(_objects(record)) for record in records), default=0)
    if most > (limit := cfg.TEST.DETECTIONS_PER_IMAGE):
        yield (
            f"a photo has {most} objects, and no more than TEST.DETECTIONS_PER_IMAGE ({limit}) are predicted and counted",
            f"Set TEST.DETECTIONS_PER_IMAGE to more than {most}",
        )
    if most > (limit := cfg.MODEL.RPN.POST_NMS_TOPK_TEST):
        yield (
            f"a photo has {most} objects, and no more than MODEL.RPN.POST_NMS_TOPK_TEST ({limit}) are proposed",
            f"Set MODEL.RPN.POST_NMS_TOPK_TEST to several times {most}",
        )


def _about_sides(cfg: CfgNode) -> Iterator[tuple[str, str]]:
    sided = [name for name in cfg.DATASETS.CLASSES if re.search(r"\b(left|right)\b", name, re.IGNORECASE)]
    if sided and cfg.INPUT.RANDOM_FLIP == "horizontal":
        yield (
            f"photos are mirrored at random, and with them what is called {', '.join(sided)}",
            "Set INPUT.RANDOM_FLIP none, if that would be another class",
        )


def _about_sizes(cfg: CfgNode, records: Sequence[dict]) -> Iterator[tuple[str, str]]:
    if cfg.INPUT.CROP.ENABLED:  # before a photo is resized: how much its objects are enlarged is random
        return
    scales = np.array([training_scale(cfg, record["height"], record["width"]) for record in records])
    boxes = [
        np.reshape([annotation["bbox"][2:] for annotation in _objects(record)], (-1, 2)) * scale
        for record, scale in zip(records, scales, strict=True)
    ]
    yield from _about_anchors(cfg, np.sqrt(np.concatenate(boxes).prod(axis=1)))
    sizes = [(record["height"], record["width"]) for record in records]
    tested = np.array([_resized(*size, cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST) for size in sizes])
    change = float(np.median(tested / scales))
    if not 1 / MOST_SIZE_CHANGE <= change <= MOST_SIZE_CHANGE:
        short_sides = np.min(sizes, axis=1)
        yield (
            f"photos are {change:.2g} times as large in an evaluation as in the training",
            f"Set INPUT.MIN_SIZE_TEST to about {np.median(scales * short_sides):.0f}, and INPUT.MAX_SIZE_TEST to suit",
        )


def _about_anchors(cfg: CfgNode, sides: np.ndarray) -> Iterator[tuple[str, str]]:
    """About the sides in px of (N) objects at the size of the training, as those of a square."""
    anchors = sorted(size for sizes in cfg.MODEL.ANCHOR_GENERATOR.SIZES for size in sizes)
    smallest, largest = anchors[0], anchors[-1]
    for outside, words, factor in (
        (sides < smallest / ANCHOR_RATIO, f"less than half the size of the smallest anchor, {smallest} px", 0.5),
        (sides > largest * ANCHOR_RATIO, f"more than twice the size of the largest anchor, {largest} px", 2),
    ):
        if outside.sum() > WORTH_A_WORD * len(outside):
            sizes = [[round(size * factor) for size in level] for level in cfg.MODEL.ANCHOR_GENERATOR.SIZES]
            yield (
                f"{100 * outside.mean():.0f} % of the objects have {words}, in photos of the training's size",
                f'Set MODEL.ANCHOR_GENERATOR.SIZES "{sizes}", or another size of the photos',
            )


def _about_weights(cfg: CfgNode, torchvision_weights: bool) -> Iterator[tuple[str, str]]:
    model = cfg.MODEL
    if not model.WEIGHTS:
        frozen: dict[str, str | int] = {
            f"MODEL.{name}.NORM": "GN" for name in ("RESNETS", "FPN") if model[name].NORM == "FrozenBN"
        }
        if model.BACKBONE.FREEZE_AT > 0:
            frozen["MODEL.BACKBONE.FREEZE_AT"] = 0
        if frozen:
            yield (
                f"the training starts from random weights, and {' and '.join(frozen)} keep some of them as they are",
                f"Set {' and '.join(f'{key} {value}' for key, value in frozen.items())}",
            )
    if torchvision_weights:
        if cfg.INPUT.FORMAT != "RGB":
            yield (
                f"MODEL.WEIGHTS are torchvision's, which know photos in RGB, and INPUT.FORMAT is {cfg.INPUT.FORMAT}",
                "Set INPUT.FORMAT RGB",
            )
        for key, values in TORCHVISION_PIXELS.items():
            if np.abs(np.subtract(model[key], values)).max() > PIXEL_TOLERANCE:
                yield (
                    f"MODEL.WEIGHTS are torchvision's, whose MODEL.{key} is not {list(model[key])}",
                    f'Set MODEL.{key} "{values}"',
                )


def _about_rate(cfg: CfgNode) -> Iterator[tuple[str, str]]:
    solver = cfg.SOLVER
    if solver.OPTIMIZER != "SGD":
        return
    usual = SGD_RATE * solver.IMS_PER_BATCH / SGD_BATCH
    most = usual * (CLIPPING_ALLOWS if solver.CLIP_GRADIENTS.ENABLED else 1)
    if solver.BASE_LR <= LEAST_RATE_OF_SGD:
        yield (f"SOLVER.BASE_LR is {solver.BASE_LR:g}: SGD hardly moves the weights", f"Begin with {usual:g}")
    elif solver.BASE_LR > most * (1 + 1e-6):  # a rate that is just the rule's, but for rounding
        yield (
            f"SOLVER.BASE_LR is {solver.BASE_LR:g}: SGD is likely to diverge",
            f"Begin with {usual:g}"
            + ("" if solver.CLIP_GRADIENTS.ENABLED else ", or set SOLVER.CLIP_GRADIENTS.ENABLED True"),
        )


def _about_length(cfg: CfgNode, photos: int) -> Iterator[tuple[str, str]]:
    if not cfg.DATASETS.VAL:
        yield (
            "there is no val split: the best weights are not kept, and nothing shows when the training should end",
            "Convert with a val split (--split 0.75 0.125 0.125)",
        )
    seen = cfg.SOLVER.MAX_ITER * cfg.SOLVER.IMS_PER_BATCH
    if seen < photos:
        yield (
            f"the training ends before it has seen every photo once: after {seen} of {photos}",
            "Raise SOLVER.EPOCHS or SOLVER.MAX_ITER",
        )


def _about_disk(checkpoint_bytes: int, free_bytes: int) -> Iterator[tuple[str, str]]:
    if checkpoint_bytes > free_bytes:
        yield (
            f"the checkpoints take {checkpoint_bytes / GIB:.1f} GiB, and the disk of OUTPUT_DIR has "
            f"{free_bytes / GIB:.1f} GiB free",
            "Make room, or set OUTPUT_DIR to another disk",
        )
