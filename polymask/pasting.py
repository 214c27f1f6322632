"""From a model's output to detections: the small masks are pasted into the photo, each inside its box alone.

Detectron2's ``paste_masks_in_image`` makes a mask of the photo's size for each object. It takes a pixel for one of the
object where the small mask, interpolated to the pixel's centre, is at least one half, and 0 around the small mask:
on the edge of the box the interpolated value is at most one half, and beyond it less. So no pixel is the object's but
those that the box touches, from floor(left) and floor(top) to before ceil(right) and ceil(bottom), and they alone are
computed. What is computed for each is Detectron2's to the last bit.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from detectron2.modeling import detector_postprocess
from detectron2.structures import Instances
from torch.nn import functional as F

from polymask.detections import Detection, PlacedMask, Window, place

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
    masks = paste_masks(found.mask_values, found.pred_boxes.tensor, size)
    found.remove("mask_values")
    found = found.to("cpu")
    rows = zip(found.pred_classes.tolist(), found.scores.tolist(), found.pred_boxes.tensor.tolist(), masks, strict=True)
    return [Detection(category, score, tuple(box), mask) for category, score, box, mask in rows]


def paste_masks(masks: torch.Tensor, boxes: torch.Tensor, size: tuple[int, int]) -> Iterator[PlacedMask]:
    """The masks as Detectron2's ``paste_masks_in_image`` would give them.

    Args:
        masks: (N, 1, M, M) float32, 0 to 1, of which each is stretched over its box.
        boxes: (N, 4) float32, XYXY in px of the photo, with area and inside it; on the same device.
        size: (height, width) of the photo.
    """
    corners = torch.cat([boxes[:, :2].floor(), boxes[:, 2:].ceil()], dim=1).int().tolist()
    for mask, box, window in zip(masks, boxes, corners, strict=True):
        pixels = _interpolated(mask[None], box, window) >= _THRESHOLD
        yield place(pixels.cpu().numpy(), window[0], window[1])


def _interpolated(mask: torch.Tensor, box: torch.Tensor, window: Window) -> torch.Tensor:
    """A mask, (1, 1, M, M), stretched over a box, at the centres of the pixels of a window: (bottom - top, right - left).

    The operations are those of ``detectron2.layers.mask_ops._do_paste_mask``, in its order.
    """
    left, top, right, bottom = window
    x0, y0, x1, y1 = box
    x = torch.arange(left, right, device=mask.device, dtype=torch.float32) + 0.5
    y = torch.arange(top, bottom, device=mask.device, dtype=torch.float32) + 0.5
    x = (x - x0) / (x1 - x0) * 2 - 1
    y = (y - y0) / (y1 - y0) * 2 - 1
    grid = torch.stack([x.expand(len(y), -1), y[:, None].expand(-1, len(x))], dim=2)
    return F.grid_sample(mask, grid[None], align_corners=False)[0, 0]
