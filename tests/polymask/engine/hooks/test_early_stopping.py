import logging

import pytest

from polymask.engine.hooks.early_stopping import EarlyStopping
from polymask.engine.hooks.validation import MASK_AP


def script(*aps):
    """An iteration for each AP; None where VAL is not evaluated."""
    return [{} if ap is None else {MASK_AP: ap} for ap in aps]


@pytest.mark.parametrize(
    ("patience", "aps", "iterations"),
    [
        (2, [10, 20, 19, 18, 50, 60], 4),
        (3, [10, 20, 19, 18, 50, 60], 6),
        (1, [10, 10, 50], 2),  # as good as before is not better
        (2, [10, None, None, 9, None, 8, 50], 6),  # evaluations count, not iterations
        (2, [float("nan"), float("nan"), 5], 2),  # no AP at all is not better either
        (2, [1, 2, 3], 3),
    ],
)
def test_it_stops_after_so_many_evaluations_without_a_better_one(scripted, patience, aps, iterations):
    training = scripted(script(*aps), EarlyStopping(patience))
    assert training.ran == list(range(iterations))
    assert training.iter == training.max_iter, "the training counts as finished, so that the final evaluation follows"


def test_the_reason_is_said(scripted, caplog):
    with caplog.at_level(logging.INFO):
        scripted(script(30, 20, 10, 0), EarlyStopping(2))
    assert "after 3 of 4 iterations" in caplog.text and "30.00" in caplog.text


def test_a_resumed_training_counts_on(scripted):
    aps = script(30, 20, 10, 0, 0)
    first = EarlyStopping(3)
    scripted(aps, first, max_iter=3)  # two evaluations without a better one when it was killed
    resumed = EarlyStopping(3)
    resumed.load_state_dict(first.state_dict())
    assert scripted(aps, resumed, start=3).ran == [3]


def test_a_stopped_training_stays_stopped_unless_the_patience_is_raised(scripted):
    aps = script(30, 20, 10, 40, 41)
    stopped = EarlyStopping(2)
    scripted(aps, stopped)
    again, patient = EarlyStopping(2), EarlyStopping(4)
    for hook in (again, patient):
        hook.load_state_dict(stopped.state_dict())
    training = scripted(aps, again, start=3)
    assert training.ran == [] and training.iter == training.max_iter
    assert scripted(aps, patient, start=3).ran == [3, 4]
