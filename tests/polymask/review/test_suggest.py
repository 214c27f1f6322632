"""The command, with a model that knows bars and discs, on photos of bars and discs."""

import csv
import json
import shutil
import sys

import numpy as np
import pytest
from labelme._label_file import read_label_file
from PIL import Image

from dataset_tools.dataset.convert import ConvertOptions, convert
from dataset_tools.errors import run_command
from polymask.__main__ import main
from polymask.inference.predictor import read_photo
from polymask.review.suggest import _detect
from tests.polymask.conftest import draw_photo


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    """Ten new photos, a broken one, one with a file, and one without anything to be found."""
    folder = tmp_path_factory.mktemp("pool")
    rng = np.random.default_rng(7)
    for index in range(10):
        draw_photo(folder, index, rng)
        if index:
            (folder / f"{index}.json").unlink()
    (folder / "broken.png").write_bytes((folder / "3.png").read_bytes()[:300])
    (folder / "deep").mkdir()
    Image.new("RGB", (128, 128), (120, 120, 120)).save(folder / "deep/4.jpg")
    Image.new("RGB", (128, 128), (120, 120, 121)).save(folder / "deep/4.png")
    return folder


@pytest.fixture
def suggest(overfitted, monkeypatch, capsys, caplog):
    """Runs the command, and returns its exit code and what it says."""

    def run(unlabelled, output, *arguments):
        words = ["suggest", "--config-file", overfitted / "config.yaml", "--unlabelled", unlabelled, "--output", output]
        monkeypatch.setattr(sys, "argv", ["polymask", *map(str, [*words, *arguments])])
        code = run_command(main)
        said = capsys.readouterr()
        return code, said.out + said.err + caplog.text

    return run


def contents(folder):
    """All files below a folder: their bytes, by their relative path."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def ranking(folder):
    with (folder / "ranking.csv").open() as file:
        return list(csv.DictReader(file))


def test_the_folder_is_one_that_labelme_opens(suggest, pool, tmp_path):
    before = contents(pool)
    code, said = suggest(pool, tmp_path / "out", "--top", 4)
    assert code == 1 and "broken.png" in said, "a broken photo is reported, and the others are suggested"
    rows = ranking(tmp_path / "out")
    assert [row["rank"] for row in rows] == ["1", "2", "3", "4"]
    files = contents(tmp_path / "out")
    assert set(files) == {"classes.txt", "ranking.csv"} | {row[key] for row in rows for key in ("photo", "file")}
    assert files["classes.txt"] == b"bar\ndisc\n"
    assert "0.png" not in files, "it is annotated"
    assert "broken.png" not in files
    for row in rows:
        assert files[row["photo"]] == before[row["photo"]]
        read = read_label_file(str(tmp_path / "out" / row["file"]))
        assert len(read.shapes) == int(row["drawn"]) <= int(row["detections"])
        scores = [float(shape["description"].removeprefix("score ")) for shape in read.shapes]
        assert all(score >= 0.2 for score in scores)
    assert contents(pool) == before, "the photos and the file beside one are as they were"


def test_the_shapes_are_where_the_objects_are(suggest, pool, tmp_path):
    suggest(pool, tmp_path / "out", "--top", 3, "--min-score", 0.5)
    for row in ranking(tmp_path / "out"):
        photo = read_photo(pool / row["photo"])
        truth = {"bar": photo[:, :, 1] > 200, "disc": photo[:, :, 1] < 60}
        read = read_label_file(str(tmp_path / "out" / row["file"]))
        for shape in read.shapes:
            x, y = np.mean(shape["points"], axis=0).astype(int)
            assert truth[shape["label"]][y, x]


def test_the_same_photos_give_the_same_bytes(suggest, pool, tmp_path):
    suggest(pool, tmp_path / "one", "--top", 5)
    suggest(pool, tmp_path / "two", "--top", 5)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_more_than_there_are_is_all_there_are(suggest, pool, tmp_path):
    _, said = suggest(pool, tmp_path / "out", "--top", 500)
    rows = ranking(tmp_path / "out")
    names = {f"{index}.png" for index in range(1, 10)} | {"deep/4.jpg", "deep/4.png"}
    assert {row["photo"] for row in rows} == names
    assert {row["file"] for row in rows} >= {"deep/4.jpg.json", "deep/4.png.json"}, "two photos, two files"
    assert f"{len(rows)} photos" in said


def test_what_somebody_has_is_never_overwritten(suggest, pool, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/1.json").write_text("work of hours")
    code, said = suggest(pool, tmp_path / "mine")
    assert code == 2 and "corrected by hand" in said
    assert contents(tmp_path / "mine") == {"1.json": b"work of hours"}
    code, said = suggest(pool, pool)
    assert code == 2


def test_what_somebody_saves_meanwhile_is_kept(suggest, pool, tmp_path, monkeypatch):
    def detect_slowly(*arguments):
        (tmp_path / "out").mkdir()
        (tmp_path / "out/1.json").write_text("work of minutes")
        return _detect(*arguments)

    monkeypatch.setattr("polymask.review.suggest._detect", detect_slowly)
    code, said = suggest(pool, tmp_path / "out", "--top", 1)
    assert code == 2 and "meanwhile" in said
    assert contents(tmp_path) == {"out/1.json": b"work of minutes"}


def test_near_copies_come_last(suggest, tmp_path):
    """Eight frames of one scene, which differ by a camera's noise, and four other scenes: one frame is enough."""
    rng = np.random.default_rng(3)
    (tmp_path / "pool").mkdir()
    for index in range(5):
        blurred = Image.fromarray(rng.integers(0, 255, (9, 9, 3), dtype=np.uint8)).resize((128, 128))
        blurred.save(tmp_path / f"pool/{index}.png")
    frame = np.asarray(Image.open(tmp_path / "pool/0.png")).astype(int)
    for number in range(1, 8):
        noisy = frame + rng.integers(-1, 2, frame.shape)
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(tmp_path / f"pool/0_{number}.png")
    assert suggest(tmp_path / "pool", tmp_path / "out")[0] == 0
    rows = ranking(tmp_path / "out")
    assert len(rows) == 12
    assert sum(row["photo"].startswith("0") for row in rows[:5]) == 1
    for some in (rows[:5], rows[5:]):
        values = [float(row["uncertainty"]) for row in some]
        assert values == sorted(values, reverse=True)


