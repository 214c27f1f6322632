"""The command, in an environment that has nothing but what requirements-runtime.txt names."""

import importlib.metadata
import json
import re
import shutil
import subprocess
import venv
from pathlib import Path

import numpy as np
import pytest
from labelme._label_file import read_label_file
from PIL import Image

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

    def command(*arguments):
        words = [alone / "venv/bin/python", "-m", "runtime", model, tmp_path / "photos", "--output", tmp_path / "out"]
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
    assert written == {"coco.json", *(f"{name}.png" for name in photos), *(f"labelme/{name}.json" for name in photos)}
    coco = json.loads((tmp_path / "out/coco.json").read_bytes())
    assert [image["file_name"] for image in coco["images"]] == [f"../photos/{name}" for name in photos]
    assert coco["categories"] == [{"id": 1, "name": "bar"}, {"id": 2, "name": "disc"}]
    assert [entry["id"] for entry in coco["annotations"]] == list(range(1, len(coco["annotations"]) + 1))
    assert min(entry["score"] for entry in coco["annotations"]) >= 0.3
    file = read_label_file(str(tmp_path / "out/labelme/deep/ä.png.json"))
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
        file.write('["deep/ä.png", {"image": ')  # as a kill leaves it
    (out / "labelme/deep").unlink()
    (out / "labelme/a.jpg.json").write_text("corrected")
    for wrong in (everything, (*everything, "--resume", "--confidence-threshold", "0.9")):
        done = run(*wrong)
        assert done.returncode == 2 and "stopped" in done.stderr and len(done.stderr.splitlines()) == 1

    done = run(*everything, "--resume")
    assert done.returncode == 0 and "deep" in done.stdout and len(done.stdout.splitlines()) == 1
    assert (out / "coco.json").read_bytes() == undisturbed
    assert (out / "labelme/a.jpg.json").read_text() == "corrected" and (out / "labelme/deep/ä.png.json").exists()
    assert not (out / ".unfinished.jsonl").exists()


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
    assert sum(bool(line.strip()) for line in lines) <= 400
