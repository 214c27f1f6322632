"""Randomness as a function of numbers: the same numbers, the same draws, whatever was drawn before."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def seed_everything(*numbers: int) -> None:
    """Seeds the global generators of Python, numpy and torch (on all devices) with a hash of the numbers, all >= 0."""
    # With their count, since a SeedSequence takes (7, 3) and (7, 3, 0) for the same.
    first, second, third = np.random.SeedSequence((len(numbers), *numbers)).generate_state(3)
    random.seed(int(first))
    np.random.seed(second)
    torch.manual_seed(int(third))


@contextmanager
def seeded(*numbers: int) -> Iterator[None]:
    """Inside the block the generators are seeded with the numbers; behind it they are as if nothing had been drawn."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    # A data loader's worker must not touch CUDA, which its parent may have initialised.
    on_gpus = torch.cuda.is_initialized() and not torch.utils.data.get_worker_info()
    gpu_states = torch.cuda.get_rng_state_all() if on_gpus else []
    try:
        seed_everything(*numbers)
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])
        if on_gpus:
            torch.cuda.set_rng_state_all(gpu_states)
