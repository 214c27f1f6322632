"""Masked photos and index pictures, pixel by pixel against what convert writes."""

import json

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from dataset_tools.__main__ import main
from dataset_tools.dataset.scan import ReadOptions
from dataset_tools.errors import UserError
from dataset_tools.findings import BadData
from dataset_tools.sources.open import open_source
from dataset_tools.view.masks import masks


def write(folder, output, **options):
    return masks(open_source(folder), ReadOptions(), output, **options)


@pytest.fixture
def many(folder, square, mask_shape):
    folder.pair("a", [square(), square("bus", left=16), mask_shape("dot", np.eye(9), corner=(40, 30))])
    folder.pair("deep/b", [square(left=2)], seed=1)
    folder.pair("empty", [], seed=2)
    folder.convert(fractions=(1.0, 0.0, 0.0))
    return folder


@pytest.mark.parametrize("kind", ["root", "dataset"])
def test_pictures_are_what_coco_says(many, tmp_path, kind):
    assert write(getattr(many, kind), tmp_path / "out").photos == 3
    coco = COCO(many.dataset / "train.json")
    prefix = "train/" if kind == "dataset" else ""
    table = json.loads((tmp_path / "out" / "masks.json").read_text())
    for image in coco.loadImgs(coco.getImgIds()):
        name = prefix + image["file_name"].replace(".jpg", ".png")
        index = np.asarray(Image.open(tmp_path / "out" / "index" / name))
        black = np.asarray(Image.open(tmp_path / "out" / "black" / name))
        expected = np.zeros((image["height"], image["width"]), dtype=int)
        annotations = coco.loadAnns(coco.getAnnIds([image["id"]]))
        for number, annotation in enumerate(annotations, start=1):
            expected[coco.annToMask(annotation) > 0] = number
        assert np.array_equal(index, expected)
        photo = np.asarray(Image.open(many.root / image["file_name"]))
        assert np.array_equal(black, photo * (expected > 0)[..., None])
        names = {category["id"]: category["name"] for category in coco.loadCats(coco.getCatIds())}
        assert table[name]["photo"] == image["file_name"]
        assert [(row["index"], row["label"], row["area"]) for row in table[name]["instances"]] == [
            (number, names[annotation["category_id"]], annotation["area"])
            for number, annotation in enumerate(annotations, start=1)
        ]


def test_more_instances_than_a_byte_counts(folder, square, tmp_path):
    folder.pair("a", [square(left=number % 60, top=number // 60, side=1) for number in range(300)])
    write(folder.root, tmp_path / "out", kind="index")
    index = np.asarray(Image.open(tmp_path / "out" / "index" / "a.png"))
    assert [index[number // 60, number % 60] for number in (0, 254, 255, 299)] == [1, 255, 256, 300]
    assert not (tmp_path / "out" / "black").exists()


def test_photos_that_differ_in_their_suffix_do_not_meet(folder, square, tmp_path):
    for name in ("a.jpg", "a.png"):
        folder.photo(name, seed=len(name))
        folder.json(f"{name}.json", [square()], name)
    assert write(folder.root, tmp_path / "out").photos == 2
    assert len(list((tmp_path / "out" / "black").iterdir())) == 2


def test_other_peoples_folders_are_left_alone(many, tmp_path):
    write(many.root, tmp_path / "out")
    write(many.root, tmp_path / "out", kind="index")  # replaces its own
    (tmp_path / "out" / "black").mkdir()
    Image.new("RGB", (9, 9)).save(tmp_path / "out" / "black" / "beach.png")
    with pytest.raises(UserError, match="out/black"):
        write(many.root, tmp_path / "out")
    assert (tmp_path / "out" / "black" / "beach.png").is_file()
    with pytest.raises(UserError, match="inside the folder"):
        write(many.root, many.root / "out")


def test_earlier_masks_stay_where_no_photo_can_be_read(folder, square, tmp_path):
    folder.pair("a", [square()])
    write(folder.root, tmp_path / "out")
    photo = folder.root / "a.jpg"
    photo.write_bytes(photo.read_bytes()[:-200])  # its header is whole
    with pytest.raises(BadData):
        write(folder.root, tmp_path / "out")
    assert (tmp_path / "out" / "index" / "a.png").is_file()


def test_command(many, tmp_path, capsys):
    assert main(["masks", str(many.dataset), "--output", str(tmp_path / "out"), "--split", "train"]) == 0
    assert capsys.readouterr().out.startswith(f"3 photos in {tmp_path / 'out'}")
    (many.root / "a.jpg").unlink()
    assert main(["masks", str(many.dataset), "--output", str(tmp_path / "out")]) == 1
    said = capsys.readouterr()
    assert "a.jpg" in said.err and said.out.startswith("2 photos")
