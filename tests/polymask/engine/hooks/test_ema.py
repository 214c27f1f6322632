import numpy as np
import torch

from polymask.engine.hooks.ema import ExponentialMovingAverage


def small_model():
    return torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))


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
    model = small_model()
    average = ExponentialMovingAverage(model, decay=0.5)
    expected = None
    for update, _ in enumerate(updates(model, 12)):
        average.after_step()
        now = {name: tensor.double().numpy().copy() for name, tensor in model.state_dict().items()}
        if expected is None:
            expected = now
        decay = min(0.5, (1 + update) / (10 + update))
        expected = {name: decay * expected[name] + (1 - decay) * now[name] for name in now}
    for name, tensor in average.model.state_dict().items():
        if tensor.is_floating_point():
            np.testing.assert_allclose(tensor.double().numpy(), expected[name], rtol=1e-4, atol=1e-6, err_msg=name)
    assert not torch.equal(average.model[0].weight, model[0].weight)


def test_its_state_continues_bit_for_bit(tmp_path):
    model, resumed_model = small_model(), small_model()
    whole = ExponentialMovingAverage(model, decay=0.9)
    resumed = ExponentialMovingAverage(resumed_model, decay=0.9)
    for update, _ in enumerate(updates(model, 6)):
        whole.after_step()
        if update == 3:
            torch.save(whole.state_dict(), tmp_path / "state.pth")
        if update > 3:
            if update == 4:
                resumed.load_state_dict(torch.load(tmp_path / "state.pth", weights_only=True))
            resumed_model.load_state_dict(model.state_dict())
            resumed.after_step()
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name


def test_the_trained_model_is_left_alone():
    model = small_model()
    average = ExponentialMovingAverage(model, decay=0.9)
    for _ in updates(model, 3):
        before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        average.after_step()
        assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
