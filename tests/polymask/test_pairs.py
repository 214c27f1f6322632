"""What demo.py writes, the commands that it names read; and so do an evaluation and its report."""

import json
import logging
import shlex
import shutil
from collections import Counter

import pytest

import demo
import train_net
from dataset_tools.__main__ import main as dataset_tools


@pytest.fixture(scope="module")
def run(train_in, train_photos_only, tmp_path_factory):
    """A model that has seen next to nothing, and finds eight things on every photo."""
    words = ("SOLVER.MAX_ITER", "1", "TEST.DETECTIONS_PER_IMAGE", "8")
    return train_in(tmp_path_factory.mktemp("run"), *words, dataset=train_photos_only)


def in_one_folder(photos, place):
    return [shutil.copytree(photos, place / "photos", ignore=shutil.ignore_patterns("*.json"))]


def in_two_folders(photos, place):
    return [*in_one_folder(photos, place / "one"), *in_one_folder(photos, place / "other")]


def beside_the_results(photos, place):
    return [next(in_one_folder(photos, place)[0].glob("*.png")).rename(place / "only one.png")]


@pytest.fixture
def said(run, train_photos_only, tmp_path, caplog, request):
    """The commands that the demo names, which are without their last word, and the folder of its results."""
    inputs = request.param(train_photos_only.parent / "labelme/train", tmp_path)
    words = [
        "--config-file",
        run / "config.yaml",
        "--input",
        *inputs,
        "--output",
        tmp_path / "found",
        "--save",
        "coco",
        "labelme",
    ]
    words += ["--confidence-threshold", "0", "--opts", "MODEL.WEIGHTS", run / "model_final.pth"]
    logging.getLogger("polymask").addHandler(caplog.handler)  # a training before has cut it off from the root
    assert demo.main([str(word) for word in words]) == 0
    logging.getLogger("polymask").removeHandler(caplog.handler)
    commands = [
        shlex.split(line.partition("dataset_tools ")[2])[:-1] for line in caplog.messages if "dataset_tools" in line
    ]
    return {command[0]: command for command in commands}, tmp_path


SITUATIONS = [in_one_folder, in_two_folders, beside_the_results]


@pytest.mark.parametrize("said", SITUATIONS, indirect=True)
@pytest.mark.parametrize("reader", ["adopt", "convert"])
def test_the_commands_that_are_said(said, reader):
    commands, place = said
    command = commands[reader]
    assert dataset_tools([*command, str(place / "again")]) == 0
    if reader == "convert":
        assert dataset_tools(["check", *command[1:-1]]) == 0
    content = json.loads((place / "found/coco.json").read_text())
    expected = Counter(annotation["category_id"] for annotation in content["annotations"])
    card = json.loads((place / "again/dataset.json").read_text())
    names = {category["id"]: category["name"] for category in content["categories"]}
    counts = sum((Counter(split["instances_per_class"]) for split in card["splits"].values()), Counter())
    assert counts == {names[number]: count for number, count in expected.items()}
    assert sum(split["images"] for split in card["splits"].values()) == len(content["images"])


@pytest.mark.parametrize("said", [in_two_folders], indirect=True)
def test_an_evaluation_and_its_report(said, run):
    commands, place = said
    assert dataset_tools([*commands["adopt"], str(place / "again")]) == 0
    dataset = ["DATASETS.ROOT", place / "again", "DATASETS.TEST", "()", "OUTPUT_DIR", place / "evaluation"]
    words = ["--config-file", run / "config.yaml", "--eval-only", "MODEL.DEVICE", "cpu", *dataset]
    train_net.main(
        train_net.parse_arguments([str(word) for word in [*words, "MODEL.WEIGHTS", run / "model_final.pth"]])
    )
    assert (place / "evaluation/report.html").exists()
