import multiprocessing
import os
import signal
import time

import pytest
import torch

from dataset_tools.errors import UserError
from polymask.config.keys import FOLLOW_CORES
from polymask.data.loader import _Batches
from polymask.data.workers import lost_workers_reported, number_of_workers


class KilledPhotos(torch.utils.data.Dataset):
    """The system ends the worker that loads one, as it does where there is no memory left."""

    def __len__(self):
        return 4

    def __getitem__(self, index):
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_worker_that_is_killed_is_an_error_in_words():
    with pytest.raises(UserError, match="a process that loads photos was lost.*NUM_WORKERS"), lost_workers_reported():
        list(torch.utils.data.DataLoader(KilledPhotos(), num_workers=1))
    with pytest.raises(RuntimeError, match="another"), lost_workers_reported():
        raise RuntimeError("another")


class Photos(torch.utils.data.Dataset):
    def __len__(self):
        return 100

    def __getitem__(self, index):
        return torch.zeros(100_000)


# If the signal comes while an object is deleted, Python only prints PyTorch's error.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_worker_that_is_killed_while_its_photos_are_on_their_way():
    """Its connections end before PyTorch hears of its end."""
    with pytest.raises(UserError, match="a process that loads photos was lost.*NUM_WORKERS"), lost_workers_reported():
        batches = iter(_Batches(torch.utils.data.DataLoader(Photos(), num_workers=1, collate_fn=list)))
        next(batches)
        time.sleep(0.5)  # until the next photos are on their way; earlier, PyTorch itself finds the worker gone
        [worker] = multiprocessing.active_children()
        worker.kill()
        list(batches)


def test_workers_follow_the_cores(configuration, monkeypatch):
    def workers(cores, device, given=FOLLOW_CORES):
        monkeypatch.setattr("polymask.data.workers.all_cores", lambda: cores)
        return number_of_workers(configuration("DATALOADER.NUM_WORKERS", str(given), "MODEL.DEVICE", device))

    assert [workers(cores, "cpu") for cores in (1, 2, 4, 16)] == [0, 1, 1, 1]
    assert [workers(cores, "cuda") for cores in (1, 2, 4, 16)] == [0, 1, 3, 4]
    assert [workers(1, "cpu", given) for given in (0, 7)] == [0, 7]
