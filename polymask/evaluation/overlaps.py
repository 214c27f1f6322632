"""How far detections and annotations of a photo overlap."""

from __future__ import annotations

import numpy as np
import pycocotools.mask
from numpy.typing import NDArray

from polymask.evaluation.read import Objects, Truth, codes


def overlaps_of(truth: Truth, found: Objects, task: str) -> list[NDArray[np.float64]]:
    """The IoU of each detection with each annotation of its photo, whatever their classes.

    Args:
        task: ``bbox`` or ``segm``: of boxes or of masks.

    Returns:
        For each photo (detections, annotations), in the order of ``found`` and ``truth.objects``. With a crowd it is
        the part of the detection that lies in it.
    """
    there = truth.objects
    overlaps = []
    for index, image in enumerate(truth.photos):
        ours = slice(found.starts[index], found.starts[index + 1])
        theirs = slice(there.starts[index], there.starts[index + 1])
        shape = (ours.stop - ours.start, theirs.stop - theirs.start)
        if 0 in shape:
            overlaps.append(np.zeros(shape))
            continue
        if task == "segm":
            pair = codes(found.mask[ours], image), codes(there.mask[theirs], image)
        else:
            pair = found.box[ours], there.box[theirs]
        overlaps.append(np.ascontiguousarray(pycocotools.mask.iou(*pair, there.crowd[theirs].tolist())))
    return overlaps
