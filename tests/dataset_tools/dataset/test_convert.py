"""The whole pipeline: what a LabelMe folder becomes on disk, and that nothing half-written is ever there."""

import base64
import io
import json
import os
import shutil

import numpy as np
import pytest
from detectron2.data.detection_utils import read_image
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from dataset_tools.dataset.checks import check_source
from dataset_tools.dataset.scan import ReadOptions
from dataset_tools.errors import UserError
from dataset_tools.findings import BadData, Rule
from dataset_tools.formats.card import read_card
from dataset_tools.images.header import ImageError
from dataset_tools.instances.shapes import ShapeOptions
from dataset_tools.sources.labelme_folder import LabelmeFolder

SPLITS = ("train", "val", "test")


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def masks_of(coco_path):
    coco = COCO(coco_path)
    return [coco.annToMask(annotation).astype(bool) for annotation in coco.loadAnns(coco.getAnnIds())]


@pytest.fixture
def many(folder, square):
    """Ten photos of two classes."""
    for index in range(10):
        folder.pair(f"{index}", [square("car"), square("bus", left=30)], seed=index)
    return folder


# What is written


def test_records(many):
    converted = many.convert(classes=("bus", "car"), name="streets")
    card = read_card(many.dataset)
    assert card == converted.card
    assert (card.name, card.classes, card.mask_format, card.image_root) == (
        "streets",
        ["bus", "car"],
        "polygon",
        "../photos",
    )
    names = []
    for split in SPLITS:
        coco = many.split(split)
        names += [image["file_name"] for image in coco["images"]]
        assert [image["id"] for image in coco["images"]] == list(range(1, len(coco["images"]) + 1))
        assert [annotation["id"] for annotation in coco["annotations"]] == list(range(1, len(coco["annotations"]) + 1))
        assert coco["categories"] == [{"id": 1, "name": "bus"}, {"id": 2, "name": "car"}]
        assert all((image["width"], image["height"]) == (64, 48) for image in coco["images"])
        summary = card.splits[split]
        assert (summary.images, summary.instances) == (len(coco["images"]), len(coco["annotations"]))
        assert summary.instances_per_class == {"bus": summary.images, "car": summary.images}
    assert sorted(names) == [f"{index}.jpg" for index in range(10)]
    assert [card.splits[split].images for split in SPLITS] == [8, 1, 1]
    first, second = many.split()["annotations"][:2]
    assert first == {
        "id": 1, "image_id": 1, "category_id": 2, "segmentation": [[8, 8, 24, 8, 24, 24, 8, 24]],
        "area": 256, "bbox": [8, 8, 16, 16], "iscrowd": 0,
    }  # fmt: skip
    assert (second["image_id"], second["category_id"], second["bbox"]) == (1, 1, [30, 8, 16, 16])


