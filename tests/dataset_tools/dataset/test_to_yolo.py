"""The way to YOLO, judged by reading it again and by what https://docs.ultralytics.com/datasets/segment says."""

import json

import numpy as np
import pytest
import yaml
from PIL import Image
from pycocotools import mask as coco_mask

from dataset_tools.__main__ import main
from dataset_tools.dataset.convert import ConvertOptions, convert
from tests.dataset_tools.conftest import SIZE


@pytest.fixture
def yolo(folder, tmp_path):
    """Converts the folder, writes the dataset for YOLO, and converts that again."""

    def yolo(**options):
        folder.convert(**options)
        assert main(["to-yolo", str(folder.dataset), "--output", str(tmp_path / "yolo")]) == 0
        convert(ConvertOptions(source=tmp_path / "yolo", output=tmp_path / "again"))
        return tmp_path / "yolo"

    return yolo


def content(dataset, split="train"):
    return json.loads((dataset / f"{split}.json").read_text())


def masks(dataset, split="train"):
    """The pixels of each instance by pycocotools, in the order of the photos."""
    found = content(dataset, split)
    sizes = {image["id"]: (image["height"], image["width"]) for image in found["images"]}
    decoded = []
    for item in found["annotations"]:
        rle = item["segmentation"]
        if isinstance(rle, list):
            rle = coco_mask.merge(coco_mask.frPyObjects(rle, *sizes[item["image_id"]]))
        decoded.append(coco_mask.decode(rle))
    return decoded


def test_there_and_back_is_the_same_dataset(folder, shape, square, yolo):
    for index, split in enumerate(("train", "train", "val", "test")):
        ragged = np.random.default_rng(index).uniform(1, 47, (9, 2)).round(2)
        middle = ragged.mean(axis=0)
        ragged = ragged[np.argsort(np.arctan2(*(ragged - middle).T))].tolist()
        folder.pair(f"{split}/{index}", [shape("car", ragged), square("bus", left=30.25)], seed=index)
    folder.pair("val/empty", [], seed=9)
    made = yolo(classes=("tram", "bus", "car"))
    assert sorted(path.relative_to(made).as_posix() for path in made.rglob("*.*") if path.name != ".manifest") == [
        "data.yaml", "images/test/3.jpg", "images/train/0.jpg", "images/train/1.jpg", "images/val/2.jpg",
        "images/val/empty.jpg", "labels/test/3.txt", "labels/train/0.txt", "labels/train/1.txt", "labels/val/2.txt",
        "labels/val/empty.txt",
    ]  # fmt: skip
    assert yaml.safe_load((made / "data.yaml").read_text()) == {
        "train": "images/train", "val": "images/val", "test": "images/test", "names": {0: "tram", 1: "bus", 2: "car"},
    }  # fmt: skip
    assert (made / "labels/val/empty.txt").read_bytes() == b""
    for line in (made / "labels/train/0.txt").read_text().splitlines():
        number, *values = line.split()
        assert number in "12" and len(values) % 2 == 0 and all(0 <= float(value) <= 1 for value in values)
    for split in ("train", "val", "test"):
        one, other = content(folder.dataset, split), content(made.parent / "again", split)
        assert one["annotations"] == other["annotations"] and one["categories"] == other["categories"]


PARTS = {
    "apart": [[8, 8, 20, 20], [30, 10, 50, 30]],
    "three": [[8, 8, 20, 20], [30, 10, 50, 30], [10, 30, 25, 45]],
    "overlapping": [[8, 8, 30, 30], [20, 20, 50, 40]],
    "one in another": [[8, 8, 40, 40], [16, 16, 30, 30]],
    "touching": [[8, 8, 20, 20], [20, 8, 40, 20]],
}


@pytest.mark.parametrize("case", PARTS)
def test_an_instance_of_several_parts_is_one_row(folder, shape, yolo, case):
    parts = [shape("car", [box[:2], box[2:]], "rectangle", 1) for box in PARTS[case]]
    folder.pair("a", parts)
    made = yolo()
    assert len((made / "labels/train/a.txt").read_text().splitlines()) == 1
    (before,), (after,) = masks(folder.dataset), masks(made.parent / "again")
    assert np.array_equal(before, after)


