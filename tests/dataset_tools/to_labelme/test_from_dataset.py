"""The way back to LabelMe, read by labelme itself and converted again."""

import base64
import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from labelme._label_file import read_label_file, write_label_file
from labelme.utils import img_arr_to_b64, shape_to_mask, shapes_to_label
from PIL import Image
from pycocotools import mask as coco_mask

from dataset_tools.__main__ import main
from dataset_tools.errors import UserError
from dataset_tools.formats import labelme
from dataset_tools.geometry.masks import decode_mask, rasterise_polygons, union_masks
from dataset_tools.geometry.rle import BadRle, Rle
from dataset_tools.to_labelme.from_dataset import ToLabelmeOptions, to_labelme
from dataset_tools.to_labelme.instance_shapes import (
    BadSegmentation,
    InstanceShapes,
    LabelledInstance,
    annotation_file,
    draw,
    score_in_words,
)

SIZE = (64, 48)


def rle(mask) -> Rle:
    encoded = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
    return Rle(tuple(encoded["size"]), encoded["counts"].decode("ascii"))


def disc(size=SIZE, centre=(30, 24), radius=15.0):
    y, x = np.mgrid[: size[1], : size[0]]
    return (x - centre[0]) ** 2 + (y - centre[1]) ** 2 < radius**2


def pixels(drawn: InstanceShapes, size=SIZE):
    """The pixels of polygon shapes by pycocotools' rule."""
    polygons = [np.array(shape.points) for shape in drawn.shapes]
    return decode_mask(union_masks(rasterise_polygons(polygons, size)))


def by_labelme(path: Path, size=SIZE, classes=("car", "bus")) -> list[np.ndarray]:
    """The instances of a file, filled by labelme."""
    values = {name: index + 1 for index, name in enumerate(classes)}
    shapes = read_label_file(str(path)).shapes
    _, instances = shapes_to_label((size[1], size[0]), shapes, values)
    return [instances == index for index in range(1, instances.max() + 1)]


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


@pytest.fixture
def dataset(folder, square, mask_shape):
    """Two photos to train on, one to test: polygons, a group, a mask with a hole, a photo without anything."""
    ring = disc()
    ring[20:28, 26:34] = False
    folder.pair("train/a", [square(), square("bus", left=30, group_id=4), square("bus", left=40, top=20, group_id=4)])
    folder.pair("train/b", [], seed=1)
    folder.pair("test/c", [mask_shape("car", ring), square("bus", left=0.25, top=0.25, side=5.5)], seed=2)
    folder.convert(classes=("car", "bus"), jobs=1)
    return folder.dataset


def written(out: Path, name: str) -> dict:
    return json.loads((out / name).read_text(encoding="utf-8"))


def refusal(**options) -> UserError:
    with pytest.raises(UserError) as caught:
        to_labelme(ToLabelmeOptions(**options))
    return caught.value


# The shapes of one object


def test_polygons_stay_exactly_as_they_are():
    flat = [0.1 + 0.2, 1, 20.123456789, 2, 11, 30.5]
    drawn = draw(LabelledInstance("car", [flat]), SIZE, "polygon", tolerance=50)
    assert [tuple(point) for point in drawn.shapes[0].points] == [(0.1 + 0.2, 1), (20.123456789, 2), (11, 30.5)]
    assert drawn.overlap == 1


def test_rle_stays_a_mask():
    (shape,) = draw(LabelledInstance("car", rle(disc())), SIZE).shapes
    assert shape.shape_type == "mask"
    assert shape.points == [(16, 10), (44, 38)]  # the last pixel, not the first behind it


def test_polygons_become_a_mask():
    square = [[8.0, 8.0, 24.0, 8.0, 24.0, 24.0, 8.0, 24.0], [24.0, 8.0, 32.0, 8.0, 32.0, 24.0, 24.0, 24.0]]
    (shape,) = draw(LabelledInstance("car", square), SIZE, "mask").shapes
    assert (shape.shape_type, shape.points) == ("mask", [(8, 8), (31, 23)])


def test_score():
    assert [score_in_words(score) for score in (0.8749, 1)] == ["score 0.87", "score 1.00"]
    for segmentation in (rle(disc()), [[0, 0, 9, 0, 9, 9]]):
        for shapes in ("polygon", "mask"):
            drawn = draw(LabelledInstance("car", segmentation, "score 0.87"), SIZE, shapes)
            assert {shape.description for shape in drawn.shapes} == {"score 0.87"}
    assert draw(LabelledInstance("car", rle(disc())), SIZE).shapes[0].description == ""


