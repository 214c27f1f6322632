"""A run and its dataset that were moved to another folder, as by copying them to another machine."""

import shutil

import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog

import demo
import train_net
from dataset_tools.errors import EXIT_USAGE, UserError
from polymask import __main__ as polymask
from polymask.config.load import load_config
from polymask.evaluation.results import read_results

EVALUATE = ("--eval-only", "MODEL.DEVICE", "cpu")


@pytest.fixture(scope="module")
def first(train_in, make, tmp_path_factory):
    """A finished training of two iterations; its configuration names folders that are gone, all but the weights'."""
    place = tmp_path_factory.mktemp("place")
    dataset = make(place / "old", train=4, val=1, test=1)
    train_in(place / "old/out", "SOLVER.MAX_ITER", "2", "SOLVER.CHECKPOINT_PERIOD", "2", dataset=dataset)
    (place / "old").rename(place / "first")
    return place / "first"


@pytest.fixture
def moved(first, tmp_path):
    """A copy of both; what Detectron2 knows of other copies is forgotten."""
    for name in DatasetCatalog.list():
        if name.startswith("old_"):
            DatasetCatalog.remove(name)
            MetadataCatalog.remove(name)
    return shutil.copytree(first, tmp_path / "moved")


def train(*words):
    train_net.main(train_net.parse_arguments([str(word) for word in words]))


def run_polymask(monkeypatch, *words):
    monkeypatch.setattr("sys.argv", ["polymask", *map(str, words)])
    return polymask.main()


def says_what_is_gone(caught):
    said = str(caught.value)
    return (
        caught.value.exit_code == EXIT_USAGE and "not here" in said and "DATASETS.ROOT" in said and "old/tiny" in said
    )


def test_resume(moved, first):
    config = moved / "out/config.yaml"
    with pytest.raises(UserError) as caught:
        train("--config-file", config, "--resume", "SOLVER.MAX_ITER", 3)
    assert says_what_is_gone(caught) and f"OUTPUT_DIR is {moved / 'out'}" in str(caught.value)
    assert sorted(moved.parent.iterdir()) == [moved] and not (first.parent / "old").exists()
    train("--config-file", config, "--resume", "DATASETS.ROOT", moved / "tiny", "SOLVER.MAX_ITER", 3)
    assert "Starting training from iteration 2" in (moved / "out/log.txt").read_text()
    written = load_config(config, [])
    assert (written.OUTPUT_DIR, written.DATASETS.ROOT) == (str(moved / "out"), str(moved / "tiny"))
    assert not (first.parent / "old").exists()


def test_eval_only_and_its_report(moved):
    config, weights = moved / "out/config.yaml", ("MODEL.WEIGHTS", moved / "out/model_final.pth")
    before = read_results(moved / "out/results.json")
    for name in ("results.json", "report.html"):
        (moved / "out" / name).unlink()
    with pytest.raises(UserError) as caught:
        train("--config-file", config, *EVALUATE, *weights)
    assert says_what_is_gone(caught)
    train("--config-file", config, *EVALUATE, *weights, "DATASETS.ROOT", moved / "tiny")
    assert read_results(moved / "out/results.json")["old_test"] == before["old_test"]
    assert (moved / "out/report.html").exists(), "the report is about the dataset where it is now"


@pytest.mark.parametrize("command", ["report", "compare", "review", "comparison"])
def test_what_is_made_of_a_run(command, moved, monkeypatch):
    runs = [moved / "out"] * (2 if command == "comparison" else 1)
    words = ["report" if command == "comparison" else command, *runs]
    with pytest.raises(UserError) as caught:
        run_polymask(monkeypatch, *words)
    assert says_what_is_gone(caught) and "--opts DATASETS.ROOT" in str(caught.value)
    made = {"report": "report.html", "compare": "pictures", "review": "review", "comparison": "comparison.html"}[
        command
    ]
    (moved / "out/report.html").unlink()
    run_polymask(monkeypatch, *words, "--opts", "DATASETS.ROOT", moved / "tiny")
    assert (moved / "out" / made).exists()


def test_demo_needs_no_dataset(moved):
    words = ["--config-file", moved / "out/config.yaml", "--input", moved / "labelme/test", "--output", moved / "found"]
    assert demo.main([str(word) for word in [*words, "--opts", "MODEL.WEIGHTS", moved / "out/model_final.pth"]]) == 0


def with_output_elsewhere(moved):
    return moved / "out/config.yaml", ["OUTPUT_DIR", moved / "new"]


def with_another_name(moved):
    return (moved / "out/config.yaml").rename(moved / "out/mine.yaml"), []


def without_states(moved):
    for state in moved.glob("out/model_0*.pth"):
        state.unlink()
    (moved / "out/last_checkpoint").unlink()
    return moved / "out/config.yaml", []


@pytest.mark.parametrize("situation", [with_output_elsewhere, with_another_name, without_states])
def test_resume_begins_no_new_training(situation, moved, first):
    config, words = situation(moved)
    before = {path: path.stat().st_mtime_ns for path in moved.rglob("*")}
    with pytest.raises(UserError, match="--resume finds") as caught:
        train("--config-file", config, "--resume", "DATASETS.ROOT", moved / "tiny", *words)
    said = str(caught.value)
    assert caught.value.exit_code == EXIT_USAGE
    assert "model_final.pth" in said if situation is without_states else f"OUTPUT_DIR {moved / 'out'}" in said
    assert {path: path.stat().st_mtime_ns for path in moved.rglob("*")} == before and not (
        first.parent / "old"
    ).exists()


def test_a_job_that_always_resumes_begins_where_there_is_nothing(train_in, moved):
    train_in(moved / "new", "SOLVER.MAX_ITER", "1", dataset=moved / "tiny", flags=["--resume"])
    assert (moved / "new/model_final.pth").exists()
