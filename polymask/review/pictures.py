"""Suspects as pictures: the part of the photo around each, with what is annotated beside what is found."""

from __future__ import annotations

import cv2
import numpy as np
from detectron2.data.catalog import Metadata
from detectron2.structures import BoxMode

from dataset_tools.geometry.rle import decode
from polymask.evaluation.analysis import DEFAULT_THRESHOLD
from polymask.evaluation.read import Detections, Truth, rle_of
from polymask.inference.detections import place
from polymask.inference.visualizer import draw_instances
from polymask.review.suspects import Suspect

WIDTH = 480  # px of each picture
_AROUND, _LEAST_AROUND = 0.75, 24  # of the longer side, on each side; px of the photo


def draw_suspect(
    pixels: np.ndarray, suspect: Suspect, truth: Truth, found: Detections, metadata: Metadata
) -> tuple[np.ndarray, np.ndarray]:
    """What is annotated around a suspect, and what is found there with confidence, with a frame around the suspect.

    Args:
        pixels: the photo, (H, W, 3) uint8, BGR.
        suspect: which one.
        truth, found: its split.
        metadata: see ``polymask.inference.visualizer.metadata_of``.

    Returns:
        Two pictures of the same size, (H, W, 3) uint8, BGR, WIDTH px wide.
    """
    photo, box = truth.photos[suspect.photo], BoxMode.convert(suspect.box, BoxMode.XYWH_ABS, BoxMode.XYXY_ABS)
    around = max(_LEAST_AROUND, _AROUND * max(suspect.box[2:]))
    size = (photo.width, photo.height) * 2
    window = np.clip(np.rint(np.add(box, np.multiply(around, (-1, -1, 1, 1)))), 0, size).astype(int).tolist()
    if window[0] == window[2] or window[1] == window[3]:  # a box that is not in the photo
        window = [0, 0, photo.width, photo.height]
    left, top, right, bottom = window
    pictures = []
    for objects in (truth.objects, found):
        own = objects.of_photo(suspect.photo)
        rows = np.arange(own.start, own.stop)
        if objects is found:
            rows = rows[(found.score[own] >= DEFAULT_THRESHOLD) | (rows == suspect.detection)]
        codes = [rle_of(objects, row, (photo.height, photo.width)) for row in rows]
        parts = {row: decode(code, (left, top, right, bottom)) for row, code in zip(rows.tolist(), codes)}
        masks = {row: place(part) for row, part in parts.items() if part.any()}
        rows = np.array([*masks], dtype=np.int64)
        boxes = BoxMode.convert(objects.box[rows], BoxMode.XYWH_ABS, BoxMode.XYXY_ABS)
        boxes = np.clip(boxes, (left, top) * 2, (right, bottom) * 2) - (left, top) * 2
        scores = found.score[rows].tolist() if objects is found else None
        part, classes = pixels[top:bottom, left:right], objects.category[rows].tolist()
        picture = draw_instances(part, boxes, [*masks.values()], classes, scores, metadata, WIDTH).copy()
        corners = np.rint(np.subtract(box, (left, top) * 2) * picture.shape[1] / (right - left)).astype(int).tolist()
        for colour, thickness in ((0, 5), (255, 2)):
            cv2.rectangle(picture, corners[:2], corners[2:], (colour,) * 3, thickness)
        pictures.append(picture)
    return pictures[0], pictures[1]
