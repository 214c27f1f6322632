"""What a configuration leaves open, taken from the machine and the dataset; epochs as iterations."""

from __future__ import annotations

import logging
import math
import re
import statistics
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import torch
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog
from detectron2.data.build import filter_images_with_only_crowd_annotations
from detectron2.utils import comm

from dataset_tools.catalog import register
from dataset_tools.errors import EXIT_DATA, UserError
from dataset_tools.formats.card import Card
from polymask.config.keys import AUTO, FOLLOW_OBJECTS, steps_of_shares, warmup_of_share

# INPUT.COPY_PASTE.PROBABILITY that follows the objects: COPY_PASTE if the largest box of a photo covers at most this share
# of it, in the median of the photos; else 0.
COPY_PASTE = 0.5
LARGEST_TO_PASTE = 0.2

log = logging.getLogger(__name__)


def resolve(cfg: CfgNode, training: bool, earlier: CfgNode | None = None) -> dict[str, list[dict]]:
    """Replaces all sentinels, and registers the splits of ``DATASETS.ROOT``.

    Args:
        cfg: changed in place.
        training: whether a training is meant, or an evaluation, which has no schedule.
        earlier: the configuration of the run that is resumed.

    Returns:
        Detectron2's dataset dicts of the splits that are used, by the key in DATASETS; of TRAIN, those that remain
        after filtering.

    Raises:
        UserError: a value contradicts the machine or the dataset, or there is nothing to train on.
    """
    resolve_device(cfg)
    check_folders(cfg)
    if not training and cfg.INPUT.MASK_FORMAT == "polygon":
        cfg.INPUT.MASK_FORMAT = AUTO  # that of the training; an evaluation reads no masks into the model
    card = register(Path(cfg.DATASETS.ROOT))
    if training:
        resolve_copy_paste(cfg, DatasetCatalog.get(f"{card.name}_train"))
    resolve_dataset(cfg, card)
    if cfg.SEED < 0:  # a new one, the same in all processes; or the one that the run had
        cfg.SEED = earlier.SEED if earlier else comm.shared_random_seed()
    records = {key: read_records(cfg, key) for key in (("TRAIN", "VAL", "TEST") if training else ("TEST",))}
    if training:
        if earlier:
            _take_over_length(cfg, earlier)
        resolve_schedule(cfg, images=len(records["TRAIN"]))
        resolve_learning_rate(cfg)
    return records


def _take_over_length(cfg: CfgNode, earlier: CfgNode) -> None:
    """A training of ``SOLVER.MAX_MINUTES`` that is resumed keeps its iterations; other minutes have others in proportion."""
    solver, before = cfg.SOLVER, earlier.SOLVER
    if solver.MAX_MINUTES and before.MAX_MINUTES and not solver.MAX_ITER:
        solver.MAX_ITER = round(before.MAX_ITER * solver.MAX_MINUTES / before.MAX_MINUTES)


def check_folders(cfg: CfgNode, flag: str = "") -> None:
    """Refuses a configuration without a folder to write, or with a dataset folder that is not there.

    Args:
        cfg: any.
        flag: what stands before keys on the command line.

    Raises:
        UserError: a folder is not named, or the dataset folder does not exist.
    """
    output, dataset = cfg.OUTPUT_DIR, cfg.DATASETS.ROOT
    for key, value in (("OUTPUT_DIR", output), ("DATASETS.ROOT", dataset)):
        if not value:
            raise UserError(f"{key} is empty", remedy=f"Add {flag}{key} FOLDER to the command line")
    if not Path(dataset).is_dir():
        raise UserError(
            "DATASETS.ROOT names this folder, which is not here",
            file=dataset,
            remedy=f"Add {flag}DATASETS.ROOT FOLDER to the command line, with the place of the dataset folder on this machine. "
            f"OUTPUT_DIR is {output}: if that is not right here, add it, too",
        )


def resolve_device(cfg: CfgNode) -> None:
    """``auto`` becomes the GPU where there is one, else the CPU.

    The configuration of a run on a GPU can be used on a machine without one.

    Raises:
        UserError: it is another of PyTorch's devices, for which Detectron2 has no operators, or none.
    """
    if cfg.MODEL.DEVICE == AUTO:
        cfg.MODEL.DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
    elif cfg.MODEL.DEVICE.startswith("cuda") and not torch.cuda.is_available():
        log.warning("MODEL.DEVICE is %s, and PyTorch finds no GPU here: using the CPU.", cfg.MODEL.DEVICE)
        cfg.MODEL.DEVICE = "cpu"
    if not re.fullmatch(r"cpu|cuda(:\d+)?", cfg.MODEL.DEVICE):
        raise UserError(f"MODEL.DEVICE is {cfg.MODEL.DEVICE}", remedy=f"Use {AUTO}, cpu, cuda or cuda:1")


