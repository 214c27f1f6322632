"""Which photos are annotated already, by files on a disk."""

import json
import logging
import shutil

import pytest
from detectron2.config import get_cfg
from PIL import Image

from dataset_tools.dataset.convert import ConvertOptions, convert
from dataset_tools.errors import UserError
from polymask.config.keys import add_polymask_config
from polymask.review.pool import annotated_in, make_pool, photos_of_run


@pytest.fixture
def photo(tmp_path):
    def make(name, level=0, folder=tmp_path / "pool"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (level, level, level)).save(path)
        return path

    return make


def annotate(path, image_path=None):
    shape = {"label": "bar", "points": [[1, 1], [6, 1], [6, 6]], "shape_type": "polygon", "group_id": None, "flags": {}}
    content = {"version": "5.5.0", "flags": {}, "shapes": [shape], "imagePath": image_path, "imageData": None}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content | {"imageHeight": 8, "imageWidth": 8}))


def test_photos_with_a_file_beside_them_are_passed_over(photo, tmp_path):
    for index, name in enumerate(("a.png", "b.png", "deep/c.jpg", "deep/d.jpg", "e.PNG")):
        photo(name, index * 20)
    annotate(tmp_path / "pool/a.json", "a.png")
    annotate(tmp_path / "pool/deep/c.jpg.json", "c.jpg")
    pool = make_pool(tmp_path / "pool", [])
    assert pool.photos == ["b.png", "deep/d.jpg", "e.PNG"]
    assert (pool.with_file, pool.copies) == (2, 0)
    assert pool.known == [tmp_path / "pool/a.png", tmp_path / "pool/deep/c.jpg"]


def test_a_damaged_file_is_an_annotation_file_too(photo, tmp_path):
    """Somebody has to look at it, and must not find it replaced."""
    photo("a.png"), photo("b.png", 20)
    (tmp_path / "pool/a.json").write_text("{")
    assert make_pool(tmp_path / "pool", []).photos == ["b.png"]


def test_a_file_in_another_folder_leads_to_its_photo(photo, tmp_path):
    photo("a.png"), photo("b.png", 20)
    annotate(tmp_path / "files/x.json", "..\\pool\\a.png")
    annotate(tmp_path / "files/gone.json", "../pool/gone.png")
    assert {path.resolve() for path in annotated_in(tmp_path / "files")} == {tmp_path / "pool/a.png"}
    pool = make_pool(tmp_path / "pool", annotated_in(tmp_path / "files"))
    assert (pool.photos, pool.with_file) == (["b.png"], 1)


def test_copies_of_annotated_photos_are_passed_over(photo, tmp_path):
    photo("a.png", 0), photo("b.png", 20), photo("c.png", 40)
    photo("renamed.png", 20, tmp_path / "round1")
    annotate(tmp_path / "round1/renamed.json", "renamed.png")
    pool = make_pool(tmp_path / "pool", annotated_in(tmp_path / "round1"))
    assert (pool.photos, pool.copies) == (["a.png", "c.png"], 1)


def test_a_photo_that_leads_nowhere_stays_to_be_reported(photo, tmp_path):
    known = photo("known.png", 10, tmp_path / "elsewhere")
    photo("a.png")
    (tmp_path / "pool/b.png").symlink_to(tmp_path / "nowhere.png")
    assert make_pool(tmp_path / "pool", [known]).photos == ["a.png", "b.png"]


def test_nothing_to_choose_is_said_in_words(photo, tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        make_pool(tmp_path / "pool", [])
    (tmp_path / "pool").mkdir()
    (tmp_path / "pool/notes.txt").write_text("no photo")
    with pytest.raises(UserError, match="no photo in this folder"):
        make_pool(tmp_path / "pool", [])
    photo("a.png")
    annotate(tmp_path / "pool/a.json", "a.png")
    with pytest.raises(UserError, match="annotated already"):
        make_pool(tmp_path / "pool", [])


@pytest.fixture
def cfg():
    cfg = get_cfg()
    add_polymask_config(cfg)
    return cfg


def test_the_photos_of_a_run_are_those_of_all_splits(photo, tmp_path, cfg, caplog):
    for split, level in (("train", 0), ("val", 20), ("test", 40)):
        photo(f"{split}.png", level, tmp_path / "labelme" / split)
        annotate(tmp_path / "labelme" / split / f"{split}.json", f"{split}.png")
    convert(ConvertOptions(source=tmp_path / "labelme", output=tmp_path / "dataset"))
    cfg.DATASETS.ROOT = str(tmp_path / "dataset")
    assert photos_of_run(cfg) == [tmp_path / f"labelme/{split}/{split}.png" for split in ("train", "val", "test")]
    (tmp_path / "labelme/val/val.png").unlink()
    with caplog.at_level(logging.WARNING):
        assert len(photos_of_run(cfg)) == 2
    assert "1 photos of the dataset" in caplog.text
    shutil.rmtree(tmp_path / "dataset")
    caplog.clear()
    assert photos_of_run(cfg) == []
    assert "may be suggested again" in caplog.text
