"""``train_net.py --folds``: each photo is predicted once, by a model that has not seen it, and nothing is lost by a kill."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml
from detectron2.data import DatasetCatalog, MetadataCatalog
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

import train_net
from dataset_tools.errors import UserError
from dataset_tools.formats.card import read_card
from polymask.evaluation.coco import detections_file
from polymask.report.run import read_run
from polymask.report.runs_compared import common_split
from tests.polymask.conftest import arguments_for

ITERATIONS = 6


def arguments(dataset, output, *flags):
    """Epochs of three photos, one a batch."""
    return arguments_for(dataset, output, flags, ["SOLVER.EPOCHS", "2", "SOLVER.CHECKPOINT_PERIOD", "3"])


@pytest.fixture(autouse=True)
def a_new_process():
    """Two runs with pooled datasets of one name follow each other in this process, which no user's does."""
    for dataset in [name for name in DatasetCatalog.list() if name.startswith("folded_pooled_")]:
        DatasetCatalog.remove(dataset)
        MetadataCatalog.remove(dataset)


@pytest.fixture(scope="module")
def photos(make, tmp_path_factory):
    """Six photos, of all splits."""
    return make(tmp_path_factory.mktemp("folded"), train=3, val=1, test=2)


@pytest.fixture(scope="module")
def validated(photos, tmp_path_factory):
    """The output folder of a cross-validation with a final training."""
    output = tmp_path_factory.mktemp("validated") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")  # the last digits depend on the number of threads
        assert train_net.launch_main(arguments(photos, output, "--folds", "2", "--final")) == 0
    return output


def results_of(folder):
    return json.loads((folder / "results.json").read_text())


def found_in(folder, dataset):
    return json.loads(detections_file(folder, f"{read_card(dataset).name}_test").read_text())


def test_each_photo_is_predicted_once_by_the_fold_that_held_it_out(validated):
    pooled, datasets = validated / "datasets/pooled", validated / "datasets"
    found = [found_in(validated / f"fold_{k}", datasets / f"fold_{k}") for k in range(2)]
    for k in range(2):
        held_out = {image["id"] for image in json.loads((datasets / f"fold_{k}/test.json").read_text())["images"]}
        assert {detection["image_id"] for detection in found[k]} <= held_out
    assert found_in(validated, pooled) == found[0] + found[1]
    assert len(json.loads((pooled / "test.json").read_text())["images"]) == 6


def test_the_pooled_ap_is_pycocotools_own(validated):
    pooled = validated / "datasets/pooled"
    truth, name = COCO(str(pooled / "test.json")), f"{read_card(pooled).name}_test"
    found = truth.loadRes(str(detections_file(validated, name)))
    for task in ("bbox", "segm"):
        judge = COCOeval(truth, found, task)
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
        assert results_of(validated)[name][task]["AP"] == pytest.approx(100 * judge.stats[0], abs=1e-9)


def test_the_folds_are_ordinary_runs_whose_held_out_photos_choose_nothing(validated):
    for k in range(2):
        fold = validated / f"fold_{k}"
        cfg = yaml.safe_load((fold / "config.yaml").read_text())
        assert (cfg["DATASETS"]["VAL"], len(cfg["DATASETS"]["TEST"])) == ([], 1)
        assert not (fold / "model_best.pth").exists() and (fold / "model_final.pth").exists()
        assert results_of(fold).items() <= results_of(validated).items()
        [line] = json.loads((fold / "run.json").read_text())["command_lines"]
        assert "--folds" not in line and f"OUTPUT_DIR {fold}" in line
    assert json.loads((validated / "run.json").read_text())["iterations"] == 2 * ITERATIONS


def test_it_is_read_as_any_run(validated):
    run = read_run(validated)
    assert run.evaluated == ("test",) and common_split([run, run]) == "test"
    assert [fold.name for fold in run.folds] == ["fold_0", "fold_1"] and run.has_final
    assert all(len(fold.aps) == 4 and None not in fold.aps for fold in run.folds)
    page = (validated / "report.html").read_text()
    assert 'id="folds"' in page and "was not measured" in page
    assert len(list(validated.glob("**/report.html"))) == 1


def test_the_final_training_sees_each_photo_as_often_as_the_folds(validated):
    """Each of two folds shows three photos six times in all, so that six photos are shown twelve times."""
    cfg = yaml.safe_load((validated / "final/config.yaml").read_text())
    assert (cfg["SOLVER"]["MAX_ITER"], cfg["DATASETS"]["TEST"]) == (2 * ITERATIONS, [])
    assert (validated / "final/model_final.pth").exists()


