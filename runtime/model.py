"""From a photo to instances, by an exported file: resizing before the network, pasting of masks after it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image

from .photos import RuntimeProblem, read_photo

FORMAT_VERSION = 1  # of files; what a higher one means is not known here


@dataclass(frozen=True)
class Instance:
    """One object on a photo."""

    category: int  # the index of its class, from 0
    name: str
    score: float  # how sure that is, 0 to 1
    box: tuple[float, float, float, float]  # left, top, right, bottom in px of the photo
    left: int  # px: where the first of the pixels is in the photo
    top: int
    pixels: np.ndarray  # (h, w) bool, of the part of the photo that the box touches


@dataclass(frozen=True)
class Prediction:
    """What is on one photo: its (width, height) in px, and the instances, best first."""

    size: tuple[int, int]
    instances: tuple[Instance, ...]

    def scoring(self, at_least: float) -> Prediction:
        """Those that score at least so much."""
        return replace(self, instances=tuple(found for found in self.instances if found.score >= at_least))


class Model:
    """An exported ONNX file, whose ``description`` says what is in it. Several threads may predict at a time.

    ``threads`` compute a photo together; 0: one for each core. Any other file, and another format version, raises a
    RuntimeProblem.
    """

    def __init__(self, path: str | Path, threads: int = 0):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = threads, 4  # what is wrong comes as an exception
        try:
            if not Path(path).is_file():
                raise ValueError("there is no such file")
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
            self.description = json.loads(self._session.get_modelmeta().custom_metadata_map["polymask"])
            if (version := self.description["format_version"]) != FORMAT_VERSION:
                raise ValueError(f"its format has version {version}, and this program reads version {FORMAT_VERSION}")
            self.classes: list[str] = self.description["classes"]
            self.colours: list[tuple[int, ...]] = [tuple(colour) for colour in self.description["colours"]]
            self.confidence_threshold: float = self.description["confidence_threshold"]
            self._filter = Image.Resampling[self.description["resize"]["filter"].upper()]
        except Exception as error:  # of onnxruntime, several kinds; a stranger's file may hold anything
            reason = f"its description has no {error}" if isinstance(error, KeyError) else error
            remedy = "Name a file of `python -m polymask export`, and take the runtime/ of the same polymask"
            raise RuntimeProblem(path, f"this model cannot be used: {reason}", remedy) from error

    def predict(self, photo: str | Path | bytes | np.ndarray) -> Prediction:
        """What is on a photo, given as for ``read_photo``, which raises the same errors."""
        pixels = read_photo(photo)
        (height, width), image = pixels.shape[:2], self.input_for(pixels)
        boxes, classes, masks, scores = self._session.run(["boxes", "classes", "masks", "scores"], {"image": image})
        scale = np.array([width / image.shape[2], height / image.shape[1]] * 2, dtype=np.float32)
        boxes = np.clip(boxes * scale, 0, np.array([width, height] * 2, dtype=np.float32))
        found = []
        for category, score, box, mask in zip(classes.tolist(), scores.tolist(), boxes, masks[:, 0], strict=True):
            if box[2] > box[0] and box[3] > box[1]:
                pixels, corner = paste(mask, box, self.description["mask_threshold"]), (int(box[0]), int(box[1]))
                found.append(Instance(category, self.classes[category], score, tuple(box.tolist()), *corner, pixels))
        return Prediction((width, height), tuple(found))

    def input_for(self, pixels: np.ndarray) -> np.ndarray:
        """The network's input for a photo, (H, W, 3) uint8 in RGB: (3, h, w) float32, 0 to 255."""
        resize = self.description["resize"]
        height, width = resized_size((pixels.shape[0], pixels.shape[1]), resize["shortest"], resize["longest"])
        resized = np.asarray(Image.fromarray(pixels).resize((width, height), self._filter))
        ordered = resized if self.description["channels"] == "RGB" else resized[:, :, ::-1]
        return np.ascontiguousarray(ordered.transpose(2, 0, 1), dtype=np.float32)


def resized_size(size: tuple[int, int], shortest: int, longest: int) -> tuple[int, int]:
    """The (height, width) that a photo of a (height, width) gets, as by Detectron2's ResizeShortestEdge."""
    if shortest == 0:
        return size
    sides: list[float] = [shortest if side == min(size) else shortest / min(size) * side for side in size]
    shrink = min(1, longest / max(sides))
    return max(1, int(sides[0] * shrink + 0.5)), max(1, int(sides[1] * shrink + 0.5))


def paste(mask: np.ndarray, box: np.ndarray, threshold: float) -> np.ndarray:
    """A small mask (M, M) stretched over a box (XYXY in px): the pixels that the box touches, (h, w) bool.

    A pixel has the value at its centre, between the centres of the mask's cells, and 0 beyond the mask.
    """
    shares, cells = [], len(mask)  # along y and x, of each cell in each pixel: (pixels, cells)
    for low, high in (box[1::2], box[::2]):
        centres = np.arange(np.floor(low), np.ceil(high), dtype=np.float32) + np.float32(0.5)
        position = (centres - low) / (high - low) * cells - 0.5
        shares.append(np.maximum(0, 1 - np.abs(position[:, None] - np.arange(cells, dtype=np.float32))))
    return shares[0] @ mask @ shares[1].T >= threshold
