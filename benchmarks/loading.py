"""A dataset folder as pycocotools and Detectron2 load it, with every photo, polygon and mask in it."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.data.detection_utils import annotations_to_instances, check_image_size, read_image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from dataset_tools.catalog import register


class Contradiction(Exception):
    """What was loaded is not what the dataset says of itself."""


def loaded(dataset: Path) -> dict[str, int]:
    """The number of instances of each photo, by its path, once pycocotools and Detectron2 have loaded everything.

    Raises:
        Contradiction: something in the dataset contradicts something else.
    """
    card, counts = register(dataset), {}
    names = {split: f"{card.name}_{split}" for split in card.splits}
    try:
        for split, name in names.items():
            _check_with_pycocotools(dataset / card.splits[split].annotations)
            for record in DatasetCatalog.get(name):
                counts[record["file_name"]] = _check_with_detectron2(record, card.mask_format)
    finally:
        for name in names.values():
            DatasetCatalog.remove(name)
            MetadataCatalog.remove(name)
    return counts


def _check_with_pycocotools(file: Path) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(file))
    for annotation in coco.anns.values():
        encoded_mask = coco.annToRLE(annotation)
        pixels, box = int(coco_mask.decode(encoded_mask).sum()), coco_mask.toBbox(encoded_mask).tolist()
        if not 0 < pixels == annotation["area"] or box != annotation["bbox"]:
            raise Contradiction(
                f"annotation {annotation['id']} says area {annotation['area']}, {annotation['bbox']}: {pixels}, {box}"
            )


def _check_with_detectron2(record: dict, mask_format: str) -> int:
    image = read_image(record["file_name"], "BGR")
    check_image_size(record, image)
    instances = annotations_to_instances(record["annotations"], image.shape[:2], mask_format)
    if len(instances) != len(record["annotations"]):
        raise Contradiction(f"Detectron2 has {len(instances)} of {len(record['annotations'])} instances")
    return len(instances)
