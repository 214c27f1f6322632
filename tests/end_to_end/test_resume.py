"""A training that is killed, terminated or interrupted, and resumed, ends bit for bit as one that was not."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest
import torch

# Everything that has a state or draws at random, in ten iterations.
VALUES = """SOLVER.MAX_ITER 10 SOLVER.IMS_PER_BATCH 2 SOLVER.ACCUMULATION_STEPS 2 SOLVER.CHECKPOINT_PERIOD 3 TEST.EVAL_PERIOD 4
SOLVER.EMA_DECAY 0.9 TEST.EARLY_STOPPING_PATIENCE 9 INPUT.COPY_PASTE.PROBABILITY 0.5 INPUT.COLOR_JITTER 0.3
INPUT.MIN_SIZE_TRAIN (96,128) INPUT.MIN_SIZE_TEST 96 DATALOADER.NUM_WORKERS 2 MODEL.DEVICE cpu
MODEL.FPN.OUT_CHANNELS 32 MODEL.ROI_MASK_HEAD.CONV_DIM 32 MODEL.RPN.POST_NMS_TOPK_TRAIN 100 DATASETS.ROOT datasets/resume"""
PATIENCE = 600  # s, for a process on a busy machine


@pytest.fixture(scope="module")
def begin(run, checkout, tmp_path_factory):
    """Starts the training into a folder, or goes on with the one that is there; its process group is its own."""
    photos = tmp_path_factory.mktemp("photos")
    for path in sorted((checkout / "data/sample/train").iterdir())[:16]:
        shutil.copy(path, photos)
    run(f"python -m dataset_tools convert {photos} --output datasets/resume --split 0.75 0.25 0")

    def begin(folder, *flags):
        command = [
            sys.executable,
            "train_net.py",
            "--config-file",
            "configs/mini_scratch.yaml",
            *flags,
            *VALUES.split(),
        ]
        return subprocess.Popen(
            [*command, "OUTPUT_DIR", str(folder)],
            cwd=checkout,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    return begin


def finish(process, expect=0):
    _, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode == expect, stderr
    assert "Traceback" not in stderr, stderr
    return stderr


def send_after(process, folder, rows, number):
    """Waits until the history has so many rows, and sends the signal, as a terminal does to the whole group."""
    history = folder / "history.csv"
    end = time.monotonic() + PATIENCE
    while not history.exists() or history.read_text().count("\n") < rows + 1:
        assert process.poll() is None and time.monotonic() < end, process.stderr.read()
        time.sleep(0.005)
    os.killpg(process.pid, number)


def assert_same(folder, whole):
    assert (folder / "history.csv").read_text() == (whole / "history.csv").read_text()
    assert (folder / "results.json").read_text() == (whole / "results.json").read_text()
    assert (folder / "last_checkpoint").read_text() == (whole / "last_checkpoint").read_text()
    for name in ("model_final.pth", "model_best.pth", (whole / "last_checkpoint").read_text()):
        ours, theirs = (torch.load(place / name, weights_only=True) for place in (folder, whole))
        assert_equal(ours, theirs, name)


def assert_equal(ours, theirs, place):
    assert type(ours) is type(theirs), place
    if isinstance(ours, torch.Tensor):
        assert torch.equal(ours, theirs), place
    elif isinstance(ours, dict):
        assert ours.keys() == theirs.keys(), place
        for key in ours:
            assert_equal(ours[key], theirs[key], f"{place}, {key}")
    elif isinstance(ours, list | tuple):
        assert len(ours) == len(theirs), place
        for index, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            assert_equal(one, other, f"{place}[{index}]")
    else:
        assert ours == theirs or ours != ours, place


@pytest.fixture(scope="module")
def whole(begin, checkout):
    """The training that nobody disturbed."""
    folder = checkout / "output/whole"
    finish(begin(folder))
    return folder


def test_the_uninterrupted_training_has_it_all(whole):
    header, *rows = (whole / "history.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == [str(i) for i in range(10)]
    evaluated = header.split(",").index("validation/segm/AP")
    assert [bool(row.split(",")[evaluated]) for row in rows] == [i in (3, 7, 9) for i in range(10)]
    states = sorted(path.name for path in whole.glob("model_0*.pth"))
    assert states == ["model_0000008.pth", "model_0000009.pth"]


def test_killed_three_times(begin, whole, tmp_path):
    """Before the first checkpoint, between a checkpoint and an evaluation, and after the best checkpoint was written."""
    for rows in (2, 6, 9):
        process = begin(tmp_path, "--resume")
        send_after(process, tmp_path, rows, signal.SIGKILL)
        process.communicate(timeout=PATIENCE)
        assert process.returncode == -signal.SIGKILL
    finish(begin(tmp_path, "--resume"))
    assert_same(tmp_path, whole)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_a_checkpoint_first(begin, whole, tmp_path, number, code):
    process = begin(tmp_path)
    send_after(process, tmp_path, 4, number)
    said = finish(process, expect=code)
    checkpoint = (tmp_path / "last_checkpoint").read_text()
    iteration = int(re.search(r"\d+", checkpoint)[0])
    rows = (tmp_path / "history.csv").read_text().splitlines()
    assert int(rows[-1].split(",")[0]) == iteration, f"the state is that of the last finished iteration; {said}"
    assert not (tmp_path / "model_final.pth").exists() and not (tmp_path / "results.json").exists()
    assert re.search(rf"[Ii]nterrupted.*\b{iteration}\b", (tmp_path / "log.txt").read_text())
    finish(begin(tmp_path, "--resume"))
    assert_same(tmp_path, whole)
