"""An existing COCO dataset to a dataset folder: the same masks, new numbers, and files laid out as others do it."""

import base64
import json

import numpy as np
import pytest
from detectron2.data.datasets import load_coco_json
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from dataset_tools.__main__ import main
from dataset_tools.catalog import register
from dataset_tools.dataset.adopt import AdoptOptions, adopt
from dataset_tools.errors import UserError
from dataset_tools.findings import BadData, Rule
from dataset_tools.formats.card import SPLITS, read_card

SIZE = (64, 48)


def scene(generator, number):
    """A COCO file of three photos whose ids and annotations are as odd as they may be without being wrong."""
    images = [
        {"id": 100 - 7 * index, "file_name": f"{number}_{index}.jpg", "width": 64, "height": 48} for index in range(3)
    ]
    annotations = []
    for index, image in enumerate(images):
        corners = np.round(generator.uniform(2, 46, (4, 2)), 2)
        noise = np.asfortranarray(generator.random((48, 64)) < 0.2, dtype=np.uint8)
        segmentations = [
            [corners[:3].ravel().tolist()],
            [corners[:3].ravel().tolist(), corners[1:].ravel().tolist()],
            {"size": [48, 64], "counts": coco_mask.encode(noise)["counts"].decode()},
        ]
        annotations += [
            {
                "id": 0,
                "image_id": image["id"],
                "category_id": [3, 90][(index + turn) % 2],
                "segmentation": segmentation,
                "bbox": [0, 0, 1, 1],
                "score": 0.5,
            }
            for turn, segmentation in enumerate(segmentations)
        ]
    categories = [{"id": 90, "name": "car"}, {"id": 3, "name": "bus", "supercategory": "road"}]
    return {"info": {"year": 2024}, "images": images, "annotations": annotations, "categories": categories}


@pytest.fixture
def write(folder):
    """Writes a COCO file of three photos, and the photos into a folder of their own."""

    def write(name, number=0, photos=""):
        content = scene(np.random.default_rng(number), number)
        for image in content["images"]:
            folder.photo(f"{photos}{image['file_name']}", seed=number)
        path = folder.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
        return path

    return write


def masks_by_photo(path):
    """The category's name and the mask of each annotation, by photo, as pycocotools reads them."""
    coco = COCO(path)
    names = {category["id"]: category["name"] for category in coco.dataset["categories"]}
    masks = {}
    for image in coco.dataset["images"]:
        found = [item for item in coco.dataset["annotations"] if item["image_id"] == image["id"]]
        masks[image["file_name"]] = [(names[item["category_id"]], coco.annToMask(item)) for item in found]
    return masks


def assert_same(masks, others):
    assert list(masks) == list(others)
    for one, other in zip(masks.values(), others.values()):
        assert [name for name, _ in one] == [name for name, _ in other]
        assert all(np.array_equal(mine, yours) for (_, mine), (_, yours) in zip(one, other))


def test_masks_stay_and_everything_else_is_anew(folder, write):
    files = {split: write(f"{split}.json", number) for number, split in enumerate(SPLITS)}
    converted = adopt(AdoptOptions(**files, output=folder.dataset))
    card = read_card(folder.dataset)
    assert card == converted.card
    assert (card.classes, card.mask_format, card.image_root) == (["bus", "car"], "bitmask", "../photos")
    assert card.made_by == {"command": "adopt"} | {split: f"../photos/{split}.json" for split in SPLITS}
    register(folder.dataset)  # read with every check of training
    for split, path in files.items():
        assert_same(masks_by_photo(folder.dataset / f"{split}.json"), masks_by_photo(path))
        content = folder.split(split)
        assert [image["id"] for image in content["images"]] == [1, 2, 3]
        assert [annotation["id"] for annotation in content["annotations"]] == list(range(1, 10))
        assert content["categories"] == [{"id": 1, "name": "bus"}, {"id": 2, "name": "car"}]
        for annotation, (_, mask) in zip(content["annotations"], sum(masks_by_photo(path).values(), [])):
            assert annotation["area"] == mask.sum()
        loaded = load_coco_json(folder.dataset / f"{split}.json", str(folder.root), f"adopted_{split}")
        assert [len(record["annotations"]) for record in loaded] == [3, 3, 3]
        assert [record["file_name"] for record in loaded] == [str(folder.root / name) for name in masks_by_photo(path)]


def test_one_file_is_split(folder, write):
    path = write("all.json")
    card = adopt(AdoptOptions(file=path, output=folder.dataset, fractions=(0.4, 0.3, 0.3))).card
    assert [card.splits[split].images for split in SPLITS] == [1, 1, 1]
    original = masks_by_photo(path)
    for split in SPLITS:
        masks = masks_by_photo(folder.dataset / f"{split}.json")
        assert_same(masks, {name: original[name] for name in masks})


