"""Demos of many photos that are stopped and go on, in one process and in two."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path, PurePosixPath

import numpy as np
import pytest

from dataset_tools.errors import EXIT_DATA, UserError
from polymask.demo.journal import Journal
from polymask.demo.photos import InputPhoto
from polymask.demo.results import LabelmeFiles
from polymask.inference.detections import Detection, Detections, place

ROOT = Path(__file__).parents[3]
COPIES, BATCH = 16, 2
OPTIONS = ("--batch-size", BATCH, "--save", "pictures", "coco", "labelme")


@pytest.fixture(scope="module")
def many(photos, tmp_path_factory):
    """A folder with some photos, most of which are copies, and what a demo that nobody stops makes of it."""
    folder = tmp_path_factory.mktemp("many") / "photos"
    folder.mkdir()
    names = sorted(photos.glob("*.png"))
    for number in range(COPIES):
        shutil.copy(names[number % len(names)], folder / f"{number:03}.png")
    return folder


@pytest.fixture(scope="module")
def whole(run_demo, many):
    output = many.parent / "whole"
    assert run_demo("--input", many, "--output", output, *OPTIONS) == 0
    return output


@pytest.fixture
def command(overfitted, weights, many, tmp_path):
    """The command line of ``whole`` for another folder, by a program such as Python."""

    def command(*program, more=()):
        words = ["demo.py", "--config-file", overfitted / "config.yaml", "--confidence-threshold", 0.3]
        words += ["--input", many, "--output", tmp_path / "out", *OPTIONS, *more, *weights]
        return [str(word) for word in (sys.executable, *program, *words)]

    return command


def assert_alike(output, whole):
    """That two folders have the same files, and the same in coco.json up to the last digits."""
    names = [{path.relative_to(folder) for path in folder.rglob("*")} for folder in (output, whole)]
    assert names[0] == names[1]
    found, expected = (json.loads((folder / "coco.json").read_text()) for folder in (output, whole))
    ways = [[Path(image.pop("file_name")).name for image in content["images"]] for content in (found, expected)]
    assert ways[0] == ways[1] and found["images"] == expected["images"] and len(ways[0]) == COPIES
    assert len(found["annotations"]) == len(expected["annotations"]) >= 2 * COPIES
    for one, other in zip(found["annotations"], expected["annotations"], strict=True):
        assert {key: one[key] for key in ("id", "image_id", "category_id")} == {
            key: other[key] for key in ("id", "image_id", "category_id")
        }
        assert np.allclose([one["score"], *one["bbox"]], [other["score"], *other["bbox"]], atol=0.05)


def lines_in(output):
    return sum(file.read_bytes().count(b"\n") for file in output.glob(".unfinished_*/*"))


def test_a_demo_that_is_stopped_twice(command, run_demo, many, whole, tmp_path):
    """By Ctrl-C and by a kill: nothing is lost, and nothing is done twice but what was being done."""
    output, said = tmp_path / "out", ""
    for number, done in ((signal.SIGINT, 3), (signal.SIGKILL, 8)):
        process = subprocess.Popen(
            command(more=["--resume"]),
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
            # ignored where the tests run in the background
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        while process.poll() is None and lines_in(output) < done:
            time.sleep(0.02)
        process.send_signal(number)
        said += (message := process.communicate()[1])
        assert process.returncode == (130 if number == signal.SIGINT else -number), message
        assert "Traceback" not in message and ("--resume goes on" in message) == (number == signal.SIGINT)
        assert done <= lines_in(output) < COPIES and not (output / "coco.json").exists()
    with pytest.raises(UserError, match="stopped before its end"):
        run_demo("--input", many, "--output", output, *OPTIONS)
    last = subprocess.run(command(more=["--resume"]), cwd=ROOT, capture_output=True, text=True)
    assert last.returncode == 0, last.stderr
    looked_at = Counter(re.findall(r"(\d+\.png): \d+ instances?", said + last.stderr))
    assert set(looked_at.values()) == {1} and len(looked_at) >= COPIES - 2 * BATCH
    assert_alike(output, whole)


def test_two_processes_share_the_photos(command, whole, tmp_path):
    program = ("-m", "torch.distributed.run", "--nproc-per-node", 2)
    done = subprocess.run(command(*program), cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    looked_at = re.findall(r"(\d+\.png): \d+ instances?", done.stderr)
    assert len(looked_at) == len(set(looked_at)) == COPIES, "none of them twice"
    assert_alike(tmp_path / "out", whole)


@pytest.mark.parametrize("more", [["--resume"], ["--num-gpus", "2"]])
def test_one_picture_is_not_many(overfitted, weights, many, tmp_path, more):
    import demo

    words = ["--config-file", overfitted / "config.yaml", "--input", many / "000.png", "--output", tmp_path / "a.png"]
    with pytest.raises(UserError, match="into a folder"):
        demo.main([str(word) for word in [*words, *more, *weights]])
    assert not list(tmp_path.iterdir())


FOUND = Detections((8, 6), ("a",), (Detection(0, 0.9, (1, 1, 4, 4), place(np.ones((3, 3), bool), 1, 1)),))
PHOTOS = [InputPhoto(Path(f"{number}.png"), PurePosixPath(f"{number}.png")) for number in range(3)]


def begun(output, resume=True, settings="ab"):
    journal = Journal(output, settings, resume)
    journal.begin()
    return journal


def stopped(output, photos):
    """A journal of a process that has ended after some photos."""
    journal = begun(output)
    for photo in photos:
        journal.save(photo, np.zeros((6, 8, 3), np.uint8), FOUND)
    journal.close()
    (file,) = [file for file in journal.folder.iterdir() if file.read_bytes()]
    return file


def test_a_line_that_was_cut_does_not_count(tmp_path):
    file = stopped(tmp_path, PHOTOS[:2])
    file.write_bytes(file.read_bytes()[:-1])
    journal = begun(tmp_path)
    assert [journal.is_done(photo) for photo in PHOTOS] == [True, False, False]
    for photo in PHOTOS[:0:-1]:
        journal.save(photo, np.zeros((6, 8, 3), np.uint8), FOUND)
    journal.finish(PHOTOS, tmp_path / "coco.json", FOUND.classes)
    journal.close()
    content = json.loads((tmp_path / "coco.json").read_text())
    assert [image["id"] for image in content["images"]] == [1, 2, 3], "in the order of the photos"
    assert [Path(image["file_name"]).name for image in content["images"]] == ["0.png", "1.png", "2.png"]
    assert [(a["id"], a["image_id"]) for a in content["annotations"]] == [(1, 1), (2, 2), (3, 3)]
    assert [path.name for path in tmp_path.iterdir()] == ["coco.json"]


def test_a_demo_with_other_settings_does_not_go_on(tmp_path):
    stopped(tmp_path, PHOTOS[:1])
    with pytest.raises(UserError, match="another model or other settings"):
        Journal(tmp_path, "cd", resume=True)


def test_a_line_that_is_damaged_is_an_error(tmp_path):
    file = stopped(tmp_path, PHOTOS[:1])
    file.write_bytes(b"{}\n")
    with pytest.raises(UserError, match="damaged.*Delete .unfinished_ab") as caught:
        Journal(tmp_path, "ab", resume=True)
    assert caught.value.exit_code == EXIT_DATA


def test_two_demos_do_not_write_into_one_folder(tmp_path):
    first = begun(tmp_path)
    with pytest.raises(UserError, match="another demo writes"):
        Journal(tmp_path, "ab", resume=True)
    first.close()
    begun(tmp_path).close()


def test_what_was_corrected_before_the_demo_went_on_is_kept(tmp_path):
    files = LabelmeFiles({photo.place: tmp_path / f"{photo.place.stem}.json" for photo in PHOTOS})
    (tmp_path / "0.json").write_text("corrected")
    for photo in PHOTOS[:2]:
        files.save(photo, np.zeros((6, 8, 3), np.uint8), FOUND)
    assert (tmp_path / "0.json").read_text() == "corrected"
    assert len(json.loads((tmp_path / "1.json").read_text())["shapes"]) == 1
