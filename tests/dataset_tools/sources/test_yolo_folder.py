"""Datasets of YOLO, as https://docs.ultralytics.com/datasets/segment describes them, and as other programs lay them out."""

import json

import pytest

from dataset_tools.__main__ import main
from dataset_tools.dataset.scan import ReadOptions, scanned
from dataset_tools.errors import UserError
from dataset_tools.findings import Rule
from dataset_tools.images import photo_finder
from dataset_tools.sources.open import open_source
from dataset_tools.sources.yolo_folder import YoloFolder

# A square of 16 px on a photo of 64 x 48, as polygon and as box.
POLYGON = "0 0.125 0.16666667 0.375 0.16666667 0.375 0.5 0.125 0.5"
BOX = "0 0.25 0.33333333 0.25 0.33333333"
CAR = [("car", 256)]
NAMES = "names: [car, bus]\n"


def write(folder, name, *lines):
    path = folder.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def pair(folder, photo, label, *rows, seed=0):
    folder.photo(photo, seed=seed)
    write(folder, label, *(rows or [POLYGON]))


@pytest.fixture
def look(folder):
    """What is read of a folder: split, labels and areas of each photo, and the findings."""

    def look(path=None, options=None, **keys):
        source = open_source(path or folder.root, **keys)
        with scanned(source, options or ReadOptions(training_size=10_000)) as scan:
            taken = {
                entry.photo.path: (entry.split, [(item.label, item.area) for item in scan.instances(entry)])
                for entry in scan.entries
            }
            return taken, list(scan.findings)

    return look


def reported(findings):
    return [(finding.rule, finding.file, finding.place) for finding in findings]


# Layouts: data.yaml, and where photo and label of each split are

ULTRALYTICS = ("images/{}/a.jpg", "labels/{}/a.txt")
ROBOFLOW = ("{}/images/a.jpg", "{}/labels/a.txt")
LAYOUTS = {
    "Ultralytics": ("path: ../datasets/mine\ntrain: images/train\nval: images/val\n", ULTRALYTICS, "train val"),
    "Ultralytics, a path of this folder": ("path: .\ntrain: images/train\nval: images/val\n", ULTRALYTICS, "train val"),
    "Ultralytics, no path": ("train: images/train\nval: images/val\ntest:\n", ULTRALYTICS, "train val"),
    "Ultralytics, an absolute path": (
        "path: /home/her/mine\ntrain: images/train/\nval: images/val/\n", ULTRALYTICS, "train val"),
    "Ultralytics, absolute paths of Windows": (
        "train: C:\\mine\\images\\train\nval: 'C:\\mine\\images\\val'\n", ULTRALYTICS, "train val"),
    "Ultralytics, an empty test folder": (
        "train: ./images/train\nval: ./images/val\ntest: ./images/test\n", ULTRALYTICS, "train val"),
    "COCO's years": ("train: images/train2017\nval: images/val2017\n", ULTRALYTICS, "train2017 val2017"),
    "Roboflow": (
        "train: ../train/images\nval: ../valid/images\ntest: ../test/images\n\nnc: 2\n"
        "roboflow:\n  workspace: mine\n  version: 1\n", ROBOFLOW, "train valid"),
    "Roboflow, in this folder": ("train: train/images\nval: valid/images\n", ROBOFLOW, "train valid"),
    "labels beside the photos": ("train: train\nval: val\n", ("{}/a.jpg", "{}/a.txt"), "train val"),
    "a folder above is named labels": (
        "train: labels/images/train\nval: labels/images/val\n",
        ("labels/images/{}/a.jpg", "labels/labels/{}/a.txt"), "train val"),
    "capitals": ("train: Images/train\nval: Images/val\n", ("Images/{}/a.jpg", "Labels/{}/a.txt"), "train val"),
    "lists of folders": ("train: [images/train, images/more]\nval: [images/val]\n", ULTRALYTICS, "train val"),
    "validation": ("train: images/train\nvalidation: images/val\n", ULTRALYTICS, "train val"),
}  # fmt: skip


@pytest.mark.parametrize("names", [NAMES, "names:\n  0: car\n  1: bus\n", "names: {'0': car, '1': bus}\n"])
@pytest.mark.parametrize("case", LAYOUTS)
def test_layouts(look, folder, case, names):
    text, (photo, label), splits = LAYOUTS[case]
    splits = splits.split()
    for index, split in enumerate(splits):
        pair(folder, photo.format(split), label.format(split), seed=index)
    write(folder, "data.yaml", text + names)
    taken, findings = look()
    assert taken == {photo.format(split): (name, CAR) for split, name in zip(splits, ("train", "val"))}
    assert {item.rule.code for item in findings} <= ({"LM010"} if case == "capitals" else set())
    assert open_source(folder.root).classes == ("car", "bus")