def test_adopting_what_was_converted_changes_nothing(folder, shape, square, mask_shape):
    for index in range(6):
        parts = [square(group_id=1), shape("car", [[30.123, 3.3], [50.7, 20.1], [33.33, 30.9]], group_id=1)]
        folder.pair(f"{index}", [*parts, mask_shape("bus", np.eye(9)), square("bus", left=-4)], seed=index)
    folder.pair("nothing", [], seed=6)
    folder.convert(name="d", classes=("zebra", "car", "bus"))
    again = folder.dataset.with_name("again")
    converted = adopt(AdoptOptions(file=folder.dataset, output=again, name="d"))
    for split in SPLITS:
        assert (again / f"{split}.json").read_bytes() == (folder.dataset / f"{split}.json").read_bytes()
    before = read_card(folder.dataset)
    assert converted.card.splits == before.splits
    assert (converted.card.classes, converted.card.image_root) == (before.classes, before.image_root)


@pytest.fixture
def partly_embedded(folder, square):
    """A dataset folder of photos that lie beside it, and of one that was written into it from imageData."""
    for index in range(3):
        folder.pair(f"{index}", [square(left=4 + index)], seed=index)
    photo = folder.photo("only.jpg", seed=3)
    folder.json("only.json", [square("bus")], "only.jpg", imageData=base64.b64encode(photo.read_bytes()).decode())
    photo.unlink()
    folder.convert()
    return folder


@pytest.mark.parametrize("images", ["reference", "copy"])
def test_photos_that_were_written_into_the_dataset_folder_are_its_own(partly_embedded, images):
    dataset = partly_embedded.dataset
    again = dataset.with_name("again")
    converted = adopt(AdoptOptions(file=dataset, output=again, images=images))
    assert [finding for finding in converted.findings if finding.is_error] == []
    assert sum(split.images for split in converted.card.splits.values()) == 4
    register(again)
    for split in SPLITS:
        before, after = masks_by_photo(dataset / f"{split}.json"), masks_by_photo(again / f"{split}.json")
        assert_same(dict(zip(after, before.values())), after)
        for name, old_name in zip(after, before):
            path = again / converted.card.image_root / name
            assert path.read_bytes() == (dataset / read_card(dataset).image_root / old_name).read_bytes()
            assert images == "reference" or path.resolve().is_relative_to(again / "images")


def test_a_dataset_folder_leads_to_no_photos_of_others(partly_embedded):
    dataset = partly_embedded.dataset
    (dataset / "images" / "only.jpg").rename(dataset.parent / "only.jpg")
    for path in dataset.glob("*.json"):
        path.write_text(path.read_text().replace("../dataset/images/only.jpg", "../only.jpg"))
    with pytest.raises(BadData) as caught:
        adopt(AdoptOptions(file=dataset, output=dataset.with_name("again")))
    assert [finding.rule for finding in caught.value.findings if finding.is_error] == [Rule.PHOTO_LEAVES_ROOT]


def test_classes_as_they_are_named_now(folder, write):
    options = AdoptOptions(file=write("all.json"), output=folder.dataset, rename={"bus": "lorry"}, name="d")
    assert adopt(options).card.classes == ["lorry", "car"]
    renamed = AdoptOptions(file=folder.root / "all.json", output=folder.dataset, overwrite=True, rename={"bus": "car"})
    assert adopt(renamed).card.classes == ["car"]
    ignored = AdoptOptions(file=folder.root / "all.json", output=folder.dataset, overwrite=True, ignore=("bus",))
    assert adopt(ignored).card.classes == ["car"]
    chosen = AdoptOptions(file=folder.root / "all.json", output=folder.dataset, overwrite=True, classes=("car", "bus"))
    assert adopt(chosen).card.classes == ["car", "bus"]


# Folders as others lay them out


@pytest.mark.parametrize(
    ("files", "photos"),
    [
        (["train.json", "val.json", "test.json"], ["", "", ""]),
        ([f"annotations/instances_{split}2017.json" for split in SPLITS], [f"{split}2017/" for split in SPLITS]),
        (
            [f"{split}/_annotations.coco.json" for split in ("train", "valid", "test")],
            [f"{split}/" for split in ("train", "valid", "test")],
        ),
    ],
    ids=["plain", "COCO", "Roboflow"],
)
def test_folder_of_splits(folder, write, files, photos):
    paths = [write(name, number, where) for number, (name, where) in enumerate(zip(files, photos))]
    adopt(AdoptOptions(file=folder.root, output=folder.dataset))
    for split, path, where in zip(SPLITS, paths, photos):
        original = {f"{where}{name}": masks for name, masks in masks_by_photo(path).items()}
        assert_same(masks_by_photo(folder.dataset / f"{split}.json"), original)


