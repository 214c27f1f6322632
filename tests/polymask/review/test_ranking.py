"""The choice of photos as arithmetic, against brute force and against formulas written out."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polymask.review.ranking import Pick, detection_uncertainty, uncertainty, weighted_centres

scores = st.lists(st.floats(0, 1), max_size=20)


def plane(*points):
    return np.array(points, dtype=float)


@st.composite
def weighted_points(draw, most=8):
    """Points on a small grid, so that ties and copies come up, and weights, so that zeros do."""
    points = draw(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=most))
    weights = draw(st.lists(st.integers(0, 3), min_size=len(points), max_size=len(points)))
    given = draw(st.lists(st.integers(0, len(points) - 1), max_size=3, unique=True))
    return np.array(points, dtype=float), np.array(weights, dtype=float), given


def radius(points, weights, centres):
    """The largest weight times distance to the nearest centre, in plain loops."""
    return max(
        w * min(float(np.hypot(*(p - points[c]))) for c in centres) for p, w in zip(points, weights, strict=True)
    )


@pytest.mark.parametrize(("score", "expected"), [(0.5, 1), (1, 0), (0, 0), (0.75, 0.25), (0.25, 0.25), (0.9, 0.04)])
def test_the_uncertainty_of_a_detection_is_by_its_margin(score, expected):
    assert detection_uncertainty(np.array([score])) == pytest.approx([expected])


@settings(deadline=None)
@given(scores)
def test_uncertainty_is_the_sum_of_the_squared_complements_of_the_margins(values):
    best_and_second = [sorted((value, 1 - value), reverse=True) for value in values]
    expected = sum((1 - (best - second)) ** 2 for best, second in best_and_second)
    assert uncertainty(np.array(values)) == pytest.approx(expected, abs=1e-9)


def test_without_detections_there_is_no_uncertainty():
    assert uncertainty(np.array([])) == 0


def test_dozens_of_unlikely_detections_say_less_than_one_at_the_brink():
    assert uncertainty(np.full(40, 0.06)) < uncertainty(np.array([0.5]))


def test_a_known_order():
    """On a line, from the centre at 0: 10 at weight 1, then 4 at weight 2 beats 6, whose distance to 10 is 4."""
    points = plane((0, 0), (4, 0), (6, 0), (10, 0))
    picks = weighted_centres(points, np.array([0, 2, 1, 1]), [0], 3)
    assert picks == [Pick(3, 0, 10.0), Pick(1, 0, 4.0), Pick(2, 1, 2.0)]


def test_without_a_centre_the_heaviest_comes_first():
    picks = weighted_centres(plane((0, 0), (1, 0), (9, 0)), np.array([1, 3, 2]), [], 2)
    assert picks == [Pick(1), Pick(2, 1, 8.0)]


def test_near_copies_wait_until_everything_else_is_chosen():
    """Nine frames of a burst, of which the model is very unsure, and three others."""
    burst = [(5 + 0.01 * index, 5) for index in range(9)]
    points = plane(*burst, (0, 0), (9, 0), (0, 9))
    weights = np.array([10.0] * 9 + [1.0, 1.1, 1.2])
    chosen = [pick.index for pick in weighted_centres(points, weights, [], 4)]
    assert len([index for index in chosen if index < 9]) == 1
    assert set(chosen) >= {9, 10, 11}


def test_a_copy_of_a_given_centre_comes_last_however_heavy():
    picks = weighted_centres(plane((0, 0), (0, 0), (1, 0), (2, 0)), np.array([0, 99, 1, 1]), [0], 3)
    assert [pick.index for pick in picks] == [3, 2, 1]


def test_ties_go_to_the_earlier():
    picks = weighted_centres(plane((0, 0), (0, 3), (3, 0), (0, -3)), np.ones(4), [0], 3)
    assert [pick.index for pick in picks] == [1, 2, 3]


def test_without_weight_the_farther_comes_first():
    picks = weighted_centres(plane((0, 0), (1, 0), (5, 0), (5, 5)), np.array([0, 1, 0, 0]), [0], 4)
    assert [pick.index for pick in picks] == [1, 3, 2]


@settings(deadline=None)
@given(weighted_points(), st.integers(0, 10))
def test_each_pick_is_the_best_of_what_is_left(case, count):
    points, weights, given_centres = case
    picks = weighted_centres(points, weights, given_centres, count)
    assert len(picks) == min(count, len(points) - len(given_centres))
    centres = list(given_centres)
    for pick in picks:
        left = [index for index in range(len(points)) if index not in centres]
        if centres:
            to = {i: min(float(np.hypot(*(points[i] - points[c]))) for c in centres) for i in left}
            best = max(left, key=lambda i: (round(weights[i] * to[i], 9), round(to[i], 9), weights[i], -i))
            assert pick.index == best
            assert pick.distance == pytest.approx(to[best])
            assert np.hypot(*(points[best] - points[pick.nearest])) == pytest.approx(to[best])
        else:
            assert (pick.index, pick.nearest, pick.distance) == (int(np.argmax(weights)), None, None)
        centres.append(pick.index)


@settings(deadline=None)
@given(weighted_points(most=7), st.integers(1, 3))
def test_it_covers_nearly_as_well_as_the_best_choice_there_is(case, count):
    """The bound of Dyer and Frieze, against all choices."""
    points, weights, given_centres = case
    weights = weights + 1
    left = [index for index in range(len(points)) if index not in given_centres]
    count = min(count, len(left))
    if not count:
        return
    chosen = [pick.index for pick in weighted_centres(points, weights, given_centres, count)]
    best = min(radius(points, weights, [*given_centres, *some]) for some in itertools.combinations(left, count))
    ratio = weights.max() / weights.min()
    assert radius(points, weights, [*given_centres, *chosen]) <= min(3, 1 + ratio) * best + 1e-9


@settings(deadline=None)
@given(weighted_points(), st.floats(0.01, 100), st.floats(0.01, 100))
def test_the_units_of_features_and_uncertainty_do_not_matter(case, scale, unit):
    points, weights, given_centres = case
    before = weighted_centres(points, weights, given_centres, 4)
    weights_of_two = 2.0 ** round(np.log2(unit))  # exact, so that ties stay ties
    after = weighted_centres(points * 2.0 ** round(np.log2(scale)), weights * weights_of_two, given_centres, 4)
    assert [pick.index for pick in after] == [pick.index for pick in before]
