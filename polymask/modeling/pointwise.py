"""Convolutions that are products of matrices, computed as such on a CPU.

PyTorch hands a convolution with few output channels to a kernel that is many times slower than the product: in the
heads of a Mask R-CNN these are the last layers, with an output for each class or anchor. A transposed convolution whose
outputs do not overlap is a product as well.
"""

from __future__ import annotations

import torch
from detectron2.layers import Conv2d
from torch import nn

# Output channels up to which the product is faster; the 1 x 1 convolutions of an FPN have more.
_FEW = 32


class PointwiseConv2d(Conv2d):
    """Detectron2's ``Conv2d`` of 1 x 1 without a norm: the same sums in another order."""

    @classmethod
    def can_replace(cls, module: nn.Module) -> bool:
        """Whether a module computes what this one does, with few output channels."""
        return (
            isinstance(module, nn.Conv2d)
            and type(module) in (nn.Conv2d, Conv2d)
            and (module.kernel_size, module.stride, module.padding) == ((1, 1), (1, 1), (0, 0))
            and module.groups == 1
            and module.out_channels <= _FEW
            and getattr(module, "norm", None) is None
            and getattr(module, "activation", None) is None
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) to (N, K, H, W)."""
        if x.device.type != "cpu" or torch.jit.is_tracing():
            return nn.Conv2d.forward(self, x)
        weights = self.weight.flatten(1)
        if x.is_contiguous(memory_format=torch.channels_last):
            return nn.functional.linear(x.permute(0, 2, 3, 1), weights, self.bias).permute(0, 3, 1, 2)
        product = (weights @ x.flatten(2)).unflatten(2, x.shape[2:])
        return product if self.bias is None else product + self.bias[:, None, None]


class DoublingConvTranspose2d(nn.ConvTranspose2d):
    """A transposed convolution of 2 x 2 with stride 2: each pixel becomes four, none of which has another source."""

    @classmethod
    def can_replace(cls, module: nn.Module) -> bool:
        """Whether a module computes what this one does."""
        return (
            isinstance(module, nn.ConvTranspose2d)
            and type(module) is nn.ConvTranspose2d
            and (module.kernel_size, module.stride, module.padding) == ((2, 2), (2, 2), (0, 0))
            and (module.output_padding, module.dilation, module.groups) == ((0, 0), (1, 1), 1)
        )

    def forward(self, x: torch.Tensor, output_size: list[int] | None = None) -> torch.Tensor:
        """(N, C, H, W) to (N, K, 2 H, 2 W), its channels last in memory."""
        if x.device.type != "cpu" or torch.jit.is_tracing() or output_size is not None:
            return super().forward(x, output_size)
        images, _, height, width = x.shape
        weights = self.weight.permute(2, 3, 1, 0).flatten(0, 2)  # (2 rows x 2 columns x K, C)
        bias = None if self.bias is None else self.bias.repeat(4)
        four = nn.functional.linear(x.permute(0, 2, 3, 1), weights, bias)
        four = four.view(images, height, width, 2, 2, self.out_channels)
        return four.permute(0, 5, 1, 3, 2, 4).reshape(images, self.out_channels, 2 * height, 2 * width)
