"""Which objects of a video's frames are the same one, by Detectron2's tracker."""

from __future__ import annotations

import msgspec
import numpy as np
import torch
from detectron2.structures import Boxes, Instances
from detectron2.tracking import BBoxIOUTracker

from polymask.inference.detections import Detections

# How long an object may be hidden or missed and still be the same one, in seconds: then its last box is forgotten.
LONGEST_GAP = 1.0


class Tracker:
    """Gives each object of a video an id, from 1, that stays with it from frame to frame.

    An object is the one whose last box has the largest IoU with its own, at least .50; among those of its class first.

    Args:
        rate: frames a second.
    """

    def __init__(self, rate: float):
        # No object is too small to be followed, so the size of the video does not count, nor seen in too few frames.
        self._boxes = _BoxTracker(
            video_height=1,
            video_width=1,
            min_box_rel_dim=0.0,
            min_instance_period=0,
            max_lost_frame_count=max(1, round(LONGEST_GAP * rate)),
        )

    def follow(self, found: Detections) -> Detections:
        """The objects of the next frame, with their ids."""
        frame = Instances(
            found.size[::-1],
            pred_boxes=Boxes(torch.tensor([detection.box for detection in found]).reshape(-1, 4)),
            pred_classes=torch.tensor([detection.category for detection in found], dtype=torch.int64),
            scores=torch.tensor([detection.score for detection in found]),
        )
        ids = self._boxes.update(frame).ID  # behind those of the frame come those that are missed in it
        numbered = (msgspec.structs.replace(d, track_id=ids[index] + 1) for index, d in enumerate(found))
        return msgspec.structs.replace(found, found=tuple(numbered))


class _BoxTracker(BBoxIOUTracker):
    """Detectron2's tracker, which takes pairs of boxes as the best first, and does not sort them.

    Its two Hungarian trackers are not used: they also pair boxes that have nothing in common, when these are left over.
    """

    def _create_prediction_pairs(self, instances: Instances, iou_all: torch.Tensor) -> list[dict]:
        now, before = instances.pred_classes.tolist(), self._prev_instances.pred_classes.tolist()
        pairs = super()._create_prediction_pairs(instances, np.asarray(iou_all))
        return sorted(pairs, key=lambda pair: (now[pair["idx"]] != before[pair["prev_idx"]], -pair["IoU"]))
