"""COCO records: stable bytes, and what cannot be read is reported."""

import io

import msgspec
import pytest

from dataset_tools.errors import UserError
from dataset_tools.formats.coco import (
    Annotation,
    Category,
    CocoFile,
    Image,
    Rle,
    categories_of,
    read_coco,
    write_coco,
)

CONTENT = CocoFile(
    images=[Image(1, "Straße/车.jpg", 64, 48)],
    annotations=[
        Annotation(1, 1, 1, [[0.0, 0.5, 10.25, 0.0, 5.0, 7.0]], 35.0, (0.0, 0.0, 10.0, 7.0)),
        Annotation(2, 1, 2, Rle((48, 64), "0`1`n2"), 48.0, (0.0, 0.0, 1.0, 48.0)),
    ],
    categories=categories_of(["car", "bus"]),
)


def test_what_is_written_is_read(tmp_path):
    (tmp_path / "train.json").write_bytes(msgspec.json.encode(CONTENT))
    assert read_coco(tmp_path / "train.json") == CONTENT


def test_files_that_are_written_bit_by_bit_are_the_same():
    for content in (CONTENT, CocoFile([], [], []), CocoFile(CONTENT.images * 1000, CONTENT.annotations * 1000, [])):
        file = io.BytesIO()
        write_coco(file, content.images, content.annotations, content.categories)
        assert file.getvalue() == msgspec.json.encode(content) + b"\n"


def test_categories_are_numbered_from_1():
    assert categories_of(["car", "bus"]) == [Category(1, "car"), Category(2, "bus")]


@pytest.mark.parametrize(
    "content", [b"", b"[]", b'{"images": []}', b"\xff", msgspec.json.encode(CONTENT).replace(b"64", b'"64"', 1)]
)
def test_what_is_no_coco_file(tmp_path, content):
    (tmp_path / "train.json").write_bytes(content)
    with pytest.raises(UserError, match="not a COCO file") as caught:
        read_coco(tmp_path / "train.json")
    assert caught.value.file == tmp_path / "train.json"


def test_outlines_that_pycocotools_would_not_survive(tmp_path):
    long = Annotation(3, 1, 1, [[0.0, 0, 1e9, 0, 5, 7]], 35.0, (0.0, 0.0, 10.0, 7.0))
    (tmp_path / "train.json").write_bytes(
        msgspec.json.encode(CocoFile(CONTENT.images, [*CONTENT.annotations, long], []))
    )
    with pytest.raises(UserError, match="longer than") as caught:
        read_coco(tmp_path / "train.json")
    assert caught.value.place == "annotations[2].segmentation"


@pytest.mark.parametrize("size", [(0, 48), (64, -3), (10**9, 10**9), (10**30, 1)])
def test_sizes_of_photos_that_pycocotools_would_not_survive(tmp_path, size):
    text = msgspec.json.encode(CONTENT).replace(b'"width":64,"height":48', b'"width":%d,"height":%d' % size)
    (tmp_path / "train.json").write_bytes(text)
    with pytest.raises(UserError, match="not the size of a photo") as caught:
        read_coco(tmp_path / "train.json")
    assert caught.value.place == "images[0]"


@pytest.mark.parametrize("mask", [Rle((48, 64), "0P1"), Rle((64, 48), "0`1`n2"), Rle((48, 64), "~~~~~~~~")])
def test_a_mask_that_is_not_one_of_its_photo(tmp_path, mask):
    annotation = Annotation(3, 1, 1, mask, 48.0, (0.0, 0.0, 1.0, 48.0))
    (tmp_path / "train.json").write_bytes(msgspec.json.encode(CocoFile(CONTENT.images, [annotation], [])))
    with pytest.raises(UserError, match="the mask cannot be read") as caught:
        read_coco(tmp_path / "train.json")
    assert caught.value.place == "annotations[0].segmentation"


def test_no_file(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        read_coco(tmp_path / "train.json")
