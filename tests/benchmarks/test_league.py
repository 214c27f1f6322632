"""What the league's contenders learn from is what is annotated."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO

from benchmarks.league.torchvision_reference import Photos, batches
from benchmarks.league.ultralytics_yolo import write_yolo
from dataset_tools.formats.card import read_card
from tests.faults.trial import annotated_photos, convert, must, run


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("league")
    must(run(convert(annotated_photos(folder / "photos", train=4, test=2), folder / "dataset")))
    return folder / "dataset"


def truth_of(dataset, split="train"):
    return COCO(str(dataset / read_card(dataset).splits[split].annotations))


def test_yolo_learns_from_the_outlines_of_the_train_split(dataset, tmp_path):
    data, tested = write_yolo(dataset, tmp_path / "data")
    truth, content = truth_of(dataset), json.loads(data.read_text())
    assert content["names"] == {str(index): name for index, name in enumerate(read_card(dataset).classes)}
    assert len([*(data.parent / "images").iterdir()]) == len(truth.imgs)
    for number, image in truth.imgs.items():
        rows = [row.split() for row in (data.parent / f"labels/{number}.txt").read_text().splitlines()]
        for (category, *values), one in zip(rows, truth.imgToAnns[number], strict=True):
            points = np.reshape(values, (-1, 2)).astype(float) * (image["width"], image["height"])
            assert points.ravel() == pytest.approx(one["segmentation"][0], abs=1e-3)
            assert int(category) == one["category_id"] - 1
    assert sorted(tested.values()) == sorted(truth_of(dataset, "test").imgs) and all(
        map(Path.is_file, map(Path, tested))
    )


def test_torchvision_learns_from_the_masks_of_the_train_split(dataset):
    truth, photos = truth_of(dataset), Photos(dataset, "train")
    for image in photos.images:
        target = photos.target(image)
        for mask, label, one in zip(target["masks"], target["labels"], truth.imgToAnns[image["id"]], strict=True):
            assert np.array_equal(mask, truth.annToMask(one)) and label == one["category_id"]


def test_flipped_photos_have_flipped_objects(dataset):
    photos = Photos(dataset, "train")
    flipped = 0
    batch = batches(photos, torch.Generator().manual_seed(0))
    for pixels, target in (pair for _ in range(4) for pair in zip(*next(batch))):
        plain = [image for image in photos.images if torch.equal(photos.pixels(image), pixels)]
        mirrored = [image for image in photos.images if torch.equal(photos.pixels(image).flip(2), pixels)]
        (image,), flip = plain or mirrored, not plain
        flipped += flip
        masks = photos.target(image)["masks"]
        assert torch.equal(target["masks"], masks.flip(2) if flip else masks)
        for box, mask in zip(target["boxes"].tolist(), target["masks"]):
            rows, columns = np.nonzero(mask.numpy())
            assert box == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    assert flipped
