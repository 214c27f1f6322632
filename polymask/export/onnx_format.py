"""A network as an ONNX file, and what onnxruntime finds with it."""

from __future__ import annotations

import io

import numpy as np
import onnx
import onnxruntime
import torch
from detectron2.modeling import GeneralizedRCNN

from polymask.export.tracing import DESCRIPTION, INPUT, OUTPUTS, traceable, without_warnings_of_tracers

# From 16 on, ONNX's RoiAlign has the regions of Detectron2's ROIAlign, half a pixel beside those of before. Its constant
# is 11, with which boxes are wrong.
OPSET = 17


def write_onnx(model: GeneralizedRCNN, description: str, opset: int = OPSET) -> bytes:
    """The file of a network, with inputs and outputs as in ``polymask.export.tracing``.

    Args:
        model: in evaluation mode, on the CPU.
        description: goes into the file's metadata.
        opset: ONNX's version of its operators.
    """
    network, traced = traceable(model), io.BytesIO()
    with without_warnings_of_tracers():
        torch.onnx.export(
            network,
            network.flattened_inputs,
            traced,  # type: ignore[arg-type]  # the older exporter writes into memory, too
            dynamo=False,  # the newer exporter does not take an R-CNN
            opset_version=opset,
            input_names=[INPUT],
            output_names=list(OUTPUTS),
            dynamic_axes={INPUT: {1: "height", 2: "width"}} | {name: {0: "instances"} for name in OUTPUTS},
        )
    file = onnx.load_from_string(traced.getvalue())
    onnx.helper.set_model_props(file, {DESCRIPTION: description})
    return file.SerializeToString()


class OnnxNetwork:
    """A file in memory, computed on the CPU with as many threads as PyTorch takes."""

    def __init__(self, content: bytes):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def __call__(self, image: np.ndarray) -> list[np.ndarray]:
        """The ``OUTPUTS`` for an ``INPUT``."""
        return self._session.run(list(OUTPUTS), {INPUT: image})