@pytest.mark.parametrize("line", ["images/a.jpg", "./images/a.jpg", "/home/her/mine/images/a.jpg", "D:\\mine\\images\\a.jpg",
                                  "data/mine/images/a.jpg"])  # fmt: skip
def test_lists_of_photos(look, folder, line):
    """As CVAT and Darknet write them."""
    for index, name in enumerate("abc"):
        pair(folder, f"images/{name}.jpg", f"labels/{name}.txt", seed=index)
    write(folder, "train.txt", line, "", "./images/b.jpg")
    write(folder, "lists/val.txt", "../images/c.jpg")
    write(folder, "data.yaml", "path: /content/mine\ntrain: train.txt\nval: [lists/val.txt]\n" + NAMES)
    taken, findings = look()
    expected = {"images/a.jpg": "train", "images/b.jpg": "train", "images/c.jpg": "val"}
    assert ({photo: split for photo, (split, _) in taken.items()}, findings) == (expected, [])


def test_a_list_that_names_a_missing_photo(look, folder):
    pair(folder, "images/a.jpg", "labels/a.txt")
    write(folder, "train.txt", "images/a.jpg", "images/gone.jpg")
    write(folder, "data.yaml", "train: train.txt\n" + NAMES)
    _, findings = look()
    assert (Rule.PHOTO_MISSING, "images/gone.jpg", "line 2 of train.txt") in reported(findings)


def test_a_description_elsewhere(look, folder, tmp_path):
    """Ultralytics' own YAML files lie beside its code."""
    pair(folder, "images/train/a.jpg", "labels/train/a.txt")
    path = tmp_path / "coco8-seg.yaml"
    path.write_text("path: coco8-seg\ntrain: images/train\nval: images/val\n" + NAMES)
    assert look(path, photos=folder.root)[0] == {"images/train/a.jpg": ("train", CAR)}


@pytest.mark.parametrize("photos", ["elsewhere", "elsewhere/images", "elsewhere/images/train"])
def test_photos_elsewhere(look, folder, tmp_path, photos):
    """As CVAT exports without photos."""
    folder.photo("../elsewhere/images/train/a.jpg")
    write(folder, "labels/train/a.txt", POLYGON)
    write(folder, "data.yaml", NAMES)
    taken, findings = look(photos=tmp_path / photos)
    assert ([drawn for _, drawn in taken.values()], findings) == ([CAR], [])


def test_no_splits_are_divided(folder, capsys):
    for index in range(8):
        pair(folder, f"images/{index}.jpg", f"labels/{index}.txt", seed=index)
    write(folder, "data.yaml", NAMES)
    assert main(["convert", str(folder.root), "--output", str(folder.dataset)]) == 0
    assert [len(folder.split(split)["images"]) for split in ("train", "val", "test")] == [6, 1, 1]
    assert [item["name"] for item in folder.split()["categories"]] == ["car", "bus"]


def test_names_in_classes_txt(look, folder):
    """As Label Studio writes them, with notes.json beside."""
    pair(folder, "images/a.jpg", "labels/a.txt")
    write(folder, "classes.txt", "car", "bus")
    write(folder, "notes.json", json.dumps({"categories": [{"id": 0, "name": "car"}], "info": {}}))
    assert look() == ({"images/a.jpg": (None, CAR)}, [])


@pytest.mark.parametrize(("photo", "label", "classes"), [
    ("a.jpg", "a.txt", "classes.txt"),
    ("a.jpg", "labels/a.txt", "labels/classes.txt"),
    ("images/a.jpg", "labels/a.txt", "labels/classes.txt"),
    ("labels/a.jpg", "labels/a.txt", "labels/classes.txt"),
])  # fmt: skip
def test_names_beside_the_labels(look, folder, capsys, photo, label, classes):
    """As LabelImg writes them into the folder of its label files, and Darknet's tools beside the photos."""
    pair(folder, photo, label)
    path = write(folder, classes, "car", "bus")
    for source in (folder.root, path) if photo != "labels/a.jpg" else (path,):
        taken, findings = look(source)
        assert [drawn for _, drawn in taken.values()] == [CAR] and {item.rule.code for item in findings} <= {"LM010"}
    assert main(["adopt", str(folder.root), "--output", str(folder.dataset)]) == 1
    assert "a dataset of YOLO" in capsys.readouterr().err