@pytest.mark.parametrize("segmentation", [[], [[1, 2, 3, 4]], rle(np.zeros((48, 64), dtype=bool))])
@pytest.mark.parametrize("shapes", [None, "polygon", "mask"])
def test_what_covers_nothing_has_no_shapes(segmentation, shapes):
    assert draw(LabelledInstance("car", segmentation), SIZE, shapes) == InstanceShapes([])


@pytest.mark.parametrize(
    ("segmentation", "shapes", "message"),
    [
        ([[1.0, 2, 3, 4, 5, 6, 7]], None, "7 numbers"),
        ([[1.0, 2, 3, 4, 5, 1e9]], "mask", "beyond any photo"),
        ([[1.0, 2, 1e6, 4] * 10], "mask", "longer"),
        (Rle((64, 48), "0"), None, "48 x 64 pixels, the photo 64 x 48"),
        (Rle((48, 64), "55"), None, "do not add up"),
    ],
)
def test_refuses_what_cannot_be_drawn(segmentation, shapes, message):
    with pytest.raises((BadSegmentation, BadRle), match=message):
        draw(LabelledInstance("car", segmentation), SIZE, shapes)


def test_tolerance():
    instance = LabelledInstance("car", rle(disc()))
    exact, simple = (draw(instance, SIZE, "polygon", tolerance) for tolerance in (0, 1))
    assert np.array_equal(pixels(exact), disc())
    assert exact.overlap == 1
    assert simple.overlap == pytest.approx((pixels(simple) & disc()).sum() / (pixels(simple) | disc()).sum())
    assert 0.9 < simple.overlap < 1


def test_flags_are_boxes_to_tick():
    assert annotation_file("a.jpg", SIZE, [], ("#1 missing", "#2 duplicate")).flags == {
        "#1 missing": False,
        "#2 duplicate": False,
    }


def test_groups():
    two = [[0.0, 0, 4, 0, 4, 4], [9.0, 9, 14, 9, 14, 14]]
    drawn = [draw(LabelledInstance(label, polygons), SIZE) for label, polygons in zip("aba", (two, two[:1], two))]
    record = annotation_file("a.jpg", SIZE, drawn)
    assert [(shape.label, shape.group_id) for shape in record.shapes] == [
        ("a", 1),
        ("a", 1),
        ("b", None),
        ("a", 2),
        ("a", 2),
    ]


# labelme itself


def test_labelme_reads_and_writes_the_same(folder, tmp_path):
    folder.photo("a.jpg")
    drawn = [
        draw(LabelledInstance("Straße", [[0.5, 1, 20, 2.25, 11, 30]], "score 0.50"), SIZE),
        draw(LabelledInstance("mask", rle(disc())), SIZE),
    ]
    content = labelme.encode(annotation_file("a.jpg", SIZE, drawn))
    path = folder.root / "a.json"
    path.write_bytes(content)
    read = read_label_file(str(path))
    assert read.image_path == "a.jpg"
    assert [(s["label"], s["description"], s["group_id"]) for s in read.shapes] == [
        ("Straße", "score 0.50", None),
        ("mask", "", None),
    ]
    shapes = [
        {key: shape[key] for key in ("label", "points", "group_id", "description", "shape_type", "flags")}
        | {"mask": None if shape["mask"] is None else img_arr_to_b64(shape["mask"].astype(np.uint8))}
        for shape in read.shapes
    ]
    again = tmp_path / "again.json"
    write_label_file(str(again), shapes=shapes, image_path="a.jpg", image_height=SIZE[1], image_width=SIZE[0])
    assert again.read_text(encoding="utf-8") + "\n" == content.decode()


def test_labelme_fills_a_mask_shape_to_the_mask(dataset, out):
    to_labelme(ToLabelmeOptions(dataset, out))
    ring = by_labelme(out / "test" / "c.json")[0]
    expected = disc()
    expected[20:28, 26:34] = False
    assert np.array_equal(ring, expected)


