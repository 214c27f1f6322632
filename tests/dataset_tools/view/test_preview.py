"""Previews show every photo with its masks, and replace nothing but previews."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from dataset_tools.dataset.scan import ReadOptions
from dataset_tools.errors import UserError
from dataset_tools.findings import BadData
from dataset_tools.sources.open import open_source
from dataset_tools.view import drawing
from dataset_tools.view.preview import preview


@pytest.fixture
def dataset(folder, square, mask_shape):
    folder.pair("train/a", [square("car"), mask_shape("bus", np.ones((9, 9)), corner=(40, 30))])
    folder.pair("train/b", [], seed=1)
    folder.pair("train/deep/a", [square("car")], seed=2)
    folder.pair("val/c", [square("bus")], seed=3)
    folder.convert()
    return folder


def draw(folder, output, **options):
    return preview(open_source(folder), ReadOptions(), output, **options)


def pictures(output):
    return sorted(path.name for path in output.glob("*.png"))


@pytest.mark.parametrize("kind", ["dataset", "root"])
def test_a_picture_a_photo_and_a_sheet(dataset, tmp_path, kind):
    """Small photos are enlarged five times; of a LabelMe folder that is split one sees the same."""
    drawn = draw(getattr(dataset, kind), tmp_path / "out")
    assert (drawn.photos, drawn.split) == (3, "train")
    assert pictures(tmp_path / "out") == ["1_a.png", "2_b.png", "3_a.png", "preview.png"]
    picture = np.asarray(Image.open(tmp_path / "out" / "1_a.png")).astype(int)
    photo = np.asarray(Image.open(dataset.root / "train" / "a.jpg")).astype(int).repeat(5, axis=0).repeat(5, axis=1)
    changed = np.abs(picture - photo).max(axis=-1) > 0
    assert changed[5 * 20 : 5 * 24, 5 * 8 : 5 * 24].all() and changed[5 * 36 : 5 * 39, 5 * 40 : 5 * 49].all()
    assert not changed[5 * 44 :, : 5 * 30].any()  # nothing where nothing is annotated
    negative = np.asarray(Image.open(tmp_path / "out" / "2_b.png"))
    original = np.asarray(Image.open(dataset.root / "train" / "b.jpg"))
    assert np.array_equal(negative, original.repeat(5, axis=0).repeat(5, axis=1))


def test_masks_are_drawn_pixel_by_pixel(folder, mask_shape, tmp_path):
    """Inside its box, on a photo that is enlarged five times; the label is above the box."""
    mask = np.random.default_rng(0).random((20, 24)) < 0.5
    mask[0, 0] = mask[-1, -1] = True
    folder.pair("a", [mask_shape("dot", mask, corner=(31, 22))])
    draw(folder.root, tmp_path / "out")
    picture = np.asarray(Image.open(tmp_path / "out" / "1_a.png")).astype(int)
    photo = np.asarray(Image.open(folder.root / "a.jpg")).astype(int).repeat(5, axis=0).repeat(5, axis=1)
    inside = slice(5 * 22 + 1, 5 * 42 - 1), slice(5 * 31 + 1, 5 * 55 - 1)
    changed = np.abs(picture - photo)[inside].max(axis=-1) > 0
    assert np.array_equal(changed, mask.repeat(5, axis=0).repeat(5, axis=1)[1:-1, 1:-1])


def test_turned_photo_is_drawn_turned(folder, square, tmp_path):
    folder.photo("a.jpg", size=(480, 360), orientation=6)
    folder.json("a.json", [square()], size=(360, 480))
    draw(folder.root, tmp_path / "out")
    assert Image.open(tmp_path / "out" / "1_a.png").size == (360, 480)


def test_nothing_is_said_about_photos_of_other_splits(dataset, tmp_path):
    """``train/b`` has no shapes; a photo without a file is of no split that one could tell."""
    dataset.photo("val/d.jpg", seed=4)
    for split, files in (("train", ["train/b.json", "val/d.jpg"]), ("val", ["val/d.jpg"])):
        drawn = draw(dataset.root, tmp_path / f"{split}.png", split=split)
        assert [finding.file for finding in drawn.findings] == files


def test_a_sheet_alone(dataset, tmp_path):
    draw(dataset.dataset, tmp_path / "grid.png")
    draw(dataset.dataset, tmp_path / "grid.png", split="val")  # replaces its own sheet
    Image.new("RGB", (9, 9)).save(tmp_path / "other.png")
    with pytest.raises(UserError, match="not a sheet"):
        draw(dataset.dataset, tmp_path / "other.png")
    assert Image.open(tmp_path / "other.png").size == (9, 9)


def test_some_of_them(dataset, tmp_path):
    assert draw(dataset.dataset, tmp_path / "out", most=2).photos == 2
    assert draw(dataset.dataset, tmp_path / "out", split="val").photos == 1  # replaces the previews
    assert pictures(tmp_path / "out") == ["1_c.png", "preview.png"]


def test_other_peoples_folders_are_left_alone(dataset, tmp_path):
    """Also pictures that are named as previews are, and the folders of other commands."""
    output = tmp_path / "out"
    draw(dataset.dataset, output)
    Image.new("RGB", (9, 9)).save(output / "preview.png")
    for folder in (output, dataset.root, dataset.dataset):
        before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        with pytest.raises(UserError, match="kept"):
            draw(dataset.dataset, folder)
        assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("options", [{"split": "test"}, {"most": 0}])
def test_nothing_to_draw(dataset, tmp_path, options):
    with pytest.raises(UserError):
        draw(dataset.dataset, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_photo_that_has_gone_or_changed(dataset, tmp_path):
    """It is left out and said; the others are drawn."""
    path = dataset.root / "train" / "a.jpg"
    Image.new("RGB", (10, 10)).save(path)
    for _ in range(2):
        drawn = draw(dataset.dataset, tmp_path / "out")
        assert drawn.photos == 2 and [finding.file for finding in drawn.findings if finding.is_error]
        path.unlink(missing_ok=True)


def test_no_photo_is_left(folder, square, tmp_path):
    folder.json("a.json", [square()], "gone.jpg")
    with pytest.raises(BadData):
        draw(folder.root, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_label_is_compared_with_those_of_its_line_only(monkeypatch):
    """Thousands of objects: what is written does not overlap, and what is not written has no room."""
    overlap, compared = drawing._overlap, []
    monkeypatch.setattr(drawing, "_overlap", lambda *pair: compared.append(pair) or overlap(*pair))
    pen = ImageDraw.Draw(Image.new("RGB", (1000, 800)))
    corners = np.random.default_rng(0).integers(0, (980, 780), (1000, 2)).tolist()
    lines = {}
    for x, y in corners:
        drawing._write_label(pen, "car", (255, 0, 0), 20, (x, y, x + 19, y + 19), lines)
    written = {place for line in lines.values() for place in line}
    assert len(compared) < 100 * len(corners)
    assert sum(overlap(one, other) for one in written for other in written) == len(written) > 100
    for x, y in corners:
        places = set(drawing._places((x, y, x + 19, y + 19), *label_size(written), (1000, 800)))
        assert places & written or all(any(overlap(place, other) for other in written) for place in places)


def label_size(written):
    left, top, right, bottom = next(iter(written))
    return right - left + 1, bottom - top + 1
