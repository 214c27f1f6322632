"""The command as a whole: a file with its record, or nothing."""

import hashlib
import json
import shutil
import sys

import numpy as np
import onnx
import pytest
from PIL import Image

from dataset_tools.errors import run_command
from dataset_tools.view.palette import class_colour
from polymask.__main__ import main
from polymask.export import comparison
from polymask.export import export as module
from polymask.export.onnx_format import OnnxNetwork, write_onnx
from polymask.export.tracing import DESCRIPTION
from polymask.inference.predictor import read_photo
from runtime import Model

UNSURE_TOO = ("--opts", "MODEL.ROI_HEADS.SCORE_THRESH_TEST", "0.01")  # so that there is enough to compare


@pytest.fixture
def export(overfitted, tmp_path, monkeypatch, capsys):
    """Runs the command, and returns its exit code and what it says; the file is ``tmp_path / "out/model"``."""

    def run(*arguments, output=tmp_path / "out/model"):
        output.parent.mkdir(exist_ok=True)
        words = ["export", "--config-file", overfitted / "config.yaml", "--output", output, *arguments]
        monkeypatch.setattr(sys, "argv", ["polymask", *map(str, words)])
        code = run_command(main)
        said = capsys.readouterr()
        return code, said.out + said.err

    return run


@pytest.fixture(scope="module")
def exported(overfitted, tmp_path_factory):
    """The folder of a file, ``model``, and of its record."""
    folder = tmp_path_factory.mktemp("exported")
    module.export(overfitted / "config.yaml", folder / "model", opts=UNSURE_TOO[1:])
    return folder


def test_a_file_and_its_record(exported):
    assert {path.name for path in exported.iterdir()} == {"model", "export.json"}
    record = json.loads((exported / "export.json").read_bytes())
    content = (exported / "model").read_bytes()
    assert (record["file"], record["format"]) == ("model", "onnx")
    assert record["sha256"] == hashlib.sha256(content).hexdigest()
    (entry,) = onnx.load_from_string(content).metadata_props
    assert entry.key == DESCRIPTION and json.loads(entry.value) == record["description"]
    parity = record["parity"]
    assert parity["photos"] == 6 + 2 + 3 * 5 and parity["instances"] >= 50
    assert parity["box"] <= 0.01 and parity["score"] <= 1e-4


def test_the_record_says_what_a_reader_needs(exported, overfitted):
    description = json.loads((exported / "export.json").read_bytes())["description"]
    assert description["classes"] == ["bar", "disc"]
    assert [tuple(colour) for colour in description["colours"]] == [class_colour(0), class_colour(1)]
    assert description["channels"] == "RGB"
    assert description["resize"] == {"shortest": 128, "longest": 426, "filter": "bilinear"}
    assert description["score_threshold"] == 0.01 and description["most_instances"] == 100
    assert description["run"] == {
        "name": overfitted.name,
        "weights": "model_final.pth",
        "weights_sha256": hashlib.sha256((overfitted / "model_final.pth").read_bytes()).hexdigest(),
        "iterations": 300,
    }


def test_the_runtime_finds_what_the_project_finds(exported, predictor, tiny_dataset, tmp_path):
    """From the photo's file to masks at its size: also of other sizes, and turned by EXIF."""
    exif = Image.Exif()
    exif[0x0112] = 6
    photos = [Image.open(path) for path in sorted((tiny_dataset.parent / "labelme").rglob("*.png"))]
    photos += [photos[0].resize((301, 203)), photos[1].resize((640, 700)), photos[2].crop((0, 0, 128, 90))]
    model, instances = Model(exported / "model"), 0
    for number, photo in enumerate(photos):
        path = tmp_path / f"{number}.png"
        photo.save(path, exif=exif if number % 2 else None)
        (expected,), found = predictor.detect([read_photo(path)]), model.predict(path).scoring(0.05)
        assert found.size == expected.size and len(found.instances) == len(expected)
        for own, other in zip(found.instances, expected, strict=True):
            assert own.name == expected.classes[other.category]
            assert own.score == pytest.approx(other.score, abs=1e-4)
            assert own.box == pytest.approx(other.box, abs=0.01)
            height, width = own.pixels.shape
            window = (own.left, own.top, own.left + width, own.top + height)
            pixels = other.mask.pixels_in(window)
            assert np.count_nonzero(pixels) == other.mask.area
            assert np.count_nonzero(pixels != own.pixels) <= 4 + height * width / 10_000
        instances += len(expected)
    assert instances >= 20


def test_the_ap_is_that_of_the_evaluation(export, overfitted, tmp_path, monkeypatch):
    monkeypatch.setattr(comparison, "FEWEST", 10)  # few reach the threshold of the evaluation
    code, said = export("--format", "torchscript")
    assert code == 0, said
    results = json.loads((overfitted / "results.json").read_bytes())["tiny_train"]
    precisions = json.loads((tmp_path / "out/export.json").read_bytes())["AP"]
    assert precisions.keys() == {"tiny_train"}
    for task in ("bbox", "segm"):
        assert precisions["tiny_train"][task]["model"] == pytest.approx(results[task]["AP"], abs=1e-6)
        assert precisions["tiny_train"][task]["file"] == pytest.approx(results[task]["AP"], abs=1e-6)


def test_a_file_that_finds_something_else_is_not_written(export, tmp_path, monkeypatch):
    broken = {"onnx": (lambda model, description: write_onnx(model, description, opset=11), OnnxNetwork)}
    monkeypatch.setattr(module, "FORMATS", broken)
    code, said = export(*UNSURE_TOO)
    assert code == 1 and ("box" in said or "alone" in said)
    assert list((tmp_path / "out").iterdir()) == []


def test_where_nothing_could_be_checked_nothing_is_written(export, tiny_dataset, tmp_path):
    (tmp_path / "photos").mkdir()
    shutil.copy(next((tiny_dataset.parent / "labelme").rglob("*.png")), tmp_path / "photos")
    code, said = export("--photos", tmp_path / "photos")
    assert code == 1 and "nothing could be checked" in said
    assert list((tmp_path / "out").iterdir()) == []


def test_the_dataset_may_be_gone(export, tiny_dataset, tmp_path):
    gone = (*UNSURE_TOO, "DATASETS.ROOT", str(tmp_path / "gone"))
    code, said = export(*gone)
    assert code == 2 and "--photos" in said
    code, said = export("--photos", tiny_dataset.parent / "labelme", *gone)
    assert code == 0, said
    assert json.loads((tmp_path / "out/export.json").read_bytes())["AP"] == {}


def test_a_file_is_not_replaced(export, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/model").write_bytes(b"mine")
    code, said = export()
    assert code == 2 and "exists already" in said
    assert (tmp_path / "out/model").read_bytes() == b"mine"
