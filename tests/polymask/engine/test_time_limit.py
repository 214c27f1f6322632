"""A training of so many minutes, beside the same one without a clock."""

import json
import shutil
from argparse import Namespace
from types import SimpleNamespace

import pytest
import torch
import yaml
from detectron2.utils import comm

import train_net
from dataset_tools.errors import UserError
from polymask.engine import time_limit
from polymask.engine.dry_run import rehearsal
from polymask.engine.launch import launch
from polymask.engine.setup import setup
from tests.polymask.conftest import TINY
from tests.polymask.engine.processes import NOT_GIVEN, two_processes
from tests.polymask.engine.test_trainer import train_until_interrupted

KEYS = (
    "TEST.EVAL_PERIOD", "0", "SOLVER.CHECKPOINT_PERIOD", "4", "SOLVER.LR_SCHEDULER_NAME", "WarmupMultiStepLR",
    "SOLVER.WARMUP_SHARE", "0.25", "SOLVER.STEP_SHARES", "(0.5, 0.8)",
)  # fmt: skip
HALF = ("SOLVER.MAX_MINUTES", "0.5")


def clock(*seconds):
    """In the place of the time module: each iteration takes what is written down, the last of it again and again."""
    calls, now = 0, 0.0

    def perf_counter():
        nonlocal calls, now
        if calls % 2:  # the end of an iteration
            now += seconds[min(calls // 2, len(seconds) - 1)]
        calls += 1
        return now

    return SimpleNamespace(perf_counter=perf_counter)


def set_up(dataset, output, *overrides):
    places = ["DATASETS.ROOT", str(dataset), "OUTPUT_DIR", str(output)]
    return setup(train_net.parse_arguments(["--config-file", "configs/mini_scratch.yaml", *places, *TINY, *overrides]))


@pytest.fixture(scope="module")
def timed(train_in, tmp_path_factory):
    """Iterations of 9, 3, 3, ... s. The trial ends after two, with a tenth of the time; into 18 s six of 3 s fit."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rehearsal, "time", clock(9, 3))
        return train_in(tmp_path_factory.mktemp("timed") / "run", *KEYS, *HALF)


def solver_of(folder):
    return yaml.safe_load((folder / "config.yaml").read_text())["SOLVER"]


def history_and_weights(folder):
    return (folder / "history.csv").read_text(), torch.load(folder / "model_final.pth", weights_only=True)["model"]


def assert_same(one, other):
    (history, weights), (expected, others) = history_and_weights(one), history_and_weights(other)
    assert history == expected and all(torch.equal(tensor, others[name]) for name, tensor in weights.items())


def test_is_the_training_of_as_many_iterations(timed, train, tmp_path):
    """Bit for bit, with the same schedule from the first iteration on."""
    solver = solver_of(timed)
    assert (solver["MAX_ITER"], solver["WARMUP_ITERS"], solver["STEPS"]) == (6, 2, [3, 5])
    assert torch.load(timed / "model_0000003.pth", weights_only=True)["trainer"]["max_iter"] == 6
    assert_same(timed, train(*KEYS, "SOLVER.MAX_ITER", "6", output=tmp_path / "counted"))


@pytest.mark.parametrize("iteration", [2, 5], ids=["before a state", "behind a state"])
def test_a_resume_does_not_look_at_the_clock(timed, train, tmp_path, monkeypatch, iteration):
    monkeypatch.setattr(rehearsal, "time", clock(9, 3))
    with pytest.raises(KeyboardInterrupt):
        train_until_interrupted(train, tmp_path / "run", iteration, *KEYS, *HALF)
    assert (tmp_path / "run/model_0000003.pth").exists() == (iteration == 5)
    monkeypatch.setattr(rehearsal, "time", None)
    train(*KEYS, *HALF, flags=["--resume"], output=tmp_path / "run")
    assert_same(timed, tmp_path / "run")


def test_a_resume_with_other_minutes_has_iterations_in_proportion(timed, train, tmp_path, monkeypatch):
    monkeypatch.setattr(rehearsal, "time", None)
    run = shutil.copytree(timed, tmp_path / "run")
    train(*KEYS, "SOLVER.MAX_MINUTES", "0.6", flags=["--resume"], output=run)
    assert solver_of(run)["MAX_ITER"] == len((run / "history.csv").read_text().splitlines()) - 1 == 7


def test_a_resume_without_the_configuration_of_the_run_keeps_its_length(timed, train, tmp_path, monkeypatch):
    monkeypatch.setattr(rehearsal, "time", clock(2))
    run = shutil.copytree(timed, tmp_path / "run")
    (run / "config.yaml").unlink()
    with pytest.raises(UserError, match="no config.yaml.* has 6 iterations.* SOLVER.MAX_ITER 6"):
        train(*KEYS, *HALF, flags=["--resume"], output=run)
    train(*KEYS, "SOLVER.MAX_ITER", "6", flags=["--resume"], output=run)


@pytest.mark.parametrize(
    ("minutes", "seconds", "iterations"),
    [("10", (9, 9, 1, 3), (600 - 22) // 2), ("0.5", (20, 4), 1), ("0.5", (100,), 1)],
    ids=["mean of the second half of the trial", "one fits", "none fits"],
)
def test_length(tiny_dataset, tmp_path, monkeypatch, minutes, seconds, iterations):
    monkeypatch.setattr(rehearsal, "time", clock(*seconds))
    monkeypatch.setattr(time_limit, "TRIAL", 4)
    cfg = set_up(tiny_dataset, tmp_path, "SOLVER.MAX_MINUTES", minutes)
    assert cfg.SOLVER.MAX_ITER == iterations and cfg.is_frozen()
    assert cfg.SOLVER.WARMUP_ITERS == round(0.1 * iterations)
    assert not (tmp_path / "config.yaml").exists(), "what is thrown away is not written"


def test_a_length_that_the_other_keys_contradict_is_refused(tiny_dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(rehearsal, "time", clock(9, 3))
    with pytest.raises(UserError, match="warm-up has 100 of 6 iterations"):
        set_up(tiny_dataset, tmp_path, *HALF, "SOLVER.WARMUP_ITERS", "100")


def measure(args):
    """One process, whose iterations take 3 or 5 seconds."""
    rehearsal.time = clock(3 + 2 * comm.get_rank())
    cfg = set_up(args.dataset, args.output, *HALF, "SOLVER.IMS_PER_BATCH", "2")
    (args.output / f"{comm.get_rank()}.json").write_text(json.dumps(cfg.SOLVER.MAX_ITER))


@two_processes
def test_processes_agree_on_what_fits_for_the_slowest(tiny_dataset, tmp_path):
    launch(measure, Namespace(**NOT_GIVEN | {"num_gpus": 2}, dataset=tiny_dataset, output=tmp_path))
    assert [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1)] == [4, 4]
