"""The convolutions and products of a training step or of predictions: what they come to, and how long they take alone."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

LAYERS = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)


@dataclass(frozen=True)
class LayerCall:
    """A layer that was called once in a forward pass.

    Attributes:
        layer: its weights, and how it is applied.
        shape: of its input.
        outputs: elements of its output.
        passes_gradient: whether the backward pass goes on to its input.
    """

    layer: nn.Module
    shape: torch.Size
    outputs: int
    passes_gradient: bool

    @property
    def multiply_adds(self) -> int:
        """Of the forward pass."""
        positions = self.shape.numel() if isinstance(self.layer, nn.ConvTranspose2d) else self.outputs
        return positions * self.layer.weight[0].numel()


def record_layers(model: nn.Module, forward: Callable[[], object]) -> list[LayerCall]:
    """Each call of a convolution or a linear layer in one forward pass."""
    calls: list[LayerCall] = []

    def record(layer: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        calls.append(LayerCall(layer, inputs[0].shape, output.numel(), inputs[0].requires_grad))

    hooks = [module.register_forward_hook(record) for module in model.modules() if isinstance(module, LAYERS)]
    forward()
    for hook in hooks:
        hook.remove()
    return calls


def measure_work(model: nn.Module, calls: Sequence[LayerCall]) -> dict[str, int]:
    """What the calls of one step come to: parameters, regions of the heads, multiply-adds of the forward pass.

    Only the box head has linear layers, of which those that score classes are called once for each of its stages; and
    only the mask head has a transposed convolution.
    """
    parameters = list(model.parameters())
    scores = [module for name, module in model.named_modules() if name.endswith("cls_score")]
    return {
        "parameters": sum(parameter.numel() for parameter in parameters),
        "trained parameters": sum(parameter.numel() for parameter in parameters if parameter.requires_grad),
        "regions for boxes": sum(call.shape[0] for call in calls if call.layer in scores),
        "regions for masks": sum(call.shape[0] for call in calls if isinstance(call.layer, nn.ConvTranspose2d)),
        "multiply-adds forward": sum(call.multiply_adds for call in calls),
    }


def layers_alone(calls: Sequence[LayerCall], dtype: torch.dtype) -> Callable[[], None]:
    """A function that runs the same layers, forward and where they learn also backward, on random numbers."""
    runs = [_layer_run(call, dtype) for call in calls]

    def run() -> None:
        for one in runs:
            one()

    return run


def _layer_run(call: LayerCall, dtype: torch.dtype) -> Callable[[], None]:
    layer = copy.deepcopy(call.layer).to(dtype)
    plain = next(kind for kind in LAYERS if isinstance(layer, kind))  # Detectron2's also normalise
    entry = torch.rand(call.shape, device=layer.weight.device).to(dtype).requires_grad_(call.passes_gradient)
    wanted = [tensor for tensor in (entry, layer.weight) if tensor.requires_grad]

    def run() -> None:
        output = plain.forward(layer, entry)
        if wanted:
            torch.autograd.grad(output, wanted, torch.ones_like(output))

    return run
