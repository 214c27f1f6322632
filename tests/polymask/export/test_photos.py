"""Which photos a file is compared on, and in which sizes and shapes."""

import shutil

import numpy as np
import pytest
from PIL import Image

from dataset_tools.errors import UserError
from polymask.config.load import load_config
from polymask.export.photos import CheckedPhoto, inputs_of, photos_in, photos_of_run
from polymask.inference.predictor import read_photo


def test_test_counts_for_the_ap_and_val_is_compared(overfitted):
    photos = photos_of_run(load_config(overfitted / "config.yaml", []))
    assert [photo.dataset for photo in photos] == ["tiny_train"] * 6 + [None] * 2
    assert len({photo.path for photo in photos}) == 8 and all(photo.path.is_file() for photo in photos)


def test_without_the_dataset_photos_are_asked_for(overfitted, tmp_path):
    cfg = load_config(overfitted / "config.yaml", ["DATASETS.ROOT", str(tmp_path / "gone")])
    with pytest.raises(UserError, match="gone.*--photos"):
        photos_of_run(cfg)


def test_photos_of_a_folder(tmp_path):
    (tmp_path / "deep").mkdir()
    for name in ("b.png", "a.jpg", "deep/c.png"):
        Image.new("RGB", (9, 9)).save(tmp_path / name)
    (tmp_path / "a.json").write_text("{}")
    assert photos_in(tmp_path) == [CheckedPhoto(tmp_path / name) for name in ("a.jpg", "b.png", "deep/c.png")]
    for folder in (tmp_path / "a.jpg", tmp_path / "gone"):
        with pytest.raises(UserError, match="--photos"):
            photos_in(folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no photo"):
        photos_in(tmp_path / "empty")


def test_a_photo_comes_as_it_is_and_as_it_might_be_elsewhere(predictor, tiny_dataset, tmp_path):
    photo = shutil.copy(next((tiny_dataset.parent / "labelme").rglob("*.png")), tmp_path / "a.png")
    seen, *changed = inputs_of(predictor, photos_in(tmp_path))
    assert seen.photo.path == photo and seen.size == (128, 128)
    assert np.array_equal(seen.image, predictor.input_for(read_photo(photo))["image"])
    assert all(item.photo is None for item in changed)
    shapes = {item.name.removeprefix("a.png "): tuple(item.image.shape[1:]) for item in changed}
    assert shapes == {
        "(without objects)": (128, 128),
        "(narrow)": (381, 128),
        "(turned)": (128, 128),
        "(larger)": (192, 192),
        "(smaller)": (64, 64),
    }
    steps = np.diff(changed[0].image.numpy(), axis=2)
    assert 0 < np.abs(steps).max() <= 4, "no edge is left"


def test_a_photo_that_cannot_be_read_is_named(predictor, tmp_path):
    (tmp_path / "a.png").write_bytes(b"no photo")
    with pytest.raises(UserError, match="a.png"):
        list(inputs_of(predictor, photos_in(tmp_path)))
