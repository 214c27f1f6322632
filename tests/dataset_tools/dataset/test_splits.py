"""Splits: disjoint, complete, near the fractions, and never without something to train on."""

import random
import signal
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset_tools.dataset import splits
from dataset_tools.dataset.splits import assign_splits, check_fractions, group_names, split_counts
from dataset_tools.errors import UserError
from dataset_tools.formats.card import SPLITS

fractions = st.tuples(st.integers(1, 100), st.integers(0, 100), st.integers(0, 100)).map(
    lambda parts: tuple(part / sum(parts) for part in parts)
)


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


@pytest.mark.parametrize(
    "bad", [(0.5, 0.5), (1.2, -0.2, 0), (0, 0.5, 0.5), (0.7, 0.2, 0.2), (float("nan"), 0.5, 0.5), (float("inf"), 0, 0)]
)
def test_bad_fractions_are_refused(bad):
    with pytest.raises(UserError) as caught:
        check_fractions(bad)
    assert caught.value.exit_code == 2


DEFAULT = (0.75, 0.125, 0.125)

labels = st.dictionaries(
    st.text("abcdefgh", min_size=1, max_size=3),
    st.dictionaries(st.sampled_from("ABCDEF"), st.integers(0, 4), max_size=4),
    min_size=1,
    max_size=40,
)
folders = st.tuples(labels, st.booleans()).map(lambda drawn: (drawn[0], by_first_letter(drawn[0]) if drawn[1] else {}))


def by_first_letter(names):
    """Groups of very different sizes, and names without a group."""
    return {name: name[0] for name in names if len(name) > 1}


def members(names, groups):
    """The groups as lists of names; a name without a group is one."""
    found = {}
    for name in names:
        found.setdefault((name in groups, groups.get(name, name)), []).append(name)
    return list(found.values())


def holders(labels, groups):
    """How many groups hold each label."""
    together = members(labels, groups)
    return Counter(
        label
        for names in together
        for label in {label for name in names for label in labels[name] if labels[name][label]}
    )


def in_split(labels, dealt, which):
    """The instances of each label in one split."""
    counts = Counter()
    for name, split_of in dealt.items():
        if split_of == which:
            counts.update(labels[name])
    return +counts


@given(folders, fractions, st.integers())
def test_every_photo_gets_one_split_and_groups_never_part(folder, fractions, seed):
    labels, groups = folder
    dealt = assign_splits(labels, fractions, seed, groups)
    assert set(dealt) == set(labels)
    assert set(dealt.values()) <= {which for which, fraction in zip(SPLITS, fractions) if fraction > 0}
    for names in members(labels, groups):
        assert len({dealt[name] for name in names}) == 1


@given(folders, fractions, st.integers())
def test_no_split_is_forgotten(folder, fractions, seed):
    labels, groups = folder
    present = set(assign_splits(labels, fractions, seed, groups).values())
    assert "train" in present
    if len(members(labels, groups)) >= 3:
        assert present == {which for which, fraction in zip(SPLITS, fractions) if fraction > 0}


@given(folders, fractions, st.integers())
def test_train_has_every_class_that_can_be_spared_for_it(folder, fractions, seed):
    labels, groups = folder
    held = holders(labels, groups)
    learnt = in_split(labels, assign_splits(labels, fractions, seed, groups), "train")
    assert {label for label, count in held.items() if count >= 3} <= set(learnt)
    spare = [
        names
        for names in members(labels, groups)
        if all(held[label] > 1 for name in names for label, count in labels[name].items() if count)
    ]
    if len(spare) >= 2:
        assert {label for label, count in held.items() if count == 1} <= set(learnt)


@given(labels, fractions, st.integers())
def test_without_groups_the_numbers_follow_the_fractions(labels, fractions, seed):
    counts = Counter(assign_splits(labels, fractions, seed).values())
    expected = split_counts(len(labels), fractions)
    assert 0 <= counts["train"] - expected[0] <= len(holders(labels, {}))
    assert all(counts[which] <= count for which, count in zip(SPLITS[1:], expected[1:]))


@given(folders, fractions, st.integers())
def test_with_groups_the_numbers_miss_the_fractions_by_a_group_for_each_class_and_one_more_at_most(
    folder, fractions, seed
):
    labels, groups = folder
    counts = Counter(assign_splits(labels, fractions, seed, groups).values())
    largest = max(map(len, members(labels, groups)))
    bound = (len(holders(labels, groups)) + 1) * largest
    for which, expected in zip(SPLITS, split_counts(len(labels), fractions)):
        assert abs(counts[which] - expected) <= bound


