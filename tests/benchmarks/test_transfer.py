"""The settings of the four ways, and a short training of one that starts from a model."""

import math

import pytest

from benchmarks.recipes.contenders import Job, Length
from benchmarks.recipes.measured import Record, Task
from benchmarks.recipes.trainings import Trainings
from benchmarks.transfer import contenders
from dataset_tools.dataset.folds import write_folds
from polymask.config.load import load_config
from polymask.modeling.build import build_model
from polymask.modeling.checkpoint import Checkpointer
from tests.faults.trial import annotated_photos, convert, must, run


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """An untrained mini network for two classes."""
    folder = tmp_path_factory.mktemp("weights")
    cfg = load_config("configs/mini_scratch.yaml", ["MODEL.DEVICE", "cpu", "MODEL.ROI_HEADS.NUM_CLASSES", "2"])
    Checkpointer(build_model(cfg), str(folder), classes=["Car", "Sign Board"]).save_weights("model")
    return folder / "model.pth"


@pytest.fixture(scope="module")
def folds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("transfer")
    must(run(convert(annotated_photos(folder / "photos", train=4, val=2), folder / "dataset")))
    return write_folds(folder / "dataset", folder / "folds", 2, seed=0).parts


def test_settings_are_of_weights_and_synonyms(weights, tmp_path):
    other = tmp_path / "other.pth"
    other.write_bytes(weights.read_bytes())
    digests = [one.settings() for one in contenders(weights, ())]
    assert [one.settings() for one in contenders(other, ())] == digests and len({*digests}) == 4
    with_synonyms = [one.settings() for one in contenders(weights, ("a=Car",))]
    other.write_bytes(b"others")
    for changed in (with_synonyms, [one.settings() for one in contenders(other, ())]):
        assert changed[0] == digests[0] and not {*changed[1:]} & {*digests}


def test_a_way_trains_with_the_synonyms_of_the_dataset(weights, folds, tmp_path):
    heads = contenders(weights, ("bar=Car", "elsewhere=Sign Board"))[-1]
    command = heads.command(Job(folds[0], tmp_path, Length(2), 64, 1))
    assert command[command.index("MODEL.CLASS_SYNONYMS") + 1] == "bar=Car"
    record, task = Record(tmp_path / "measured.json"), Task(heads, "dataset", 0, "its content", Length(2), 64)
    Trainings({"dataset": folds}, tmp_path, record, end=math.inf).run_missing([task])
    assert record.find(task).recipe == "the heads alone"
