"""From a model's output to detections: the small masks are pasted into the photo, each inside its box alone.

Detectron2's ``paste_masks_in_image`` makes a mask of the photo's size for each object. It takes a pixel for one of the
object where the small mask, interpolated to the pixel's centre, is at least one half, and 0 around the small mask:
on the edge of the box the interpolated value is at most one half, and beyond it less. So no pixel is the object's but
those that the box touches, from floor(left) and floor(top) to before ceil(right) and ceil(bottom), and they alone are
computed. What is computed for each is Detectron2's to the last bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from detectron2.modeling import detector_postprocess
from detectron2.structures import Instances
from torch.nn import functional as F

from polymask.inference.detections import Detection, PlacedMask, place

_THRESHOLD = 0.5  # ``detector_postprocess``'s


def detections_of(raw: Instances, size: tuple[int, int]) -> list[Detection]:
    """A model's output for a photo of a size (height, width), in the same order; what has no area there is left out.

    Args:
        raw: as ``model.inference(inputs, do_postprocess=False)`` returns it: ``pred_masks`` is (N, 1, M, M), 0 to 1. It
            may be changed.
        size: of the photo as it was before it was resized for the model.
    """
    # Without masks, Detectron2 only scales, clips and drops boxes; under another name, the masks are dropped with them.
    raw.mask_values = raw.pred_masks.float()  # under autocast they have half the bits
    raw.remove("pred_masks")
    found = detector_postprocess(raw, *size)
    masks = paste_masks(found.mask_values, found.pred_boxes.tensor)
    found.remove("mask_values")
    found = found.to("cpu")
    rows = zip(found.pred_classes.tolist(), found.scores.tolist(), found.pred_boxes.tensor.tolist(), masks, strict=True)
    return [Detection(category, score, tuple(box), mask) for category, score, box, mask in rows]


def paste_masks(masks: torch.Tensor, boxes: torch.Tensor) -> Iterator[PlacedMask]:
    """The masks as Detectron2's ``paste_masks_in_image`` would give them.

    Args:
        masks: (N, 1, M, M) float32, 0 to 1, of which each is stretched over its box.
        boxes: (N, 4) float32, XYXY in px of the photo, with area and inside it; on the same device.
    """
    first, last = boxes[:, :2].floor().long(), boxes[:, 2:].ceil().long()
    across, down = (_relative_centres(boxes[:, axis::2], first[:, axis], last[:, axis]) for axis in (0, 1))
    for mask, x, y, (left, top) in zip(masks, across, down, first.tolist(), strict=True):
        grid = torch.stack([x.expand(len(y), -1), y[:, None].expand(-1, len(x))], dim=2)
        pixels = F.grid_sample(mask[None], grid[None], align_corners=False)[0, 0] >= _THRESHOLD
        yield place(pixels.cpu().numpy(), left, top)


def _relative_centres(sides: torch.Tensor, first: torch.Tensor, last: torch.Tensor) -> Sequence[torch.Tensor]:
    """Of each box, where its pixels' centres are along an axis: -1 on the lower side of the box, 1 on the upper one.

    The operations are those of ``detectron2.layers.mask_ops._do_paste_mask`` in their order, for all boxes at once.

    Args:
        sides: (N, 2) lower and upper sides in px.
        first, last: (N,) the first pixel of each, and the one behind its last.
    """
    counts = last - first
    low, high = sides.repeat_interleave(counts, dim=0).T
    offset = (first - counts.cumsum(0) + counts).repeat_interleave(counts)
    centres = torch.arange(len(offset), device=sides.device) + offset + 0.5
    return ((centres - low) / (high - low) * 2 - 1).split(counts.tolist())