def test_texts_beside_a_list_of_classes_do_not_change_a_labelme_folder(folder, square):
    folder.pair("a", [square()])
    write(folder, "classes.txt", "car")
    write(folder, "a.txt", "2 cars, 0 buses")
    assert type(open_source(folder.root)).__name__ == "LabelmeFolder"


# Rows


def test_boxes_negatives_and_photos_without_labels(look, folder):
    pair(folder, "images/a.jpg", "labels/a.txt", BOX, "", "1" + POLYGON[1:], "   ", seed=0)
    pair(folder, "images/b.jpg", "labels/b.txt", "", seed=1)
    folder.photo("images/c.jpg", seed=2)
    write(folder, "data.yaml", NAMES)
    taken, findings = look()
    assert taken == {"images/a.jpg": (None, [("car", 256), ("bus", 256)]), "images/b.jpg": (None, [])}
    expected = [(Rule.BOX_FOR_MASK, "labels/a.txt", "line 1"), (Rule.NO_SHAPES, "labels/b.txt", "")]
    assert reported(findings) == [*expected, (Rule.PHOTO_WITHOUT_FILE, "images/c.jpg", "")]
    assert main(["convert", str(folder.root), "--output", str(folder.dataset), "--negatives"]) == 0
    assert sum(len(folder.split(split)["images"]) for split in ("train", "val", "test")) == 3


def test_a_folder_of_labels_that_is_missing(look, folder):
    """Every photo would be a negative."""
    folder.photo("images/train/a.jpg")
    write(folder, "data.yaml", "train: images/train\n" + NAMES)
    with pytest.raises(UserError, match="label files.*'labels'"):
        look()


@pytest.mark.parametrize("row", [
    POLYGON.replace(" ", "\t"), f"  {POLYGON}  \r", POLYGON.replace("0 ", "0.0 ", 1), "\ufeff" + POLYGON,
    POLYGON + " 0.125 0.16666667",
])  # fmt: skip
def test_spellings_of_a_row(look, folder, row):
    pair(folder, "images/a.jpg", "labels/a.txt", row)
    write(folder, "data.yaml", NAMES)
    assert look() == ({"images/a.jpg": (None, CAR)}, [])


BAD_ROWS = {
    "a class beyond the names": "2" + POLYGON[1:],
    "a class below 0": "-1" + POLYGON[1:],
    "a class by its name": "car" + POLYGON[1:],
    "a class of a half": "0.5" + POLYGON[1:],
    "an odd number of values": POLYGON + " 0.5",
    "a box with a score": BOX + " 0.9",
    "two points": "0 0.1 0.1",
    "a class alone": "0",
    "pixels": "0 8 8 24 8 24 24 8 24",
    "far below 0": POLYGON.replace("0.125", "-0.2"),
    "words": POLYGON.replace("0.125", "left"),
    "not a number": POLYGON.replace("0.125", "nan"),
    "commas": POLYGON.replace(" ", ","),
    "an underscore": POLYGON.replace("0.125", "0.1_25"),
}


@pytest.mark.parametrize("case", BAD_ROWS)
def test_a_bad_row_is_an_error_of_its_photo(look, folder, case):
    pair(folder, "images/a.jpg", "labels/a.txt", POLYGON, BAD_ROWS[case])
    pair(folder, "images/b.jpg", "labels/b.txt", seed=1)
    write(folder, "data.yaml", NAMES)
    taken, findings = look()
    assert reported(findings) == [(Rule.BAD_LINE, "labels/a.txt", "line 2")] and taken["images/b.jpg"] == (None, CAR)
    assert main(["convert", str(folder.root), "--output", str(folder.dataset), "--skip-bad"]) == 0
    assert [item["file_name"] for item in folder.split()["images"]] == ["images/b.jpg"]


def test_a_little_outside_is_clipped(look, folder):
    pair(folder, "images/a.jpg", "labels/a.txt", "0 -0.001 0 0.5 0 0.5 1.004 -0.001 1.004")
    write(folder, "data.yaml", NAMES)
    taken, findings = look()
    assert taken == {"images/a.jpg": (None, [("car", 32 * 48)])}
    assert [item.rule for item in findings] == [Rule.PARTLY_OUTSIDE]


def test_shares_are_those_of_the_photo_as_it_is_shown(look, folder):
    folder.photo("images/a.jpg", orientation=6)
    write(folder, "labels/a.txt", "0 0 0 0.5 0 0.5 0.25 0 0.25")
    write(folder, "data.yaml", NAMES)
    assert look()[0] == {"images/a.jpg": (None, [("car", 24 * 16)])}


# Photos of labels


