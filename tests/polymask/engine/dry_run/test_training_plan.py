import dataclasses
import re

import pytest

from polymask.config.load import load_config
from polymask.engine.dry_run.training_plan import (
    TrainingCosts,
    checkpoint_bytes,
    dataset_table,
    evaluations_on_val,
    plan_table,
)

COSTS = TrainingCosts(
    precision="float32",
    iteration=0.5,
    iterations=5,
    evaluation=0.2,
    final=0.2,
    losses=0.1,
    memory_gib=1.25,
    state=3_000_000,
    weights=1_000_000,
)


def resolved(*overrides):
    """1000 iterations with an evaluation of VAL every 300 and a state every 400."""
    schedule = ("SOLVER.MAX_ITER", "1000", "TEST.EVAL_PERIOD", "300", "SOLVER.CHECKPOINT_PERIOD", "400")
    warm_up = ("SOLVER.WARMUP_ITERS", "0", "DATASETS.VAL", "('street_val',)")
    return load_config("configs/mini_scratch.yaml", [*schedule, *warm_up, *overrides])


def splits(train=100, val=10, test=20):
    photos = {"TRAIN": train, "VAL": val, "TEST": test}
    return {key: [{"annotations": []}] * count for key, count in photos.items()}


def cells(table):
    """The rows of a table of tabulate's style pipe, without its rule."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    return [rows[0], *rows[2:]]


@pytest.mark.parametrize(
    ("iterations", "period", "times"), [(1000, 300, 4), (900, 300, 3), (100, 300, 1), (1000, 0, 1), (1000, 1, 1000)]
)
def test_evaluations(iterations, period, times):
    keys = ("SOLVER.MAX_ITER", str(iterations), "TEST.EVAL_PERIOD", str(period))
    assert evaluations_on_val(resolved(*keys)) == times
    assert evaluations_on_val(resolved(*keys, "DATASETS.VAL", "()")) == 0


@pytest.mark.parametrize(("period", "states"), [("400", 3), ("500", 2), ("1000", 1), ("5000", 1), ("10", 3)])
def test_states_on_the_disk(period, states):
    cfg = resolved("SOLVER.CHECKPOINT_PERIOD", period)
    assert checkpoint_bytes(cfg, COSTS) == states * COSTS.state + 2 * COSTS.weights
    cfg.DATASETS.VAL = ()
    assert checkpoint_bytes(cfg, COSTS) == states * COSTS.state + COSTS.weights, "no model_best.pth"


def test_dataset_table():
    car, board = {"category_id": 0}, {"category_id": 1}
    train = [{"annotations": [car, car, board]}, {"annotations": [board | {"iscrowd": 1}]}, {"annotations": []}]
    assert cells(dataset_table({"TRAIN": train, "TEST": train[:1]}, ["Car", "Sign Board"])) == [
        ["", "train", "test"],
        ["photos", "3", "1"],
        ["of them without annotations", "1", "0"],
        ["instances of Car", "2", "2"],
        ["instances of Sign Board", "1", "1"],
    ]


def planned(*overrides, processes=1, **photos):
    table = plan_table(resolved(*overrides), splits(**photos), COSTS, processes)
    lines = [re.split(r"  +", line, maxsplit=1) for line in table.splitlines()]
    return {line[0]: line[-1] for line in lines}


def test_plan():
    """500 s of training; 4 times 10 photos of VAL and 20 of TEST."""
    plan = planned("SOLVER.IMS_PER_BATCH", "8")
    assert plan["iterations"] == "1000 in batches of 8, 80.0 epochs, in float32"
    assert plan["evaluations"] == "VAL (10 photos): 4; TEST (20 photos): 1"
    assert re.search("8.3 minutes.* 5 iterations of 0.5 s", plan["training"])
    assert re.search("16 seconds.* 0.2 s", plan["evaluating"])
    assert plan["memory"].startswith("1.2 GiB of") and plan["disk"].startswith("11 MB")


def test_evaluations_take_less_without_losses_or_with_more_processes():
    assert "12 seconds" in planned("TEST.VALIDATION_LOSS", "False")["evaluating"]
    assert "8 seconds" in planned(processes=2)["evaluating"]
    without = planned("DATASETS.VAL", "()", val=0, test=0)
    assert "0 seconds" in without["evaluating"] and without["evaluations"] == "VAL (0 photos): 0; TEST (0 photos): 0"


def test_test_time_augmentation_is_for_the_end_alone():
    """4 times 10 photos of VAL at 0.2 s, and 10 of VAL and 20 of TEST at 3 s."""
    costs = dataclasses.replace(COSTS, final=3.0)
    keys = ("TEST.VALIDATION_LOSS", "False", "TEST.AUG.ENABLED", "True")
    assert re.search("evaluating.* 98 seconds, .* 3 s with TEST.AUG", plan_table(resolved(*keys), splits(), costs, 1))


@pytest.mark.parametrize(
    ("iterations", "device", "named"), [(14400, "cpu", False), (14402, "cpu", True), (14402, "cuda", False)]
)
def test_a_long_training_without_a_gpu_is_told_of_the_mini_network(iterations, device, named):
    cfg = resolved("SOLVER.MAX_ITER", str(iterations), "MODEL.DEVICE", device)
    assert ("configs/mini_scratch.yaml" in plan_table(cfg, splits(), COSTS, 1)) == named


@pytest.mark.parametrize(
    ("iterations", "words"),
    [(238, "119 seconds"), (240, "2.0 minutes"), (2400, "20 minutes"), (14400, "2.0 hours"), (345600, "2.0 days")],
)
def test_durations(iterations, words):
    assert f"about {words} on this machine" in planned("SOLVER.MAX_ITER", str(iterations))["training"]
