"""What the options of convert make of a folder: labels, shapes, photos, and which photos belong to a folder at all."""

import base64
import io
import json

import numpy as np
import pytest
from detectron2.data.detection_utils import read_image
from PIL import Image
from pycocotools import mask as coco_mask

from dataset_tools.errors import UserError
from dataset_tools.findings import BadData

TRAIN_ONLY = (1.0, 0.0, 0.0)


def classes_of(folder):
    """The class of each annotation of train, in order."""
    content = folder.split()
    names = {category["id"]: category["name"] for category in content["categories"]}
    return [names[annotation["category_id"]] for annotation in content["annotations"]]


def masks_of(folder):
    """The mask of each annotation of train, by pycocotools alone."""
    content = folder.split()
    sizes = {image["id"]: (image["height"], image["width"]) for image in content["images"]}
    masks = []
    for annotation in content["annotations"]:
        encoded = annotation["segmentation"]
        if isinstance(encoded, list):
            encoded = coco_mask.merge(coco_mask.frPyObjects(encoded, *sizes[annotation["image_id"]]))
        masks.append(coco_mask.decode(encoded).astype(bool))
    return masks


# Labels


def test_a_rename_onto_a_class_merges_the_two(folder, square):
    folder.pair("a", [square("car"), square("cars", left=30), square("bus", top=28)])
    folder.convert(fractions=TRAIN_ONLY, rename={"cars": "car"})
    assert classes_of(folder) == ["car", "car", "bus"]
    assert [category["name"] for category in folder.split()["categories"]] == ["bus", "car"]


def test_renaming_merges_parts_of_one_group(folder, square):
    folder.pair("a", [square("car", group_id=1), square("cars", left=30, group_id=1)])
    folder.convert(fractions=TRAIN_ONLY, rename={"cars": "car"})
    assert [annotation["area"] for annotation in folder.split()["annotations"]] == [512]


def test_renames_are_not_chained(folder, square):
    folder.pair("a", [square("one"), square("two", left=30)])
    folder.convert(fractions=TRAIN_ONLY, rename={"one": "two", "two": "three"})
    assert classes_of(folder) == ["two", "three"]


def test_ignored_labels_are_left_out_and_said(folder, square, codes):
    folder.pair("a", [square("car"), square("shadow", left=30)])
    converted = folder.convert(fractions=TRAIN_ONLY, ignore=("shadow",), classes=("car",))
    assert classes_of(folder) == ["car"] and "LM057" in codes(converted.findings)


def test_a_label_that_nothing_has_is_said(folder, square):
    folder.pair("a", [square("car")])
    found = folder.convert(fractions=TRAIN_ONLY, rename={"cra": "car"}, ignore=("bsu",)).findings
    assert [finding.message for finding in found if finding.rule.code == "LM056"] == [
        "--rename 'cra'",
        "--ignore 'bsu'",
    ]


def test_numbers_of_objects_are_stripped(folder, square):
    """Two shapes of Ball7 in one photo are one object, as they were in labelme before it had groups."""
    shapes = [square("Ball7"), square("Ball7", left=30), square("ball_8", top=28), square("Ball")]
    folder.pair("a", shapes)
    folder.convert(fractions=TRAIN_ONLY, strip_numbers=True, rename={"ball": "Ball"}, drop_duplicates=True)
    assert classes_of(folder) == ["Ball", "Ball", "Ball"]
    assert [annotation["area"] for annotation in folder.split()["annotations"]] == [512, 256, 256]


def test_numbered_labels_are_said_and_kept(folder, square):
    folder.pair("a", [square(f"Ball{number}", left=8 * number) for number in (1, 2, 3)])
    converted = folder.convert(fractions=TRAIN_ONLY)
    assert len(converted.card.classes) == 3
    assert [finding.message for finding in converted.findings if finding.rule.code == "LM058"] == [
        "'Ball': 'Ball1' to 'Ball3', 3 labels"
    ]


@pytest.mark.parametrize(
    "options",
    [
        {"classes": ("car",), "ignore": ("car",)},
        {"classes": ("car",), "rename": {"cars": "auto"}},
        {"rename": {"cars": "__ignore__"}},
        {"rename": {"cars": " "}},
        {"classes": ()},
        {"images": "move"},
        {"max_size": 32},
        {"images": "resize", "max_size": 0},
        {"line_width": 0},
        {"line_width": float("nan")},
        {"jobs": 0},
        {"group": "("},
        {"group": "no name is like this"},
        {"encoding": "klingon"},
    ],
)
def test_options_that_make_no_sense_are_refused_before_anything_is_written(folder, square, options):
    folder.pair("a", [square("car")])
    with pytest.raises(UserError) as caught:
        folder.convert(**options)
    assert caught.value.exit_code == 2 and not folder.dataset.exists()


