"""The command, in an environment that has nothing but what requirements-runtime.txt names."""

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import pytest
from labelme._label_file import read_label_file
from PIL import Image

from runtime.__main__ import find_photos, main

ROOT = Path(__file__).resolve().parents[2]


def needed(names):
    """The installed packages of some names, with all that they need."""
    pending, found = list(names), {}
    while pending:
        name = re.match(r"[\w.-]+", pending.pop())[0].lower()
        if name not in found:
            found[name] = importlib.metadata.distribution(name)
            pending += [line for line in found[name].requires or [] if "extra ==" not in line]
    return found.values()


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """A copy of the package, and a Python without torch, detectron2 and the project."""
    folder = tmp_path_factory.mktemp("alone")
    shutil.copytree(ROOT / "runtime", folder / "runtime", ignore=shutil.ignore_patterns("__pycache__"))
    venv.create(folder / "venv", symlinks=True)
    (packages,) = (folder / "venv/lib").glob("python*/site-packages")
    lines = (ROOT / "requirements-runtime.txt").read_text().splitlines()
    for package in needed(line for line in lines if not line.startswith("#")):
        for top in {file.parts[0] for file in package.files if file.parts[0] not in ("..", "__pycache__")}:
            if not (packages / top).exists():
                (packages / top).symlink_to(package.locate_file(top))
    return folder


@pytest.fixture
def run(alone, model_file, blobs, tmp_path):
    """Runs the command in the copy; its photos are in ``tmp_path / "photos"``."""
    boxes, *others = blobs
    model = model_file(boxes * np.float32(64 / 96), *others)
    (tmp_path / "photos/deep").mkdir(parents=True)
    for name in ("a.jpg", "a.png", "deep/ä.png"):
        Image.new("RGB", (120, 96), (90, 90, 90)).save(tmp_path / "photos" / name)

    def command(*arguments, photos=tmp_path / "photos"):
        words = [alone / "venv/bin/python", "-m", "runtime", model, photos, "--output", tmp_path / "out"]
        return subprocess.run(list(map(str, [*words, *arguments])), cwd=alone, capture_output=True, text=True)

    return command


