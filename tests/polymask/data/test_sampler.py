from collections import Counter
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polymask.data.sampler import BatchPlan

LANDSCAPE, PORTRAIT = (320, 240), (240, 320)
datasets = st.lists(st.sampled_from([LANDSCAPE, PORTRAIT]), min_size=1, max_size=12)


def take(batches, count):
    return list(islice(batches, count))


@given(datasets, st.integers(1, 5), st.integers(0, 2**31 - 1))
def test_every_epoch_has_every_photo_once(sizes, images_per_batch, seed):
    plan = BatchPlan(sizes, images_per_batch, seed, group=False)
    stream = [pair for batch in take(plan.batches(), 4 * len(sizes)) for pair in batch]
    assert [position for position, _ in stream] == list(range(len(stream)))
    for start in range(0, 4 * len(sizes), len(sizes)):
        assert sorted(index for _, index in stream[start : start + len(sizes)]) == list(range(len(sizes)))


@given(datasets, st.integers(1, 4), st.integers(0, 99), st.integers(0, 30), st.booleans())
def test_it_can_be_entered_anywhere(sizes, images_per_batch, seed, first, group):
    plan = BatchPlan(sizes, images_per_batch, seed, group)
    assert take(plan.batches(first), 10) == take(plan.batches(), first + 10)[first:]


@given(datasets, st.integers(1, 3), st.integers(1, 4), st.booleans())
def test_processes_share_the_batches_of_one(sizes, share, processes, group):
    plan = BatchPlan(sizes, share * processes, 5, group)
    whole = take(plan.batches(), 8)
    parts = [take(plan.batches(0, rank, processes), 8) for rank in range(processes)]
    assert [sum((part[i] for part in parts), []) for i in range(8)] == whole
    assert all(len(batch) == share for part in parts for batch in part)


@given(datasets, st.integers(1, 4), st.integers(0, 99))
def test_grouped_batches_have_one_orientation_and_lose_no_photo(sizes, images_per_batch, seed):
    plan = BatchPlan(sizes, images_per_batch, seed, group=True)
    batches = take(plan.batches(), 40)
    for batch in batches:
        assert len({sizes[index] for _, index in batch}) == 1
    positions = [position for batch in batches for position, _ in batch]
    assert len(set(positions)) == len(positions)
    # At most a batch less one of each orientation is waiting.
    left_out = set(range(max(positions) + 1)) - set(positions)
    assert len(left_out) <= 2 * (images_per_batch - 1)


@pytest.mark.parametrize("group", [False, True])
def test_the_order_follows_the_seed_and_changes_with_each_epoch(group):
    sizes = [LANDSCAPE] * 30
    orders = [
        tuple(index for batch in take(BatchPlan(sizes, 1, seed, group).batches(first), 30) for _, index in batch)
        for seed, first in ((1, 0), (1, 0), (2, 0), (1, 30))
    ]
    assert orders[0] == orders[1]
    assert len(set(orders)) == 3
    assert Counter(orders[3]) == Counter(orders[0])
