"""The doctor: it says what convert says and more, and changes nothing."""

import hashlib
import json
import re

import numpy as np
import pytest
from PIL import Image

from dataset_tools.__main__ import main
from dataset_tools.dataset.checks import check_source, check_splits
from dataset_tools.dataset.scan import Entry, ReadOptions
from dataset_tools.findings import BadData, Rule
from dataset_tools.records import Photo
from dataset_tools.sources.labelme_folder import LabelmeFolder
from dataset_tools.sources.open import open_source


def examine(folder, **options):
    return check_source(LabelmeFolder(folder.root), ReadOptions(**options, hash_photos=True))


def scene(seed, size=(160, 120)):
    """A picture with enough in it to be distinguished from others."""
    coarse = np.random.default_rng(seed).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def state(root):
    """Every file with its bytes and its time of change."""
    files = (path for path in root.rglob("*") if path.is_file())
    return {path: (hashlib.sha256(path.read_bytes()).digest(), path.stat().st_mtime_ns) for path in files}


def damage(folder, square, shape):
    """A folder with something of everything."""
    folder.pair("good", [square()])
    folder.pair("two", [square(), square(), shape("cars", [[0, 0]])], seed=1)
    folder.pair("outside", [square(left=-8), square(" Car ", left=900)], seed=2)
    folder.json("broken.json", []).write_text("{")
    folder.json("lost.json", [square()], "lost.jpg")
    folder.photo("spare.jpg", seed=3)


def test_check_says_what_convert_says(folder, square, shape, codes):
    damage(folder, square, shape)
    with pytest.raises(BadData) as caught:
        folder.convert()
    about_files = [item for item in examine(folder).findings if item.file and item.rule is not Rule.LOOK_ALIKES]
    assert about_files == caught.value.findings and len(codes(about_files)) > 6


def test_check_changes_nothing(folder, square, shape, tmp_path):
    damage(folder, square, shape)
    before = state(tmp_path)
    examine(folder)
    assert state(tmp_path) == before


def test_a_photo_that_cannot_be_decoded_is_an_error(folder, square):
    """Its header is whole: only who decodes it notices."""
    for index in range(2):
        folder.photo(f"{index}.jpg", size=(640, 480), seed=index)
        folder.json(f"{index}.json", [square()], f"{index}.jpg", size=(640, 480))
    path = folder.root / "1.jpg"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    errors = [item for item in examine(folder).findings if item.rule is Rule.PHOTO_UNREADABLE]
    assert [item.file for item in errors] == ["1.json"]


def test_labels_of_a_dataset_folder_that_may_mean_one_class(folder, square, codes):
    for index, label in enumerate(("car", "Car", "ball1", "ball2")):
        folder.pair(str(index), [square(label)], seed=index)
    folder.convert(skip_bad=True)
    found = check_source(open_source(folder.dataset), ReadOptions(open_source(folder.dataset).classes))
    assert {"LM053", "LM058"} <= codes(found.findings)
    chosen = ("car", "Car", "ball1", "ball2")
    assert not {"LM053", "LM058"} & codes(examine(folder, classes=chosen).findings), "the user has chosen these"


def test_photos_that_look_alike_across_splits_are_said(folder, square):
    """One saved again at half its size, in another split; the same within a split is nobody's harm."""
    for name, seed, size in (
        ("train/a", 1, (160, 120)),
        ("train/b", 2, (160, 120)),
        ("train/b2", 2, (160, 120)),
        ("test/c", 1, (80, 60)),
        ("test/d", 3, (160, 120)),
    ):
        path = folder.root / f"{name}.jpg"
        path.parent.mkdir(exist_ok=True)
        scene(seed).resize(size).save(path, quality=60)
        folder.json(f"{name}.json", [square()], path.name, size=size)
    alike = [(finding.rule.code, finding.file, finding.message) for finding in examine(folder).findings]
    assert [item for item in alike if item[0] in ("LM063", "LM064")] == [
        ("LM063", "train/a.jpg", "in train, and 'test/c.jpg' in test")
    ]