def test_the_end_is_logged(validated):
    log = (validated / "log.txt").read_text()
    assert "Mask AP of all 6 photos" in log and "of the folds:" in log and "is not measured" in log


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a process does not learn of its parent's end")
def test_a_kill_in_the_middle_changes_nothing(photos, validated, tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    output = tmp_path / "run"
    command = [sys.executable, "train_net.py", *arguments(photos, output, "--folds", "2")]
    root = Path(train_net.__file__).parent
    with subprocess.Popen(command, cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as killed:
        while not (output / "fold_1/model_0000002.pth").exists():
            assert killed.poll() is None
            time.sleep(0.05)
        killed.send_signal(signal.SIGKILL)
    fold = int((output / "fold_1/run.lock").read_text().split()[1])
    while is_alive(fold):
        time.sleep(0.05)
    assert not (output / "results.json").exists()
    done = (output / "fold_0/results.json").stat().st_mtime_ns
    with pytest.raises(UserError, match="--resume"):
        train_net.launch_main(arguments(photos, output, "--folds", "2"))
    assert train_net.launch_main(arguments(photos, output, "--folds", "2", "--resume")) == 0
    assert (output / "fold_0/results.json").stat().st_mtime_ns == done
    for name in ("results.json", "fold_1/results.json"):
        assert (output / name).read_bytes() == (validated / name).read_bytes()
    pooled = validated / "datasets/pooled"
    assert found_in(output, pooled) == found_in(validated, pooled)


def test_trainings_that_were_killed_before_their_first_state_begin_again(
    photos, validated, tmp_path_factory, monkeypatch
):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    output = tmp_path_factory.mktemp("killed") / "run"  # as deep as ``validated``, from where paths lead to the photos
    shutil.copytree(validated, output)
    for run in (output / "fold_1", output / "final"):
        for path in [*run.glob("*.pth"), run / "last_checkpoint"]:
            path.unlink()
    (output / "fold_1/results.json").unlink()
    command = arguments(photos, output, "--folds", "2", "--final", "--resume")
    assert train_net.launch_main(command) == 0
    assert results_of(output) == results_of(validated)
    first, second = (torch.load(folder / "final/model_final.pth") for folder in (validated, output))
    assert all(torch.equal(first["model"][name], second["model"][name]) for name in first["model"])


def test_a_fold_whose_last_weights_were_not_measured_is_not_done(photos, validated, tmp_path_factory, monkeypatch):
    """``--eval-only`` of a state of a fold that was interrupted leaves results, too."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    output = tmp_path_factory.mktemp("measured") / "run"
    shutil.copytree(validated, output)
    for name in ("model_final", f"model_{ITERATIONS - 1:07d}"):
        (output / f"fold_1/{name}.pth").unlink()
    (output / "fold_1/last_checkpoint").write_text("model_0000002.pth")
    (output / "fold_1/results.json").write_text(json.dumps({"folded_fold_1_test": {}}))
    assert train_net.launch_main(arguments(photos, output, "--folds", "2", "--resume")) == 0
    assert results_of(output) == results_of(validated)


def test_another_command_does_not_go_on_with_the_folds(photos, validated):
    before = (validated / "results.json").stat().st_mtime_ns
    for changed in (["SEED", "5"], ["DATASETS.ROOT", str(validated / "datasets/fold_0")], ["SOLVER.BASE_LR", "0.1"]):
        with pytest.raises(UserError, match=f"{changed[0]} is .*{re.escape(changed[1])}"):
            train_net.launch_main([*arguments(photos, validated, "--folds", "2", "--resume"), *changed])
    assert (validated / "results.json").stat().st_mtime_ns == before


def test_all_trainings_use_the_device_of_the_command_line(validated):
    for run in ("fold_0", "fold_1", "final"):
        assert "'MODEL.DEVICE', 'cpu'" in (validated / run / "log.txt").read_text()


def is_alive(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def test_a_dry_run_says_what_the_folds_are_and_stops_no_training(photos, tmp_path, capfd):
    output = tmp_path / "run"
    assert train_net.launch_main(arguments(photos, output, "--folds", "3", "--dry-run")) == 0
    said = capfd.readouterr().out
    assert "fold_2" in said and "The training:" in said
    assert not list(output.glob("**/*.pth"))
    with pytest.raises(UserError, match="12 folds"):  # and not: this folder holds another run
        train_net.launch_main(arguments(photos, output, "--folds", "12"))


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--final"], "--folds"),
        (["--folds", "2", "--eval-only"], "--eval-only"),
        (["--folds", "2", "--num-machines", "2"], "--num-machines"),
        (["--folds", "2", "--num-gpus", "1000"], "--num-gpus is 1000"),
        (["--folds", "1"], "--folds is 1"),
        (["--folds", "7"], "6 photos"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_trained(photos, tmp_path, flags, words):
    with pytest.raises(UserError, match=words) as caught:
        train_net.launch_main(arguments(photos, tmp_path / "run", *flags))
    assert caught.value.exit_code == 2
    assert not list(tmp_path.glob("run/fold_*"))


def test_another_run_in_the_folder_is_kept(photos, validated, train_in, tmp_path):
    before = (validated / "results.json").read_bytes()
    with pytest.raises(UserError, match="holds a run of 2 folds"):
        train_net.launch_main(arguments(photos, validated, "--folds", "3", "--resume"))
    for flags in ([], ["--resume"], ["--eval-only"]):
        with pytest.raises(UserError, match="cross-validation"):
            train_in(validated, flags=flags, dataset=photos)
    (tmp_path / "model_final.pth").touch()
    with pytest.raises(UserError, match="another run"):
        train_net.launch_main(arguments(photos, tmp_path, "--folds", "2", "--resume"))
    assert (validated / "results.json").read_bytes() == before
