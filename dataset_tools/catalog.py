"""Dataset folder to Detectron2's DatasetCatalog and MetadataCatalog; the one module here that imports Detectron2."""

from __future__ import annotations

from pathlib import Path

from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.data.datasets import load_coco_json

from dataset_tools.errors import UserError
from dataset_tools.formats.card import CARD_NAME, Card, read_card
from dataset_tools.formats.coco import read_split


def register(folder: Path | str) -> Card:
    """Register ``<name>_train``, ``<name>_val`` and ``<name>_test`` of a dataset folder; harmless when done twice.

    Raises:
        UserError: it is no dataset folder, a COCO file is missing or disagrees with the card, or another folder has
            registered the name. Nothing is registered then.
    """
    folder = Path(folder).resolve()
    card = read_card(folder)
    for split in card.splits:
        read_split(folder, card, split)
    missing = [split for split in card.splits if not _is_registered(folder, card, split)]
    for split in missing:
        _register_split(folder, card, split)
    return card


def _is_registered(folder: Path, card: Card, split: str) -> bool:
    dataset = f"{card.name}_{split}"
    if dataset not in DatasetCatalog.list():
        return False
    earlier = MetadataCatalog.get(dataset).get("json_file")
    if earlier == str(folder / card.splits[split].annotations):
        return True
    raise UserError(
        f"the name '{dataset}' is taken, by {earlier or 'another dataset'}",
        file=folder / CARD_NAME,
        place="name",
        remedy="Convert one of the two with another --name",
    )


def _register_split(folder: Path, card: Card, split: str) -> None:
    dataset = f"{card.name}_{split}"
    annotations, image_root = str(folder / card.splits[split].annotations), str((folder / card.image_root).resolve())
    DatasetCatalog.register(dataset, lambda: load_coco_json(annotations, image_root, dataset))
    MetadataCatalog.get(dataset).set(
        json_file=annotations,
        image_root=image_root,
        evaluator_type="coco",
        thing_classes=list(card.classes),
        thing_dataset_id_to_contiguous_id={index + 1: index for index in range(len(card.classes))},
    )
