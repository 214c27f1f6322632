"""The photos on which a file is compared with its model: a run's own or a folder's, and some that are unlike them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog
from msgspec import Struct

from dataset_tools.catalog import register
from dataset_tools.errors import UserError
from dataset_tools.images.folders import check_folder, list_folder
from polymask.config.resolve import read_records, resolve_dataset
from polymask.data.augmentation import ResizeShortestEdge
from polymask.inference.predictor import Predictor, read_photo

# So many photos are also shown in other shapes and sizes: these, as factors of those in an evaluation.
_CHANGED = 3
_SIZES = (("larger", 1.5), ("smaller", 0.5))


class CheckedPhoto(Struct, frozen=True):
    """A photo to compare on.

    Attributes:
        path: of its file.
        dataset: the dataset whose AP it counts for; None for none.
        image_id: its number there.
    """

    path: Path
    dataset: str | None = None
    image_id: int = 0


class CheckedInput(Struct, frozen=True):
    """A network's input from a photo.

    Attributes:
        name: of the photo, and how it was changed.
        size: (height, width) in px, of the photo or the part of it.
        image: (3, H, W) float32, as ``Predictor.input_for`` returns it.
        photo: that it shows as it is; None where it was changed.
    """

    name: str
    size: tuple[int, int]
    image: torch.Tensor
    photo: CheckedPhoto | None = None


def photos_of_run(cfg: CfgNode) -> list[CheckedPhoto]:
    """The photos of TEST, which count for its AP, and of VAL.

    Args:
        cfg: of the run; what it leaves open is filled in from the dataset.

    Raises:
        UserError: the dataset is not there or is another one, or these splits are empty.
    """
    root = cfg.DATASETS.ROOT
    if not root or not Path(root).is_dir():
        remedy = "Add --photos FOLDER with other photos, or --opts DATASETS.ROOT FOLDER"
        raise UserError("the dataset of this run is not here", file=root, remedy=remedy)
    resolve_dataset(cfg, register(Path(root)))
    if not (read_records(cfg, "TEST") or read_records(cfg, "VAL")):
        raise UserError("its test and val splits are empty", file=root, remedy="Add --photos FOLDER with other photos")
    tested = [
        CheckedPhoto(Path(record["file_name"]), name, record["image_id"])
        for name in cfg.DATASETS.TEST
        for record in DatasetCatalog.get(name)
    ]
    return tested + [CheckedPhoto(Path(record["file_name"])) for record in read_records(cfg, "VAL")]


def photos_in(folder: Path) -> list[CheckedPhoto]:
    """The photos in a folder and in folders in it.

    Raises:
        UserError: there are none.
    """
    check_folder(folder, remedy="Correct --photos")
    photos = [CheckedPhoto(folder / name) for name in sorted(list_folder(folder).photos)]
    if not photos:
        raise UserError("there is no photo here", file=folder, remedy="Correct --photos")
    return photos


def inputs_of(predictor: Predictor, photos: Sequence[CheckedPhoto]) -> Iterator[CheckedInput]:
    """What the network is given of each photo; of the first ones also in other sizes and shapes, and without objects.

    Raises:
        UserError: a photo cannot be read.
    """
    for number, photo in enumerate(photos):
        pixels = read_photo(photo.path)
        yield CheckedInput(photo.path.name, pixels.shape[:2], predictor.input_for(pixels)["image"], photo)
        if number < _CHANGED:
            yield from _changed(predictor, photo.path.name, pixels)


def _changed(predictor: Predictor, name: str, pixels: np.ndarray) -> Iterator[CheckedInput]:
    """A photo, (H, W, 3) uint8 in BGR, as a network may meet it elsewhere."""
    width = pixels.shape[1]
    shapes = {
        "without objects": _blurred(pixels),
        "narrow": pixels[:, : -(-width // 3)],
        "turned": np.rot90(pixels),  # as one whose EXIF orientation says so
    }
    for change, shown in shapes.items():
        yield CheckedInput(f"{name} ({change})", shown.shape[:2], predictor.input_for(shown)["image"])
    inputs = predictor.cfg.INPUT
    for change, factor in _SIZES:
        shortest = inputs.MIN_SIZE_TEST or min(pixels.shape[:2])  # 0: it is not resized
        resize = ResizeShortestEdge(round(factor * shortest), round(factor * inputs.MAX_SIZE_TEST))
        yield CheckedInput(f"{name} ({change})", pixels.shape[:2], predictor.input_for(pixels, resize)["image"])


def _blurred(pixels: np.ndarray) -> np.ndarray:
    """The colours of a photo without its edges.

    A photo of one colour would not do: GroupNorm divides by a deviation of nearly 0 there, and scores depend on how sums
    are rounded.
    """
    colours = cv2.resize(pixels, (2, 2), interpolation=cv2.INTER_AREA)
    return cv2.resize(colours, pixels.shape[1::-1], interpolation=cv2.INTER_LINEAR)
