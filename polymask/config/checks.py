"""What is wrong with the keys of a configuration, said before anything is built from them.

What Detectron2 and PyTorch refuse by themselves, with the value, is not listed here: see ``refused_keys``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from itertools import chain
from typing import Any

from detectron2.config import CfgNode
from detectron2.utils import comm

from dataset_tools.errors import UserError
from polymask.config.data_checks import check_photos, check_splits, check_training_data, check_validation_data
from polymask.config.keys import CACHE_MODES, FOLLOW_CORES, FOLLOW_OBJECTS, INSTANCE_NORM, TRACKERS

# Detectron2's schedule with steps; the others have none.
STEP_SCHEDULE = "WarmupMultiStepLR"

# Keys of Detectron2 that polymask does not follow, with the one value that they may have.
UNSUPPORTED = {
    "MODEL.META_ARCHITECTURE": "GeneralizedRCNN",
    "MODEL.PROPOSAL_GENERATOR.NAME": "RPN",
    "MODEL.MASK_ON": True,
    "MODEL.KEYPOINT_ON": False,
    "MODEL.LOAD_PROPOSALS": False,
    "DATALOADER.SAMPLER_TRAIN": "TrainingSampler",
    "SOLVER.REFERENCE_WORLD_SIZE": 0,
    "TEST.PRECISE_BN.ENABLED": False,
    "TEST.EXPECTED_RESULTS": [],
}

# Which values a key may have, and what to do about another.
Rule = tuple[Callable[[Any], bool], str]


def _one_of(*words: str) -> Rule:
    return (lambda value: value in words), f"Use {', '.join(words[:-1])} or {words[-1]}"


_FROM_1 = (lambda x: x >= 1, "Use 1 or a larger number")
_POOLER = _one_of("ROIAlign", "ROIAlignV2", "ROIPool")
_BOX_LOSS = _one_of("smooth_l1", "giou", "diou", "ciou")
# Of a model, and of a training.
MODEL_RULES: Mapping[str, Rule] = {
    "MODEL.FPN.FUSE_TYPE": _one_of("sum", "avg"),
    "MODEL.RPN.BBOX_REG_LOSS_TYPE": _BOX_LOSS,
    "MODEL.ROI_BOX_HEAD.POOLER_TYPE": _POOLER,
    "MODEL.ROI_BOX_HEAD.BBOX_REG_LOSS_TYPE": _BOX_LOSS,
    "MODEL.ROI_MASK_HEAD.POOLER_TYPE": _POOLER,
    "INPUT.FORMAT": _one_of("RGB", "BGR"),
    "INPUT.MIN_SIZE_TEST": (lambda x: x >= 0, "Use a number of pixels, or 0 to leave photos as they are"),
    "INPUT.MAX_SIZE_TEST": _FROM_1,
    "MODEL.RPN.PRE_NMS_TOPK_TEST": _FROM_1,
    "MODEL.RPN.POST_NMS_TOPK_TEST": _FROM_1,
    "TEST.DETECTIONS_PER_IMAGE": _FROM_1,
    "TEST.AUG.MIN_SIZES": (
        lambda sizes: sizes and all(isinstance(size, int) and size >= 1 for size in sizes),
        "Use the short sides to look at a photo in, in pixels, as (640, 800, 960)",
    ),
    "TEST.AUG.MAX_SIZE": _FROM_1,
    "DATALOADER.NUM_WORKERS": (
        lambda x: x >= FOLLOW_CORES,
        f"Use a number of processes, 0 for none beside this one, or {FOLLOW_CORES} for what suits the machine",
    ),
}
TRAINING_RULES: Mapping[str, Rule] = {
    "INPUT.CACHE": _one_of(*CACHE_MODES),
    "INPUT.RANDOM_FLIP": _one_of("horizontal", "vertical", "none"),
    "INPUT.CROP.TYPE": _one_of("relative_range", "relative", "absolute", "absolute_range"),
    "SOLVER.OPTIMIZER": _one_of("SGD", "AdamW"),
    "INPUT.MAX_SIZE_TRAIN": _FROM_1,
    "INPUT.SCALE_JITTER.SIZE": _FROM_1,
    "INPUT.COLOR_JITTER": (lambda x: 0 <= x < 1, "Use a number from 0 to below 1"),
    "INPUT.COPY_PASTE.PROBABILITY": (
        lambda x: 0 <= x <= 1,
        f"Use a number from 0 to 1, or {FOLLOW_OBJECTS:g}: then it follows the size of the objects",
    ),
    "MODEL.RPN.PRE_NMS_TOPK_TRAIN": _FROM_1,
    "MODEL.RPN.POST_NMS_TOPK_TRAIN": _FROM_1,
    "MODEL.RPN.BATCH_SIZE_PER_IMAGE": _FROM_1,
    "MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE": _FROM_1,
    "MODEL.ROI_HEADS.JITTERED_BOXES": (lambda x: x >= 0, "Use 0 for none, or a number of copies, such as 6"),
    "SOLVER.BASE_LR": (lambda x: 0 < x < math.inf, "Use a rate above 0, such as 0.005"),
    "SOLVER.MAX_MINUTES": (lambda x: 0 <= x < math.inf, "Use minutes, or 0: then SOLVER.EPOCHS counts"),
    "SOLVER.MOMENTUM": (lambda x: 0 <= x < 1, "Use a number from 0 to below 1, such as 0.9"),
    "SOLVER.WEIGHT_DECAY_BIAS": (lambda x: x is None or 0 <= x < math.inf, "Use a number from 0 up, or None"),
    "SOLVER.WEIGHT_DECAY_NORM": (lambda x: 0 <= x < math.inf, "Use a number from 0 up"),
    "SOLVER.BIAS_LR_FACTOR": (lambda x: 0 <= x < math.inf, "Use a number from 0 up, such as 1.0"),
    "SOLVER.BACKBONE_LR_FACTOR": (
        lambda x: 0 < x < math.inf,
        "Use a number above 0, such as 0.1; MODEL.BACKBONE.FREEZE_AT 5 and SOLVER.HEADS_ONLY True freeze",
    ),
    "SOLVER.GAMMA": (lambda x: 0 < x <= 1, "Use the share of the rate that a step leaves, such as 0.1"),
    "SOLVER.WARMUP_FACTOR": (lambda x: 0 <= x <= 1, "Use the share of the rate to begin with, from 0 to 1"),
    "SOLVER.CLIP_GRADIENTS.CLIP_VALUE": (lambda x: x > 0, "Use a number above 0, which would leave no gradient"),
    "SOLVER.EMA_DECAY": (lambda x: 0 <= x < 1, "Use a number from 0 (no average) to below 1, such as 0.999"),
    "TEST.EARLY_STOPPING_PATIENCE": (lambda x: x >= 0, "Use 0 for none, or a number above it"),
    "TEST.EVAL_EPOCHS": (lambda x: x >= 0, "Use 0 for no evaluation in between, or a number above it"),
    "TEST.EVAL_PERIOD": (lambda x: x >= 0, "Use 0 for none, or a number above it"),
}


def check(cfg: CfgNode, records: Mapping[str, Sequence[dict]], training: bool) -> None:
    """All that can be wrong before a training or an evaluation.

    Args:
        cfg: resolved.
        records: Detectron2's dataset dicts of the splits that are used, by the key in DATASETS.
        training: whether a training is meant, or an evaluation.

    Raises:
        UserError: the first that is wrong.
    """
    check_supported(cfg)
    if training:
        check_training_keys(cfg, comm.get_world_size())
    check_splits(cfg, training)
    if training:
        check_training_data(cfg, records["TRAIN"])
        check_validation_data(cfg, records["VAL"])
    check_photos(records)


def check_supported(cfg: CfgNode) -> None:
    """For trainings, evaluations and every other use of a model.

    Raises:
        UserError: a key has a value that polymask does not follow, or that would silently predict wrongly.
    """
    _refuse_first(_wrong_values(cfg, MODEL_RULES), _wrong_model(cfg))


def check_training_keys(cfg: CfgNode, processes: int) -> None:
    """Values that would silently train wrongly, and keys that contradict each other.

    Args:
        cfg: with the schedule resolved.
        processes: of the training, on all machines.

    Raises:
        UserError: the first that is wrong.
    """
    _refuse_first(
        _wrong_values(cfg, TRAINING_RULES),
        _wrong_sizes(cfg),
        _wrong_solver(cfg),
        _wrong_batch(cfg, processes),
        _contradictions(cfg),
        _missing_writers(cfg),
    )


def _refuse_first(*wrong: Iterator[tuple[str, str]]) -> None:
    """Raises for the first of reasons and remedies."""
    for reason, remedy in chain(*wrong):
        raise UserError(reason, remedy=remedy)


def _wrong_model(cfg: CfgNode) -> Iterator[tuple[str, str]]:
    for key, only in UNSUPPORTED.items():
        value = _get(cfg, key)
        if value != only:
            yield f"{key} is {value}, which polymask does not do", f"Leave it at {only}"
    for key in ("PIXEL_MEAN", "PIXEL_STD"):
        values = cfg.MODEL[key]
        if len(values) != 3 or not all(map(_is_number, values)) or (key == "PIXEL_STD" and min(values) <= 0):
            yield (
                f"MODEL.{key} is {list(values)}, and INPUT.FORMAT {cfg.INPUT.FORMAT} has 3 channels",
                "Give a number for each channel, above 0 for MODEL.PIXEL_STD",
            )


def _wrong_values(cfg: CfgNode, rules: Mapping[str, Rule]) -> Iterator[tuple[str, str]]:
    for key, (is_right, remedy) in rules.items():
        value = _get(cfg, key)
        if not is_right(value):
            yield f"{key} is {value!r}", remedy


def _wrong_sizes(cfg: CfgNode) -> Iterator[tuple[str, str]]:
    sizes, is_range = cfg.INPUT.MIN_SIZE_TRAIN, cfg.INPUT.MIN_SIZE_TRAIN_SAMPLING == "range"
    if not sizes or not all(isinstance(size, int) and size >= is_range for size in sizes):
        yield f"INPUT.MIN_SIZE_TRAIN is {sizes}", "Use numbers of pixels, as (640, 800), or (0,) to resize none"
    elif is_range and list(sizes) != sorted(sizes):
        yield f"INPUT.MIN_SIZE_TRAIN is {sizes}", "Give the smaller first: INPUT.MIN_SIZE_TRAIN_SAMPLING is range"
    factors = cfg.INPUT.SCALE_JITTER.RANGE
    if len(factors) != 2 or not all(map(_is_number, factors)) or not 0 < factors[0] <= factors[1]:
        yield f"INPUT.SCALE_JITTER.RANGE is {factors}", "Use two factors above 0, the smaller first"
    crop = cfg.INPUT.CROP
    if crop.ENABLED and not _is_crop_size(crop.TYPE, crop.SIZE):
        wanted = "pixels, as [200, 200]" if crop.TYPE.startswith("absolute") else "shares, as [0.9, 0.9]"
        yield f"INPUT.CROP.SIZE is {crop.SIZE}", f"For INPUT.CROP.TYPE {crop.TYPE} use {wanted}"


def _is_crop_size(kind: str, size: Sequence[float]) -> bool:
    if len(size) != 2:
        return False
    if kind.startswith("absolute"):
        pixels = all(isinstance(side, int) and side > 0 for side in size)
        return pixels and (kind == "absolute" or size[0] <= size[1])  # from the smaller to the larger
    return all(_is_number(side) and 0 < side <= 1 for side in size)


def _wrong_solver(cfg: CfgNode) -> Iterator[tuple[str, str]]:
    solver = cfg.SOLVER
    if not 0 <= solver.BASE_LR_END <= solver.BASE_LR:
        yield f"SOLVER.BASE_LR_END is {solver.BASE_LR_END}", f"Use a rate from 0 to SOLVER.BASE_LR ({solver.BASE_LR})"
    if solver.WARMUP_ITERS >= solver.MAX_ITER > 1:
        yield (
            f"the warm-up has {solver.WARMUP_ITERS} of {solver.MAX_ITER} iterations",
            "Lower SOLVER.WARMUP_SHARE (or SOLVER.WARMUP_ITERS), or train longer",
        )
    if len(solver.ADAM_BETAS) != 2 or not all(map(_is_number, solver.ADAM_BETAS)):
        yield f"SOLVER.ADAM_BETAS is {tuple(solver.ADAM_BETAS)}", "Use two numbers from 0 to below 1, as (0.9, 0.999)"
    end = [solver.MAX_ITER] if solver.MAX_ITER else []  # it is open until SOLVER.MAX_MINUTES has set it
    steps = [0, *solver.STEPS, *end]
    whole = all(isinstance(step, int) for step in steps)
    if not whole or any(later <= earlier for earlier, later in zip(steps, steps[1:])):
        yield (
            f"SOLVER.STEPS is {tuple(solver.STEPS)}, in a training of {solver.MAX_ITER} iterations",
            "Use increasing iterations inside the training (SOLVER.STEP_SHARES: shares between 0 and 1)",
        )


def _wrong_batch(cfg: CfgNode, processes: int) -> Iterator[tuple[str, str]]:
    batch, parts = cfg.SOLVER.IMS_PER_BATCH, cfg.SOLVER.ACCUMULATION_STEPS
    if batch % processes:
        yield (
            f"SOLVER.IMS_PER_BATCH is {batch}, for {processes} processes",
            "Use as many images a batch as processes, or a multiple",
        )
    if not 1 <= parts <= batch // processes:
        yield (
            f"SOLVER.ACCUMULATION_STEPS is {parts}, and a process has {batch // processes} images of a batch",
            "Use a number from 1 to the images of a process",
        )


def _contradictions(cfg: CfgNode) -> Iterator[tuple[str, str]]:
    solver, model = cfg.SOLVER, cfg.MODEL
    boxes_apart = not model.ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG
    no_heads = not model.WEIGHTS or model.WEIGHTS.startswith("torchvision://")
    contradictions = (
        (
            solver.STEPS and solver.LR_SCHEDULER_NAME != STEP_SCHEDULE,
            f"SOLVER.STEPS is {tuple(solver.STEPS)}, and {solver.LR_SCHEDULER_NAME} has no steps",
            f"Empty SOLVER.STEPS and SOLVER.STEP_SHARES, or set SOLVER.LR_SCHEDULER_NAME {STEP_SCHEDULE}",
        ),
        (
            cfg.TEST.EARLY_STOPPING_PATIENCE and not (cfg.DATASETS.VAL and cfg.TEST.EVAL_PERIOD),
            "TEST.EARLY_STOPPING_PATIENCE is set, and nothing is evaluated during the training",
            "Set TEST.EVAL_EPOCHS and use a dataset with a val split, or set TEST.EARLY_STOPPING_PATIENCE 0",
        ),
        (
            cfg.INPUT.COPY_PASTE.PROBABILITY and cfg.INPUT.MASK_FORMAT == "polygon",
            "INPUT.COPY_PASTE covers parts of objects, and INPUT.MASK_FORMAT is polygon",
            "Leave INPUT.MASK_FORMAT at auto, or set INPUT.COPY_PASTE.PROBABILITY 0",
        ),
        (
            cfg.INPUT.SCALE_JITTER.ENABLED and cfg.INPUT.CROP.ENABLED,
            "both INPUT.SCALE_JITTER and INPUT.CROP are enabled, and scale jitter crops already",
            "Set one of the two to False",
        ),
        (
            model.ROI_HEADS.NAME == "CascadeROIHeads" and boxes_apart,
            "MODEL.ROI_HEADS.NAME is CascadeROIHeads, whose stages share their boxes between the classes",
            "Set MODEL.ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG True",
        ),
        (
            model.NEW_HEADS and no_heads,
            f"MODEL.NEW_HEADS is True, and MODEL.WEIGHTS '{model.WEIGHTS}' has no heads",
            "Name a checkpoint of a whole model, or set MODEL.NEW_HEADS False: the heads start at random anyway",
        ),
        (
            model.CLASS_SYNONYMS and not model.NEW_HEADS,
            "MODEL.CLASS_SYNONYMS is for MODEL.NEW_HEADS True, and that is False",
            "Add MODEL.NEW_HEADS True, or empty MODEL.CLASS_SYNONYMS",
        ),
        (
            solver.HEADS_ONLY and no_heads,
            f"SOLVER.HEADS_ONLY is True, and what it freezes would keep its random start: MODEL.WEIGHTS is '{model.WEIGHTS}'",
            "Name a checkpoint of a whole model, or set SOLVER.HEADS_ONLY False",
        ),
        (
            solver.HEADS_ONLY and solver.BACKBONE_LR_FACTOR != 1,
            f"SOLVER.BACKBONE_LR_FACTOR is {solver.BACKBONE_LR_FACTOR}, and SOLVER.HEADS_ONLY freezes the backbone",
            "Set SOLVER.BACKBONE_LR_FACTOR 1, or SOLVER.HEADS_ONLY False",
        ),
        (
            model.RESNETS.NORM == INSTANCE_NORM and model.WEIGHTS.startswith("torchvision://"),
            f"MODEL.RESNETS.NORM is {INSTANCE_NORM}, and MODEL.WEIGHTS '{model.WEIGHTS}' were trained with BatchNorm",
            "Set MODEL.RESNETS.NORM FrozenBN, or empty MODEL.WEIGHTS",
        ),
    )
    yield from ((reason, remedy) for is_there, reason, remedy in contradictions if is_there)


def _missing_writers(cfg: CfgNode) -> Iterator[tuple[str, str]]:
    for name in cfg.WRITERS:
        if name not in TRACKERS:
            yield f"WRITERS names {name}", f"Use {' or '.join(TRACKERS)}, or leave it empty"
        elif (found := find_spec(name)) is None or found.origin is None:  # a folder of the name is not the package
            yield f"WRITERS names {name}, which is not installed", f"Install it: python -m pip install {name}"


def _is_number(value: object) -> bool:
    """Whether a value of a list, whose types yacs does not look at, is a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _get(cfg: CfgNode, key: str) -> Any:
    for name in key.split("."):
        cfg = cfg[name]
    return cfg
