"""Dataset folder to Detectron2's DatasetCatalog and MetadataCatalog; the one module here that imports Detectron2."""

from __future__ import annotations

import os
import pickle
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import Any

from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.structures import BoxMode

from dataset_tools.errors import UserError
from dataset_tools.formats.card import CARD_NAME, Card, read_card
from dataset_tools.formats.coco import Annotation, CocoFile, read_split


def register(folder: Path | str) -> Card:
    """Register ``<name>_train``, ``<name>_val`` and ``<name>_test`` of a dataset folder; harmless when done twice.

    The COCO files are read here and not again by ``DatasetCatalog.get``, which returns what was in them then.

    Raises:
        UserError: it is not a dataset folder, a COCO file is missing or disagrees with the card, or another folder has
            registered the name. Nothing is registered then.
    """
    folder = Path(folder).resolve()
    card = read_card(folder)
    contents = {split: read_split(folder, card, split) for split in card.splits}
    for split, summary in card.splits.items():
        dataset = f"{card.name}_{split}"
        if dataset not in DatasetCatalog.list():
            continue
        earlier = MetadataCatalog.get(dataset).get("json_file")
        if earlier != str(folder / summary.annotations):
            reason = f"the name '{dataset}' is taken, by {earlier or 'another dataset'}"
            remedy = "Convert one of the two with another --name"
            raise UserError(reason, file=folder / CARD_NAME, place="name", remedy=remedy)
    for split, content in contents.items():
        _register_split(folder, card, split, content)
    return card


def _register_split(folder: Path, card: Card, split: str, content: CocoFile) -> None:
    dataset = f"{card.name}_{split}"
    annotations, image_root = str(folder / card.splits[split].annotations), str((folder / card.image_root).resolve())
    # As bytes: small, shared with workers, and every caller may change what it gets.
    records = pickle.dumps(_records(content, image_root), protocol=pickle.HIGHEST_PROTOCOL)
    if dataset in DatasetCatalog.list():
        DatasetCatalog.remove(dataset)
    DatasetCatalog.register(dataset, partial(pickle.loads, records))
    MetadataCatalog.get(dataset).set(
        json_file=annotations,
        image_root=image_root,
        evaluator_type="coco",
        thing_classes=list(card.classes),
        thing_dataset_id_to_contiguous_id={index + 1: index for index in range(len(card.classes))},
    )


def _records(content: CocoFile, image_root: str) -> list[dict[str, Any]]:
    """Detectron2's dataset dicts, as its ``load_coco_json`` makes them: in the order of the images' ids."""
    annotations = defaultdict(list)
    for annotation in content.annotations:
        if record := _annotation_record(annotation):
            annotations[annotation.image_id].append(record)
    return [
        {
            "file_name": os.path.join(image_root, image.file_name),
            "height": image.height,
            "width": image.width,
            "image_id": image.id,
            "annotations": annotations[image.id],
        }
        for image in sorted(content.images, key=lambda image: image.id)
    ]


def _annotation_record(annotation: Annotation) -> dict[str, Any] | None:
    """None where no polygon has three points or more: Detectron2 leaves such an instance out."""
    segmentation = annotation.segmentation
    if isinstance(segmentation, list):
        outline: Any = [polygon for polygon in segmentation if len(polygon) % 2 == 0 and len(polygon) >= 6]
    else:
        outline = {"size": list(segmentation.size), "counts": segmentation.counts}
    if not outline:
        return None
    return {
        "iscrowd": annotation.iscrowd,
        "bbox": list(annotation.bbox),
        "category_id": annotation.category_id - 1,
        "segmentation": outline,
        "bbox_mode": BoxMode.XYWH_ABS,
    }