def test_labelme_fills_polygons_to_within_its_pixel(dataset, out):
    """Its rasteriser draws the outline itself, too, and so covers up to a pixel more."""
    to_labelme(ToLabelmeOptions(dataset, out, shapes="polygon", tolerance=0))
    shapes = [shape for shape in read_label_file(str(out / "test" / "c.json")).shapes if shape["label"] == "car"]
    filled = np.any([shape_to_mask((48, 64), shape["points"], "polygon") for shape in shapes], axis=0)
    expected = disc()
    expected[20:28, 26:34] = False
    grown = np.any([np.roll(expected, (y, x), (0, 1)) for y in (-1, 0, 1) for x in (-1, 0, 1)], axis=0)
    assert not (expected & ~filled).any()
    assert not (filled & ~grown).any()


@pytest.mark.parametrize("copy", [False, True])
@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_labelme_opens_turned_photos(folder, square, out, orientation, copy):
    folder.photo("a.jpg", orientation=orientation)
    size = SIZE[::-1] if orientation == 6 else SIZE
    folder.json("a.json", [square()], size=size)
    folder.convert(jobs=1)
    to_labelme(ToLabelmeOptions(folder.dataset, out, split="train", copy_photos=copy))
    read = read_label_file(str(out / "a.json"))
    assert read.image_path == ("a.jpg" if copy else "../photos/a.jpg")
    assert read.shapes[0]["points"] == [[8, 8], [24, 8], [24, 24], [8, 24]]


# Folders


def test_ground_truth(dataset, out):
    result = to_labelme(ToLabelmeOptions(dataset, out))
    assert (result.files, result.instances, result.shapes, result.changed) == (3, 4, 5, 0)
    names = sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())
    assert names == ["classes.txt", "test/c.json", "train/a.json", "train/b.json"]
    assert (out / "val").is_dir()
    assert (out / "classes.txt").read_text() == "car\nbus\n"
    content = written(out, "train/a.json")
    assert list(content) == ["version", "flags", "shapes", "imagePath", "imageData", "imageHeight", "imageWidth"]
    assert (content["imagePath"], content["imageData"]) == ("../../photos/train/a.jpg", None)
    assert [(shape["label"], shape["group_id"]) for shape in content["shapes"]] == [
        ("car", None),
        ("bus", 1),
        ("bus", 1),
    ]
    assert written(out, "train/b.json")["shapes"] == []


def test_masks_to_polygons(dataset, out):
    result = to_labelme(ToLabelmeOptions(dataset, out, shapes="polygon"))
    assert result.changed == 1
    overlap, where = result.least_overlap
    assert 0.9 < overlap < 1
    assert where == "test/c.json, 'car'"
    shapes = [shape for shape in written(out, "test/c.json")["shapes"] if shape["label"] == "car"]
    assert len(shapes) == 2  # cut through the hole
    assert {(shape["shape_type"], shape["group_id"]) for shape in shapes} == {("polygon", 1)}


def test_one_split_needs_no_folder(dataset, out):
    to_labelme(ToLabelmeOptions(dataset, out, split="test", copy_photos=True))
    assert sorted(path.name for path in out.iterdir()) == ["c.jpg", "c.json", "classes.txt"]
    assert written(out, "c.json")["imagePath"] == "c.jpg"
    assert (out / "c.jpg").read_bytes() == (dataset.parent / "photos" / "test" / "c.jpg").read_bytes()


def test_sub_folders_and_names(folder, square, out):
    for index, name in enumerate(["a.jpg", "a.png", "sub/a.jpg", "B.jpg", "b.png", "c.jpg"]):
        folder.photo(name, seed=index)
        folder.json(f"{name}.json", [square()], Path(name).name)
    folder.convert(fractions=(1, 0, 0), jobs=1)
    to_labelme(ToLabelmeOptions(folder.dataset, out, split="train"))
    paths = {path.relative_to(out).as_posix(): path for path in out.rglob("*.json")}
    assert {name: Path(read_label_file(str(path)).image_path).name for name, path in paths.items()} == {
        "a.jpg.json": "a.jpg",
        "a.png.json": "a.png",
        "sub/a.json": "a.jpg",
        "B.jpg.json": "B.jpg",
        "b.png.json": "b.png",
        "c.json": "c.jpg",
    }


def change_names(dataset: Path, *names: str) -> None:
    """Give the photos of the training split other file names."""
    path = dataset / "train.json"
    content = json.loads(path.read_text())
    for image, name in zip(content["images"], names):
        image["file_name"] = name
    path.write_text(json.dumps(content))


