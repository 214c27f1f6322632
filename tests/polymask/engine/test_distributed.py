import multiprocessing
import os
from argparse import Namespace

import pytest
import torch
from detectron2.utils import comm
from detectron2.utils.events import EventStorage

from dataset_tools.parallel import all_cores
from polymask.engine.distributed import reduce_flag, synchronise_buffers, weighted_mean, wrap
from polymask.engine.launch import launch
from polymask.engine.update import UpdateTrainer
from tests.polymask.engine.processes import NOT_GIVEN, two_processes


def batch():
    """Eight items with four features each."""
    return torch.randn(8, 4, generator=torch.Generator().manual_seed(0))


def network():
    return torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Tanh(), torch.nn.Linear(3, 1))


class Drawing(torch.nn.Module):
    """Notes what it draws at random in a forward pass."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

    def forward(self, _batch):
        self.drawn = float(torch.rand(()))
        return {"loss": self.weight.sum()}


def drawn_in_an_iteration():
    model = Drawing()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    trainer = UpdateTrainer(model, [[{}]], optimizer, device="cpu", compute_type=torch.float32, parts=1, seed=5)
    with EventStorage() as trainer.storage:
        trainer.run_step()
    return model.drawn


def as_one_of_two(args):
    """Uses everything that processes agree with, and saves what it saw as ``<rank>.pt``."""
    rank = comm.get_rank()
    torch.manual_seed(rank)  # they start with different weights
    here = batch().chunk(2)[rank]
    model = wrap(network())
    weights = {name: value.clone() for name, value in model.module.state_dict().items()}
    model(here).square().mean().backward()
    normalisation = torch.nn.BatchNorm1d(4)
    normalisation(here)
    own_statistics = normalisation.running_mean.clone()
    synchronise_buffers(normalisation)
    seen = {
        "weights": weights,
        "gradients": [parameter.grad for parameter in model.parameters()],
        "own statistics": own_statistics,
        "statistics": normalisation.running_mean,
        "flags": [reduce_flag(False), reduce_flag(rank == 0), reduce_flag(rank == 1), reduce_flag(True)],
        "mean": weighted_mean({"a": 6.0, "b": 1.0} if rank else {"a": 2.0}, 3 if rank else 1),
        "mean with an empty share": weighted_mean({"a": 6.0} if rank else {}, 3 if rank else 0),
        "threads": torch.get_num_threads(),
        "session": os.getsid(0),
        "start method": multiprocessing.get_start_method(),
        "drawn": drawn_in_an_iteration(),
    }
    torch.save(seen, args.folder / f"{rank}.pt")


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """What each of two processes saw."""
    folder = tmp_path_factory.mktemp("seen")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("OMP_NUM_THREADS", raising=False)  # a user's own number would hold
        assert launch(as_one_of_two, Namespace(**NOT_GIVEN | {"num_gpus": 2}, folder=folder)) == 0
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in (0, 1)]


@two_processes
def test_half_the_batch_each_gives_the_gradient_of_the_whole(seen):
    model = network()
    model.load_state_dict(seen[0]["weights"])
    model(batch()).square().mean().backward()
    for rank in (0, 1):
        torch.testing.assert_close(seen[rank]["gradients"], [parameter.grad for parameter in model.parameters()])


@two_processes
def test_the_main_process_gives_its_weights_and_statistics_to_all(seen):
    assert all(torch.equal(value, seen[1]["weights"][name]) for name, value in seen[0]["weights"].items())
    assert not torch.equal(seen[0]["own statistics"], seen[1]["own statistics"])
    for rank in (0, 1):
        assert torch.equal(seen[rank]["statistics"], seen[0]["own statistics"])


@two_processes
def test_all_processes_agree(seen):
    for rank in (0, 1):
        assert seen[rank]["flags"] == [False, True, True, True]
        assert seen[rank]["mean"] == {"a": 2.0, "b": 0.25}
        assert seen[rank]["mean with an empty share"] == {"a": 2.0}


@two_processes
def test_each_process_draws_its_own_random_numbers(seen):
    assert seen[0]["drawn"] != seen[1]["drawn"]


@two_processes
def test_workers_are_started_as_by_any_other_process(seen):
    """The processes themselves are spawned; workers that were, too, would load PyTorch again for each evaluation."""
    assert {seen[rank]["start method"] for rank in (0, 1)} == {multiprocessing.get_all_start_methods()[0]}


@two_processes
def test_processes_share_the_cores(seen):
    assert seen[0]["threads"] == seen[1]["threads"] == all_cores() // 2


def test_a_single_process_agrees_with_itself():
    model = network()
    assert wrap(model) is model
    assert [reduce_flag(False), reduce_flag(True)] == [False, True]
    assert weighted_mean({"a": 3.0}, 2) == {"a": 1.5}
    assert weighted_mean({}, 0) == {}


@two_processes
def test_a_terminal_reaches_the_first_process_alone(seen):
    """It passes a Ctrl-C on; one that came twice would end a training without a checkpoint."""
    assert len({os.getsid(0), seen[0]["session"], seen[1]["session"]}) == 3