def resolve_copy_paste(cfg: CfgNode, records: Sequence[dict]) -> None:
    """Replaces the sentinel of copy-paste: objects that fill a photo would cover those that are there already.

    Args:
        cfg: changed in place.
        records: Detectron2's dataset dicts of the train split.
    """
    if cfg.INPUT.COPY_PASTE.PROBABILITY != FOLLOW_OBJECTS:
        return
    largest = []
    for record in records:
        boxes = [one["bbox"] for one in record["annotations"] if not one.get("iscrowd")]  # XYWH
        if boxes:
            largest.append(max(width * height for *_, width, height in boxes) / (record["width"] * record["height"]))
    share = statistics.median(largest) if largest else 1.0
    cfg.INPUT.COPY_PASTE.PROBABILITY = COPY_PASTE if share <= LARGEST_TO_PASTE else 0.0
    log.info(
        "INPUT.COPY_PASTE.PROBABILITY: %s, as the largest box of a photo covers %.0f %% of it in the median.",
        cfg.INPUT.COPY_PASTE.PROBABILITY, 100 * share,
    )  # fmt: skip


def resolve_dataset(cfg: CfgNode, card: Card) -> None:
    """Replaces the sentinels of classes, splits and mask format by what the dataset has.

    Args:
        cfg: changed in place.
        card: the card of ``DATASETS.ROOT``.

    Raises:
        UserError: a value of the user's contradicts the dataset.
    """
    classes = list(card.classes)
    if list(cfg.DATASETS.CLASSES) not in ([], classes):
        raise UserError(
            f"DATASETS.CLASSES is {list(cfg.DATASETS.CLASSES)}, and the dataset has {classes}",
            file=cfg.DATASETS.ROOT,
            remedy="Use the dataset that this configuration was trained on, or convert with the same --classes",
        )
    if cfg.MODEL.ROI_HEADS.NUM_CLASSES not in (0, len(classes)):
        raise UserError(
            f"MODEL.ROI_HEADS.NUM_CLASSES is {cfg.MODEL.ROI_HEADS.NUM_CLASSES}, "
            f"and the dataset has {len(classes)} classes",
            file=cfg.DATASETS.ROOT,
            remedy="Leave MODEL.ROI_HEADS.NUM_CLASSES at 0: it follows the dataset",
        )
    if cfg.INPUT.MASK_FORMAT == "polygon" and card.mask_format == "bitmask":
        raise UserError(
            "INPUT.MASK_FORMAT is polygon, and the dataset holds masks that polygons cannot show",
            file=cfg.DATASETS.ROOT,
            remedy="Leave INPUT.MASK_FORMAT at auto, or set it to bitmask",
        )
    if cfg.INPUT.MASK_FORMAT not in (AUTO, "polygon", "bitmask"):
        raise UserError(
            f"INPUT.MASK_FORMAT is {cfg.INPUT.MASK_FORMAT}",
            remedy="Use auto, polygon or bitmask",
            file=cfg.DATASETS.ROOT,
        )
    empty = {f"{card.name}_{split}" for split, summary in card.splits.items() if not summary.images}
    cfg.DATASETS.CLASSES = classes
    cfg.MODEL.ROI_HEADS.NUM_CLASSES = len(classes)
    if cfg.INPUT.MASK_FORMAT == AUTO:
        # What is pasted covers parts of other objects, which then need bitmasks.
        cfg.INPUT.MASK_FORMAT = "bitmask" if cfg.INPUT.COPY_PASTE.PROBABILITY > 0 else card.mask_format
    for key, split in (("TRAIN", "train"), ("VAL", "val"), ("TEST", "test")):
        names = tuple(cfg.DATASETS[key])
        if not names and card.splits[split].images:
            names = (f"{card.name}_{split}",)
        cfg.DATASETS[key] = tuple(name for name in names if name not in empty)


def read_records(cfg: CfgNode, key: str) -> list[dict]:
    """Detectron2's dataset dicts of ``DATASETS.<key>``; of TRAIN, those that remain after filtering.

    Raises:
        UserError: a dataset is not registered, or there is nothing to train on.
    """
    for name in cfg.DATASETS[key]:
        if name not in DatasetCatalog.list():
            raise UserError(
                f"DATASETS.{key} names {name}, which is not registered",
                file=cfg.DATASETS.ROOT,
                remedy=f"Add DATASETS.{key} '()' to the command line: then it follows the dataset folder",
            )
    records = [record for name in cfg.DATASETS[key] for record in DatasetCatalog.get(name)]
    if key != "TRAIN":
        return records
    if cfg.DATALOADER.FILTER_EMPTY_ANNOTATIONS:
        records = filter_images_with_only_crowd_annotations(records)
    if not records:
        raise UserError(
            "the train split is empty, or no photo of it has annotations",
            file=cfg.DATASETS.ROOT,
            remedy="Annotate or convert more photos, or set DATALOADER.FILTER_EMPTY_ANNOTATIONS False",
            exit_code=EXIT_DATA,
        )
    return records