def test_no_name_is_taken_twice(folder, square, out):
    """``a.png.jpg`` would take the file that ``a.png`` has beside ``a.jpg``."""
    for index, name in enumerate(["a.jpg", "a.png", "a.png.jpg"]):
        folder.photo(name, seed=index)
        folder.json(f"{index}.json", [square()], name)
    folder.convert(fractions=(1, 0, 0), jobs=1)
    to_labelme(ToLabelmeOptions(folder.dataset, out, split="train"))
    assert {path.name: written(out, path.name)["imagePath"][10:] for path in out.glob("*.json")} == {
        "a.jpg.json": "a.jpg",
        "a.png.json": "a.png",
        "a.png.jpg.json": "a.png.jpg",
    }


@pytest.mark.parametrize("copy", [False, True])
def test_photos_outside_the_root_get_a_place_inside(dataset, out, copy):
    (dataset / "images").mkdir()
    for name in "ab":
        shutil.copy(dataset.parent / "photos" / "train" / f"{name}.jpg", dataset / "images")
    change_names(dataset, "../dataset/images/a.jpg", str(dataset / "images" / "b.jpg"))
    to_labelme(ToLabelmeOptions(dataset, out, split="train", copy_photos=copy))
    assert sorted(path.name for path in out.parent.iterdir()) == ["dataset", "out", "photos"]
    first, second = out / "dataset" / "images" / "a.json", out.joinpath(*dataset.parts[1:], "images", "b.json")
    assert len(read_label_file(str(first)).shapes) == 3
    assert read_label_file(str(second)).shapes == []


def test_photo_that_is_a_link(dataset, out, tmp_path):
    real = tmp_path / "photos" / "train" / "a.jpg"
    real.rename(tmp_path / "photos" / "0001")
    real.symlink_to(tmp_path / "photos" / "0001")
    to_labelme(ToLabelmeOptions(dataset, out))
    assert written(out, "train/a.json")["imagePath"] == "../../photos/train/a.jpg"


def test_copying_a_photo_from_elsewhere_says_so(dataset, out, tmp_path, caplog):
    real = tmp_path / "photos" / "train" / "a.jpg"
    real.rename(tmp_path / "a.jpg")
    real.symlink_to(tmp_path / "a.jpg")
    to_labelme(ToLabelmeOptions(dataset, out, copy_photos=True))
    assert [str(tmp_path / "a.jpg") in record.message for record in caplog.records] == [True]


def test_output_behind_a_link(dataset, tmp_path):
    (tmp_path / "far" / "away").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "far" / "away")
    to_labelme(ToLabelmeOptions(dataset, tmp_path / "link" / "out"))
    assert len(read_label_file(str(tmp_path / "link" / "out" / "train" / "a.json")).shapes) == 3


# There and back


@st.composite
def labelme_shapes(draw_from):
    x, y = st.floats(-20, 90, width=32), st.floats(-20, 70, width=32)
    kind = draw_from(st.sampled_from(["polygon", "polygon", "rectangle", "circle", "oriented_rectangle", "mask"]))
    count = {"polygon": draw_from(st.integers(3, 8)), "oriented_rectangle": 4}.get(kind, 2)
    shape = {
        "label": draw_from(st.sampled_from(["car", "bus"])),
        "points": [[draw_from(x), draw_from(y)] for _ in range(count)],
        "group_id": draw_from(st.sampled_from([None, None, 0, 1])),
        "shape_type": kind,
        "flags": {},
        "mask": None,
    }
    if kind == "mask":
        mask = draw_from(arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=20)))
        (left, top), _ = shape["points"]
        shape["points"][1] = [left + mask.shape[1] - 1, top + mask.shape[0] - 1]
        shape["mask"] = img_arr_to_b64(mask.astype(np.uint8))
    return shape


def content_of(dataset: Path) -> dict:
    """All that a dataset folder says, by photo: numbers of photos follow their files' names and are left out."""
    card = json.loads((dataset / "dataset.json").read_text())
    content = {"classes": card["classes"], "mask_format": card["mask_format"]}
    for split in ("train", "val", "test"):
        coco = json.loads((dataset / f"{split}.json").read_text())
        photos = {}
        for image in coco["images"]:
            path = (dataset / card["image_root"] / image["file_name"]).resolve()
            photos[path] = (
                (image["width"], image["height"]),
                [
                    {key: value for key, value in annotation.items() if key not in ("id", "image_id")}
                    for annotation in coco["annotations"]
                    if annotation["image_id"] == image["id"]
                ],
            )
        content[split] = coco["categories"], photos
    return content


