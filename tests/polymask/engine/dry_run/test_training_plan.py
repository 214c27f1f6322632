import re

import cv2
import pytest
import torch

from polymask.config.load import load_config
from polymask.engine.dry_run.training_plan import (
    TrainingCosts,
    checkpoint_bytes,
    dataset_table,
    draw_rates,
    estimate,
    evaluations_on_val,
    learning_rates,
    plan_table,
    rate_table,
)

COSTS = TrainingCosts(
    precision="float32",
    iteration=0.5,
    iterations=5,
    evaluation=0.2,
    losses=0.1,
    memory_gib=1.25,
    state=3_000_000,
    weights=1_000_000,
)
STEPS = ("SOLVER.LR_SCHEDULER_NAME", "WarmupMultiStepLR", "SOLVER.GAMMA", "0.1")


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


def test_rates_in_ten_rows():
    cfg = resolved(*STEPS, "SOLVER.STEPS", "(601, 901)", "SOLVER.WARMUP_ITERS", "50", "SOLVER.BASE_LR", "0.02")
    header, *rows = cells(rate_table(cfg, learning_rates(cfg), 100))
    assert header == ["iteration", "epoch", "learning rate", ""]
    assert len(rows) == 10 and [int(row[0]) for row in rows] == sorted({int(row[0]) for row in rows})
    named = {row[3]: row for row in rows if row[3] not in ("", "step")}
    assert named["first"][:3] == ["0", "0.0", "2e-05"]
    assert named["end of the warm-up"][:3] == ["50", "0.5", "0.02"]
    assert named["last"][:3] == ["999", "10.0", "0.0002"]
    assert [row[:3] for row in rows if row[3] == "step"] == [["601", "6.0", "0.002"], ["901", "9.0", "0.0002"]]


def test_rates_of_short_trainings_and_of_many_steps():
    short = resolved("SOLVER.MAX_ITER", "3")
    assert [row[0] for row in cells(rate_table(short, learning_rates(short), 100))[1:]] == ["0", "1", "2"]
    steps = resolved(*STEPS, "SOLVER.STEPS", str(tuple(range(50, 1000, 50))))
    assert len(cells(rate_table(steps, learning_rates(steps), 100))) == 1 + 19 + 2


def test_the_curve_is_a_picture(tmp_path):
    cfg = resolved(*STEPS, "SOLVER.STEPS", "(600,)")
    for name, rates in (("steps", learning_rates(cfg)), ("constant", [0.1] * 1000)):
        draw_rates(cfg, rates, tmp_path / f"{name}.png")
    steps, constant = (cv2.imread(str(tmp_path / f"{name}.png")).astype(int) for name in ("steps", "constant"))
    blue = steps[:, :, 0] - steps[:, :, 2] > 60
    heights = [blue[:, x].argmax() for x in (300, 800) if blue[:, x].any()]
    assert len(heights) == 2 and heights[0] + 100 < heights[1], "the rate drops"
    assert (steps != constant).any()


def test_estimate_adds_up():
    """500 s of training; 4 times 10 photos of VAL and 20 of TEST."""
    text = estimate(resolved(), splits(), COSTS, processes=1)
    assert "About 8.3 minutes of training and 16 seconds of evaluation" in text
    assert "5 iterations of 0.5 s, and photos that were evaluated in 0.2 s each" in text and "1.2 GiB" in text
    assert "12 seconds of evaluation" in estimate(resolved("TEST.VALIDATION_LOSS", "False"), splits(), COSTS, 1)
    assert "8 seconds of evaluation" in estimate(resolved(), splits(), COSTS, processes=2)
    without = estimate(resolved("DATASETS.VAL", "()"), splits(val=0, test=0), COSTS, 1)
    assert "0 seconds of evaluation" in without and "evaluated in" not in without


@pytest.mark.parametrize(
    ("iterations", "device", "named"), [(14400, "cpu", False), (14402, "cpu", True), (14402, "cuda", False)]
)
def test_a_long_training_without_a_gpu_is_told_of_the_mini_network(iterations, device, named):
    cfg = resolved("SOLVER.MAX_ITER", str(iterations), "MODEL.DEVICE", device)
    assert ("configs/mini_scratch.yaml" in estimate(cfg, splits(), COSTS, 1)) == named


@pytest.mark.parametrize(
    ("iterations", "words"),
    [(238, "119 seconds"), (240, "2.0 minutes"), (2400, "20 minutes"), (14400, "2.0 hours"), (345600, "2.0 days")],
)
def test_durations(iterations, words):
    assert f"About {words} of training" in estimate(resolved("SOLVER.MAX_ITER", str(iterations)), splits(), COSTS, 1)


def planned(*overrides, backbone_only=False, processes=1, **photos):
    model = torch.nn.Sequential(torch.nn.Linear(1000, 999), torch.nn.Linear(1000, 1999))
    model[0].requires_grad_(False)
    table = plan_table(resolved(*overrides), splits(**photos), COSTS, model, backbone_only, processes)
    lines = [re.split(r"  +", line, maxsplit=1) for line in table.splitlines()]
    return {name: value for name, value in lines if name} | {"last line": lines[-1]}


def test_plan():
    plan = planned("SOLVER.IMS_PER_BATCH", "8", "SOLVER.ACCUMULATION_STEPS", "2", "TEST.EARLY_STOPPING_PATIENCE", "3",
                   "SOLVER.EMA_DECAY", "0.999", processes=2)  # fmt: skip
    assert plan["weights"] == "random (SEED 17)"
    assert plan["parameters"] == "2.0 million that learn, and 1.0 million that stay as they are"
    assert plan["an iteration"] == "8 photos, 4 in each of 2 processes, in 2 parts, one after the other"
    assert plan["iterations"] == "1000, which are 80.0 epochs of 100 photos"
    assert re.search("AdamW.*weight decay 0.05.*clipped at norm 5.*average.*0.999", plan["optimizer"])
    assert re.search("10 photos, every 300 .* 4 times; 3 in a row", plan["evaluation on VAL"])
    assert plan["evaluation on TEST"].startswith("20 photos")
    assert plan["checkpoints"] == "every 400 iterations and after the last, 3 MB each; the last 2 are kept"
    assert plan["weights for use"] == "model_final.pth and model_best.pth, 1 MB each"
    assert plan["on the disk"] == "11 MB at most"


def test_plan_without_held_out_photos():
    plan = planned("DATASETS.VAL", "()", val=0, test=0)
    assert plan["evaluation on VAL"] == plan["evaluation on TEST"] == "none"
    assert plan["weights for use"].startswith("model_final.pth, ")


def test_where_the_weights_come_from():
    weights = ("MODEL.WEIGHTS", "some.pth")
    assert planned(*weights)["weights"] == "some.pth"
    assert planned(*weights, backbone_only=True)["weights"] == "some.pth; all but the backbone starts at random"
    assert "depend on the classes" in planned(*weights, "MODEL.NEW_HEADS", "True")["weights"]


def test_augmentations_have_a_line_each():
    plan = planned("INPUT.MIN_SIZE_TRAIN", "(240,)", "INPUT.COPY_PASTE.PROBABILITY", "0.5", "INPUT.COLOR_JITTER", "0.2")
    assert plan["augmentations"].startswith("ResizeShortestEdge(short_edge_length=(240,)")
    assert plan["last line"] == ["", "copy-paste of objects, with probability 0.5"]