def test_a_label_without_its_photo(look, folder):
    pair(folder, "images/a.jpg", "labels/a.txt")
    write(folder, "labels/gone.txt", POLYGON)
    write(folder, "data.yaml", NAMES)
    _, findings = look()
    assert [(item.rule, item.file) for item in findings] == [(Rule.PHOTO_MISSING, "labels/gone.txt")]


def test_two_photos_of_one_label(look, folder):
    pair(folder, "images/a.jpg", "labels/a.txt")
    folder.photo("images/a.png", seed=1)
    write(folder, "data.yaml", NAMES)
    _, findings = look()
    (finding,) = [item for item in findings if item.is_error]
    assert finding.rule is Rule.PHOTO_AMBIGUOUS and "a.jpg" in finding.message and "a.png" in finding.message


def test_two_labels_of_one_photo(look, folder):
    pair(folder, "images/a.jpg", "labels/a.txt")
    write(folder, "images/a.txt", POLYGON)
    write(folder, "data.yaml", NAMES)
    assert {item.rule for item in look()[1]} == {Rule.TWO_FILES_FOR_ONE_PHOTO}


def test_other_texts_are_not_labels(look, folder):
    pair(folder, "images/a.jpg", "labels/a.txt")
    write(folder, "labels/classes.txt", "car", "bus")
    for name in ("README.dataset.txt", "README.roboflow.txt", "requirements.txt"):
        write(folder, name, "# mine")
    write(folder, "data.yaml", NAMES)
    assert look() == ({"images/a.jpg": (None, CAR)}, [])


def test_a_photo_may_have_a_name_like_that_of_the_classes(look, folder):
    pair(folder, "images/my_classes.jpg", "labels/my_classes.txt")
    write(folder, "data.yaml", NAMES)
    assert look() == ({"images/my_classes.jpg": (None, CAR)}, [])


def test_nothing_outside_is_read(look, folder):
    folder.photo("../images/train/secret.jpg")
    folder.photo("../secret.jpg", seed=1)
    (folder.root.parent / "list.txt").write_text("secret.jpg\n")
    pair(folder, "images/train/a.jpg", "labels/train/a.txt")
    for entry in ("..", "../images/train", "../list.txt", str(folder.root.parent / "list.txt")):
        write(folder, "data.yaml", f"train: {entry}\nval: images/val\n{NAMES}")
        try:
            taken, findings = look()
        except UserError as error:
            assert "train" in str(error)
        else:
            assert set(taken) == {"images/train/a.jpg"}


# Splits


@pytest.mark.parametrize("text", ["train: images\nval: images\n", "train: images/a\nval: [images/a, images/b]\n"])
def test_photos_of_two_splits(look, folder, text):
    for index, name in enumerate("ab"):
        pair(folder, f"images/{name}/{name}.jpg", f"labels/{name}/{name}.txt", seed=index)
    write(folder, "data.yaml", text + NAMES)
    with pytest.raises(UserError, match="images/a/a.jpg.*val.*train") as caught:
        look()
    assert caught.value.exit_code == 1


def test_photos_of_no_split(look, folder):
    for index, split in enumerate(("train", "val", "more")):
        pair(folder, f"images/{split}/a.jpg", f"labels/{split}/a.txt", seed=index)
    write(folder, "data.yaml", LAYOUTS["Ultralytics, no path"][0] + NAMES)
    taken, findings = look()
    assert set(taken) == {"images/train/a.jpg", "images/val/a.jpg"}
    assert reported(findings) == [(Rule.OUTSIDE_SPLITS, "labels/more/a.txt", "")]


def test_train_that_leads_nowhere(look, folder):
    pair(folder, "images/train/a.jpg", "labels/train/a.txt")
    write(folder, "data.yaml", "train: pictures/training\n" + NAMES)
    with pytest.raises(UserError, match="pictures/training"):
        look()


def test_train_alone(look, folder):
    pair(folder, "images/train/a.jpg", "labels/train/a.txt")
    write(folder, "data.yaml", "train: images/train\n" + NAMES)
    (finding,) = look()[1]
    assert finding.rule is Rule.ONLY_TRAIN and "data.yaml" in finding.message


# Descriptions


@pytest.mark.parametrize(("text", "said"), [
    ("train: images\n", "names"), ("names: car\n", "names"), ("names: []\n", "names"), ("names: {a: car}\n", "'a'"),
    ("names: [yes, no]\n", "quotation"), ("names: [car, ]\nkpt_shape: [17, 3]\n", "keypoints"), ("names: [car\n", "YAML"),
    ("names: {0: car, '0': bus}\n", "once"), ("names: [[car]]\n", "quotation"), ("names: &a [*a]\n", ""),
    ("names: [!!python/name:os.system ]\n", "YAML"), ("names: " + "[" * 50, ""), ("names: [car, '']", "''"),
])  # fmt: skip
def test_descriptions_that_cannot_be_used(look, folder, text, said):
    pair(folder, "images/a.jpg", "labels/a.txt")
    write(folder, "data.yaml", text)
    with pytest.raises(UserError) as caught:
        look(folder.root / "data.yaml" if not text.startswith("names") else None)
    assert said in str(caught.value) and "data.yaml" in str(caught.value) and caught.value.exit_code == 1