# Shapes


def test_lines_and_points_get_a_surface(folder, shape, codes):
    """By hand: a flat line of 20 px, 8 px wide with round ends, has 20 * 8 + 4 * 4 * pi px; a disc, 16 * pi."""
    folder.pair("a", [shape("pole", [[10, 20], [30, 20]], "line"), shape("dot", [[50, 30]], "point")])
    converted = folder.convert(fractions=TRAIN_ONLY, line_width=8)
    line, dot = (annotation["area"] for annotation in folder.split()["annotations"])
    assert line == pytest.approx(210, abs=6) and dot == pytest.approx(50, abs=4)
    assert "LM038" not in codes(converted.findings)
    rows, columns = np.nonzero(masks_of(folder)[0])
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (16, 23, 6, 33)


def test_a_line_that_closes_leaves_its_middle_free(folder, shape):
    corners = [[10, 10], [50, 10], [50, 40], [10, 40], [10, 10]]
    folder.pair("a", [shape("fence", corners, "linestrip")])
    folder.convert(fractions=TRAIN_ONLY, line_width=4)
    (mask,) = masks_of(folder)
    assert mask[10, 30] and mask[25, 10] and not mask[25, 30]


def test_a_crossing_outline_is_repaired(folder, shape, codes):
    """A bow-tie has both its wings: 2 triangles of 20 * 10 / 2 px each. Shapely's buffer(0) would lose one."""
    folder.pair("a", [shape("tie", [[10, 10], [30, 30], [30, 10], [10, 30]])])
    converted = folder.convert(fractions=TRAIN_ONLY, repair=True)
    (annotation,) = folder.split()["annotations"]
    assert len(annotation["segmentation"]) == 2 and annotation["area"] == pytest.approx(200, abs=20)
    assert "LM047" in codes(converted.findings) and "LM035" not in codes(converted.findings)


def test_nested_parts_are_holes_on_request(folder, square, codes):
    """A square, a hole in it, and an island in the hole: 16 * 16 - 8 * 8 + 2 * 2 px."""
    parts = [
        square(group_id=1),
        square(left=12, top=12, side=8, group_id=1),
        square(left=14, top=14, side=2, group_id=1),
    ]
    folder.pair("a", parts)
    converted = folder.convert(fractions=TRAIN_ONLY, holes=True)
    (annotation,) = folder.split()["annotations"]
    (mask,) = masks_of(folder)
    assert annotation["area"] == 256 - 64 + 4 == mask.sum()
    assert mask[9, 9] and not mask[13, 13] and mask[15, 15]
    assert converted.card.mask_format == "bitmask" and "LM045" in codes(converted.findings)


def test_parts_that_are_not_nested_stay_polygons_with_holes_asked_for(folder, square):
    folder.pair("a", [square(group_id=1), square(left=30, group_id=1)])
    converted = folder.convert(fractions=TRAIN_ONLY, holes=True)
    assert converted.card.mask_format == "polygon"
    assert [annotation["area"] for annotation in folder.split()["annotations"]] == [512]


def test_duplicates_are_dropped_on_request(folder, square, codes):
    folder.pair("a", [square(), square(), square("bus"), square(group_id=3)])
    converted = folder.convert(fractions=TRAIN_ONLY, drop_duplicates=True)
    assert classes_of(folder) == ["car", "bus"] and "LM046" in codes(converted.findings)


def test_instances_that_overlap_too_much_are_said(folder, square):
    """By hand: two squares of 16 px, 4 px apart, share 12 * 16 of 20 * 16 px."""
    folder.pair("a", [square(), square(left=12), square("bus", left=12), square(left=40)])
    found = [finding for finding in folder.convert(fractions=TRAIN_ONLY).findings if finding.rule.code == "LM048"]
    assert [(finding.place, finding.message) for finding in found] == [("shapes[1]", "'car', IoU 0.60 with shapes[0]")]


def test_what_is_too_small_at_the_training_size_is_said(folder, square):
    """Only a large photo can have it: at a short side of 800 px, one of 48 px is 16.7 times as large."""
    folder.photo("a.jpg", size=(4000, 3000))
    folder.json("a.json", [square(side=14), square(left=100, side=16)], size=(4000, 3000))
    found = [finding for finding in folder.convert(fractions=TRAIN_ONLY).findings if finding.rule.code == "LM049"]
    assert [finding.place for finding in found] == ["shapes[0]"]  # 14 * 800 / 3000 = 3.7, 16 * 800 / 3000 = 4.3