def test_photos_that_look_alike_in_a_folder_without_splits_are_a_note(folder, square, codes):
    for index in range(3):
        scene(7).save(folder.root / f"{index}.jpg", quality=90 - 10 * index)
        folder.json(f"{index}.json", [square()], f"{index}.jpg", size=(160, 120))
    found = [finding for finding in examine(folder).findings if finding.rule.code == "LM064"]
    assert [(finding.file, finding.message) for finding in found] == [
        ("1.jpg", "and '0.jpg'"),
        ("2.jpg", "and '0.jpg'"),
    ]


def test_the_training_size_decides_what_is_too_small(folder, square, codes):
    folder.pair("a", [square(side=4)])  # of 48 px
    assert "LM049" not in codes(examine(folder, training_size=48).findings)
    assert "LM049" in codes(examine(folder, training_size=47).findings)


@pytest.mark.parametrize("options", [["--training-size", "0"], ["--line-width", "-1"], ["--jobs", "0"]])
def test_options_that_make_no_sense(folder, square, options, capsys):
    folder.pair("a", [square()])
    assert main(["check", str(folder.root), *options]) == 2
    assert options[0] in capsys.readouterr().err


def test_text(folder, square, shape, capsys):
    damage(folder, square, shape)
    assert main(["check", str(folder.root), "--classes", "car"]) == 1
    said = capsys.readouterr().out
    assert "error LM052: a label that is not in --classes" in said
    assert said.splitlines()[-1].startswith(f"{folder.root}: 3 photos, 4 instances, 1 class: ")