# A self-crossing outline of which the photo holds two pieces, one of them without a pixel.
CLIPPED_IN_TWO = {
    "label": "car", "points": [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [3.0, 0.0], [-1.0, 2.0]], "group_id": None,
    "shape_type": "polygon", "flags": {}, "mask": None,
}  # fmt: skip
PHOTOS = {"train/a": "a.jpg", "train/sub/a": "a.jpg", "train/sub/odd": "../b.png", "val/c": "c.jpg", "test/d": "d.jpg"}


@given(shapes=st.lists(st.lists(labelme_shapes(), max_size=6), min_size=len(PHOTOS), max_size=len(PHOTOS)))
@example(shapes=[[] for _ in PHOTOS])
@example(shapes=[*([] for _ in range(4)), [CLIPPED_IN_TWO]])
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_there_and_back(shapes, folder, square, tmp_path):
    back, again = tmp_path / "back", tmp_path / "again"
    shutil.rmtree(back, ignore_errors=True)
    for index, (name, image_path) in enumerate(PHOTOS.items()):
        photo = Path(name).parent / image_path
        if not (folder.root / photo).exists():
            folder.photo(photo.as_posix(), seed=index)
        # One square is for sure, since nothing at all is not a dataset.
        folder.json(f"{name}.json", [*shapes[index], *([square()] if index == 0 else [])], image_path)
    options = {"classes": ("car", "bus"), "jobs": 1, "overwrite": True}
    folder.convert(**options)
    to_labelme(ToLabelmeOptions(folder.dataset, back))
    first = content_of(folder.dataset)
    type(folder).convert(_At(back), again, photos=folder.root, **options)
    assert content_of(again) == first


class _At:
    """A folder that is there, in the place of the fixture's."""

    def __init__(self, root: Path):
        self.root = root


def test_there_and_back_with_copies(dataset, out, folder):
    to_labelme(ToLabelmeOptions(dataset, out, copy_photos=True))
    again = out.parent / "again"
    type(folder).convert(_At(out), again, classes=("car", "bus"), jobs=1)
    for split in ("train", "val", "test"):
        assert (again / f"{split}.json").read_bytes() == (dataset / f"{split}.json").read_bytes()


def embedded(folder):
    """The photo of test/c exists in its file only, so that convert has put it into the dataset folder."""
    file, photo = folder.root / "test/c.json", folder.root / "test/c.jpg"
    record = json.loads(file.read_text()) | {"imageData": base64.b64encode(photo.read_bytes()).decode()}
    file.write_text(json.dumps(record))
    photo.unlink()
    folder.convert(classes=("car", "bus"), jobs=1, overwrite=True)


@pytest.mark.parametrize("words", [[], ["--images", "copy"], ["--shapes", "mask"]])
@pytest.mark.parametrize("change", [lambda folder: None, embedded])
def test_the_command_that_is_said_reads_it(dataset, folder, out, capsys, words, change):
    change(folder)
    assert main(["to-labelme", str(dataset), "--output", str(out), *words]) == 0
    *_, command = capsys.readouterr().out.splitlines()
    _, _, _, *arguments, _ = shlex.split(command)
    again = out.parent / "again"
    assert main([*arguments, str(again)]) == 0
    if not words:
        assert content_of(again) == content_of(dataset)
    for split in ("train", "val", "test"):
        first, second = (json.loads((place / f"{split}.json").read_text()) for place in (dataset, again))
        areas = [[item["area"] for item in content["annotations"]] for content in (first, second)]
        assert areas[1] == pytest.approx(areas[0], rel=0.1)


# Predictions


@pytest.fixture
def predict(dataset):
    """Writes predictions for the test split, in the place where an evaluation leaves them."""

    def write(*predictions, folder="dataset_test"):
        path = dataset.parent / "inference" / folder / "coco_instances_results.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(predictions))
        return path

    return write


def prediction(mask=None, score=0.9, image_id=1, category_id=1, **keys):
    encoded = rle(disc() if mask is None else mask)
    return {
        "image_id": image_id,
        "category_id": category_id,
        "bbox": [0.5, 0.5, 10.0, 10.0],
        "score": score,
        "segmentation": {"size": list(encoded.size), "counts": encoded.counts},
    } | keys