@pytest.mark.parametrize("holes", [True, False])
def test_masks_and_holes(folder, shape, mask_shape, yolo, capsys, holes):
    y, x = np.mgrid[:30, :30]
    ring = (x - 15) ** 2 + (y - 15) ** 2 < 180
    if holes:
        ring &= (x - 15) ** 2 + (y - 15) ** 2 > 40
    folder.pair("a", [mask_shape("car", ring, (20, 10))])
    made = yolo()
    (before,), (after,) = masks(folder.dataset), masks(made.parent / "again")
    assert (before & after).sum() / (before | after).sum() > 0.85
    assert "IoU" in capsys.readouterr().out  # not quite the same pixels, and it is said
    assert main(["to-yolo", str(folder.dataset), "--output", str(made), "--tolerance", "0"]) == 0
    convert(ConvertOptions(source=made, output=made.parent / "exact"))
    assert np.array_equal(before, masks(made.parent / "exact")[0])


def test_an_outline_that_crosses_itself_beside_another(folder, shape, yolo):
    bow = [[8, 8], [24, 24], [24, 8], [8, 24]]
    folder.pair("a", [shape("car", bow, group_id=1), shape("car", [[30, 10], [50, 30]], "rectangle", 1)])
    made = yolo()
    (before,), (after,) = masks(folder.dataset), masks(made.parent / "again")
    assert np.array_equal(before, after)


def test_labels_have_names_of_their_own(folder, square, yolo):
    """A label is found by its photo's name without suffix, in place of the last folder named images."""
    photos = ["a.jpg", "a.png", "A.bmp", "images/b.jpg", "b.jpg", "x/images/c.gif", "y/train/d.jpg"]
    for index, name in enumerate(photos):
        folder.photo(name, seed=index)
        folder.json(f"{name}.json", [square(left=8 + index)], name.rpartition("/")[2])
    made = yolo(fractions=(1, 0, 0))
    files = sorted(path.relative_to(made / "labels/train").as_posix() for path in (made / "labels").rglob("*.txt"))
    assert len({file.lower() for file in files}) == 7 and not any("images" in file for file in files)
    assert Image.open(made / "images/train/x/c.png").size == SIZE
    again = content(made.parent / "again")
    lefts = {item["bbox"][0] for item in again["annotations"]}
    assert lefts == {8 + index for index in range(7)}


@pytest.mark.parametrize("suffix", [".gif", ".PPM", ".jp2", ".avif"])
def test_photos_that_not_all_programs_read_become_png(folder, square, yolo, suffix):
    folder.photo(f"a{suffix}")
    folder.json("a.json", [square()], f"a{suffix}")
    made = yolo()
    assert [path.name for path in (made / "images/train").iterdir()] == ["a.png"]
    assert Image.open(made / "images/train/a.png").format == "PNG"


def test_a_photo_that_cannot_be_decoded(folder, square, tmp_path, capsys):
    path = folder.photo("a.gif")
    folder.json("a.json", [square()], "a.gif")
    folder.convert()
    path.write_bytes(path.read_bytes()[:-200])
    assert main(["to-yolo", str(folder.dataset), "--output", str(tmp_path / "yolo")]) == 1
    assert "a.gif" in capsys.readouterr().err and not (tmp_path / "yolo").exists()


def test_photos_that_are_turned(folder, square, yolo):
    path = folder.photo("a.jpg", orientation=6)
    folder.json("a.json", [square()], size=(48, 64))
    made = yolo()
    assert (made / "images/train/a.jpg").read_bytes() == path.read_bytes()
    assert content(made.parent / "again")["annotations"] == content(folder.dataset)["annotations"]


def test_names_that_yaml_reads_as_something_else(folder, square, yolo):
    names = ["no", "1", "a: b", "\u00e9\u8f66", "# x", "null", "two\nlines"]
    folder.pair("a", [square(name, left=index) for index, name in enumerate(names)])
    made = yolo()
    assert sorted(item["name"] for item in content(made.parent / "again")["categories"]) == sorted(names)


def test_what_is_there_is_replaced_only_if_it_is_its_own(folder, square, yolo, capsys):
    folder.pair("a", [square()])
    made = yolo()
    again = ["to-yolo", str(folder.dataset), "--output", str(made)]
    assert main(again) == 0
    (made / "labels/train/a.txt").write_text("0 0 0 1 1 0 1\n")
    assert main(again) == 2 and "a.txt" in capsys.readouterr().err
    assert main(["to-yolo", str(folder.root), "--output", str(made.parent / "other")]) == 2
    assert main(["to-yolo", str(folder.dataset), "--output", str(made.parent / "other"), "--tolerance", "-1"]) == 2
    assert not (made.parent / "other").exists()


def test_a_missing_photo_leaves_nothing(folder, square, capsys, tmp_path):
    folder.pair("a", [square()])
    folder.convert()
    (folder.root / "a.jpg").unlink()
    assert main(["to-yolo", str(folder.dataset), "--output", str(tmp_path / "yolo")]) == 1
    assert "a.jpg" in capsys.readouterr().err and not (tmp_path / "yolo").exists()