def test_photos_of_the_run_and_of_other_rounds_are_passed_over(suggest, pool, tiny_dataset, tmp_path):
    folder = tmp_path / "pool"
    folder.mkdir()
    trained = next((tiny_dataset.parent / "labelme/train").glob("*.png"))
    shutil.copyfile(trained, folder / "trained.png")
    for name in ("1.png", "2.png"):
        shutil.copyfile(pool / name, folder / name)
    assert suggest(folder, tmp_path / "round1", "--top", 1)[0] == 0
    (first,) = (row["photo"] for row in ranking(tmp_path / "round1"))
    _, said = suggest(folder, tmp_path / "round2", "--annotated", tmp_path / "round1")
    (second,) = (row["photo"] for row in ranking(tmp_path / "round2"))
    assert {first, second} == {"1.png", "2.png"}
    assert "2 copies" in said


def test_the_corrected_folder_is_converted_as_it_is(suggest, pool, tmp_path):
    suggest(pool, tmp_path / "out", "--top", 3)
    drawn = sum(int(row["drawn"]) for row in ranking(tmp_path / "out"))
    convert(ConvertOptions(source=tmp_path / "out", output=tmp_path / "dataset", fractions=(1.0, 0.0, 0.0)))
    found = json.loads((tmp_path / "dataset/train.json").read_text())
    assert (len(found["images"]), len(found["annotations"])) == (3, drawn)


def test_names_are_no_formulas_in_the_table(suggest, pool, tmp_path):
    (tmp_path / "pool").mkdir()
    shutil.copyfile(pool / "1.png", tmp_path / "pool/=1+2.png")
    suggest(tmp_path / "pool", tmp_path / "out")
    (row,) = ranking(tmp_path / "out")
    assert (row["photo"], row["file"]) == ("'=1+2.png", "'=1+2.json")
    assert {"=1+2.png", "=1+2.json"} <= set(contents(tmp_path / "out"))


def test_names_do_not_steer_the_terminal(suggest, pool, tmp_path):
    (tmp_path / "pool").mkdir()
    for source, name in (("1.png", "a\x1b[2J\n.png"), ("broken.png", "b\x1b[2J\n.png")):
        shutil.copyfile(pool / source, tmp_path / "pool" / name)
    _, said = suggest(tmp_path / "pool", tmp_path / "out")
    assert "\x1b" not in said and all(rf"{name}\x1b[2J\n.png" in said for name in "ab")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--top", 0], "--top is 0"),
        (["--min-score", 1.5], "--min-score is 1.5"),
        (["--annotated", "nowhere"], "no such folder"),
        (["--opts", "MODEL.WEIGHTS", "nowhere.pth"], "nowhere.pth"),
    ],
)
def test_wrong_usage(suggest, pool, tmp_path, arguments, words):
    code, said = suggest(pool, tmp_path / "out", *arguments)
    assert code == 2 and words in said
    assert not (tmp_path / "out").exists()


def test_a_folder_of_broken_photos(suggest, tmp_path):
    (tmp_path / "pool").mkdir()
    (tmp_path / "pool/a.jpg").write_bytes(b"no photo")
    code, said = suggest(tmp_path / "pool", tmp_path / "out")
    assert code == 1 and "a.jpg" in said and "no photo is left" in said
    assert not (tmp_path / "out").exists()