@given(folders, fractions, st.integers())
def test_the_split_depends_on_names_labels_groups_and_seed_only(folder, fractions, seed):
    labels, groups = folder
    backwards = {name: dict(reversed(labels[name].items())) for name in reversed(labels)}
    assert assign_splits(backwards, fractions, seed, dict(reversed(groups.items()))) == assign_splits(
        labels, fractions, seed, groups
    )


def test_the_split_is_the_same_on_every_machine():
    labels = {f"{index}.json": {"AB"[index % 2]: 1} for index in range(8)}
    dealt = assign_splits(labels, (0.5, 0.25, 0.25), 0)
    assert [dealt[name][:2] for name in labels] == ["va", "tr", "te", "te", "tr", "tr", "tr", "va"]


def test_another_seed_is_another_split():
    labels = {f"{index}.json": {"A": 1} for index in range(40)}
    assert assign_splits(labels, DEFAULT, 0) != assign_splits(labels, DEFAULT, 1)


def skewed_folder():
    """200 photos: one class everywhere, in crowds at times, and five that 8 photos each hold."""
    rng = random.Random(0)
    labels = {f"{index}.json": {"common": rng.choice((1, 1, 1, 10))} for index in range(200)}
    for place, name in enumerate(rng.sample(sorted(labels), 40)):
        labels[name]["ABCDE"[place % 5]] = 1
    return labels


def at_random(names, seed):
    """The split that takes no heed of classes."""
    which = [split for split, count in zip(SPLITS, split_counts(len(names), DEFAULT)) for _ in range(count)]
    random.Random(seed).shuffle(which)
    return dict(zip(names, which))


def unfairness(labels, dealt):
    """How far, at worst, the share of a class that a split has is from the split's fraction."""
    totals = Counter()
    for counts in labels.values():
        totals.update(counts)
    return max(
        abs(in_split(labels, dealt, which)[label] / total - fraction)
        for which, fraction in zip(SPLITS, DEFAULT)
        for label, total in totals.items()
    )


@pytest.mark.parametrize("seed", range(5))
def test_classes_are_divided_better_than_at_random(seed):
    labels = skewed_folder()
    assert unfairness(labels, assign_splits(labels, DEFAULT, seed)) < 0.1
    assert unfairness(labels, at_random(labels, seed)) > 0.1


def test_the_fractions_hold_for_classes_over_groups():
    labels = {f"{place}_{frame}.json": {"ABC"[place % 3]: 1} for place in range(60) for frame in range(5)}
    dealt = assign_splits(labels, (0.6, 0.2, 0.2), 0, group_names(labels, r"^(\d+)_"))
    for which, expected in zip(SPLITS, (60, 20, 20)):
        assert in_split(labels, dealt, which) == {"A": expected, "B": expected, "C": expected}


def test_a_class_of_one_photo_goes_to_train():
    for seed in range(20):
        labels = {f"{index}.json": {"common": 1} for index in range(9)} | {"rare.json": {"common": 1, "rare": 1}}
        assert assign_splits(labels, DEFAULT, seed)["rare.json"] == "train"


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (r"^(.*)_frame\d+", {"a_frame1.json": "a", "a_frame2.json": "a", "b_frame1.json": "b"}),
        (r"^[ab]_", {"a_frame1.json": "a_", "a_frame2.json": "a_", "b_frame1.json": "b_"}),
        (r"(fr).*(\d)", {"a_frame1.json": "fr", "a_frame2.json": "fr", "b_frame1.json": "fr"}),
        (r"(b)|other", {"b_frame1.json": "b"}),
        (r"(\d*)\.", {"a_frame1.json": "1", "a_frame2.json": "2", "b_frame1.json": "1"}),
    ],
)
def test_groups_are_found_in_names(pattern, expected):
    assert group_names(["a_frame1.json", "a_frame2.json", "b_frame1.json", "other.json"], pattern) == expected


@pytest.mark.parametrize(
    "pattern", ["(", "a{99999999999999999999}", "(" * 5000 + ")" * 5000, "never", "", "x*", "a|\udcff"]
)
def test_expressions_that_group_nothing_are_refused(pattern):
    with pytest.raises(UserError) as caught:
        group_names(["a.json", "b.json"], pattern)
    assert caught.value.exit_code == 2


def test_an_expression_that_does_not_end_is_refused(monkeypatch):
    monkeypatch.setattr(splits, "_PATTERN_SECONDS", 0.1)
    with pytest.raises(UserError, match="seconds"):
        group_names(["a" * 60 + "b"], "(a+)+$")
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_thousands_of_labels_are_not_compared_with_each_other(counted_label):
    count = 3000
    photos = {str(index): {counted_label(index): 1} for index in range(count)}
    assert len(assign_splits(photos, DEFAULT, seed=0)) == count
    assert counted_label.comparisons < 100 * count
