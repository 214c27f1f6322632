"""Which photos are annotated already, and which are not."""

from __future__ import annotations

import logging
import os
from collections.abc import Set
from pathlib import Path

from detectron2.config import CfgNode

from dataset_tools.errors import UserError
from dataset_tools.formats.card import SPLITS, read_card
from dataset_tools.formats.coco import read_split
from dataset_tools.images.folders import check_folder, list_folder

log = logging.getLogger(__name__)


def photos_without_annotations(folder: Path, annotated: Set[str]) -> list[str]:
    """The photos of a folder and of its sub-folders that are not annotated, relative to it and in ascending order.

    Raises:
        UserError: there is no such folder, or no such photo.
    """
    check_folder(folder, "Name the folder of the photos without annotations")
    photos = [name for name in sorted(list_folder(folder).photos) if os.path.abspath(folder / name) not in annotated]
    if not photos:
        raise UserError("no photo in this folder is without annotations", file=folder, remedy="Name another folder")
    return photos


def photos_of_run(cfg: CfgNode) -> set[str]:
    """The photos of the dataset that a run was trained and tested on; none, with a warning, if it is not here."""
    folder = Path(cfg.DATASETS.ROOT)
    try:
        card = read_card(folder)
        names = [image.file_name for split in SPLITS for image in read_split(folder, card, split).images]
    except UserError as error:
        log.warning("The dataset of this run cannot be read, so its photos may be suggested again: %s", error)
        return set()
    return {os.path.abspath(folder / card.image_root / name) for name in names}
