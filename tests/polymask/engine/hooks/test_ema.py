from types import SimpleNamespace

import numpy as np
import torch

from polymask.engine.hooks.ema import ExponentialMovingAverage


def small_model():
    return torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))


def average_of(model, decay):
    """The hook, with the only thing that it asks of its trainer."""
    average = ExponentialMovingAverage(model, decay)
    average.trainer = SimpleNamespace(iter=0)
    return average


def after_update(average, iteration):
    average.trainer.iter = iteration
    average.after_step()


def updates(model, count, seed=0):
    """Changes every weight and statistic, as an optimizer and BatchNorm would; yields after each change."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(count):
        with torch.no_grad():
            for tensor in model.state_dict().values():
                if tensor.is_floating_point():
                    tensor.copy_(torch.randn(tensor.shape, generator=generator))
                else:
                    tensor += 1
        yield


def test_it_is_the_recursion_of_its_definition():
    """After updates 0, 4, 8 ..., with the fourth power of the decay that update would have."""
    model = small_model()
    average = average_of(model, decay=0.5)
    expected = None
    for update, _ in enumerate(updates(model, 19)):
        after_update(average, update)
        now = {name: tensor.double().numpy().copy() for name, tensor in model.state_dict().items()}
        if update == 0:
            expected = now
        elif update in (4, 8, 12, 16):
            decay = min(0.5, (1 + update) / (10 + update)) ** 4
            expected = {name: decay * expected[name] + (1 - decay) * now[name] for name in now}
        for name, tensor in average.model.state_dict().items():
            if tensor.is_floating_point():
                np.testing.assert_allclose(tensor.double().numpy(), expected[name], rtol=1e-4, atol=1e-6, err_msg=name)
    assert not torch.equal(average.model[0].weight, model[0].weight)


def test_it_forgets_as_much_as_an_average_after_each_update():
    """Weights that stay the same from one average to the next: then both must come to the same."""
    model = torch.nn.Linear(1, 1)
    average = average_of(model, decay=0.1)  # at once below (1 + n) / (10 + n)
    expected = None
    for update in range(20):
        if update % 4 == 1 or update == 0:
            torch.nn.init.constant_(model.weight, float(update))
        after_update(average, update)
        now = model.weight.item()
        expected = now if expected is None else 0.1 * expected + 0.9 * now
        if update % 4 == 0:
            np.testing.assert_allclose(average.model.weight.item(), expected, rtol=1e-5)


def test_its_state_continues_bit_for_bit(tmp_path):
    model, resumed_model = small_model(), small_model()
    whole, resumed = average_of(model, decay=0.9), average_of(resumed_model, decay=0.9)
    for update, _ in enumerate(updates(model, 15)):
        after_update(whole, update)
        if update == 6:
            torch.save(whole.state_dict(), tmp_path / "state.pth")
        if update > 6:
            if update == 7:
                resumed.load_state_dict(torch.load(tmp_path / "state.pth", weights_only=True))
            resumed_model.load_state_dict(model.state_dict())
            after_update(resumed, update)
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name


def test_the_trained_model_is_left_alone():
    model = small_model()
    average = average_of(model, decay=0.9)
    for update, _ in enumerate(updates(model, 6)):
        before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        after_update(average, update)
        assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
