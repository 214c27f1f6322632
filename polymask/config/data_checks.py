"""What is wrong with the datasets of a configuration, said before anything is built from them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from detectron2.config import CfgNode

from dataset_tools.errors import EXIT_DATA, UserError
from dataset_tools.formats.card import CARD_NAME
from dataset_tools.images.header import Header, ImageError, read_header
from dataset_tools.text import one_line

log = logging.getLogger(__name__)


def check_splits(cfg: CfgNode, training: bool) -> None:
    """Whether there are the splits that a training or an evaluation needs.

    Raises:
        UserError: there are none, or VAL and TEST share a dataset.
    """
    shared = set(cfg.DATASETS.VAL) & set(cfg.DATASETS.TEST)
    if shared and training:
        raise UserError(
            f"{min(shared)} is in DATASETS.VAL and in DATASETS.TEST: the best weights would be chosen by what they are "
            "tested on",
            file=cfg.DATASETS.ROOT,
            remedy="Leave both empty: they follow the dataset folder",
        )
    if not training and not cfg.DATASETS.TEST:
        raise UserError(
            "there is nothing to evaluate: the test split is empty",
            file=cfg.DATASETS.ROOT,
            remedy="Name another split, such as DATASETS.TEST \"('NAME_val',)\"",
        )


def check_photos(records: Mapping[str, Sequence[dict]]) -> None:
    """Whether each photo is there and has the size that it was converted with; only headers are read.

    Args:
        records: Detectron2's dataset dicts, by the key in DATASETS.

    Raises:
        UserError: some are missing, cannot be used, or have another size.
    """
    for key, photos in records.items():
        checked = [(record["file_name"], _header_or_fault(record)) for record in photos]
        faults = [(photo, found) for photo, found in checked if isinstance(found, _Fault)]
        if faults:
            photo, (reason, remedy) = faults[0]
            more = f" (and {len(faults) - 1} more photos cannot be used)" if faults[1:] else ""
            reason = f"this photo of DATASETS.{key} {reason}{more}"
            raise UserError(reason, file=photo, remedy=remedy, exit_code=EXIT_DATA)
        frames = {photo: found.frames for photo, found in checked if isinstance(found, Header) and found.frames > 1}
        if frames:
            log.warning("Photos of DATASETS.%s with several pages or frames, of which the first one is used: %d, such as %s.",
                        key, len(frames), one_line(next(iter(frames))))  # fmt: skip


class _Fault(NamedTuple):
    reason: str
    remedy: str = "Put it back, or convert again"


def _header_or_fault(record: dict) -> Header | _Fault:
    """The header of a photo; or why it cannot be the one that was converted."""
    try:
        header = read_header(record["file_name"])
    except FileNotFoundError:
        return _Fault("is missing", f"Put it back, correct image_root in {CARD_NAME}, or convert again")
    except OSError as error:
        return _Fault(f"cannot be read: {error.strerror or error}")
    except ImageError as error:
        return _Fault(f"cannot be used: {error.rule.title}: {error}", error.rule.remedy)
    (width, height), (said_width, said_height) = header.size, (record["width"], record["height"])
    if (width, height) == (said_width, said_height):
        return header
    return _Fault(f"is {width} x {height}, and was {said_width} x {said_height} when it was converted")


def check_training_data(cfg: CfgNode, records: Sequence[dict]) -> None:
    """Whether there are enough training photos for the batch and the classes. Warns of a class without an instance.

    Args:
        cfg: with classes and schedule resolved.
        records: the training photos as Detectron2's dataset dicts, after filtering.

    Raises:
        UserError: there are fewer photos than a batch has, or fewer annotations than classes.
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
    """Warns of a VAL without an annotated object: it gives no mask AP, and no weights are the best.

    Args:
        cfg: any.
        records: the photos of VAL as Detectron2's dataset dicts.

    Raises:
        UserError: early stopping would wait for that mask AP.
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