def test_areas_and_boxes_are_those_of_the_pixels(folder, shape, mask_shape):
    ring = np.ones((9, 11))
    ring[2:5, 3:6] = 0
    folder.pair(
        "a",
        [
            shape("car", [[20, 10], [31, 10]], "circle"),
            shape("car", [[40.5, 3.2], [60.7, 20.1], [44.3, 30.9]]),
            shape("car", [[-5, 30], [20, 60]], "rectangle", group_id=3),
            mask_shape("car", ring, corner=(50, 35), group_id=3),
        ],
    )
    folder.convert()
    annotations = folder.split()["annotations"]
    masks = masks_of(folder.dataset / "train.json")
    assert len(annotations) == len(masks) == 3
    for annotation, mask in zip(annotations, masks):
        rows, columns = np.nonzero(mask)
        assert annotation["area"] == mask.sum()
        box = [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
        assert annotation["bbox"] == box


@pytest.mark.parametrize("mode", ["1", "L"])
def test_mask_shape_lies_where_its_corner_says(folder, mask_shape, mode):
    mask = np.random.default_rng(0).random((10, 14)) < 0.5
    folder.pair("a", [mask_shape("car", mask, corner=(5, 7), mode=mode)])
    card = folder.convert().card
    expected = np.zeros((48, 64), dtype=bool)
    expected[7:17, 5:19] = mask
    (annotation,) = folder.split()["annotations"]
    assert card.mask_format == "bitmask"
    assert isinstance(annotation["segmentation"]["counts"], str) and annotation["segmentation"]["size"] == [48, 64]
    assert np.array_equal(coco_mask.decode(annotation["segmentation"]).astype(bool), expected)


def test_group_is_the_union_of_its_parts(folder, square, mask_shape):
    """Overlapping parts count once; polygons stay polygons, and become RLE beside a mask."""
    parts = [square(group_id=7), square(left=16, group_id=7)]
    folder.pair("a", parts)
    folder.pair("b", [*parts, mask_shape("car", np.ones((4, 4)), corner=(40, 40), group_id=7)], seed=1)
    folder.convert(fractions=(1, 0, 0))
    first, second = folder.split()["annotations"]
    assert (first["area"], first["bbox"]) == (24 * 16, [8, 8, 24, 16])
    assert len(first["segmentation"]) == 2
    assert second["area"] == 24 * 16 + 16
    expected = np.zeros((48, 64), dtype=bool)
    expected[8:24, 8:32] = expected[40:44, 40:44] = True
    assert np.array_equal(coco_mask.decode(second["segmentation"]).astype(bool), expected)


def test_a_folder_of_labelme_3(folder):
    """polygon only, the colours of 3.x, no sizes, no shape_type, no group_id, imageData embedded."""
    for index in range(3):
        path = folder.photo(f"{index}.jpg", seed=index)
        shapes = [
            {"label": label, "line_color": None, "fill_color": None, "points": points}
            for label, points in [("date", [[2, 2], [20, 2], [20, 20]]), ("fig", [[30.5, 30.25], [50, 30], [40, 45]])]
        ]
        content = {
            "version": "3.5.0", "flags": {}, "shapes": shapes,
            "lineColor": [0, 255, 0, 128], "fillColor": [255, 0, 0, 128],
            "imagePath": f"{index}.jpg", "imageData": base64.b64encode(path.read_bytes()).decode(),
        }  # fmt: skip
        (folder.root / f"{index}.json").write_text(json.dumps(content, indent=2))
    converted = folder.convert()
    assert {finding.rule for finding in converted.findings} <= {Rule.FEW_INSTANCES}
    assert converted.card.classes == ["date", "fig"]
    assert sum(split.instances for split in converted.card.splits.values()) == 6
    assert not (folder.dataset / "images").exists()


# Turned photos


def mark(shown):
    """Where the L-shaped mark is in a picture as shown."""
    return shown[..., 0].astype(int) > 128


def l_shape(size):
    """A bright L on dark, as (pixels, outline), in a frame of (width, height): no turn or flip maps it onto itself."""
    width, height = size
    pixels = np.zeros((height, width, 3), dtype=np.uint8)
    pixels[8:32, 6:12] = 255
    pixels[26:32, 6:22] = 255
    return pixels, [[6, 8], [12, 8], [12, 26], [22, 26], [22, 32], [6, 32]]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("embedded", [False, True], ids=["photo", "imageData"])
def test_the_mask_covers_the_mark_that_was_annotated(folder, shape, orientation, embedded):
    """A photo stored turned, annotated as it is shown; then the same as labelme embeds it, without the photo."""
    shown, outline = l_shape((64, 48))
    stored = {
        1: shown, 2: shown[:, ::-1], 3: shown[::-1, ::-1], 4: shown[::-1], 5: shown.swapaxes(0, 1),
        6: np.rot90(shown, 1), 7: np.rot90(shown, 2).swapaxes(0, 1), 8: np.rot90(shown, -1),
    }[orientation]  # fmt: skip
    path = folder.root / "a.jpg"
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(path, quality=95, subsampling=0, exif=exif)
    data = None
    if embedded:
        from labelme._label_file import read_image_file

        data = base64.b64encode(read_image_file(str(path))).decode()
        path.unlink()
    folder.json("a.json", [shape("mark", outline)], imageData=data)
    folder.convert()

    (image,) = folder.split()["images"]
    photo = read_image(str(folder.dataset / read_card(folder.dataset).image_root / image["file_name"]), "RGB")
    assert photo.shape == (image["height"], image["width"], 3) == (48, 64, 3)
    (mask,) = masks_of(folder.dataset / "train.json")
    assert np.array_equal(mask, mark(photo))
    assert image["file_name"] == ("images/a.jpg" if embedded else "a.jpg")


# Where photos are


def embedded_only(folder, name, shapes, seed):
    path = folder.photo(f"{name}.jpg", seed=seed)
    data = base64.b64encode(path.read_bytes()).decode()
    path.unlink()
    folder.json(f"{name}.json", shapes, f"{name}.jpg", imageData=data)


def assert_photos_are_there(folder):
    root = folder.dataset / read_card(folder.dataset).image_root
    for split in SPLITS:
        for image in folder.split(split)["images"]:
            assert read_image(str(root / image["file_name"]), "RGB").shape[:2] == (image["height"], image["width"])


def test_photos_written_out_are_beside_the_card(folder, square):
    for index in range(4):
        embedded_only(folder, f"sub/{index}", [square()], index)
    card = folder.convert().card
    assert card.image_root == "."
    assert sorted(path.name for path in (folder.dataset / "images" / "sub").iterdir()) == [
        f"{index}.jpg" for index in range(4)
    ]
    assert_photos_are_there(folder)


def test_one_photo_in_place_makes_the_folder_the_root_of_all(folder, square):
    embedded_only(folder, "a", [square()], 1)
    folder.pair("b", [square()], seed=2)
    card = folder.convert(fractions=(1, 0, 0)).card
    assert card.image_root == "../photos"
    assert [image["file_name"] for image in folder.split()["images"]] == ["../dataset/images/a.jpg", "b.jpg"]
    assert_photos_are_there(folder)


def test_both_folders_can_move_together(many):
    many.convert()
    moved = many.root.parent / "moved"
    moved.mkdir()
    shutil.move(many.root, moved / "photos")
    shutil.move(many.dataset, moved / "dataset")
    many.root = moved / "photos"
    assert_photos_are_there(many)


def test_output_reached_through_a_link(many):
    """The way from the card to the photos is walked from where the card really is."""
    disk = many.root.parent / "disk" / "deep"
    disk.mkdir(parents=True)
    os.symlink(disk, many.root.parent / "link")
    many.convert(output=many.root.parent / "link" / "dataset")
    root = disk / "dataset" / read_card(disk / "dataset").image_root
    assert (root / "0.jpg").is_file()


def test_output_inside_the_source_is_not_read_again(many):
    output = many.root / "dataset"
    many.convert(output=output)
    before = contents(output)
    converted = many.convert(output=output, overwrite=True)
    assert converted.findings == []
    assert contents(output) == before


# Same input, same bytes


def test_same_bytes_for_the_same_input(many, square, mask_shape):
    many.pair("mask", [mask_shape("car", np.eye(9))], seed=11)
    embedded_only(many, "embedded", [square()], 12)
    many.convert(name="d", seed=3)
    again = many.root.parent / "again"
    many.convert(output=again, name="d", seed=3)
    os.rename(again, again.with_name("dataset2"))
    first, second = contents(many.dataset), contents(again.with_name("dataset2"))
    text = second["train.json"] + second["val.json"] + second["test.json"]
    assert b"../again/images" in text  # a photo written out lies in another folder: the one difference
    del first[".manifest"], second[".manifest"]  # a file that names the folder has another hash
    assert {name: content.replace(b"../again/", b"../dataset/") for name, content in second.items()} == first
    assert str(many.root.parent).encode() not in b"".join(first.values())


def test_seed_changes_the_split(many):
    many.convert(seed=0)
    before = contents(many.dataset)
    many.convert(seed=1, overwrite=True)
    assert contents(many.dataset)["train.json"] != before["train.json"]


# Splits by folders


def test_sub_folders_decide_the_split(folder, square, codes):
    for index, split in enumerate(["train", "train", "val", "test"]):
        folder.pair(f"{split}/{index}", [square()], seed=index)
    folder.pair("stray", [square()], seed=9)
    converted = folder.convert()
    assert codes(converted.findings) == {"LM006", "LM059"}
    assert [image["file_name"] for image in folder.split("train")["images"]] == ["train/0.jpg", "train/1.jpg"]
    assert [image["file_name"] for image in folder.split("val")["images"]] == ["val/2.jpg"]
    assert [image["file_name"] for image in folder.split("test")["images"]] == ["test/3.jpg"]


@pytest.mark.parametrize("image_path", ["{}.jpg", "../../images/{}/{}.jpg"])
def test_folders_below_the_top_decide_the_split(folder, square, codes, image_path):
    splits = {"0": "train", "1": "train", "2": "Val", "3": "test"}
    for name, split in splits.items():
        folder.photo(f"images/{split}/{name}.jpg", seed=int(name))
        path = image_path.format(split, name) if image_path.count("{}") == 2 else f"{name}.jpg"
        folder.json(f"labels/{split}/{name}.json", [square()], path)
    folder.photo("images/val/empty.jpg", seed=9)
    (folder.root / "images/val/empty.jpg").rename(folder.root / "images/Val/empty.jpg")
    folder.convert(negatives=True)
    names = {split: [i["file_name"] for i in folder.split(split)["images"]] for split in ("train", "val", "test")}
    assert names == {
        "train": ["images/train/0.jpg", "images/train/1.jpg"],
        "val": ["images/Val/2.jpg", "images/Val/empty.jpg"],
        "test": ["images/test/3.jpg"],
    }
    (folder.root / "labels.json").write_text('{"no": "annotation"}')
    folder.pair("labels/0", [square()], seed=10)
    outside = [f.file for f in folder.convert(overwrite=True).findings if f.rule is Rule.OUTSIDE_SPLITS]
    assert outside == ["labels.json", "labels/0.json"]


@pytest.mark.parametrize(
    "names",
    [
        ["street/test/a", "street/test/b"],  # a place of this name
        ["photos/train/a", "photos/bus/b"],  # a folder for each class
    ],
)
def test_folders_below_the_top_that_are_no_splits(folder, square, codes, names):
    for index, name in enumerate(names):
        folder.pair(name, [square()], seed=index)
    assert "LM006" not in codes(folder.convert().findings)


def test_the_same_split_under_two_folders(folder, square):
    for index, name in enumerate(["a/Train/0", "a/val/1", "b/train/2", "b/Val/3"]):
        folder.pair(name, [square()], seed=index)
    folder.convert()
    assert [len(folder.split(split)["images"]) for split in SPLITS] == [2, 2, 0]
    folder.pair("a/valid/4", [square()], seed=4)
    with pytest.raises(UserError, match="'val', 'valid' are the same split"):
        folder.convert(overwrite=True)


@pytest.mark.parametrize(
    ("labels", "photos"), [("labels/train", "images/Train"), ("train", "images/train"), ("labels/val", "images/valid")]
)
def test_the_split_of_a_photo_without_a_file_in_a_folder_of_photos(folder, square, labels, photos):
    root = labels.partition("/")[0] if "/" in labels else ""
    for index, name in enumerate(["train", "val", "test"]):
        folder.photo(f"{root or 'a'}x/{name}/{index}.jpg", seed=index)
        folder.json(f"{root}/{name}/{index}.json" if root else f"{name}/{index}.json", [square()], f"{index}.jpg")
    folder.photo(f"{photos}/empty.jpg", seed=9)
    folder.convert(negatives=True)
    split = labels.rpartition("/")[2]
    assert f"{photos}/empty.jpg" in [image["file_name"] for image in folder.split(split)["images"]]


def test_a_dataset_to_be_measured_on_needs_no_instance_in_train(folder, square, codes):
    """That a class cannot be learnt from it is a warning."""
    folder.pair("train/a", [])
    folder.pair("test/b", [square()], seed=1)
    converted = folder.convert()
    assert "LM061" in codes(converted.findings) and converted.card.splits["test"].instances == 1


def test_a_folder_without_an_instance_is_an_error_for_check_and_convert(folder, shape, codes):
    folder.pair("a", [shape("car", [[1, 1], [9, 9]], "line")])
    folder.pair("b", [], seed=1)
    with pytest.raises(BadData) as caught:
        folder.convert(ignore=("car",))
    assert "LM065" in codes(caught.value.findings)
    checked = check_source(LabelmeFolder(folder.root), ReadOptions(ignore=("car",)))
    assert [finding.rule.code for finding in checked.findings if finding.is_error] == ["LM065"]


def test_split_folders_without_train_or_with_fractions_are_wrong_usage(folder, square):
    folder.pair("val/a", [square()])
    with pytest.raises(UserError, match="no folder 'train'"):
        folder.convert()
    folder.pair("train/b", [square()], seed=1)
    with pytest.raises(UserError, match="split already"):
        folder.convert(fractions=(0.5, 0.5, 0))


# Wrong usage


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"fractions": (0.5, 0.1, 0.1)}, "add up"),
        ({"name": "a/b"}, "cannot name"),
        ({"name": ""}, "cannot name"),
        ({"classes": ()}, "no classes"),
        ({"classes": ("car", "car")}, "twice"),
        ({"classes": ("car", "__ignore__")}, "reserves"),
        ({"classes": (" ",)}, "cannot name"),
        ({"encoding": "klingon"}, "encoding"),
    ],
)
def test_wrong_options(many, options, reason):
    with pytest.raises(UserError, match=reason) as caught:
        many.convert(**options)
    assert caught.value.exit_code == 2
    assert not many.dataset.exists()


