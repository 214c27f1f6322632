"""The convolutions and products of a training step: what they come to, and how long they take alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

Layer = nn.Conv2d | nn.ConvTranspose2d | nn.Linear


@dataclass(frozen=True)
class LayerCall:
    """A layer that was called once in a forward pass.

    Attributes:
        layer: its weights, and how it is applied.
        shape: of its input.
        outputs: elements of its output.
        passes_gradient: whether the backward pass goes on to its input.
    """

    layer: Layer
    shape: tuple[int, ...]
    outputs: int
    passes_gradient: bool

    @property
    def multiply_adds(self) -> int:
        """Of the forward pass."""
        weight = self.layer.weight
        if isinstance(self.layer, nn.ConvTranspose2d):
            return torch.Size(self.shape).numel() * weight[0].numel()
        return self.outputs * weight[0].numel()


@dataclass(frozen=True)
class Work:
    """What one training step has to compute.

    Attributes:
        parameters, trained: of the network, and those of them that are not frozen.
        regions: that the box head gets, in all its stages.
        mask_regions: that the mask head gets.
        multiply_adds: of all convolutions and products of the forward pass.
    """

    parameters: int
    trained: int
    regions: int
    mask_regions: int
    multiply_adds: int


def record_layers(model: nn.Module, forward: Callable[[], object]) -> list[LayerCall]:
    """Each call of a convolution or a linear layer in one forward pass."""
    calls: list[LayerCall] = []

    def record(layer: Layer, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        calls.append(LayerCall(layer, tuple(inputs[0].shape), output.numel(), inputs[0].requires_grad))

    hooks = [module.register_forward_hook(record) for module in model.modules() if isinstance(module, Layer)]
    try:
        forward()
    finally:
        for hook in hooks:
            hook.remove()
    return calls


def measure_work(model: nn.Module, calls: Sequence[LayerCall]) -> Work:
    """What the calls of one step come to.

    Only the box head has linear layers, of which those that score classes are called once for each of its stages; and
    only the mask head has a transposed convolution.
    """
    parameters = list(model.parameters())
    scores = {id(module) for name, module in model.named_modules() if name.endswith("cls_score")}
    return Work(
        parameters=sum(parameter.numel() for parameter in parameters),
        trained=sum(parameter.numel() for parameter in parameters if parameter.requires_grad),
        regions=sum(call.shape[0] for call in calls if id(call.layer) in scores),
        mask_regions=sum(call.shape[0] for call in calls if isinstance(call.layer, nn.ConvTranspose2d)),
        multiply_adds=sum(call.multiply_adds for call in calls),
    )


def layers_alone(calls: Sequence[LayerCall], dtype: torch.dtype) -> Callable[[], None]:
    """A function that runs the same layers forward and backward, and nothing else, on random numbers."""
    runs = [_layer_run(call, dtype) for call in calls]

    def run() -> None:
        for one in runs:
            one()

    return run


def _layer_run(call: LayerCall, dtype: torch.dtype) -> Callable[[], None]:
    layer = call.layer
    bias = None if layer.bias is None else layer.bias.detach().to(dtype)
    weight = layer.weight.detach().to(dtype).requires_grad_(layer.weight.requires_grad)
    entry = torch.rand(call.shape, device=weight.device).to(dtype).requires_grad_(call.passes_gradient)
    wanted = [tensor for tensor in (entry, weight) if tensor.requires_grad]

    def run() -> None:
        output = _apply(layer, entry, weight, bias)
        if wanted:
            torch.autograd.grad(output, wanted, torch.ones_like(output))

    return run


def _apply(layer: Layer, entry: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    if isinstance(layer, nn.Linear):
        return nn.functional.linear(entry, weight, bias)
    if isinstance(layer, nn.ConvTranspose2d):
        return nn.functional.conv_transpose2d(entry, weight, bias, layer.stride, layer.padding)
    return nn.functional.conv2d(entry, weight, bias, layer.stride, layer.padding, layer.dilation, layer.groups)