def test_a_long_photo_is_trained_on_smaller(folder, square):
    """Detectron2's INPUT.MAX_SIZE_TRAIN of 1333 holds where the short side of 800 would make it longer than that."""
    folder.photo("a.jpg", size=(8000, 1000))
    folder.json("a.json", [square(side=23), square(left=100, side=25)], size=(8000, 1000))
    found = [finding for finding in folder.convert(fractions=TRAIN_ONLY).findings if finding.rule.code == "LM049"]
    assert [finding.place for finding in found] == ["shapes[0]"]  # 23 * 1333 / 8000 = 3.8, 25 * 1333 / 8000 = 4.2


# Photos


def test_photos_are_copied_byte_by_byte(folder, square, base64_png):
    """A photo that is written out and a copied one of the same name both find a place."""
    path = folder.photo("b/a.png")
    folder.json("b/x.json", [square()], "a.png")
    embedded = base64_png(Image.new("RGB", (32, 32)))
    folder.json("b/a.json", [square()], "gone.png", size=(32, 32), imageData=embedded)
    converted = folder.convert(fractions=TRAIN_ONLY, images="copy")
    assert converted.card.image_root == "."
    sizes = {image["file_name"]: (image["width"], image["height"]) for image in folder.split()["images"]}
    assert sizes == {"images/b/a.png": (32, 32), "images/b/a_2.png": (64, 48)}
    assert (folder.dataset / "images/b/a_2.png").read_bytes() == path.read_bytes()
    assert (folder.dataset / "images/b/a.png").read_bytes() == base64.b64decode(embedded)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_resized_photos_are_upright_and_their_masks_lie_where_they_lay(folder, square, mask_shape, orientation):
    """Against Detectron2's reader of the original: the same picture at half the width, and every mask with it."""
    stored = (128, 96) if orientation < 5 else (96, 128)
    path = folder.photo("a.jpg", size=stored, orientation=orientation)
    blob = np.zeros((96, 128), dtype=bool)
    blob[40:80, 60:100] = True
    folder.json("a.json", [square(left=8, top=16, side=32), mask_shape("bus", blob)], size=(128, 96))
    folder.convert(fractions=TRAIN_ONLY, images="resize", max_size=64)
    (image,) = folder.split()["images"]
    assert (image["width"], image["height"]) == (64, 48)
    small = np.asarray(Image.open(folder.dataset / image["file_name"]))
    expected = Image.fromarray(read_image(str(path), "RGB")).resize((64, 48), Image.Resampling.BOX)
    assert small.shape == (48, 64, 3)
    assert np.abs(small.astype(int) - np.asarray(expected).astype(int)).mean() < 4
    boxes = [annotation["bbox"] for annotation in folder.split()["annotations"]]
    assert boxes == [[4, 8, 16, 16], [30, 20, 20, 20]]


def test_a_photo_that_is_small_enough_stays_as_it_is(folder, square):
    path = folder.photo("a.jpg")
    folder.json("a.json", [square()])
    folder.convert(fractions=TRAIN_ONLY, images="resize", max_size=64)
    assert (folder.dataset / "images" / "a.jpg").read_bytes() == path.read_bytes()


def test_other_formats_become_png_without_taking_anothers_name(folder, square):
    for name in ("a.bmp", "a.png"):
        folder.photo(name, size=(128, 96), seed=len(name))
    folder.json("a.json", [square()], "a.bmp", size=(128, 96))
    folder.json("a.png.json", [square()], "a.png", size=(128, 96))
    folder.convert(fractions=TRAIN_ONLY, images="resize", max_size=64)
    names = [image["file_name"] for image in folder.split()["images"]]
    assert sorted(names) == ["images/a.png", "images/a_2.png"]
    assert all(Image.open(folder.dataset / name).size == (64, 48) for name in names)


def test_a_photo_that_is_broken_behind_its_header_is_a_finding(folder, square):
    folder.photo("a.jpg", size=(128, 96))
    folder.photo("b.jpg", size=(128, 96), seed=1)
    for name in "ab":
        folder.json(f"{name}.json", [square()], f"{name}.jpg", size=(128, 96))
    (folder.root / "a.jpg").write_bytes((folder.root / "a.jpg").read_bytes()[:-300])
    with pytest.raises(BadData) as caught:
        folder.convert(fractions=TRAIN_ONLY, images="resize", max_size=64)
    assert [(item.file, item.rule.code) for item in caught.value.findings if item.is_error] == [("a.json", "LM016")]
    assert not folder.dataset.exists()
    converted = folder.convert(fractions=TRAIN_ONLY, images="resize", max_size=64, skip_bad=True)
    assert converted.skipped == 1 and converted.card.splits["train"].images == 1
    assert [image["file_name"] for image in folder.split()["images"]] == ["images/b.jpg"]
    assert not (folder.dataset / "images" / "a.jpg").exists()