def test_no_such_folder(folder, square):
    folder.pair("a", [square()])
    with pytest.raises(UserError, match="no such folder. Name the folder of the photos"):
        folder.convert(photos=folder.root / "gone")
    shutil.rmtree(folder.root)
    with pytest.raises(UserError, match="no such folder. Name the folder that LabelMe saved"):
        folder.convert()


def test_a_dataset_folder_with_a_damaged_card_is_passed_over_all_the_same(many, codes):
    many.convert(output=many.root / "set")
    path = many.root / "set" / "dataset.json"
    path.write_bytes(path.read_bytes()[:100])
    assert codes(many.convert().findings) == {"LM025"}


def test_source_inside_the_output(many):
    with pytest.raises(UserError, match="inside"):
        many.convert(output=many.root.parent, overwrite=True)
    with pytest.raises(UserError, match="inside"):
        many.convert(output=many.root, overwrite=True)


@pytest.mark.parametrize("way", ["option", "link", "path"])
def test_photos_inside_the_output_are_never_replaced(folder, square, way):
    """Photos that were copied into a dataset folder, and annotation files that refer to them there."""
    output = folder.root / "dataset" if way == "path" else folder.dataset
    folder.pair("a", [square()])
    folder.convert(output=output, images="copy")
    (folder.root / "a.jpg").unlink()
    if way == "link":
        (folder.root / "photos").symlink_to(output / "images")
    if way == "path":
        folder.json("a.json", [square()], "dataset/images/a.jpg")
    before = contents(folder.root.parent)
    with pytest.raises(UserError, match="inside the folder to make"):
        folder.convert(output=output, overwrite=True, photos=output / "images" if way == "option" else None)
    assert contents(folder.root.parent) == before


