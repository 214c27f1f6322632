"""Which photos there are to choose from."""

import json
import logging
import os
import shutil

import pytest
from detectron2.config import get_cfg
from PIL import Image

from dataset_tools.dataset.convert import ConvertOptions, convert
from dataset_tools.errors import UserError
from polymask.config.keys import add_polymask_config
from polymask.review.pool import photos_of_run, photos_without_annotations


def make_photo(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8)).save(path)
    return os.path.abspath(path)


def test_annotated_photos_are_left_out(tmp_path):
    annotated = {make_photo(tmp_path / name) for name in ("b.png", "deep/c.jpg")}
    for name in ("a.png", "deep/d.jpg", "e.PNG"):
        make_photo(tmp_path / name)
    assert photos_without_annotations(tmp_path, annotated) == ["a.png", "deep/d.jpg", "e.PNG"]


def test_nothing_to_choose(tmp_path):
    with pytest.raises(UserError, match="folder"):
        photos_without_annotations(tmp_path / "none", set())
    with pytest.raises(UserError, match="no photo"):
        photos_without_annotations(tmp_path, set())
    annotated = {make_photo(tmp_path / "a.png")}
    with pytest.raises(UserError, match="no photo"):
        photos_without_annotations(tmp_path, annotated)


def test_the_photos_of_a_run_are_those_of_all_splits(tmp_path, caplog):
    shape = {"label": "bar", "points": [[1, 1], [6, 1], [6, 6]], "shape_type": "polygon", "group_id": None, "flags": {}}
    photos = set()
    for split in ("train", "val", "test"):
        folder = tmp_path / "labelme" / split
        photos.add(make_photo(folder / f"{split}.png"))
        content = {"version": "5.5.0", "flags": {}, "shapes": [shape], "imagePath": f"{split}.png", "imageData": None}
        (folder / f"{split}.json").write_text(json.dumps(content | {"imageHeight": 8, "imageWidth": 8}))
    convert(ConvertOptions(source=tmp_path / "labelme", output=tmp_path / "dataset"))
    cfg = get_cfg()
    add_polymask_config(cfg)
    cfg.DATASETS.ROOT = str(tmp_path / "dataset")
    assert photos_of_run(cfg) == photos
    shutil.rmtree(tmp_path / "dataset")
    with caplog.at_level(logging.WARNING):
        assert photos_of_run(cfg) == set()
    assert "suggested again" in caplog.text