def test_photos_without_a_file_are_negatives_on_request(folder, square, codes):
    folder.pair("a", [square()])
    folder.photo("empty.jpg", seed=1)
    converted = folder.convert(fractions=TRAIN_ONLY, negatives=True)
    assert [image["file_name"] for image in folder.split()["images"]] == ["a.jpg", "empty.jpg"]
    assert {"LM024"} <= codes(converted.findings) and "LM020" not in codes(converted.findings)


@pytest.mark.parametrize("jobs", [1, 2])
def test_annotated_photos_under_other_names_are_no_negatives(folder, square, codes, jobs):
    for index in range(40):  # enough for two processes
        folder.photo(f"images/{index}.jpg", seed=index)
        folder.json(f"files/{index}.json", [square()], f"../images/{index}.jpg")
    folder.photo("images/empty.jpg", seed=50)
    folder.json("files/other.json", [square()], "../images/named.jpg")
    folder.photo("images/named.jpg", seed=51)
    converted = folder.convert(fractions=TRAIN_ONLY, negatives=True, jobs=jobs)
    taken = [finding.file for finding in converted.findings if finding.rule.code == "LM024"]
    assert taken == ["images/empty.jpg"] and converted.card.splits["train"].images == 42
    assert converted.card.splits["train"].instances == 41


def test_the_photo_of_a_file_outside_the_splits_is_no_negative(folder, square):
    folder.pair("train/a", [square()])
    folder.photo("train/b.jpg", seed=1)
    folder.photo("train/empty.jpg", seed=2)
    folder.json("extra/b.json", [square()], "../train/b.jpg")
    folder.convert(negatives=True)
    assert [image["file_name"] for image in folder.split()["images"]] == ["train/a.jpg", "train/empty.jpg"]


def test_a_photo_that_a_broken_file_may_annotate_is_no_negative(folder, square, codes):
    folder.pair("a", [square()])
    folder.photo("b.jpg", seed=1)
    folder.photo("empty.jpg", seed=2)
    folder.json("other.json", [square(group_id=True)], "b.jpg")
    converted = folder.convert(fractions=TRAIN_ONLY, negatives=True, skip_bad=True)
    assert [image["file_name"] for image in folder.split()["images"]] == ["a.jpg"]
    left_out = [(f.file, f.message) for f in converted.findings if f.rule.code == "LM020"]
    doubt = "unless it is that of 'other.json', which has errors"
    assert left_out == [("b.jpg", doubt), ("empty.jpg", doubt)]
    (folder.root / "files").mkdir()
    (folder.root / "other.json").rename(folder.root / "files/b.json")  # whose photo it is, is clear now
    folder.convert(fractions=TRAIN_ONLY, negatives=True, skip_bad=True, overwrite=True)
    assert [image["file_name"] for image in folder.split()["images"]] == ["a.jpg", "empty.jpg"]
    (folder.root / "files/b.json").rename(folder.root / "b.json")
    folder.convert(fractions=TRAIN_ONLY, negatives=True, skip_bad=True, overwrite=True)
    assert [image["file_name"] for image in folder.split()["images"]] == ["a.jpg", "empty.jpg"]


# Where files and photos are


def test_photos_and_files_in_two_folders_of_one(folder, square, codes):
    """They mirror each other; imagePath is the bare name."""
    for part in ("x", "y"):
        folder.photo(f"photos/{part}/a.jpg", seed=ord(part))
        folder.json(f"files/{part}/a.json", [square()], "a.jpg")
    converted = folder.convert(fractions=TRAIN_ONLY)
    assert [image["file_name"] for image in folder.split()["images"]] == ["photos/x/a.jpg", "photos/y/a.jpg"]
    assert "LM010" in codes(converted.findings)


