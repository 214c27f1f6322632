"""The embedded sample is what its README says, and what its generator draws."""

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SAMPLE = Path(__file__).parents[2] / "data/sample"
SPLITS = ("train", "val", "test")
FILES = {split: sorted((SAMPLE / split).glob("*.json")) for split in SPLITS}
CONTENTS = {path: json.loads(path.read_text()) for files in FILES.values() for path in files}


def instances_of(content):
    """One key for each instance: a group, or a shape without one."""
    return {
        (shape["label"], shape["group_id"] if shape["group_id"] is not None else f"shape {index}")
        for index, shape in enumerate(content["shapes"])
    }


def test_readme_counts():
    """Counted here from the files alone."""
    readme = (SAMPLE / "README.md").read_text()
    for split in SPLITS:
        contents = [CONTENTS[path] for path in FILES[split]]
        per_class = Counter(label for content in contents for label, _ in instances_of(content))
        classes_of = [{label for label, _ in instances_of(content)} for content in contents]
        expected = [
            len(contents),
            per_class["Car"],
            per_class["Sign Board"],
            sum(not classes for classes in classes_of),
            sum(len(classes) == 2 for classes in classes_of),
        ]
        (row,) = re.findall(rf"^\| {split} \|(.*)\|$", readme, re.MULTILINE)
        assert [int(cell) for cell in row.split("|")[:5]] == expected, split


def test_holds_what_the_tests_of_a_converter_need():
    for split in ("train", "test"):
        shapes = [shape for path in FILES[split] for shape in CONTENTS[path]["shapes"]]
        assert {shape["label"] for shape in shapes} == {"Car", "Sign Board"}
        assert {shape["shape_type"] for shape in shapes} == {"polygon", "rectangle"}
        assert any(shape["group_id"] is not None for shape in shapes), "an instance in several parts"
        photos = [Image.open(path.with_suffix(".jpg")) for path in FILES[split]]
        assert any(photo.getexif().get(0x0112, 1) in (6, 8) for photo in photos), "a turned photo"
        assert any(not CONTENTS[path]["shapes"] for path in FILES[split]), "a negative"


def test_is_small_and_has_no_name_twice():
    files = [path for path in SAMPLE.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert sum(path.stat().st_size for path in files) < 8_000_000
    names = [path.name for path in CONTENTS]
    assert len(names) == len(set(names))


@pytest.fixture(scope="module")
def redrawn(tmp_path_factory):
    """Fewer scenes, drawn again: a scene does not depend on how many there are."""
    folder = tmp_path_factory.mktemp("sample")
    counts = ["--train", "3", "--val", "2", "--test", "2"]
    subprocess.run([sys.executable, str(SAMPLE / "generate.py"), "--output", str(folder), *counts], check=True)
    return folder


def test_generator_draws_the_sample(redrawn):
    drawn = sorted(redrawn.rglob("*.json"))
    assert len(drawn) == 7
    for path in drawn:
        committed = SAMPLE / path.relative_to(redrawn)
        assert path.read_bytes() == committed.read_bytes(), path.name
        # The pixels are the same before JPEG; another version of libjpeg may round otherwise.
        photos = [np.asarray(Image.open(p.with_suffix(".jpg")), dtype=int) for p in (path, committed)]
        assert np.abs(photos[0] - photos[1]).mean() < 1


def test_another_seed_draws_other_scenes(redrawn, tmp_path):
    counts = ["--train", "1", "--val", "1", "--test", "1", "--seed", "1"]
    subprocess.run([sys.executable, str(SAMPLE / "generate.py"), "--output", str(tmp_path), *counts], check=True)
    for path in tmp_path.rglob("*.json"):
        assert path.read_bytes() != (redrawn / path.relative_to(tmp_path)).read_bytes()