def resolve_schedule(cfg: CfgNode, images: int) -> None:
    """Replaces the sentinels of the schedule by iterations, computed from epochs and shares.

    With ``SOLVER.MAX_MINUTES``, ``MAX_ITER`` and what are shares of it stay open: see ``polymask.engine.time_limit``.

    Args:
        cfg: changed in place.
        images: the number of training images that remain after filtering.

    Raises:
        UserError: the training would be empty.
    """
    solver = cfg.SOLVER
    if solver.IMS_PER_BATCH < 1:
        raise UserError(f"SOLVER.IMS_PER_BATCH is {solver.IMS_PER_BATCH}", remedy="Use 1 or more images a batch")
    if solver.MAX_ITER == 0 and not solver.MAX_MINUTES:
        solver.MAX_ITER = epochs_to_iterations(solver.EPOCHS, images, solver.IMS_PER_BATCH)
    if solver.MAX_ITER or not solver.MAX_MINUTES:
        resolve_shares(cfg)
    if solver.CHECKPOINT_PERIOD == 0:
        solver.CHECKPOINT_PERIOD = epochs_to_iterations(solver.CHECKPOINT_EPOCHS, images, solver.IMS_PER_BATCH)
    if solver.CHECKPOINT_PERIOD < 1:
        raise UserError("no checkpoint would ever be saved", remedy="Set SOLVER.CHECKPOINT_EPOCHS to a number above 0")
    if cfg.TEST.EVAL_PERIOD < 0:
        cfg.TEST.EVAL_PERIOD = epochs_to_iterations(cfg.TEST.EVAL_EPOCHS, images, solver.IMS_PER_BATCH)


def resolve_shares(cfg: CfgNode) -> None:
    """Replaces the sentinels of steps and warm-up, which are shares of ``SOLVER.MAX_ITER``.

    Args:
        cfg: changed in place.

    Raises:
        UserError: the training would be empty, or a share is not one.
    """
    solver = cfg.SOLVER
    if solver.MAX_ITER < 1:
        raise UserError(
            f"the training would have {solver.MAX_ITER} iterations",
            remedy="Set SOLVER.EPOCHS or SOLVER.MAX_ITER to a number above 0",
        )
    if not all(isinstance(share, int | float) for share in solver.STEP_SHARES):
        raise UserError(f"SOLVER.STEP_SHARES is {solver.STEP_SHARES}", remedy="Use shares, as (0.6, 0.9)")
    if not solver.STEPS:
        solver.STEPS = steps_of_shares(solver)
    if not 0 <= solver.WARMUP_SHARE < 1:
        raise UserError(f"SOLVER.WARMUP_SHARE is {solver.WARMUP_SHARE}", remedy="Use a share from 0 to below 1")
    if solver.WARMUP_ITERS < 0:
        solver.WARMUP_ITERS = warmup_of_share(solver)


def resolve_learning_rate(cfg: CfgNode) -> None:
    """Scales ``SOLVER.BASE_LR`` linearly from the batch it is meant for to the batch at hand.

    Goyal et al. 2017, https://arxiv.org/abs/1706.02677. The reference becomes the batch at hand, so that the
    configuration resolves to itself.
    """
    solver = cfg.SOLVER
    reference, batch = solver.REFERENCE_IMS_PER_BATCH, solver.IMS_PER_BATCH
    if reference < 0:
        raise UserError(
            f"SOLVER.REFERENCE_IMS_PER_BATCH is {reference}",
            remedy="Use the images a batch that SOLVER.BASE_LR is meant for, or 0: then it is not scaled",
        )
    if reference in (0, batch):
        return
    factor = batch / reference
    log.info("SOLVER.BASE_LR %g is meant for %d images a batch: for %d it becomes %g.",
             solver.BASE_LR, reference, batch, solver.BASE_LR * factor)  # fmt: skip
    for key in ("BASE_LR", "BASE_LR_END"):
        solver[key] *= factor
    solver.REFERENCE_IMS_PER_BATCH = batch


def epochs_to_iterations(epochs: float, images: int, images_per_batch: int) -> int:
    """``ceil(epochs * images / images_per_batch)``, in exact arithmetic.

    In floating point 0.1 epochs of 30 images would be 3.0000000000000004 images, and so one iteration more.
    """
    return math.ceil(Fraction(str(epochs)) * images / images_per_batch)