@pytest.mark.parametrize(
    "image_path", ["a.jpg", "../../pictures/x/a.jpg", "..\\..\\pictures\\x\\a.jpg", "C:\\gone\\a.jpg"]
)
def test_photos_in_a_folder_of_their_own(folder, square, tmp_path, image_path):
    folder.photo("../pictures/x/a.jpg")
    folder.photo("../pictures/y/a.jpg", seed=1)
    folder.json("x/a.json", [square()], image_path)
    folder.convert(fractions=TRAIN_ONLY, photos=tmp_path / "pictures")
    assert [image["file_name"] for image in folder.split()["images"]] == ["x/a.jpg"]
    card = json.loads((folder.dataset / "dataset.json").read_text())
    assert (folder.dataset / card["image_root"] / "x" / "a.jpg").is_file()


def test_a_stray_photo_that_could_be_two_is_an_error(folder, square, codes):
    for part in ("x", "y"):
        folder.photo(f"photos/{part}/a.jpg", seed=ord(part))
    folder.json("files/a.json", [square()], "a.jpg")
    with pytest.raises(BadData) as caught:
        folder.convert()
    assert codes(caught.value.findings) >= {"LM022"}


def test_imagedata_decides_between_two_stray_photos(folder, square, codes):
    """Not by its bytes: it was saved again."""
    for part in ("x", "y"):
        path = folder.photo(f"photos/{part}/a.jpg", seed=ord(part))
    stream = io.BytesIO()
    Image.open(path).save(stream, "PNG")
    folder.json("files/a.json", [square()], "a.jpg", imageData=base64.b64encode(stream.getvalue()).decode())
    converted = folder.convert(fractions=TRAIN_ONLY)
    assert [image["file_name"] for image in folder.split()["images"]] == ["photos/y/a.jpg"]
    assert "LM010" in codes(converted.findings)


def test_another_files_photo_is_no_stray_one(folder, square, codes):
    """x/a.json has lost its photo: that of y/a.json is not taken from it."""
    folder.json("x/a.json", [square()], "a.jpg")
    folder.pair("y/a", [square()])
    with pytest.raises(BadData) as caught:
        folder.convert()
    assert {finding.file for finding in caught.value.findings if finding.is_error} == {"x/a.json"}
    assert "LM013" in codes(caught.value.findings)


def test_a_file_that_names_another_photo_than_the_one_beside_it_is_said(folder, square, codes):
    folder.photo("a.jpg")
    folder.photo("b.jpg", seed=1)
    folder.json("a.json", [square()], "b.jpg")
    converted = folder.convert(fractions=TRAIN_ONLY)
    assert [image["file_name"] for image in folder.split()["images"]] == ["b.jpg"]
    assert "LM023" in codes(converted.findings)


# Splits and processes


def test_groups_never_part(folder, square):
    for index in range(30):
        folder.pair(f"scene{index % 10}_{index}", [square()], seed=index)
    folder.convert(group=r"scene(\d+)_")
    of_scene = {}
    for split in ("train", "val", "test"):
        for image in folder.split(split)["images"]:
            of_scene.setdefault(image["file_name"].partition("_")[0], set()).add(split)
    assert len(of_scene) == 10 and all(len(splits) == 1 for splits in of_scene.values())
    assert set.union(*of_scene.values()) == {"train", "val", "test"}


def test_groups_go_by_the_names_of_photos(folder, square):
    for index in range(8):
        folder.photo(f"photos/scene{index % 2}_{index}.jpg", seed=index)
        folder.json(f"files/annotation{index}.json", [square()], f"../photos/scene{index % 2}_{index}.jpg")
    folder.convert(group=r"scene(\d+)_", fractions=(0.5, 0.5, 0.0))
    scenes = [
        {image["file_name"].partition("_")[0] for image in folder.split(split)["images"]} for split in ("train", "val")
    ]
    assert sorted(map(sorted, scenes)) == [["photos/scene0"], ["photos/scene1"]]


def test_groups_of_a_folder_that_is_split_are_refused(folder, square):
    folder.pair("train/a", [square()])
    with pytest.raises(UserError, match="--group"):
        folder.convert(group="a")


def test_the_number_of_processes_changes_nothing(folder, square, mask_shape, tmp_path):
    """More files than a process gets at a time, findings among them."""
    for index in range(70):
        label = " car" if index % 9 == 0 else "car"
        shapes = [square(label, left=index % 30), mask_shape("bus", np.ones((5, 5), bool), corner=(40, index % 40))]
        folder.pair(f"{index:02}", shapes, seed=index)
    one = folder.convert(output=tmp_path / "one" / "set", images="copy", jobs=1)
    three = folder.convert(output=tmp_path / "two" / "set", images="copy", jobs=3)
    assert one.findings == three.findings and len(one.findings) >= 8
    files = [
        {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}
        for root in (tmp_path / "one", tmp_path / "two")
    ]
    assert files[0] == files[1] and len(files[0]) == 75
