"""Splits: disjoint, complete, near the fractions, and never without something to train on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset_tools.errors import UserError
from dataset_tools.splits import check_fractions, split_at_random, split_counts

fractions = st.tuples(st.integers(1, 100), st.integers(0, 100), st.integers(0, 100)).map(
    lambda parts: tuple(part / sum(parts) for part in parts)
)
names = st.lists(
    st.text(min_size=1, max_size=8).filter(lambda text: text.isascii()), unique=True, min_size=1, max_size=60
)


@given(names, fractions, st.integers())
def test_every_photo_is_in_exactly_one_split_and_train_is_never_empty(names, fractions, seed):
    drawn = split_at_random(names, fractions, seed)
    assert set(drawn) == set(names)
    assert "train" in drawn.values()
    assert set(drawn.values()) <= {"train", "val", "test"}


@given(st.integers(1, 2000), fractions)
def test_counts_follow_the_fractions(total, fractions):
    counts = split_counts(total, fractions)
    assert sum(counts) == total and min(counts) >= 0 and counts[0] >= 1
    for count, fraction in zip(counts, fractions):
        assert fraction > 0 or count == 0
        assert abs(count - total * fraction) < 1 or (count == 1 > total * fraction) or min(counts) <= 1
        if total >= 3 and fraction > 0:
            assert count >= 1


@pytest.mark.parametrize(
    ("total", "expected"),
    [(1, [1, 0, 0]), (2, [2, 0, 0]), (3, [1, 1, 1]), (8, [6, 1, 1]), (18, [14, 2, 2]), (100, [75, 13, 12])],
)
def test_counts_of_the_default(total, expected):
    assert split_counts(total, (0.75, 0.125, 0.125)) == expected


@given(names, st.integers())
def test_the_draw_depends_on_names_and_seed_only(names, seed):
    draw = split_at_random(names, (0.6, 0.2, 0.2), seed)
    assert split_at_random(sorted(names, reverse=True), (0.6, 0.2, 0.2), seed) == draw


def test_another_seed_is_another_draw():
    names = [f"{index}.json" for index in range(40)]
    assert split_at_random(names, (0.5, 0.25, 0.25), 0) != split_at_random(names, (0.5, 0.25, 0.25), 1)


def test_one_more_photo_moves_few_others():
    names = [f"{index}.json" for index in range(200)]
    before = split_at_random(names, (0.75, 0.125, 0.125), 0)
    after = split_at_random([*names, "new.json"], (0.75, 0.125, 0.125), 0)
    assert sum(before[name] != after[name] for name in names) <= 2


@pytest.mark.parametrize(
    "bad", [(0.5, 0.5), (1.2, -0.2, 0), (0, 0.5, 0.5), (0.7, 0.2, 0.2), (float("nan"), 0.5, 0.5), (float("inf"), 0, 0)]
)
def test_bad_fractions_are_refused(bad):
    with pytest.raises(UserError) as caught:
        check_fractions(bad)
    assert caught.value.exit_code == 2