def test_names_with_gaps_and_numbers(look, folder):
    pair(folder, "images/a.jpg", "labels/a.txt", "7" + POLYGON[1:])
    write(folder, "data.yaml", "names: {3: 0, 7: 1}\n")
    assert look()[0] == {"images/a.jpg": (None, [("1", 256)])}
    assert open_source(folder.root).classes == ("0", "1")


def test_two_descriptions_are_both_named(look, folder):
    pair(folder, "images/a.jpg", "labels/a.txt")
    for name in ("data.yaml", "mine.yml"):
        write(folder, name, NAMES)
    write(folder, "environment.yaml", "name: base")
    with pytest.raises(UserError, match="mine.yml") as caught:
        look()
    assert "data.yaml" in str(caught.value) and "environment" not in str(caught.value)
    assert look(folder.root / "mine.yml") == ({"images/a.jpg": (None, CAR)}, [])


def test_labels_without_names_are_sent_to_a_description(folder, capsys):
    pair(folder, "images/a.jpg", "labels/a.txt")
    assert main(["check", str(folder.root)]) == 1
    assert "data.yaml" in capsys.readouterr().err


@pytest.mark.parametrize("other", ["labelme", "via"])
def test_a_mixture_is_an_error_that_leads_on(folder, square, capsys, other):
    pair(folder, "images/a.jpg", "labels/a.txt")
    write(folder, "data.yaml", NAMES)
    if other == "labelme":
        folder.pair("z", [square()], seed=1)
    else:
        write(folder, "z.json", json.dumps({"z.jpg1": {"filename": "z.jpg", "regions": []}}))
    assert main(["convert", str(folder.root), "--output", str(folder.dataset)]) == 1
    said = capsys.readouterr().err
    assert "data.yaml" in said and "z.json" in said
    assert main(["convert", str(folder.root / "data.yaml"), "--output", str(folder.dataset)]) == 0


def test_a_description_without_labels_does_not_change_a_labelme_folder(folder, square):
    folder.pair("a", [square()])
    write(folder, "data.yaml", NAMES)
    assert type(open_source(folder.root)).__name__ == "LabelmeFolder"


def test_pictures_are_not_written_among_the_photos(folder, capsys):
    pair(folder, "images/a.jpg", "labels/a.txt")
    write(folder, "data.yaml", NAMES)
    assert main(["preview", str(folder.root), "--output", str(folder.root / "preview")]) == 2
    assert "inside" in capsys.readouterr().err


def test_many_labels_take_time_in_proportion(folder):
    pair(folder, "images/0.jpg", "labels/0.txt")
    source = YoloFolder(write(folder, "data.yaml", NAMES))
    names = [f"{index // 100}/{index % 100}" for index in range(20_000)]
    source._finder.by_stem = {f"images/{name}": [f"images/{name}.jpg"] for name in names}
    located = source._locate([f"labels/{name}.txt" for name in names])
    assert located == {f"labels/{name}.txt": (f"images/{name}.jpg", None) for name in names}


def test_photos_are_looked_for_once(look, folder, monkeypatch):
    """The nearest name costs a look at all photos: only some labels without photos are told it."""
    for index in range(50):
        write(folder, f"labels/gone_{index}.txt", POLYGON)
    pair(folder, "images/a.jpg", "labels/a.txt")
    write(folder, "data.yaml", NAMES)
    compared = []
    monkeypatch.setattr(photo_finder.difflib, "get_close_matches", lambda *_, **__: compared.append(1) or [])
    _, findings = look()
    assert len(compared) == 20 and sum(item.rule is Rule.PHOTO_MISSING for item in findings) == 50


def test_the_photo_of_another_label_is_not_taken(look, folder):
    pair(folder, "images/s2/a.jpg", "labels/s2/a.txt")
    write(folder, "labels/s1/a.txt", POLYGON)
    write(folder, "data.yaml", NAMES)
    taken, findings = look()
    assert taken == {"images/s2/a.jpg": (None, CAR)}
    assert [(item.rule, item.file) for item in findings] == [(Rule.PHOTO_MISSING, "labels/s1/a.txt")]
