"""Instance predictions in COCO's format, as Detectron2's evaluation leaves them."""

from __future__ import annotations

from pathlib import Path

import msgspec

from dataset_tools.errors import EXIT_DATA, UserError
from dataset_tools.files import read_file
from dataset_tools.geometry.rle import Rle


class Prediction(msgspec.Struct, frozen=True):
    """One of the predictions in COCO's format; its box is that of the mask, or nearly."""

    image_id: int
    category_id: int
    score: float
    segmentation: Rle | list[list[float]]


def read_predictions(path: Path) -> list[Prediction]:
    """Instance predictions in COCO's format, as Detectron2's evaluation leaves them.

    Raises:
        UserError: there is no such file, or it is not a list of predictions with masks.
    """
    remedy = "Name the coco_instances_results.json that an evaluation has written"
    try:
        return msgspec.json.decode(read_file(path), type=list[Prediction])
    except OSError as error:
        raise UserError(f"the predictions cannot be read: {error.strerror}", file=path, remedy=remedy) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        reason = f"this is not a list of predictions with masks in COCO's format: {error}"
        raise UserError(reason, file=path, remedy=remedy, exit_code=EXIT_DATA) from error