def test_predictions(dataset, predict, out):
    file = predict(
        prediction(score=0.875, category_id=2),
        prediction(score=0.5),
        prediction(score=0.49),
        prediction(np.zeros((48, 64))),
    )
    result = to_labelme(ToLabelmeOptions(dataset, out, file))
    assert (result.files, result.instances, result.below_score, result.empty) == (1, 2, 1, 1)
    shapes = written(out, "c.json")["shapes"]
    assert [(s["label"], s["shape_type"], s["description"]) for s in shapes] == [
        ("bus", "polygon", "score 0.88"),
        ("car", "polygon", "score 0.50"),
    ]
    assert len(shapes[0]["points"]) <= 16
    hidden, found = by_labelme(out / "c.json")  # the same disc twice: labelme draws the later over the earlier
    assert not hidden.any()
    assert (found & disc()).sum() / (found | disc()).sum() > 0.85


def test_predictions_as_masks(dataset, predict, out):
    to_labelme(ToLabelmeOptions(dataset, out, predict(prediction()), shapes="mask", min_score=0))
    assert np.array_equal(by_labelme(out / "c.json")[0], disc())


def test_photos_without_predictions_have_a_file(dataset, predict, out):
    """So that what was overlooked can be drawn."""
    result = to_labelme(ToLabelmeOptions(dataset, out, predict(folder="other"), split="train"))
    assert result.files == 2
    assert written(out, "b.json")["shapes"] == []


# Refusals


def test_refuses_a_folder_that_holds_something(dataset, out):
    to_labelme(ToLabelmeOptions(dataset, out))
    (out / "train" / "a.json").write_text("corrected")
    error = refusal(dataset=dataset, output=out)
    assert (error.file, error.exit_code) == (out, 2)
    assert "corrected by hand" in error.reason
    assert (out / "train" / "a.json").read_text() == "corrected"


def test_fills_an_empty_folder(dataset, out):
    out.mkdir()
    to_labelme(ToLabelmeOptions(dataset, out))
    assert (out / "train" / "a.json").is_file()


def test_refuses_a_file_and_a_link(dataset, out, tmp_path):
    out.write_text("mine")
    refusal(dataset=dataset, output=out)
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "nowhere")
    refusal(dataset=dataset, output=link)
    assert out.read_text() == "mine" and link.is_symlink()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"tolerance": -1}, "--tolerance"),
        ({"tolerance": float("nan")}, "--tolerance"),
        ({"tolerance": float("inf")}, "--tolerance"),
        ({"min_score": 0.5}, "for predictions"),
        ({"min_score": 50, "predictions": Path("x.json")}, "--min-score is 50"),
        ({"predictions": Path("x.json")}, "which split"),
        ({"predictions": Path("x.json"), "split": "test"}, "cannot be read: No such file"),
    ],
)
def test_refuses_wrong_options(dataset, out, options, reason):
    error = refusal(dataset=dataset, output=out, **options)
    assert reason in error.reason
    assert not out.exists()


def test_refuses_predictions_for_another_split(dataset, predict, out):
    error = refusal(dataset=dataset, output=out, predictions=predict(folder="dataset_val"), split="test")
    assert "predictions for 'val', not for 'test'" in error.reason
    assert "--split val" in error.remedy


@pytest.mark.parametrize(
    ("change", "place", "reason"),
    [
        ({"image_id": 2}, "[1]", "no image_id 2 in the split 'test'"),
        ({"category_id": 0}, "[1]", "no category_id 0"),
        ({"category_id": 3}, "[1]", "no category_id 3"),
        ({"segmentation": {"size": [48, 65], "counts": "0"}}, "[1].segmentation", "65 x 48 pixels, the photo 64 x 48"),
        ({"segmentation": {"size": [48, 64], "counts": "0"}}, "[1].segmentation", "do not add up"),
        ({"segmentation": {"size": [48, 64], "counts": [3072]}}, None, "`$[1].segmentation.counts`"),
        ({"segmentation": [[1, 2, 3, 4, 5, 6, 7]]}, "[1].segmentation", "7 numbers"),
        ({"score": "high"}, None, "`$[1].score`"),
    ],
)
def test_refuses_predictions_that_do_not_fit(dataset, predict, out, change, place, reason):
    file = predict(prediction(), prediction(**change))
    error = refusal(dataset=dataset, output=out, predictions=file)
    assert (error.file, error.place) == (file, place)
    assert reason in error.reason
    assert not out.exists()