def test_output_with_a_name_that_cannot_be_one(many):
    with pytest.raises(UserError, match="--name"):
        many.convert(output=many.root.parent / "my data")
    many.convert(output=many.root.parent / "my data", name="my_data")


def test_existing_output_is_kept_without_overwrite(many):
    many.convert()
    before = contents(many.dataset)
    with pytest.raises(UserError, match="exists"):
        many.convert(seed=1)
    assert contents(many.dataset) == before


def test_overwrite_replaces_dataset_folders_only(many):
    many.dataset.mkdir()
    (many.dataset / "thesis.tex").write_text("precious")
    with pytest.raises(UserError, match="manifest"):
        many.convert(overwrite=True)
    assert contents(many.dataset) == {"thesis.tex": b"precious"}


@pytest.mark.parametrize("annotations", ["train.json", "thesis.docx"])
def test_overwrite_keeps_a_dataset_folder_written_by_hand(many, annotations):
    """A card alone does not say whose the photos are, nor what it calls an annotation file."""
    many.convert(images="copy")
    (many.dataset / ".manifest").unlink()
    card = many.dataset / "dataset.json"
    card.write_text(card.read_text().replace("train.json", annotations))
    (many.dataset / "train.json").rename(many.dataset / annotations)
    before = contents(many.dataset)
    with pytest.raises(UserError, match="manifest.*delete"):
        many.convert(overwrite=True)
    assert contents(many.dataset) == before