def test_there_is_no_torch_in_this_environment(alone):
    code = (
        "import importlib.util as u; print([n for n in ('torch', 'detectron2', 'cv2', 'polymask') if u.find_spec(n)])"
    )
    done = subprocess.run([alone / "venv/bin/python", "-c", code], cwd=alone, capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr


def test_all_kinds_of_results(run, tmp_path):
    done = run("--save", "pictures", "coco", "labelme", "--confidence-threshold", "0.3")
    assert done.returncode == 0, done.stderr
    written = {
        path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*") if path.is_file()
    }
    photos = ("a.jpg", "a.png", "deep/ä.png")
    annotated = {"labelme/a.jpg.json", "labelme/a.png.json", "labelme/deep/ä.json"}
    assert written == {"coco.json", *(f"{name}.png" for name in photos), *annotated}
    coco = json.loads((tmp_path / "out/coco.json").read_bytes())
    assert [image["file_name"] for image in coco["images"]] == [f"../photos/{name}" for name in photos]
    assert coco["categories"] == [{"id": 1, "name": "bar"}, {"id": 2, "name": "disc"}]
    assert [entry["id"] for entry in coco["annotations"]] == list(range(1, len(coco["annotations"]) + 1))
    assert min(entry["score"] for entry in coco["annotations"]) >= 0.3
    file = read_label_file(str(tmp_path / "out/labelme/deep/ä.json"))
    assert len(file.shapes) >= sum(entry["area"] > 0 for entry in coco["annotations"]) / 3 > 10


def test_files_that_may_have_been_corrected_are_kept(run, tmp_path):
    assert run("--save", "labelme").returncode == 0
    file = tmp_path / "out/labelme/a.jpg.json"
    file.write_text("corrected")
    done = run("--save", "labelme")
    assert done.returncode == 2 and "labelme" in done.stderr and len(done.stderr.splitlines()) == 1
    assert file.read_text() == "corrected"


def test_a_stopped_command_goes_on(run, tmp_path):
    """What was done is neither lost nor done again, and corrected files stay as they are."""
    everything, out = ("--save", "pictures", "coco", "labelme"), tmp_path / "out"
    assert run(*everything).returncode == 0
    undisturbed = (out / "coco.json").read_bytes()
    shutil.rmtree(out)

    (out / "labelme").mkdir(parents=True)
    (out / "labelme/deep").write_text("no file can be written for the third photo")
    assert run(*everything).returncode == 2
    with (out / ".unfinished.jsonl").open("a") as file:
        file.write('["../photos/deep/ä.png", {"image": ')  # as a kill leaves it
    (out / "labelme/deep").unlink()
    (out / "labelme/a.jpg.json").write_text("corrected")
    for wrong in (everything, (*everything, "--resume", "--confidence-threshold", "0.9")):
        done = run(*wrong)
        assert done.returncode == 2 and "stopped" in done.stderr and len(done.stderr.splitlines()) == 1

    done = run(*everything, "--resume")
    assert done.returncode == 0 and "deep" in done.stdout and len(done.stdout.splitlines()) == 1
    assert (out / "coco.json").read_bytes() == undisturbed
    assert (out / "labelme/a.jpg.json").read_text() == "corrected" and (out / "labelme/deep/ä.json").exists()
    assert not (out / ".unfinished.jsonl").exists()


def test_photos_of_another_folder_are_not_taken_for_done(run, tmp_path):
    for name in ("first/a.jpg", "first/b.jpg", "second/a.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (120, 96)).save(tmp_path / name)
    kinds, out = ("--save", "pictures", "coco"), tmp_path / "out"
    (out / "b.jpg.png").mkdir(parents=True)
    assert run(*kinds, photos=tmp_path / "first").returncode == 2 and (out / "a.jpg.png").exists()
    done = run(*kinds, "--resume", photos=tmp_path / "second")
    assert done.returncode == 0 and str(tmp_path / "second/a.jpg") in done.stdout
    coco = json.loads((out / "coco.json").read_bytes())
    assert [image["file_name"] for image in coco["images"]] == ["../second/a.jpg"]


def test_a_name_that_is_not_unicode_has_pictures_only(run, tmp_path):
    name = os.fsdecode(b"caf\xe9.jpg")
    (tmp_path / "photos/a.jpg").rename(tmp_path / "photos" / name)
    for kind in ("coco", "labelme"):
        done = run("--save", "pictures", kind)
        assert done.returncode == 2 and r"caf\udce9.jpg" in done.stderr and "Unicode" in done.stderr
        assert len(done.stderr.splitlines()) == 1 and not (tmp_path / "out").exists()
    assert run().returncode == 0 and (tmp_path / "out" / f"{name}.png").exists()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Photos that are not opened."""
    for name in (
        "a/x.jpg",
        "a/deep/y.PNG",
        "a/._x.jpg",
        "a/.trash/z.jpg",
        "a/x.txt",
        "b/x.jpg",
        "b/w.jpg",
        "out/r.png",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def places(*inputs):
    return [place.as_posix() for _, place in find_photos([Path(text) for text in inputs], Path("out")).values()]


def test_hidden_files_are_left_out_and_links_are_followed_once(folder):
    assert places("a") == ["deep/y.PNG", "x.jpg"]
    for link, to in (("around", "a"), ("b", "b"), ("c", "b"), ("results", "out")):
        (folder / "a" / link).symlink_to(folder / to)
    assert places("a") == ["b/w.jpg", "b/x.jpg", "deep/y.PNG", "x.jpg"]


def test_results_of_two_photos_of_one_name_have_folders(folder):
    assert places("a/deep", "b") == ["y.PNG", "w.jpg", "x.jpg"]
    assert places("a", "b") == ["a/deep/y.PNG", "a/x.jpg", "b/w.jpg", "b/x.jpg"]
    assert places("a", "a/x.jpg", "./a/../a/x.jpg") == ["deep/y.PNG", "x.jpg"]


def test_of_names_that_are_not_unicode_the_model_is_not_loaded(folder, monkeypatch, capsys):
    (folder / "a" / os.fsdecode(b"\xff.jpg")).touch()
    monkeypatch.setattr(sys, "argv", ["runtime", "gone.onnx", "a", "--output", "out", "--save", "coco"])
    assert main() == 2 and "Unicode" in capsys.readouterr().err


@pytest.mark.parametrize("threshold", ["50", "-0.1", "nan"])
def test_a_threshold_that_is_not_from_0_to_1(folder, monkeypatch, capsys, threshold):
    words = ["runtime", "gone.onnx", "a", "--output", "out", "--confidence-threshold", threshold]
    monkeypatch.setattr(sys, "argv", words)
    assert main() == 2
    said = capsys.readouterr().err
    assert "--confidence-threshold" in said and "0 to 1" in said and len(said.splitlines()) == 1


def test_a_threshold_below_the_models_own_is_reported(run):
    lower, equal = run("--confidence-threshold", "0.01"), run("--confidence-threshold", "0.05")
    assert lower.returncode == equal.returncode == 0
    assert "0.05" in lower.stderr and len(lower.stderr.splitlines()) == 1 and not equal.stderr


def test_a_broken_photo_does_not_stop_the_others(run, tmp_path):
    (tmp_path / "photos/a.png").write_bytes(b"no photo")
    done = run("--save", "coco")
    assert done.returncode == 1 and "a.png" in done.stderr
    assert len(json.loads((tmp_path / "out/coco.json").read_bytes())["images"]) == 2


def test_a_file_that_is_not_a_model_is_one_line(alone, tmp_path):
    Image.new("RGB", (120, 96)).save(tmp_path / "a.jpg")
    words = [alone / "venv/bin/python", "-m", "runtime", tmp_path / "a.jpg", tmp_path, "--output", tmp_path / "out"]
    done = subprocess.run(words, cwd=alone, capture_output=True, text=True)
    assert done.returncode == 2 and "a.jpg" in done.stderr and len(done.stderr.splitlines()) == 1


def test_it_imports_nothing_of_ours():
    for path in (ROOT / "runtime").glob("*.py"):
        modules = re.findall(r"^\s*(?:from|import) (\S+)", path.read_text(), re.MULTILINE)
        assert not {name.split(".")[0] for name in modules} & {
            "polymask",
            "dataset_tools",
            "torch",
            "detectron2",
            "cv2",
        }


def test_it_is_small():
    lines = [line for path in (ROOT / "runtime").glob("*.py") for line in path.read_text().splitlines()]
    assert sum(bool(line.strip()) for line in lines) <= 420
