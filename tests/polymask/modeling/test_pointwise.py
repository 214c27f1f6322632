import pytest
import torch
from detectron2.layers import Conv2d
from torch import nn

from polymask.modeling.pointwise import DoublingConvTranspose2d, PointwiseConv2d

MEMORY_FORMATS = [torch.contiguous_format, torch.channels_last]


def both(module, faster):
    """The module, and a copy with its parameters that is computed in the other way."""
    copied = type(module)(module.in_channels, module.out_channels, module.kernel_size, module.stride)
    copied.load_state_dict(module.state_dict())
    assert faster.can_replace(copied)
    copied.__class__ = faster
    return module, copied


def values_and_gradients(module, x):
    x = x.detach().requires_grad_()
    output = module(x)
    weights = torch.randn(output.shape, generator=torch.Generator().manual_seed(5))
    gradients = torch.autograd.grad((output * weights).sum(), [x, *module.parameters()])
    return [output, *gradients]


@pytest.mark.parametrize("memory_format", MEMORY_FORMATS)
@pytest.mark.parametrize("shape", [(2, 16, 5, 7), (1, 16, 1, 1), (0, 16, 4, 4)])
@pytest.mark.parametrize(
    ("module", "faster"),
    [
        (nn.Conv2d(16, 3, 1), PointwiseConv2d),
        (Conv2d(16, 1, 1), PointwiseConv2d),
        (nn.ConvTranspose2d(16, 8, 2, stride=2), DoublingConvTranspose2d),
    ],
    ids=["conv", "Detectron2's conv", "transposed conv"],
)
def test_values_and_gradients_are_those_of_pytorch(module, faster, shape, memory_format):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(4)).contiguous(memory_format=memory_format)
    plain, other = both(module, faster)
    for expected, found in zip(values_and_gradients(plain, x), values_and_gradients(other, x), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "module",
    [
        nn.Conv2d(4, 2, 3),
        nn.Conv2d(4, 2, 1, stride=2),
        nn.Conv2d(4, 2, 1, padding=1),
        nn.Conv2d(4, 2, 1, groups=2),
        nn.Conv2d(4, 256, 1),
        Conv2d(4, 2, 1, norm=nn.BatchNorm2d(2)),
        Conv2d(4, 2, 1, activation=nn.functional.relu),
        nn.ConvTranspose2d(4, 2, 2, stride=2),
        nn.Linear(4, 2),
    ],
)
def test_other_modules_are_not_pointwise(module):
    assert not PointwiseConv2d.can_replace(module)


@pytest.mark.parametrize(
    "module",
    [
        nn.ConvTranspose2d(4, 2, 3, stride=2),
        nn.ConvTranspose2d(4, 2, 2, stride=1),
        nn.ConvTranspose2d(4, 2, 2, stride=2, padding=1),
        nn.ConvTranspose2d(4, 2, 2, stride=2, output_padding=1),
        nn.ConvTranspose2d(4, 2, 2, stride=2, groups=2),
        nn.ConvTranspose2d(4, 2, 2, stride=2, dilation=2),
        nn.Conv2d(4, 2, 2, stride=2),
    ],
)
def test_other_modules_do_not_double(module):
    assert not DoublingConvTranspose2d.can_replace(module)
