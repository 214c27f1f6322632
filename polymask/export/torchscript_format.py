"""A network as a TorchScript file, and what PyTorch finds with it."""

from __future__ import annotations

import io

import numpy as np
import torch
from detectron2.modeling import GeneralizedRCNN

from polymask.export.tracing import DESCRIPTION, traceable, without_warnings_of_tracers


def write_torchscript(model: GeneralizedRCNN, description: str) -> bytes:
    """The file of a network, with inputs and outputs as in ``polymask.export.tracing``; torchvision must be loaded, too.

    Args:
        model: in evaluation mode, on the CPU.
        description: goes into the file, as an extra file.
    """
    network, content = traceable(model), io.BytesIO()
    with without_warnings_of_tracers():
        traced = torch.jit.trace(network, network.flattened_inputs, check_trace=False)
        torch.jit.save(traced, content, _extra_files={DESCRIPTION: description.encode()})
    return content.getvalue()


class TorchScriptNetwork:
    """A file in memory, computed on the CPU."""

    def __init__(self, content: bytes):
        with without_warnings_of_tracers():
            self._network = torch.jit.load(io.BytesIO(content), map_location="cpu")

    def __call__(self, image: np.ndarray) -> list[np.ndarray]:
        """The ``OUTPUTS`` for an ``INPUT``."""
        with torch.no_grad():
            return [output.numpy() for output in self._network(torch.from_numpy(image))]