def test_photos_of_one_name_in_different_splits(folder, write):
    """Roboflow's file names are relative to the folder of each file."""
    for split in ("train", "valid"):
        write(f"{split}/_annotations.coco.json", 0, f"{split}/")
    adopt(AdoptOptions(file=folder.root, output=folder.dataset))
    assert [image["file_name"] for image in folder.split("val")["images"]] == [
        f"valid/0_{index}.jpg" for index in range(3)
    ]


@pytest.mark.parametrize("name", ["annotations/instances_default.json", "result.json"])
def test_folder_of_one_file(folder, write, name):
    write(name, photos="images/")
    card = adopt(AdoptOptions(file=folder.root, output=folder.dataset)).card
    assert sum(split.images for split in card.splits.values()) == 3


def test_folders_that_say_nothing(folder, write):
    with pytest.raises(UserError, match="no JSON files are here"):
        adopt(AdoptOptions(file=folder.root, output=folder.dataset))
    write("one.json"), write("two.json")
    with pytest.raises(UserError, match="2 JSON files are here.*--train"):
        adopt(AdoptOptions(file=folder.root, output=folder.dataset))


@pytest.mark.parametrize(("names", "unclear"), [
    (["instances_default", "instances_Train"], "no split: annotations/instances_default.json"),
    (["instances_train1", "instances_train2", "instances_val"],
     "'train': annotations/instances_train1.json, annotations/instances_train2.json"),
    (["instances_train", "val", "valid"], "'val': annotations/val.json, annotations/valid.json"),
])  # fmt: skip
def test_no_file_is_left_out_in_silence(folder, write, names, unclear):
    for number, name in enumerate(names):
        write(f"annotations/{name}.json", number)
    with pytest.raises(UserError, match="--train, --val and --test") as caught:
        adopt(AdoptOptions(file=folder.root, output=folder.dataset))
    assert caught.value.reason.endswith(unclear)


def test_files_beside_those_of_instances_are_passed_over(folder, write):
    """As COCO itself has them."""
    for number, split in enumerate(("train", "val")):
        write(f"annotations/instances_{split}2017.json", number)
        for kind in ("captions", "person_keypoints"):
            (folder.root / f"annotations/{kind}_{split}2017.json").write_text("{}")
    (folder.root / "annotations/image_info_test2017.json").write_text("{}")
    assert adopt(AdoptOptions(file=folder.root, output=folder.dataset)).card.splits["val"].images == 3


# What is refused


def test_errors_stop_it_and_skip_bad_does_not(folder, write):
    path = write("all.json")
    (folder.root / "0_1.jpg").unlink()
    with pytest.raises(BadData) as caught:
        adopt(AdoptOptions(file=path, output=folder.dataset))
    assert [finding.file for finding in caught.value.findings if finding.rule is Rule.PHOTO_MISSING] == ["0_1.jpg"]
    assert not folder.dataset.exists()
    converted = adopt(AdoptOptions(file=path, output=folder.dataset, skip_bad=True))
    assert converted.skipped == 1
    assert sum(split.images for split in converted.card.splits.values()) == 2


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({}, "name either FILE, or"),
        ({"file": "train.json", "val": "val.json"}, "name either FILE, or"),
        ({"val": "val.json"}, "no file to train on"),
        ({"train": "train.json", "fractions": (1, 0, 0)}, "--split"),
        ({"train": "train.json", "group": "x"}, "--group"),
        ({"train": "train.json", "name": "a/b"}, "cannot name"),
        ({"train": "gone.json"}, "cannot be read"),
        ({"train": "train.json", "output": "."}, "inside the folder to make"),
    ],
)
def test_wrong_options(folder, write, options, reason):
    write("train.json"), write("val.json", 1)
    paths = {key: folder.root / value for key, value in options.items() if isinstance(value, str) and key != "name"}
    with pytest.raises(UserError, match=reason):
        adopt(AdoptOptions(**{"output": folder.dataset} | options | paths))
    assert not folder.dataset.exists()


# As a user types it


def test_command(folder, write, capsys):
    train, val = write("t.json"), write("v.json", 1)
    arguments = ["adopt", "--train", train, "--val", val, "--images-root", folder.root, "--output", folder.dataset]
    assert main(list(map(str, arguments))) == 0
    said = capsys.readouterr()
    assert "dataset: 6 images, 18 instances, 2 classes" in said.out
    assert "warning LM060" in said.err  # no test
    assert main(["adopt", "--output", str(folder.dataset)]) == 2
    assert main(["adopt", str(folder.root / "0_0.jpg"), "--output", str(folder.root / "x")]) == 1
    assert "not a COCO file" in capsys.readouterr().err
