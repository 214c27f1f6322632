import math

import pytest

from dataset_tools.errors import UserError
from polymask.config.load import load_config
from polymask.evaluation.results import write_results
from polymask.report.run import analyse_split, changes_from_defaults, in_words, read_run


def test_the_record_of_a_run(folder):
    run = read_run(folder())
    assert run.name == "run" and run.evaluated == ("test", "val")
    assert run.curves["total_loss"] == ((0, 2.0), (1, 1.5), (2, 1.0)) and "iteration" not in run.curves
    assert run.settings["SOLVER.OPTIMIZER"] == "AdamW" and "OPTIMIZER: AdamW" in run.config_yaml
    assert run.train_instances == {"Car": 0, "Sign Board": 0}
    assert run.facts is None, "nothing was recorded"
    assert run.truth_of("test").is_file() and run.detections_of("test").is_file()


def test_what_is_empty_or_no_number_is_no_point(folder):
    path = folder()
    (path / "history.csv").write_text("iteration,total_loss,validation/segm/AP,x\n0,2.0,,\n1,inf,nan,\n2,1.0,40.0,\n")
    assert read_run(path).curves == {"total_loss": ((0, 2.0), (2, 1.0)), "validation/segm/AP": ((2, 40.0),)}


def test_without_a_history_there_are_no_curves(folder):
    path = folder()
    (path / "history.csv").unlink()
    assert read_run(path).curves == {}


def test_the_folds_of_a_cross_validation_are_in_the_order_of_their_numbers(folder):
    path = folder()
    assert read_run(path).folds == () and not read_run(path).has_final
    for number in (10, 0, 2):
        (path / f"fold_{number}").mkdir()
        metrics = {"segm": {"AP": 40.0 + number, "AP-Car": math.nan}, "bbox": {"AP": 50.0}}
        write_results(path / f"fold_{number}" / "results.json", {"street_test": metrics})
    (path / "fold_3").mkdir()  # is not done yet
    folds = read_run(path).folds
    assert [fold.name for fold in folds] == ["fold_0", "fold_2", "fold_10"]
    assert folds[1].aps == (42.0, 50.0, None, None)


def test_changes_are_those_from_the_defaults():
    cfg = load_config("configs/mini_scratch.yaml", ["SOLVER.BASE_LR", "0.007"])
    changes = {change.key: (change.value, change.default) for change in changes_from_defaults(cfg)}
    assert changes["SOLVER.BASE_LR"] == ("0.007", "0.001")
    assert changes["INPUT.MIN_SIZE_TRAIN"] == ("240", "800")
    assert "SEED" not in changes and "SOLVER.MOMENTUM" not in changes


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ((), "(empty)"),
        ("", "(empty)"),
        (None, "(empty)"),
        (0.00025, "0.00025"),
        ((1, 2.5), "1, 2.5"),
        ([[16], [32]], "(16), (32)"),
    ],
)
def test_values_in_words(value, words):
    assert in_words(value) == words


def test_no_run_and_no_evaluation_are_errors_in_words(folder, tmp_path):
    with pytest.raises(UserError, match="not the folder of a run"):
        read_run(tmp_path / "nowhere")
    path = folder()
    run = read_run(path)
    with pytest.raises(UserError, match="the train split has not been evaluated"):
        analyse_split(run, "train")
    for split in run.evaluated:
        run.detections_of(split).unlink()
    with pytest.raises(UserError, match="no split of the dataset has been evaluated"):
        read_run(path)


def test_a_dataset_that_is_gone_is_an_error_in_words(folder):
    path = folder()
    (path.parent / "dataset").rename(path.parent / "elsewhere")
    with pytest.raises(UserError, match="dataset: DATASETS.ROOT"):
        read_run(path)
    elsewhere = path.parent / "elsewhere"
    assert read_run(path, ["DATASETS.ROOT", str(elsewhere)]).dataset_folder == elsewhere