@pytest.mark.parametrize("name", ["notes.txt", ".notes.txt", "corrected/0.json", "images/extra/holiday.png"])
def test_overwrite_keeps_what_is_no_part_of_a_dataset(many, name):
    many.convert(images="copy")
    many.convert(images="copy", overwrite=True)
    (many.dataset / name).parent.mkdir(exist_ok=True)
    (many.dataset / name).write_text("precious")
    before = contents(many.dataset)
    with pytest.raises(UserError) as caught:
        many.convert(images="copy", overwrite=True)
    assert (many.dataset / name).is_relative_to(caught.value.file)
    assert contents(many.dataset) == before


def test_overwrite_keeps_a_photo_that_was_corrected(many):
    many.convert(images="copy")
    photo = next((many.dataset / "images").iterdir())
    Image.open(photo).rotate(180).save(photo)
    before = contents(many.dataset)
    with pytest.raises(UserError, match=photo.name):
        many.convert(images="copy", overwrite=True)
    assert contents(many.dataset) == before


# Nothing half-written


def test_a_run_with_errors_leaves_the_old_folder_whole(many):
    many.convert()
    before = contents(many.root.parent)
    many.json("0.json", [], "gone.jpg")
    before["photos/0.json"] = (many.root / "0.json").read_bytes()
    os.remove(many.root / "0.jpg")
    del before["photos/0.jpg"]
    with pytest.raises(BadData):
        many.convert(overwrite=True)
    assert contents(many.root.parent) == before


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_run_that_breaks_off_leaves_the_old_folder_whole(many, monkeypatch, error):
    many.convert()
    before = contents(many.root.parent)

    def break_off(card):
        raise error

    monkeypatch.setattr(
        "dataset_tools.dataset.write.encode_card", break_off
    )  # the last step: everything else is written
    with pytest.raises(type(error)):
        many.convert(overwrite=True, seed=1)
    assert contents(many.root.parent) == before
    assert sorted(path.name for path in many.root.parent.iterdir()) == ["dataset", "photos"]


# Files that went bad between two looks


def test_embedded_photo_of_another_format(folder, square):
    stream = io.BytesIO()
    Image.new("RGB", (64, 48), (200, 10, 10)).save(stream, "BMP")
    folder.json("a.json", [square()], "a.bmp", imageData=base64.b64encode(stream.getvalue()).decode())
    folder.convert()
    assert [image["file_name"] for image in folder.split()["images"]] == ["images/a.png"]
    assert_photos_are_there(folder)


def test_an_annotation_file_that_goes_bad_meanwhile(folder, square):
    stream = io.BytesIO()
    Image.new("RGB", (64, 48)).save(stream, "PNG")
    path = folder.json("a.json", [square()], "a.png", imageData=base64.b64encode(stream.getvalue()).decode())
    source = LabelmeFolder(folder.root)
    ((item, _),) = source.read(["a.json"], ShapeOptions())
    path.write_text("{")
    with pytest.raises(ImageError) as caught:
        source.original("a.json", item.photo)
    assert caught.value.rule is Rule.NOT_JSON
