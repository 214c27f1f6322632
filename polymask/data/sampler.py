"""Which photos make up which batch: a plan that can be entered at any iteration."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np


class BatchPlan:
    """An endless stream of photos, epoch after epoch in a new order, cut into batches.

    The order of epoch e is a permutation drawn from (seed, e). With grouping, landscape and portrait photos wait in two
    queues, and a batch is made of the first of them that is full, as Detectron2's ``AspectRatioGroupedDataset`` does
    it: photos of one orientation waste no padding.

    Args:
        sizes: (width, height) of each photo of the dataset.
        images_per_batch: of all processes together.
        seed: of the order.
        group: whether photos are grouped by orientation.
    """

    def __init__(self, sizes: Sequence[tuple[int, int]], images_per_batch: int, seed: int, group: bool):
        self._portrait = [group and width <= height for width, height in sizes]
        self._images_per_batch = images_per_batch
        self._seed = seed

    def batches(self, first: int = 0, rank: int = 0, world_size: int = 1) -> Iterator[list[tuple[int, int]]]:
        """The batches from number ``first`` on, endlessly; of each the part of one process.

        Each is a list of (position, index): the number of the photo in the stream, and which of the dataset it is. The
        parts of all processes together are the batch of a single one, so that ``images_per_batch`` has to be a multiple
        of ``world_size``.
        """
        share = self._images_per_batch // world_size
        # The queues depend on all that came before; to go through the numbers of a long training takes a moment.
        for batch in itertools.islice(self._all_batches(), first, None):
            yield batch[rank * share : (rank + 1) * share]

    def _all_batches(self) -> Iterator[list[tuple[int, int]]]:
        queues: tuple[list, list] = ([], [])
        for position, index in enumerate(self._stream()):
            queue = queues[self._portrait[index]]
            queue.append((position, index))
            if len(queue) == self._images_per_batch:
                yield queue.copy()
                queue.clear()

    def _stream(self) -> Iterator[int]:
        for epoch in itertools.count():
            yield from np.random.default_rng((self._seed, epoch)).permutation(len(self._portrait)).tolist()
