"""A trained network as a function of tensors, which tracers can follow.

While a tracer looks on, the modules that are faster on a CPU (``polymask.modeling.build``) compute as the classes above
them do, whose operators other programs have.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from detectron2.export import TracingAdapter
from detectron2.modeling import GeneralizedRCNN

# The input of an exported network, (3, H, W) float32: a resized photo, 0 to 255, in the order of INPUT.FORMAT.
INPUT = "image"
# What it returns of N instances, best first: (N, 4) XYXY in px of the input; (N,) indices of classes; (N, 1, M, M), 0 to
# 1, each stretched over its box; (N,), 0 to 1.
OUTPUTS = ("boxes", "classes", "masks", "scores")
# Where its description is, in a file's metadata.
DESCRIPTION = "polymask"

# (H, W) of the noise that is traced. The sizes of photos stay open.
_TRACED_SIZE = (224, 320)


def traceable(model: GeneralizedRCNN) -> TracingAdapter:
    """The network from ``INPUT`` to ``OUTPUTS``; its ``flattened_inputs`` are what to trace it with.

    Args:
        model: in evaluation mode.
    """
    noise = torch.rand((3, *_TRACED_SIZE), generator=torch.Generator().manual_seed(0)) * 255
    return TracingAdapter(model, [{"image": noise}], _infer).eval()  # or a tracer puts the model into training mode


@contextmanager
def without_warnings_of_tracers() -> Iterator[None]:
    """They warn of what they take for constants; whether it may be one, the comparison on photos says."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _infer(model: GeneralizedRCNN, inputs: list[dict[str, torch.Tensor]]) -> tuple[torch.Tensor, ...]:
    (found,) = model.inference(inputs, do_postprocess=False)
    return found.pred_boxes.tensor, found.pred_classes, found.pred_masks, found.scores
