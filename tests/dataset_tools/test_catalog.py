"""From a dataset folder to Detectron2's catalogs and back out of them."""

import json

import numpy as np
import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.data.datasets import load_coco_json
from detectron2.structures import BoxMode
from pycocotools import mask as coco_mask

from dataset_tools.catalog import register
from dataset_tools.errors import UserError


def test_round_trip(folder, square, mask_shape):
    folder.pair("train/a", [square("car"), mask_shape("bus", np.eye(9), corner=(30, 20))])
    folder.pair("val/b", [square("car")], seed=1)
    folder.convert(name="streets")
    card = register(folder.dataset)
    assert card.name == "streets"
    (photo,) = DatasetCatalog.get("streets_train")
    assert photo["file_name"] == str(folder.root / "train/a.jpg")
    assert (photo["width"], photo["height"]) == (64, 48)
    car, bus = photo["annotations"]
    assert (car["category_id"], car["bbox"], car["bbox_mode"]) == (1, [8, 8, 16, 16], BoxMode.XYWH_ABS)
    assert car["segmentation"] == [[8, 8, 24, 8, 24, 24, 8, 24]]
    assert bus["category_id"] == 0
    assert np.array_equal(coco_mask.decode(bus["segmentation"])[20:29, 30:39], np.eye(9))
    for split in ("train", "val", "test"):
        metadata = MetadataCatalog.get(f"streets_{split}")
        assert metadata.thing_classes == ["bus", "car"]
        assert metadata.thing_dataset_id_to_contiguous_id == {1: 0, 2: 1}
        assert metadata.evaluator_type == "coco"
        assert metadata.json_file == str(folder.dataset / f"{split}.json")
        assert metadata.image_root == str(folder.root)


def test_records_are_those_of_detectron2(folder, square, mask_shape):
    folder.pair("train/b", [square("car"), mask_shape("bus", np.eye(9), corner=(30, 20))])
    folder.pair("train/a", [square("bus", left=30)], seed=1)
    folder.pair("train/c", [], seed=2)
    folder.convert(name="equal")
    register(folder.dataset)
    expected = load_coco_json(str(folder.dataset / "train.json"), str(folder.root), "another name")
    assert DatasetCatalog.get("equal_train") == expected
    assert DatasetCatalog.get("equal_train")[0] is not DatasetCatalog.get("equal_train")[0]


def test_each_file_is_read_once(folder, square):
    folder.pair("a", [square()])
    folder.convert()
    register(folder.dataset)
    (folder.dataset / "train.json").unlink()
    assert len(DatasetCatalog.get("dataset_train")) == 1


def test_a_split_without_photos_loads_as_nothing(folder, square):
    folder.pair("a", [square()])
    folder.convert()
    register(folder.dataset)
    assert DatasetCatalog.get("dataset_test") == []
    assert MetadataCatalog.get("dataset_test").thing_classes == ["car"]


def test_the_same_folder_twice_is_harmless(folder, square, monkeypatch):
    folder.pair("a", [square()])
    folder.convert()
    register(folder.dataset)
    monkeypatch.chdir(folder.dataset.parent)
    register("dataset")
    assert len(DatasetCatalog.get("dataset_train")) == 1


def test_one_name_for_two_folders_is_refused(folder, square):
    folder.pair("a", [square()])
    folder.convert(name="twice")
    other = folder.root.parent / "other"
    folder.convert(output=other, name="twice")
    register(folder.dataset)
    with pytest.raises(UserError, match="taken"):
        register(other)
    assert DatasetCatalog.get("twice_train")[0]["file_name"] == str(folder.root / "a.jpg")


def test_missing_coco_file(folder, square):
    folder.pair("a", [square()])
    folder.convert()
    (folder.dataset / "val.json").unlink()
    with pytest.raises(UserError, match="val.json"):
        register(folder.dataset)
    assert "dataset_train" not in DatasetCatalog.list()


@pytest.mark.parametrize(
    "change",
    [
        lambda coco: coco["categories"].reverse(),
        lambda coco: coco["categories"].append({"id": 3, "name": "dog"}),
        lambda coco: coco["categories"][0].update(id=0),
        lambda coco: coco["annotations"][0].update(category_id=3),
        lambda coco: coco["annotations"][0].update(image_id=0),
        lambda coco: coco.pop("images"),
    ],
)
def test_coco_file_that_contradicts_the_card(folder, square, change):
    folder.pair("a", [square("car"), square("bus", left=30)])
    folder.convert()
    path = folder.dataset / "train.json"
    coco = json.loads(path.read_text())
    change(coco)
    path.write_text(json.dumps(coco))
    with pytest.raises(UserError, match="train.json"):
        register(folder.dataset)


def test_no_dataset_folder(tmp_path):
    with pytest.raises(UserError, match="not a dataset folder"):
        register(tmp_path)


@pytest.mark.parametrize(
    ("segmentation", "words"),
    [
        ({"size": [48, 64], "counts": "5"}, "do not add up"),
        ({"size": [48, 64], "counts": ""}, "do not add up"),
        ({"size": [64, 48], "counts": "00`0"}, "64 x 48|48 x 64"),
    ],
)
def test_a_mask_that_pycocotools_would_make_up_is_refused(folder, square, segmentation, words):
    """pycocotools decodes runs that are too few to whatever is in memory."""
    folder.pair("a", [square()])
    folder.convert(fractions=(1.0, 0.0, 0.0))
    content = folder.split()
    content["annotations"][0]["segmentation"] = segmentation
    (folder.dataset / "train.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=words) as caught:
        register(folder.dataset)
    assert caught.value.place == "annotations[0].segmentation"


def test_masks_that_the_card_calls_polygons_are_refused(folder, mask_shape):
    folder.pair("a", [mask_shape("car", np.ones((9, 9)))])
    folder.convert()
    path = folder.dataset / "dataset.json"
    path.write_text(path.read_text().replace('"bitmask"', '"polygon"'))
    with pytest.raises(UserError, match="mask_format in dataset.json is 'polygon'") as caught:
        register(folder.dataset)
    assert (caught.value.file.name, caught.value.place) == ("train.json", "annotations[0].segmentation")
