"""What a person at a terminal sees of a training, and what a log file gets."""

import os
import pty
import shutil
import subprocess
import sys
import termios

import pytest


@pytest.fixture(scope="module")
def command(run, checkout, tmp_path_factory):
    """A training of six iterations on three photos, evaluated on a fourth in the middle and at the end."""
    photos = tmp_path_factory.mktemp("photos")
    for path in sorted((checkout / "data/sample/train").iterdir())[:8]:
        shutil.copy(path, photos)
    run(f"python -m dataset_tools convert {photos} --output datasets/four --split 0.75 0.25 0")
    values = "SOLVER.MAX_ITER 6 TEST.EVAL_PERIOD 3 DATASETS.ROOT datasets/four"
    return [sys.executable, "train_net.py", "--config-file", "configs/mini_scratch.yaml", *values.split(), "OUTPUT_DIR"]


def test_a_progress_bar_on_a_terminal(command, checkout):
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (40, 120))  # rows and columns; a new one has none
    process = subprocess.Popen(
        [*command, "output/bar"], cwd=checkout, stdout=subprocess.DEVNULL, stderr=theirs, stdin=subprocess.DEVNULL
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            chunk = os.read(ours, 4096)
        except OSError:  # what Linux says when the other end of a terminal is closed
            break
        if not chunk:
            break
        shown += chunk
    os.close(ours)
    assert process.wait() == 0, shown.decode()
    for words in ("training: 100%", "6/6", "loss", "mask AP", "images/s", "GiB"):
        assert words in shown.decode(), words


def test_lines_in_a_log_elsewhere(command, checkout):
    done = subprocess.run([*command, "output/lines"], cwd=checkout, capture_output=True, text=True)
    assert done.returncode == 0
    assert "training: " not in done.stderr
    log = (checkout / "output/lines/log.txt").read_text()
    assert "total_loss" in log and "test split" in log
