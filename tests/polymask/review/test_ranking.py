"""The order of photos as arithmetic, against formulas written out and against brute force."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset_tools.images.similarity import ALIKE
from polymask.inference.detections import EMPTY, Detection, Detections
from polymask.review.ranking import near_copies, uncertainty

scores = st.lists(st.floats(0, 1), max_size=20)
hashes = st.lists(st.none() | st.integers(0, 2**12 - 1), max_size=12)


def scored(*values):
    found = tuple(Detection(0, value, (0.0, 0.0, 1.0, 1.0), EMPTY) for value in values)
    return Detections((8, 8), ("bar",), found)


@pytest.mark.parametrize(("score", "expected"), [(0.5, 1), (1, 0), (0, 0), (0.75, 0.25), (0.25, 0.25), (0.9, 0.04)])
def test_the_uncertainty_of_a_detection_is_by_its_margin(score, expected):
    assert uncertainty(scored(score)) == pytest.approx(expected)


@given(scores)
def test_uncertainty_is_the_sum_of_the_squared_complements_of_the_margins(values):
    best_and_second = [sorted((value, 1 - value), reverse=True) for value in values]
    expected = sum((1 - (best - second)) ** 2 for best, second in best_and_second)
    assert uncertainty(scored(*values)) == pytest.approx(expected, abs=1e-9)


def test_dozens_of_unlikely_detections_count_less_than_one_at_one_half():
    assert uncertainty(scored(*[0.06] * 40)) < uncertainty(scored(0.5))


def test_near_copies_of_annotated_photos_and_of_earlier_ones():
    far, near = (1 << ALIKE + 1) - 1, (1 << ALIKE) - 1
    assert near_copies([far, near, None, far ^ 1], annotated=[0]) == {1, 3}
    assert near_copies([far, 0, far << 20], annotated=[]) == set()
    assert near_copies([None, None], annotated=[None]) == set(), "without a hash nothing is alike"


@given(hashes, hashes)
def test_what_is_kept_is_alike_to_nothing_before_it(photos, annotated):
    copies = near_copies(photos, annotated)
    kept = [value for value in annotated if value is not None]
    for index, value in enumerate(photos):
        alike = value is not None and any((value ^ other).bit_count() <= ALIKE for other in kept)
        assert (index in copies) == alike
        if value is not None and not alike:
            kept.append(value)
