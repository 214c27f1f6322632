"""Previews show every photo with its masks, and replace nothing but previews."""

import numpy as np
import pytest
from PIL import Image

from dataset_tools.errors import UserError
from dataset_tools.preview import preview


@pytest.fixture
def dataset(folder, square, mask_shape):
    folder.pair("train/a", [square("car"), mask_shape("bus", np.ones((9, 9)), corner=(40, 30))])
    folder.pair("train/b", [], seed=1)
    folder.pair("train/deep/a", [square("car")], seed=2)
    folder.pair("val/c", [square("bus")], seed=3)
    folder.convert()
    return folder


def pictures(output):
    return sorted(path.name for path in output.iterdir())


def test_a_picture_a_photo_and_a_sheet(dataset, tmp_path):
    assert preview(dataset.dataset, tmp_path / "out") == 3
    assert pictures(tmp_path / "out") == ["1_a.png", "2_b.png", "3_a.png", "preview.png"]
    drawn = np.asarray(Image.open(tmp_path / "out" / "1_a.png")).astype(int)
    photo = np.asarray(Image.open(dataset.root / "train" / "a.jpg")).astype(int)
    changed = np.abs(drawn - photo).max(axis=-1) > 0
    assert changed[20:24, 8:24].all() and changed[30:39, 40:49].all()  # the masks, away from the words
    assert not changed[44:, :30].any()  # nothing where nothing is annotated
    negative = np.asarray(Image.open(tmp_path / "out" / "2_b.png"))
    assert np.array_equal(negative, np.asarray(Image.open(dataset.root / "train" / "b.jpg")))


def test_turned_photo_is_drawn_turned(folder, square, tmp_path):
    folder.photo("a.jpg", orientation=6)
    folder.json("a.json", [square()], size=(48, 64))
    folder.convert()
    preview(folder.dataset, tmp_path / "out")
    assert Image.open(tmp_path / "out" / "1_a.png").size == (48, 64)


def test_some_of_them(dataset, tmp_path):
    assert preview(dataset.dataset, tmp_path / "out", most=2) == 2
    assert preview(dataset.dataset, tmp_path / "out", split="val") == 1  # replaces the previews
    assert pictures(tmp_path / "out") == ["1_c.png", "preview.png"]


def test_other_peoples_folders_are_left_alone(dataset, tmp_path):
    output = tmp_path / "out"
    output.mkdir()
    preview(dataset.dataset, output)
    (output / "notes.txt").write_text("precious")
    for folder in (output, dataset.root, dataset.dataset):
        before = pictures(folder)
        with pytest.raises(UserError, match="previews only"):
            preview(dataset.dataset, folder)
        assert pictures(folder) == before


@pytest.mark.parametrize("options", [{"split": "test"}, {"most": 0}])
def test_nothing_to_draw(dataset, tmp_path, options):
    with pytest.raises(UserError):
        preview(dataset.dataset, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_photo_that_has_gone_or_changed(dataset, tmp_path):
    path = dataset.root / "train" / "a.jpg"
    Image.new("RGB", (10, 10)).save(path)
    with pytest.raises(UserError, match="10 x 10"):
        preview(dataset.dataset, tmp_path / "out")
    path.unlink()
    with pytest.raises(UserError, match="a.jpg"):
        preview(dataset.dataset, tmp_path / "out")
    assert not (tmp_path / "out").exists()
