"""Datasets with some of the photos of another one."""

from __future__ import annotations

import os
from collections.abc import Set
from pathlib import Path

import msgspec

from dataset_tools.formats.card import Card, SplitSummary, encode_card
from dataset_tools.formats.coco import CocoFile, encode_coco


def photos_of(content: CocoFile, image_ids: Set[int]) -> CocoFile:
    """These photos of a split with their annotations, and all of its classes."""
    return CocoFile(
        images=[image for image in content.images if image.id in image_ids],
        annotations=[annotation for annotation in content.annotations if annotation.image_id in image_ids],
        categories=content.categories,
    )


def write_dataset(folder: Path, name: str, splits: dict[str, CocoFile], whole: Path, card: Card) -> Path:
    """A dataset folder with these splits, whose photos stay where they are.

    Args:
        whole, card: the dataset that they are from.
    """
    folder.mkdir(parents=True, exist_ok=True)
    summaries = {}
    for split, content in splits.items():
        (folder / f"{split}.json").write_bytes(encode_coco(content))
        summaries[split] = SplitSummary(f"{split}.json", len(content.images), len(content.annotations))
    root = os.path.relpath((whole / card.image_root).resolve(), folder.resolve())
    (folder / "dataset.json").write_bytes(
        encode_card(msgspec.structs.replace(card, name=name, image_root=root, splits=summaries))
    )
    return folder
