"""What is wrong with the configuration of a training, said before it starts."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence

from detectron2.config import CfgNode

from dataset_tools.errors import EXIT_DATA, UserError

log = logging.getLogger(__name__)

OPTIMIZERS = ("SGD", "AdamW")
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


def check_supported(cfg: CfgNode) -> None:
    """For trainings and evaluations.

    Raises:
        UserError: a key asks for something of Detectron2 that polymask leaves out.
    """
    for key, only in UNSUPPORTED.items():
        value = _get(cfg, key)
        if value != only:
            raise UserError(f"{key} is {value}, which polymask does not do", remedy=f"Leave it at {only}")


def check_training_keys(cfg: CfgNode, processes: int) -> None:
    """Values that no training can have, and keys that contradict each other.

    Args:
        cfg: with the schedule resolved.
        processes: of the training, on all machines.

    Raises:
        UserError: the first that is wrong.
    """
    for reason, remedy in (*_wrong_solver(cfg), *_wrong_batch(cfg, processes), *_contradictions(cfg)):
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


def _wrong_solver(cfg: CfgNode) -> Iterator[tuple[str, str]]:
    solver = cfg.SOLVER
    if solver.OPTIMIZER not in OPTIMIZERS:
        yield f"SOLVER.OPTIMIZER is {solver.OPTIMIZER}", f"Use {' or '.join(OPTIMIZERS)}"
    if solver.LR_SCHEDULER_NAME not in (STEP_SCHEDULE, COSINE_SCHEDULE):
        yield f"SOLVER.LR_SCHEDULER_NAME is {solver.LR_SCHEDULER_NAME}", f"Use {STEP_SCHEDULE} or {COSINE_SCHEDULE}"
    if not 0 < solver.BASE_LR < math.inf:
        yield f"SOLVER.BASE_LR is {solver.BASE_LR}, with which nothing is learnt", "Use a rate above 0, such as 0.005"
    if not 0 <= solver.BASE_LR_END <= solver.BASE_LR:
        yield f"SOLVER.BASE_LR_END is {solver.BASE_LR_END}", f"Use a rate from 0 to SOLVER.BASE_LR ({solver.BASE_LR})"
    if solver.WARMUP_ITERS >= solver.MAX_ITER > 1:
        yield (
            f"the warm-up has {solver.WARMUP_ITERS} of {solver.MAX_ITER} iterations",
            "Lower SOLVER.WARMUP_SHARE (or SOLVER.WARMUP_ITERS), or train longer",
        )
    if len(solver.ADAM_BETAS) != 2 or not all(0 <= beta < 1 for beta in solver.ADAM_BETAS):
        yield f"SOLVER.ADAM_BETAS is {tuple(solver.ADAM_BETAS)}", "Use two numbers from 0 to below 1, as (0.9, 0.999)"
    if not 0 <= solver.EMA_DECAY < 1:
        yield f"SOLVER.EMA_DECAY is {solver.EMA_DECAY}", "Use a number from 0 (no average) to below 1, such as 0.999"


def _wrong_batch(cfg: CfgNode, processes: int) -> Iterator[tuple[str, str]]:
    batch, parts = cfg.SOLVER.IMS_PER_BATCH, cfg.SOLVER.ACCUMULATION_STEPS
    if cfg.SOLVER.REFERENCE_IMS_PER_BATCH < 0:
        yield (
            f"SOLVER.REFERENCE_IMS_PER_BATCH is {cfg.SOLVER.REFERENCE_IMS_PER_BATCH}",
            "Use the images a batch that SOLVER.BASE_LR is meant for, or 0: then it is not scaled",
        )
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
    if any(later <= earlier for earlier, later in zip(steps, steps[1:])):
        yield (
            f"SOLVER.STEPS is {tuple(solver.STEPS)}, in a training of {solver.MAX_ITER} iterations",
            "Use increasing iterations inside the training (SOLVER.STEP_SHARES: shares between 0 and 1)",
        )
    for key in ("EARLY_STOPPING_PATIENCE", "EVAL_PERIOD"):
        if test[key] < 0:
            yield f"TEST.{key} is {test[key]}", "Use 0 for none, or a number above it"
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


def _get(cfg: CfgNode, key: str) -> object:
    for name in key.split("."):
        cfg = cfg[name]
    return cfg
