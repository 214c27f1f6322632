import random

import numpy as np
import torch

from polymask.data.seeding import seed_everything, seeded


def draw():
    return random.random(), float(np.random.rand()), float(torch.rand(()))


def test_the_same_numbers_the_same_draws_in_all_three_generators():
    seed_everything(7, 3)
    first = draw()
    draw()
    seed_everything(7, 3)
    assert draw() == first
    for numbers in ((7, 4), (3, 7), (7, 3, 0), (7,)):
        seed_everything(*numbers)
        assert all(a != b for a, b in zip(draw(), first, strict=True)), numbers


def test_behind_the_block_it_is_as_if_nothing_had_been_drawn():
    seed_everything(1)
    expected = draw(), draw()
    seed_everything(1)
    first = draw()
    with seeded(9):
        draw()
    assert (first, draw()) == expected
