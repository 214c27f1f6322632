"""What the demo writes of photos, read by those who are to read it: pycocotools, labelme, OpenCV."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from labelme._label_file import read_label_file
from labelme.utils import shapes_to_label
from PIL import Image
from pycocotools.coco import COCO

from dataset_tools.errors import UserError
from polymask.demo.results import demand_screen
from polymask.inference.predictor import Predictor, predictor_config, read_photo

ROOT = Path(__file__).parents[3]
ALL = ("--save", "pictures", "coco", "labelme")


@pytest.fixture(scope="module")
def predictor(overfitted, weights):
    return Predictor(predictor_config(overfitted / "config.yaml", weights[1:], 0.3))


@pytest.fixture(scope="module")
def written(run_demo, photos, tmp_path_factory):
    """All kinds of results of six photos, and the folder that they are of."""
    output = tmp_path_factory.mktemp("results") / "found"
    assert run_demo("--input", photos, "--output", output, "--batch-size", "4", *ALL) == 0
    return output


def test_nothing_but_what_is_said(written, photos):
    names = [path.name for path in sorted(photos.glob("*.png"))]
    expected = {"coco.json", *(f"{name}.png" for name in names), *(f"labelme/{Path(name).stem}.json" for name in names)}
    assert {path.relative_to(written).as_posix() for path in written.rglob("*") if path.is_file()} == expected


def test_a_picture_shows_its_photo(written, photos):
    for path in photos.glob("*.png"):
        picture, photo = cv2.imread(str(written / f"{path.name}.png")), cv2.resize(read_photo(path), (960, 960))
        difference = np.abs(picture.astype(int) - photo).max(axis=2) > 40
        assert 0.02 < difference.mean() < 0.4, "an object or two"


def test_coco(written, photos, predictor):
    """pycocotools loads it, as a dataset and as results of it."""
    coco = COCO(str(written / "coco.json"))
    again = coco.loadRes([dict(annotation) for annotation in coco.dataset["annotations"]])
    assert len(again.anns) == len(coco.anns) >= 12
    assert [category["name"] for category in coco.dataset["categories"]] == list(predictor.classes)
    assert len(coco.imgs) == 6
    for image in coco.imgs.values():
        path = written / image["file_name"]
        assert path.samefile(photos / path.name)
        (found,) = predictor.detect([read_photo(path)])
        annotations = coco.loadAnns(coco.getAnnIds(image["id"]))
        assert [annotation["category_id"] - 1 for annotation in annotations] == [d.category for d in found]
        for annotation, detection in zip(annotations, found, strict=True):
            assert annotation["score"] == pytest.approx(detection.score, abs=1e-5)
            pixels = coco.annToMask(annotation).astype(bool)
            assert pixels.shape == (image["height"], image["width"]) and annotation["area"] == pixels.sum()
            expected = detection.mask.pixels_in((0, 0, image["width"], image["height"]))
            assert (pixels ^ expected).sum() <= 0.01 * expected.sum()
            left, top, width, height = annotation["bbox"]
            assert np.allclose([left, top, left + width, top + height], detection.box, atol=0.05)


def test_labelme(written, predictor):
    """labelme opens it, finds the photo, and fills the polygons with the predicted pixels."""
    for file in sorted((written / "labelme").glob("*.json")):
        label_file = read_label_file(str(file))
        photo = read_photo(file.parent / label_file.image_path)
        (found,) = predictor.detect([photo])
        values = {name: index + 1 for index, name in enumerate(predictor.classes)}
        _, instances = shapes_to_label(photo.shape[:2], label_file.shapes, values)
        assert instances.max() == len(found)
        assert [shape["label"] for shape in label_file.shapes] == [predictor.classes[d.category] for d in found]
        assert label_file.shapes[0]["description"] == f"score {found.found[0].score:.2f}"
        covered = np.zeros(photo.shape[:2], dtype=bool)  # labelme draws later shapes over earlier ones
        for number, detection in reversed(list(enumerate(found, start=1))):
            pixels = detection.mask.pixels_in((0, 0, photo.shape[1], photo.shape[0]))
            differing = (instances == number) ^ (pixels & ~covered)
            assert differing.sum() < 0.15 * pixels.sum()
            covered |= pixels


def test_a_turned_photo_is_annotated_as_it_is_shown(run_demo, photos, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.open(photos / "0.png").transpose(Image.Transpose.ROTATE_90).crop((0, 0, 128, 120)).save(
        tmp_path / "t.png", exif=exif
    )
    assert run_demo("--input", tmp_path / "t.png", "--output", tmp_path / "out", *ALL) == 0
    image = json.loads((tmp_path / "out/coco.json").read_text())["images"][0]
    record = json.loads((tmp_path / "out/labelme/t.json").read_text())
    assert (image["width"], image["height"]) == (record["imageWidth"], record["imageHeight"]) == (120, 128)
    assert cv2.imread(str(tmp_path / "out/t.png.png")).shape == (1024, 960, 3)


def test_photos_of_one_name(run_demo, photos, tmp_path):
    for name in ("a/0.png", "b/0.png", "b/0.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(photos / "0.png", tmp_path / name)
    assert run_demo("--input", tmp_path / "a", tmp_path / "b", "--output", tmp_path / "out", *ALL) == 0
    files = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert files == {
        "a/0.png.png", "b/0.png.png", "b/0.jpg.png", "coco.json",
        "labelme/a/0.json", "labelme/b/0.png.json", "labelme/b/0.jpg.json",
    }  # fmt: skip
    for file in (tmp_path / "out/labelme").rglob("*.json"):
        read_label_file(str(file))


@pytest.mark.parametrize("length", [251, 255])
def test_a_name_that_is_too_long_is_refused_before_anything_is_written(run_demo, photos, tmp_path, length):
    (tmp_path / "in").mkdir()
    for name in ("a.png", "x.png".rjust(length, "x")):
        shutil.copy(photos / "0.png", tmp_path / "in" / name)
    with pytest.raises(UserError, match="xxx.png.*bytes"):
        run_demo("--input", tmp_path / "in", "--output", tmp_path / "out", *ALL)
    assert not (tmp_path / "out").exists()


def test_the_longest_name(run_demo, photos, tmp_path):
    (tmp_path / "in").mkdir()
    for suffix in (".png", ".jpg"):
        shutil.copy(photos / "0.png", tmp_path / f"in/{'x' * 246}{suffix}")
    assert run_demo("--input", tmp_path / "in", "--output", tmp_path / "out", *ALL) == 0


def test_a_name_that_is_not_unicode(run_demo, photos, tmp_path):
    path = tmp_path / "in" / os.fsdecode(b"\xff.png")
    path.parent.mkdir()
    shutil.copy(photos / "0.png", path)
    for kind in ("coco", "labelme"):
        with pytest.raises(UserError, match=r"udcff.png.*Unicode"):
            run_demo("--input", tmp_path / "in", "--output", tmp_path / "out", "--save", kind)
    assert not (tmp_path / "out").exists()
    assert run_demo("--input", tmp_path / "in", "--output", tmp_path / "out") == 0, "a picture may have any name"


def test_names_do_not_steer_the_terminal(run_demo, photos, tmp_path, caplog):
    for name in ("a\x1b[2J\nb.png", "broken\x1b[2J\n.png"):
        (tmp_path / name).write_bytes((photos / "0.png").read_bytes()[: 500 if "broken" in name else None])
    with pytest.raises(UserError, match="1 of 2 photos"):
        run_demo("--input", tmp_path, "--output", tmp_path / "out")
    shown = [record.getMessage() for record in caplog.records if "[2J" in record.getMessage()]
    assert len(shown) == 2 and all(line.isprintable() and r"\x1b[2J\n" in line for line in shown)


@pytest.mark.parametrize("name", ["one.jpg", "one.PNG", "new/one.webp"])
def test_one_file(run_demo, photos, tmp_path, name):
    assert run_demo("--input", photos / "0.png", "--output", tmp_path / name) == 0
    assert cv2.imread(str(tmp_path / name)).shape == (960, 960, 3)


@pytest.fixture
def command(overfitted, weights, tmp_path):
    """The command line of a demo that runs in another process, with batches of three, and all kinds of results."""
    words = [
        "demo.py",
        "--config-file",
        overfitted / "config.yaml",
        "--output",
        tmp_path / "out",
        "--batch-size",
        3,
        *ALL,
    ]
    return lambda *arguments: [sys.executable, *map(str, [*words, *arguments, *weights])]


def test_a_broken_photo_among_others(command, photos, tmp_path):
    for name in ("a.png", "c.png"):
        shutil.copy(photos / "0.png", tmp_path / name)
    (tmp_path / "b.png").write_bytes((photos / "0.png").read_bytes()[:1000])
    done = subprocess.run(command("--input", tmp_path), cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    assert f"error: {tmp_path}/b.png: the photo cannot be read" in done.stderr
    assert "1 of 3 photos could not be read." in done.stderr
    assert sorted(path.name for path in (tmp_path / "out/labelme").iterdir()) == ["a.json", "c.json"]
    coco = json.loads((tmp_path / "out/coco.json").read_text())
    assert [Path(image["file_name"]).name for image in coco["images"]] == ["a.png", "c.png"]


@pytest.mark.parametrize("kind", ["coco", "labelme"])
def test_annotations_that_are_there_are_kept(run_demo, photos, tmp_path, kind):
    there = tmp_path / {"coco": "coco.json", "labelme": "labelme/3.json"}[kind]
    there.parent.mkdir(exist_ok=True)
    there.write_text("corrected by hand")
    with pytest.raises(UserError, match="corrected by hand"):
        run_demo("--input", photos, "--output", tmp_path, "--save", "pictures", kind)
    assert there.read_text() == "corrected by hand"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [there]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--output", "one.png"], "one file"),
        (["--output", "there.txt"], "there.txt: .* neither"),
        (["--save", "coco"], "needs a folder"),
        (["--output", "x", "--batch-size", "0"], "--batch-size is 0"),
        (["--output", "x", "--tile", "0"], "--tile is 0"),
        (["--output", "x", "--tile", "64", "--overlap", "0"], "--overlap is 0"),
        (["--output", "x", "--overlap", "0.3"], "--overlap is of tiles"),
        (["--output", "x.mp4"], "written into a folder"),
        (["--output", "x.json", "--save", "coco"], "written into a folder"),
        (["--output", "x", "--confidence-threshold", "3"], "--confidence-threshold is 3"),
    ],
)
def test_wrong_usage(overfitted, weights, photos, tmp_path, monkeypatch, arguments, words):
    import demo

    (tmp_path / "there.txt").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=words):
        demo.main(["--config-file", str(overfitted / "config.yaml"), "--input", str(photos), *arguments, *weights])
    assert [path.name for path in tmp_path.iterdir()] == ["there.txt"]


def test_a_picture_that_would_replace_its_photo(run_demo, photos):
    before = (photos / "0.png").read_bytes()
    with pytest.raises(UserError, match="overwrite its photo"):
        run_demo("--input", photos / "0.png", "--output", photos / "../train/0.png")
    assert (photos / "0.png").read_bytes() == before


def test_the_trial_of_a_window_runs_nothing_from_the_current_folder(tmp_path, monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "cv2.py").write_text("open('started', 'w')")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="no screen"):
        demand_screen()
    assert not (tmp_path / "started").exists()