def test_json(folder, square, shape, capsys):
    for index in range(9):
        folder.pair(f"{index}", [square(), square()], seed=index)
    assert main(["check", str(folder.root), "--format", "json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["photos"] == 9 and said["instances"] == {"car": 18}
    (group,) = [group for group in said["findings"] if group["code"] == "LM043"]
    assert group["count"] == 9 == len(group["places"]) and group["severity"] == "warning"
    assert group["places"][0] == {"file": "0.json", "place": "shapes[1]", "message": "'car', as shapes[0]"}


def test_all_places(folder, square, capsys):
    for index in range(9):
        folder.pair(f"{index}", [square(), square()], seed=index)
    assert main(["check", str(folder.root)]) == 0
    assert "and 4 more" in capsys.readouterr().out
    assert main(["check", str(folder.root), "--all"]) == 0
    said = capsys.readouterr().out
    assert all(f"{index}.json, shapes[1]" in said for index in range(9))


def test_a_dataset_folder_is_checked_too(folder, square, capsys):
    folder.pair("train/a", [square()])
    folder.pair("val/b", [square(), square("bus", left=30)], seed=1)
    folder.convert()
    before = state(folder.dataset)
    assert main(["check", str(folder.dataset)]) == 0
    assert "LM061" in capsys.readouterr().out
    (folder.root / "val" / "b.jpg").unlink()
    assert main(["check", str(folder.dataset)]) == 1
    assert "b.jpg" in capsys.readouterr().out
    assert state(folder.dataset) == before


def test_masks_that_the_card_calls_polygons_are_an_error(folder, mask_shape):
    folder.pair("a", [mask_shape("car", np.ones((9, 9)))])
    folder.convert()
    path = folder.dataset / "dataset.json"
    path.write_text(path.read_text().replace('"bitmask"', '"polygon"'))
    found = check_source(open_source(folder.dataset), ReadOptions()).findings
    assert [(item.rule, item.file, item.place) for item in found if item.is_error] == [
        (Rule.NOT_TRAINABLE, "train.json", "annotations[0].segmentation")
    ]


def test_false_counts_on_the_card_are_said(folder, square):
    folder.pair("train/a", [square(), square("bus", left=30)])
    folder.convert()
    path = folder.dataset / "dataset.json"
    card = json.loads(path.read_text())
    card["splits"]["train"] |= {"images": 9, "instances_per_class": {"car": 5}}
    card["splits"]["val"]["instances"] = 7
    path.write_text(json.dumps(card))
    found = check_source(open_source(folder.dataset), ReadOptions()).findings
    assert [(item.file, item.place, item.message) for item in found if item.rule is Rule.CARD_COUNTS_DIFFER] == [
        ("dataset.json", "splits.train", "9 images, 1 in train.json"),
        ("dataset.json", "splits.train", "5 instances of 'car', 1 in train.json"),
        ("dataset.json", "splits.val", "7 instances, 0 in val.json"),
    ]


def test_the_files_of_a_card_may_be_in_a_folder_of_their_own(folder, square):
    folder.pair("a", [square()])
    folder.convert()
    (folder.dataset / "files").mkdir()
    for split in ("train", "val", "test"):
        (folder.dataset / f"{split}.json").rename(folder.dataset / "files" / f"{split}.json")
    path = folder.dataset / "dataset.json"
    path.write_text(re.sub(r'"(\w+\.json)"', r'"files/\1"', path.read_text()))
    checked = check_source(open_source(folder.dataset), ReadOptions())
    assert checked.photos == 1 and not [item for item in checked.findings if item.is_error]


@pytest.mark.parametrize("option", [["--ignore", "car"], ["--rename", "car=auto"], ["--rename", "gone=new"]])
def test_a_dataset_folder_is_read_with_the_options_of_a_conversion(folder, square, capsys, option):
    folder.pair("a", [square(), square("bus", left=30)])
    folder.convert(classes=("car", "bus", "tram"))
    assert main(["check", str(folder.dataset), *option]) == 0
    said = capsys.readouterr().out
    assert re.search(r"LM055: .* \(1\)\n    'tram'\n", said)
    assert ("LM056" in said) == ("gone=new" in option)


def test_thousands_of_labels_are_not_compared_with_each_other(counted_label):
    count = 3000

    def entries():
        counts = {counted_label(index): 1 for index in range(count)}
        return [Entry("a.json", Photo("a.jpg", (64, 48)), (64, 48), None, counts, False, None)]

    splits = {"train": entries(), "val": entries(), "test": entries()}
    assert list(check_splits(splits, [counted_label(index) for index in range(count)])) == []
    assert counted_label.comparisons < 100 * count


@pytest.mark.parametrize(("objects", "said"), [(101, ["101 objects"]), (100, [])])
def test_a_photo_with_more_objects_than_a_model_predicts_by_default(folder, square, objects, said):
    """All classes together: that is what Detectron2 counts. Shapes that are one object count once."""
    labels = ["car", "bus"] * objects
    shapes = [square(labels[index], left=index % 15 * 4, top=index // 15 * 4, side=3) for index in range(objects)]
    folder.pair(
        "a", [*shapes[1:], square("car", left=60, top=40, side=2, group_id=1), square("car", side=2, group_id=1)]
    )
    for findings in (examine(folder).findings, folder.convert().findings):
        assert [item.message for item in findings if item.rule is Rule.MANY_OBJECTS and item.file == "a.json"] == said


def test_thousands_of_files_of_one_photo_do_not_each_name_all_others(folder, square):
    """As a program writes them that never changes imagePath."""
    folder.photo("a.jpg")
    for number in range(40):
        folder.json(f"{number:02}.json", [square()])
    said = [item for item in examine(folder).findings if item.rule is Rule.TWO_FILES_FOR_ONE_PHOTO]
    assert [item.file for item in said] == [f"{number:02}.json" for number in range(40)]
    for item in said:
        named = re.findall(r"\d\d\.json", item.message)
        assert len(set(named)) == 5 and item.file not in named and "34 more" in item.message
    (folder.root / "00.json").rename(folder.root / "keep.txt")
    for number in range(3, 40):
        (folder.root / f"{number:02}.json").unlink()
    said = [item.message for item in examine(folder).findings if item.rule is Rule.TWO_FILES_FOR_ONE_PHOTO]
    assert said == ["the same photo as '02.json'", "the same photo as '01.json'"]
