"""The stages' arithmetic and checks on given numbers, and one stage for a moment."""

import json

import numpy as np
import pycocotools.mask
import pytest
import torch

from benchmarks.stages import evaluation, run
from benchmarks.stages.coco_results import Amount
from benchmarks.stages.layers import layers_alone, measure_work, record_layers
from benchmarks.stages.options import Options
from benchmarks.stages.same_work import check_detections, check_losses, check_work
from benchmarks.stages.timing import Contender, DifferentWork, Pair, Skipped, Stage, Time, compare

TINY = Amount(photos=4, objects=3, detections=10, classes=2)


def found(left=10, width=100, category=1, score=0.9):
    """A detected bar of 50 px on a photo of 200 x 150 px."""
    mask = np.zeros((150, 200), dtype=np.uint8, order="F")
    mask[20:70, left : left + width] = 1
    return {"category_id": category, "score": score, "segmentation": pycocotools.mask.encode(mask)}


def test_ratios_are_taken_within_each_round():
    # The second round met a busy machine; the medians' ratio by the clock would be 3.
    times = {
        "ours": [Time(1, 1), Time(10, 2), Time(2, 4)],
        "peer": [Time(2, 4), Time(20, 4), Time(6, 4)],
        "limit": [Time(0.5, 0.5)] * 3,
    }
    comparison = compare(Pair("ours", "peer", at_least=1.4, limit="limit"), times)
    assert comparison.ratio == Time(2, 2)
    assert (comparison.ours, comparison.peer, comparison.limit) == (Time(2, 2), Time(6, 4), Time(0.5, 0.5))


@pytest.mark.parametrize(("warm_up", "most_rounds", "counted"), [(True, 9, 2), (False, 9, 2), (True, 1, 1)])
def test_contenders_take_turns_and_a_round_to_warm_up_does_not_count(warm_up, most_rounds, counted):
    turns = []
    contenders = (
        Contender("a", lambda: turns.append("a") or len(turns)),
        Contender("b", lambda: turns.append("b"), prepare=lambda: turns.append("before b")),
    )
    stage = Stage("work", contenders, (), str, warm_up, most_rounds)
    times, results = stage.take_turns(rounds=2)
    assert turns == ["a", "before b", "b"] * (counted + warm_up)
    assert [len(own) for own in times.values()] == [counted] * 2
    assert results["a"] == 1


@pytest.mark.parametrize("other", [found(), found(score=0.885), found(width=99)])
def test_near_detections_are_the_same(other):
    assert "1 instances" in check_detections([[found()]], [[other]])


@pytest.mark.parametrize(
    "other",
    [
        pytest.param([], id="none"),
        pytest.param([found(width=97)], id="IoU of 0.97"),
        pytest.param([found(score=0.87)], id="another score"),
        pytest.param([found(category=2)], id="another class"),
        pytest.param([found(), found(left=90)], id="one more"),
    ],
)
def test_other_detections_are_not(other):
    for one, two in (([found()], other), (other, [found()])):
        with pytest.raises(DifferentWork):
            check_detections([one], [two])


def test_a_weak_detection_needs_no_partner_and_can_be_one():
    assert check_detections([[found(), found(left=50, score=0.1)]], [[found()]])
    assert check_detections([[found(score=0.305)]], [[found(score=0.295)]])
    with pytest.raises(DifferentWork, match="nothing"):
        check_detections([[found(score=0.1)]], [[found(score=0.1)]])


def test_losses_and_work_have_to_agree():
    assert check_losses({"a": 1.0}, {"b": 1.0005}, {"a": "b"}, 1e-3)
    for value in (1.01, float("nan")):
        with pytest.raises(DifferentWork, match="a is"):
            check_losses({"a": value}, {"b": 1.0}, {"a": "b"}, 1e-3)
    work = {"parameters": 100, "regions": 64}
    assert "64 regions" in check_work(work, work)
    assert "64 and 66 regions" in check_work(work, work | {"regions": 66}, tolerance=0.05)
    with pytest.raises(DifferentWork, match="regions"):
        check_work(work, work | {"regions": 66})


def test_multiply_adds_of_layers():
    model = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, padding=1),
        torch.nn.ConvTranspose2d(8, 4, 2, stride=2),
        torch.nn.Flatten(),
        torch.nn.Linear(4 * 20 * 20, 5),
    )
    calls = record_layers(model, lambda: model(torch.zeros(2, 3, 10, 10)))
    assert [call.multiply_adds for call in calls] == [
        2 * 8 * 10 * 10 * 3 * 3 * 3, 2 * 8 * 10 * 10 * 4 * 2 * 2, 2 * 5 * 4 * 20 * 20,
    ]  # fmt: skip
    assert [call.passes_gradient for call in calls] == [False, True, True]
    work = measure_work(model, calls)
    assert work["regions for masks"] == 2
    assert work["parameters"] == work["trained parameters"] == sum(p.numel() for p in model.parameters())
    layers_alone(calls, torch.float32)()
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_stage_is_run_and_shown(tmp_path, monkeypatch):
    monkeypatch.setattr(evaluation, "AMOUNT", TINY)
    outcome = run.run_stage("evaluation", Options(tmp_path), rounds=1)
    assert outcome.ok
    assert "twelve figures" in outcome.said
    assert "| evaluation" in run.table([outcome])


def test_a_stage_that_cannot_run_or_differs_has_no_row(tmp_path, monkeypatch):
    def raise_error(error):
        raise error

    monkeypatch.setitem(run.STAGES, "a", lambda options: raise_error(Skipped("no network")))
    monkeypatch.setitem(run.STAGES, "b", lambda options: raise_error(DifferentWork("other masks")))
    skipped, different = (run.run_stage(name, Options(tmp_path), rounds=1) for name in ("a", "b"))
    assert skipped.ok and "no network" in skipped.said
    assert not different.ok
    assert json.dumps(different.comparisons) == "[]"