@pytest.mark.parametrize(
    "content", [b"", b"[", b"{}", b"[1]", b"\xff", b'[{"image_id": 1, "category_id": 1, "score": 1}]']
)
def test_refuses_what_are_no_predictions(dataset, out, tmp_path, content):
    file = tmp_path / "p.json"
    file.write_bytes(content)
    error = refusal(dataset=dataset, output=out, predictions=file, split="test")
    assert "not a list of predictions" in error.reason


def test_refuses_photos_that_labelme_would_not_open(dataset, out):
    photo = dataset.parent / "photos" / "train" / "b.jpg"
    Image.new("RGB", (64, 49)).save(photo)
    assert "64 x 49, the file says 64 x 48" in refusal(dataset=dataset, output=out).reason
    photo.write_text("no photo")
    assert refusal(dataset=dataset, output=out).exit_code == 1
    photo.unlink()
    assert "No such file" in refusal(dataset=dataset, output=out).reason
    assert not out.exists()


@pytest.mark.parametrize("name", ["", "..", "/", "../..", "a\0.jpg"])
def test_refuses_names_that_are_none(dataset, out, name):
    change_names(dataset, name)
    assert "cannot name a photo" in refusal(dataset=dataset, output=out).reason


def test_refuses_two_photos_for_one_file(dataset, out):
    change_names(dataset, "x/a.jpg", "../x/a.jpg")
    assert "the images 1 and 2 would share" in refusal(dataset=dataset, output=out).reason


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content.pop("images"),
        lambda content: content["categories"].reverse(),
        lambda content: content["annotations"][0].update(id=0),
        lambda content: content["annotations"][0].update(image_id=9),
        lambda content: content["annotations"][0].update(segmentation={"size": [9, 9], "counts": "1"}),
        lambda content: content["images"][0].update(file_name=".."),
    ],
)
def test_broken_data_are_exit_code_1_as_the_help_says(dataset, out, damage):
    content = json.loads((dataset / "test.json").read_text())
    damage(content)
    (dataset / "test.json").write_text(json.dumps(content))
    error = refusal(dataset=dataset, output=out)
    assert (error.file, error.exit_code) == (dataset / "test.json", 1)


def test_refuses_a_bad_mask_of_the_ground_truth(dataset, out):
    content = json.loads((dataset / "test.json").read_text())
    content["annotations"][0]["segmentation"]["counts"] = "55"
    (dataset / "test.json").write_text(json.dumps(content))
    error = refusal(dataset=dataset, output=out)
    assert (error.file, error.place) == (dataset / "test.json", "annotations[0].segmentation")


def test_labels_with_white_space_around_them_come_back(folder, square, out):
    folder.pair("train/a", [square("car "), square("car", left=30)])
    folder.convert()
    before = folder.split()
    assert main(["to-labelme", str(folder.dataset), "--output", str(out)]) == 0
    back = ["convert", str(out), "--photos", str(folder.root), "--classes", str(out / "classes.txt")]
    assert main([*back, "--output", str(folder.dataset), "--overwrite"]) == 0
    assert folder.split() == before


def test_refuses_a_class_that_the_list_cannot_hold(folder, square, out):
    folder.pair("train/a", [square("bus\n")])
    folder.convert()
    assert "'bus\\n'" in refusal(dataset=folder.dataset, output=out).reason and not out.exists()


def test_loads_neither_torch_nor_labelme_nor_cv2():
    code = "import sys, dataset_tools.to_labelme.from_dataset\nprint(*sys.modules)"
    root = Path(__file__).resolve().parents[3]
    loaded = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True).stdout
    assert not {"torch", "detectron2", "labelme", "cv2", "matplotlib"} & set(loaded.split())


def test_command(dataset, predict, out, capsys):
    thin = np.zeros((48, 64), dtype=bool)
    thin[10, 3:40] = True
    file = predict(prediction(), prediction(thin), prediction(score=0.1), prediction(np.zeros((48, 64))))
    assert main(["to-labelme", str(dataset), "--output", str(out), "--predictions", str(file)]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert said.out.splitlines()[:3] == [
        f"1 file in {out}: 2 instances, 2 shapes",
        "left out for its score: 1 prediction",
        "left out because it covers nothing: 1 instance",
    ]
    assert main(["to-labelme", str(dataset), "--output", str(out)]) == 2
    assert capsys.readouterr().err.startswith("error: ")
