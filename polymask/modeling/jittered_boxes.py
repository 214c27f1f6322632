"""More boxes for the heads to learn from: those of the annotations, moved and resized at random.

A training from random weights begins with proposals of which hardly one lies on an object: besides the annotated boxes,
which Detectron2 adds (``MODEL.ROI_HEADS.PROPOSAL_APPEND_GT``), the heads see background. Boxes near the annotated ones
are what good proposals will be (Li et al. 2022, https://arxiv.org/abs/2203.01305, let a detector restore such boxes).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from detectron2.modeling.proposal_generator.proposal_utils import add_ground_truth_to_proposals
from detectron2.structures import Boxes, ImageList, Instances

# A centre moves by at most this share of the box's width and height, and the logarithms of both change by at most the
# second number: the IoU with the annotated box is above 0.5, where a region counts as the object's.
_SHIFT, _LOG_SCALE = 0.15, 0.25

_Inputs = tuple[ImageList, dict[str, torch.Tensor], list[Instances] | None]
_Output = tuple[list[Instances], dict[str, torch.Tensor]]


def adds_jittered_boxes(copies: int) -> Callable[[torch.nn.Module, _Inputs, _Output], _Output | None]:
    """A forward hook of the proposal generator that adds so many copies of each annotated box to its proposals.

    In an evaluation it adds nothing.
    """

    def hook(generator: torch.nn.Module, inputs: _Inputs, output: _Output) -> _Output | None:
        targets = inputs[2]
        if not generator.training or targets is None:
            return None
        proposals, losses = output
        boxes = [jittered(target.gt_boxes, copies, target.image_size) for target in targets]
        return add_ground_truth_to_proposals(boxes, proposals), losses

    return hook


def jittered(boxes: Boxes, copies: int, size: tuple[int, int]) -> Boxes:
    """Copies of N boxes at random, (N * copies, 4) XYXY in px, within an image of a size (height, width)."""
    original = boxes.tensor.repeat(copies, 1)
    centres, sides = (original[:, :2] + original[:, 2:]) / 2, original[:, 2:] - original[:, :2]
    centres = centres + _SHIFT * sides * _random_like(sides)
    sides = sides * torch.exp(_LOG_SCALE * _random_like(sides))
    changed = Boxes(torch.cat([centres - sides / 2, centres + sides / 2], dim=1))
    changed.clip(size)
    return changed


def _random_like(values: torch.Tensor) -> torch.Tensor:
    """Uniform, from -1 to 1."""
    return 2 * torch.rand_like(values) - 1
