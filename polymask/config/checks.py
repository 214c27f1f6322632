"""What is wrong with the configuration of a training, said before it starts."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence

from detectron2.config import CfgNode
from detectron2.modeling import BACKBONE_REGISTRY

from dataset_tools.errors import EXIT_DATA, UserError
from polymask.config.keys import CACHE_MODES, FOLLOW_CORES
from polymask.modeling.backbone import build_resnet18_fpn_backbone

log = logging.getLogger(__name__)

# Detectron2's schedules. The cosine has no steps.
STEP_SCHEDULE, COSINE_SCHEDULE = "WarmupMultiStepLR", "WarmupCosineLR"

# Keys of Detectron2 that polymask does not follow, with the one value that they may have.
UNSUPPORTED = {
    "MODEL.MASK_ON": True,
    "MODEL.KEYPOINT_ON": False,
    "MODEL.LOAD_PROPOSALS": False,
    "DATALOADER.SAMPLER_TRAIN": "TrainingSampler",
    "SOLVER.REFERENCE_WORLD_SIZE": 0,
    "TEST.PRECISE_BN.ENABLED": False,
    "TEST.AUG.ENABLED": False,
    "TEST.EXPECTED_RESULTS": [],
}

# What Detectron2's get_norm knows.
NORMS = ("", "BN", "SyncBN", "FrozenBN", "GN", "LN", "nnSyncBN", "naiveSyncBN", "naiveSyncBN_N")
POOLERS = ("ROIAlign", "ROIAlignV2", "ROIPool")
BOX_LOSSES = ("smooth_l1", "giou", "diou", "ciou")
# Keys with a few possible words: those of a model, and those of a training.
MODEL_WORDS = {
    "MODEL.META_ARCHITECTURE": ("GeneralizedRCNN",),
    "MODEL.PROPOSAL_GENERATOR.NAME": ("RPN",),
    "MODEL.ROI_HEADS.NAME": ("StandardROIHeads", "CascadeROIHeads", "Res5ROIHeads"),
    "MODEL.RESNETS.NORM": NORMS,
    "MODEL.FPN.NORM": NORMS,
    "MODEL.FPN.FUSE_TYPE": ("sum", "avg"),
    "MODEL.RPN.BBOX_REG_LOSS_TYPE": BOX_LOSSES,
    "MODEL.ROI_BOX_HEAD.NORM": NORMS,
    "MODEL.ROI_BOX_HEAD.POOLER_TYPE": POOLERS,
    "MODEL.ROI_BOX_HEAD.BBOX_REG_LOSS_TYPE": BOX_LOSSES,
    "MODEL.ROI_MASK_HEAD.NORM": NORMS,
    "MODEL.ROI_MASK_HEAD.POOLER_TYPE": POOLERS,
    "INPUT.FORMAT": ("RGB", "BGR", "L"),
}
TRAINING_WORDS = {
    "INPUT.CACHE": CACHE_MODES,
    "SOLVER.OPTIMIZER": ("SGD", "AdamW"),
    "SOLVER.LR_SCHEDULER_NAME": (STEP_SCHEDULE, COSINE_SCHEDULE),
    "SOLVER.WARMUP_METHOD": ("linear", "constant"),
    "SOLVER.CLIP_GRADIENTS.CLIP_TYPE": ("value", "norm"),
}
_FROM_1 = (lambda x: x >= 1, "Use 1 or a larger number")
# Keys with a range, and what to do about a number outside.
MODEL_NUMBERS: dict[str, tuple[Callable[[float], bool], str]] = {
    "INPUT.MIN_SIZE_TEST": (lambda x: x >= 0, "Use a number of pixels, or 0 to leave photos as they are"),
    "INPUT.MAX_SIZE_TEST": _FROM_1,
    "MODEL.RPN.PRE_NMS_TOPK_TEST": _FROM_1,
    "MODEL.RPN.POST_NMS_TOPK_TEST": _FROM_1,
    "TEST.DETECTIONS_PER_IMAGE": _FROM_1,
    "DATALOADER.NUM_WORKERS": (
        lambda x: x >= FOLLOW_CORES,
        f"Use a number of processes, 0 for none beside this one, or {FOLLOW_CORES} for what suits the machine",
    ),
}
TRAINING_NUMBERS: dict[str, tuple[Callable[[float], bool], str]] = {
    "SOLVER.MOMENTUM": (lambda x: 0 <= x < 1, "Use a number from 0 to below 1, such as 0.9"),
    "SOLVER.WEIGHT_DECAY": (lambda x: 0 <= x < math.inf, "Use a number from 0 up, such as 0.0001"),
    "SOLVER.WEIGHT_DECAY_BIAS": (lambda x: x is None or 0 <= x < math.inf, "Use a number from 0 up, or None"),
    "SOLVER.WEIGHT_DECAY_NORM": (lambda x: 0 <= x < math.inf, "Use a number from 0 up"),
    "SOLVER.BIAS_LR_FACTOR": (lambda x: 0 <= x < math.inf, "Use a number from 0 up, such as 1.0"),
    "INPUT.MAX_SIZE_TRAIN": _FROM_1,
    "MODEL.RPN.PRE_NMS_TOPK_TRAIN": _FROM_1,
    "MODEL.RPN.POST_NMS_TOPK_TRAIN": _FROM_1,
    "MODEL.RPN.BATCH_SIZE_PER_IMAGE": _FROM_1,
    "MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE": _FROM_1,
    "SOLVER.GAMMA": (lambda x: 0 < x <= 1, "Use the share of the rate that a step leaves, such as 0.1"),
    "SOLVER.WARMUP_FACTOR": (lambda x: 0 <= x <= 1, "Use the share of the rate to begin with, from 0 to 1"),
    "SOLVER.CLIP_GRADIENTS.CLIP_VALUE": (lambda x: x > 0, "Use a number above 0: nothing is left of a gradient at 0"),
    "SOLVER.EMA_DECAY": (lambda x: 0 <= x < 1, "Use a number from 0 (no average) to below 1, such as 0.999"),
    "SOLVER.REFERENCE_IMS_PER_BATCH": (
        lambda x: x >= 0,
        "Use the images a batch that SOLVER.BASE_LR is meant for, or 0: then it is not scaled",
    ),
    "TEST.EARLY_STOPPING_PATIENCE": (lambda x: x >= 0, "Use 0 for none, or a number above it"),
    "TEST.EVAL_EPOCHS": (lambda x: x >= 0, "Use 0 for no evaluation in between, or a number above it"),
    "TEST.EVAL_PERIOD": (lambda x: x >= 0, "Use 0 for none, or a number above it"),
}


def check_supported(cfg: CfgNode) -> None:
    """For trainings, evaluations and every other use of a model.

    Raises:
        UserError: a key asks for something of Detectron2 that polymask leaves out, or that there is not.
    """
    wrong = (*_wrong_words(cfg, MODEL_WORDS), *_wrong_numbers(cfg, MODEL_NUMBERS), *_wrong_model(cfg))
    for reason, remedy in wrong:
        raise UserError(reason, remedy=remedy)


def check_training_keys(cfg: CfgNode, processes: int) -> None:
    """Values that no training can have, and keys that contradict each other.

    Args:
        cfg: with the schedule resolved.
        processes: of the training, on all machines.

    Raises:
        UserError: the first that is wrong.
    """
    wrong = (
        *_wrong_words(cfg, TRAINING_WORDS),
        *_wrong_numbers(cfg, TRAINING_NUMBERS),
        *_wrong_solver(cfg),
        *_wrong_batch(cfg, processes),
        *_contradictions(cfg),
    )
    for reason, remedy in wrong:
        raise UserError(reason, remedy=remedy)


def check_training_data(cfg: CfgNode, records: Sequence[dict]) -> None:
    """Whether the training photos are enough for the batch and the classes; a class without an instance is warned of.

    Args:
        cfg: with classes and schedule resolved.
        records: the training photos as Detectron2's dataset dicts, after filtering.

    Raises:
        UserError: they are not.
    """
    if cfg.SOLVER.IMS_PER_BATCH > len(records):
        raise UserError(
            f"SOLVER.IMS_PER_BATCH is {cfg.SOLVER.IMS_PER_BATCH}, and there are {len(records)} training photos",
            file=cfg.DATASETS.ROOT,
            remedy="Lower SOLVER.IMS_PER_BATCH, or annotate more photos",
        )
    classes = list(cfg.DATASETS.CLASSES)
    instances = [0] * len(classes)
    for record in records:
        for annotation in record["annotations"]:
            instances[annotation["category_id"]] += not annotation.get("iscrowd", 0)
    if sum(instances) < len(classes):
        raise UserError(
            f"the train split has {sum(instances)} annotations for {len(classes)} classes",
            file=cfg.DATASETS.ROOT,
            remedy="Annotate more photos, or convert with fewer --classes",
            exit_code=EXIT_DATA,
        )
    for name, count in zip(classes, instances, strict=True):
        if not count:
            log.warning("The train split has no instance of %s: the model cannot learn it.", name)


def check_validation_data(cfg: CfgNode, records: Sequence[dict]) -> None:
    """Whether VAL can say which weights are better; where it cannot, and nothing waits for it, that is warned of.

    Args:
        cfg: any.
        records: the photos of VAL as Detectron2's dataset dicts.

    Raises:
        UserError: the training would end early by a mask AP that there never is.
    """
    if not records or any(not annotation.get("iscrowd", 0) for r in records for annotation in r["annotations"]):
        return
    reason = "the val split has no annotated object, and so there is no mask AP on it"
    if cfg.TEST.EARLY_STOPPING_PATIENCE:
        raise UserError(
            f"{reason} for TEST.EARLY_STOPPING_PATIENCE to go by",
            file=cfg.DATASETS.ROOT,
            remedy="Annotate photos of it, convert with another --seed, or set TEST.EARLY_STOPPING_PATIENCE 0",
            exit_code=EXIT_DATA,
        )
    log.warning("%s: no best checkpoint is kept.", reason[0].upper() + reason[1:])


def _wrong_model(cfg: CfgNode) -> Iterator[tuple[str, str]]:
    for key, only in UNSUPPORTED.items():
        value = _get(cfg, key)
        if value != only:
            yield f"{key} is {value}, which polymask does not do", f"Leave it at {only}"
    backbones = [name for name, _ in BACKBONE_REGISTRY]  # a user's own are there, too
    yield from _wrong_words(cfg, {"MODEL.BACKBONE.NAME": backbones})
    ours = build_resnet18_fpn_backbone.__name__
    if cfg.MODEL.BACKBONE.NAME == ours and cfg.MODEL.RESNETS.DEPTH != 18:
        yield (
            f"MODEL.RESNETS.DEPTH is {cfg.MODEL.RESNETS.DEPTH}, and MODEL.BACKBONE.NAME is {ours}",
            "Set MODEL.RESNETS.DEPTH 18, or begin with configs/mask_rcnn_R_50_FPN_coco.yaml",
        )
    channels = len(cfg.INPUT.FORMAT)
    for key in ("PIXEL_MEAN", "PIXEL_STD"):
        values = cfg.MODEL[key]
        if len(values) != channels or not all(map(is_number, values)) or (key == "PIXEL_STD" and min(values) <= 0):
            yield (
                f"MODEL.{key} is {list(values)}, and INPUT.FORMAT {cfg.INPUT.FORMAT} has {channels} channels",
                "Give a number for each channel, above 0 for MODEL.PIXEL_STD",
            )


def _wrong_words(cfg: CfgNode, table: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, str]]:
    for key, words in table.items():
        value = _get(cfg, key)
        if value not in words:
            listed = [word or "''" for word in words]
            yield f"{key} is {value!r}", f"Use {', '.join(listed[:-1])}{' or ' if listed[1:] else ''}{listed[-1]}"


def _wrong_numbers(cfg: CfgNode, table: Mapping[str, tuple[Callable[[float], bool], str]]) -> Iterator[tuple[str, str]]:
    for key, (is_right, remedy) in table.items():
        value = _get(cfg, key)
        if not is_right(value):
            yield f"{key} is {value}", remedy


def _wrong_solver(cfg: CfgNode) -> Iterator[tuple[str, str]]:
    solver = cfg.SOLVER
    if not 0 < solver.BASE_LR < math.inf:
        yield f"SOLVER.BASE_LR is {solver.BASE_LR}, with which nothing is learnt", "Use a rate above 0, such as 0.005"
    if not 0 <= solver.BASE_LR_END <= solver.BASE_LR:
        yield f"SOLVER.BASE_LR_END is {solver.BASE_LR_END}", f"Use a rate from 0 to SOLVER.BASE_LR ({solver.BASE_LR})"
    if solver.WARMUP_ITERS >= solver.MAX_ITER > 1:
        yield (
            f"the warm-up has {solver.WARMUP_ITERS} of {solver.MAX_ITER} iterations",
            "Lower SOLVER.WARMUP_SHARE (or SOLVER.WARMUP_ITERS), or train longer",
        )
    if len(solver.ADAM_BETAS) != 2 or not all(is_number(beta) and 0 <= beta < 1 for beta in solver.ADAM_BETAS):
        yield f"SOLVER.ADAM_BETAS is {tuple(solver.ADAM_BETAS)}", "Use two numbers from 0 to below 1, as (0.9, 0.999)"


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
    solver, test = cfg.SOLVER, cfg.TEST
    if solver.STEPS and solver.LR_SCHEDULER_NAME == COSINE_SCHEDULE:
        yield (
            f"SOLVER.STEPS is {tuple(solver.STEPS)}, and {COSINE_SCHEDULE} has no steps",
            f"Empty SOLVER.STEPS and SOLVER.STEP_SHARES, or set SOLVER.LR_SCHEDULER_NAME {STEP_SCHEDULE}",
        )
    steps = [0, *solver.STEPS, solver.MAX_ITER]
    whole = all(isinstance(step, int) for step in steps)
    if not whole or any(later <= earlier for earlier, later in zip(steps, steps[1:])):
        yield (
            f"SOLVER.STEPS is {tuple(solver.STEPS)}, in a training of {solver.MAX_ITER} iterations",
            "Use increasing iterations inside the training (SOLVER.STEP_SHARES: shares between 0 and 1)",
        )
    if test.EARLY_STOPPING_PATIENCE and not (cfg.DATASETS.VAL and test.EVAL_PERIOD):
        yield (
            "TEST.EARLY_STOPPING_PATIENCE is set, and nothing is evaluated during the training",
            "Set TEST.EVAL_EPOCHS and use a dataset with a val split, or set TEST.EARLY_STOPPING_PATIENCE 0",
        )
    if cfg.INPUT.COPY_PASTE.PROBABILITY and cfg.INPUT.MASK_FORMAT == "polygon":
        yield (
            "INPUT.COPY_PASTE covers parts of objects, and INPUT.MASK_FORMAT is polygon",
            "Leave INPUT.MASK_FORMAT at auto, or set INPUT.COPY_PASTE.PROBABILITY 0",
        )
    if cfg.INPUT.SCALE_JITTER.ENABLED and cfg.INPUT.CROP.ENABLED:
        yield (
            "both INPUT.SCALE_JITTER and INPUT.CROP are enabled, and scale jitter crops already",
            "Set one of the two to False",
        )
    if cfg.MODEL.ROI_HEADS.NAME == "CascadeROIHeads" and not cfg.MODEL.ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG:
        yield (
            "MODEL.ROI_HEADS.NAME is CascadeROIHeads, whose stages share their boxes between the classes",
            "Set MODEL.ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG True",
        )
    if cfg.MODEL.NEW_HEADS and (not cfg.MODEL.WEIGHTS or cfg.MODEL.WEIGHTS.startswith("torchvision://")):
        yield (
            f"MODEL.NEW_HEADS is True, and MODEL.WEIGHTS '{cfg.MODEL.WEIGHTS}' has no heads",
            "Name a checkpoint of a whole model, or set MODEL.NEW_HEADS False: the heads start anew anyway",
        )


def is_number(value: object) -> bool:
    """Whether a value of a list, whose types yacs does not look at, is a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _get(cfg: CfgNode, key: str) -> object:
    for name in key.split("."):
        cfg = cfg[name]
    return cfg
