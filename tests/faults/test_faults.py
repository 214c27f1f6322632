"""Some faults of each kind; ``python -m tests.faults`` brings about many more of them."""

import os
from pathlib import Path

import ckpt_chaos
import pytest
import torch

from tests.faults.killed_commands import conversions, kill_command
from tests.faults.surroundings import (
    CannotMount,
    conversion_on_a_full_disk,
    convert_and_train,
    photos_named_abroad,
    photos_that_go,
)
from tests.faults.trial import PATIENCE, annotated_photos, begin, convert, must, run, training


def failures(trials):
    """Those of some trials, of which there is one at least."""
    try:
        found = list(trials)
    except CannotMount as reason:
        pytest.skip(str(reason))
    assert found
    return [f"{trial.case}: {trial.failure}" for trial in found if trial.failure]


def watched(log, output, **variables):
    """The environment in which ckpt-chaos counts the events in a folder."""
    package = Path(ckpt_chaos.__file__).parent
    paths = [str(package / "_boot"), str(package.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | variables | {
        "PYTHONPATH": os.pathsep.join(paths), "CKPT_CHAOS_WATCH": str(output), "CKPT_CHAOS_LOG": str(log)
    }  # fmt: skip


def test_killed_between_a_state_and_its_name(tmp_path):
    """The state of the second update is whole, and no other is named."""
    dataset, whole, killed = tmp_path / "dataset", tmp_path / "whole", tmp_path / "killed"
    must(run(convert(annotated_photos(tmp_path / "photos", train=2), dataset)))
    must(run(training(dataset, whole), environment=watched(tmp_path / "events", whole)))
    events = [line.split("\t")[1:3] for line in (tmp_path / "events.rank0").read_text().splitlines()]
    kinds = [kind if name.endswith(".polymask") else name for kind, name in events]
    second_row = [number for number, kind in enumerate(kinds) if kind == "history.csv"][1]
    renamed = kinds.index("os.rename", second_row)
    crash = begin(training(dataset, killed), watched(tmp_path / "log", killed, CKPT_CHAOS_CRASH_AT=str(renamed + 2)))
    crash.communicate(timeout=PATIENCE)
    assert crash.returncode == 137, "as ckpt-chaos ends it"
    assert (killed / "model_0000001.pth").exists() and not (killed / "last_checkpoint").exists()
    assert run(training(dataset, killed, "--resume")) == ""
    assert "Starting training from iteration 2" in (killed / "log.txt").read_text()
    weights, expected = (torch.load(run / "model_final.pth", weights_only=True)["model"] for run in (killed, whole))
    assert all(torch.equal(weights[name], expected[name]) for name in expected)


def test_commands_that_are_killed(tmp_path):
    for command in conversions(tmp_path / "files"):
        assert failures(kill_command(tmp_path / "files", command, times=2, seed=0)) == []


def test_a_full_disk(tmp_path):
    assert failures(conversion_on_a_full_disk(tmp_path)) == []


def test_photos_that_vanish_in_a_training(tmp_path):
    assert failures(photos_that_go(tmp_path, "vanish", workers=1)) == []


def test_one_core_little_memory_no_home_and_the_c_locale(tmp_path):
    failure, _ = convert_and_train(tmp_path, photos_named_abroad(tmp_path / "photos"), "all of these")
    assert failure == ""
