"""COCO ground truth and detections of photos that don't exist: the same bytes for the same seed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import pycocotools.mask
from tqdm import tqdm

from dataset_tools.formats.coco import Annotation, Category, CocoFile, Image, encode_coco

SIZE = (640, 480)  # (width, height) in pixels
VERTICES = 24

# Semi-axes in pixels: small, medium and large objects in COCO's terms.
_SMALLEST, _LARGEST = 8, 110

# A third of the detections are one of the annotated objects, moved and grown by as much as a model errs; some with
# another class. The others are somewhere, as those of a model that must give 100 are.
_TRUE = 1 / 3
_SHIFT = 0.15  # of the semi-axes, standard deviation
_WRONG_CLASS = 0.15


@dataclass(frozen=True)
class Amount:
    """How much to make: of a split's photos, instances in all, detections in each photo, classes."""

    images: int
    instances: int
    detections: int
    classes: int


def generated_results(folder: Path, amount: Amount, seed: int = 0) -> tuple[Path, Path]:
    """The COCO file of the split and that of the detections; what an earlier call made stays."""
    name = f"{amount.images}_{amount.instances}_{amount.detections}_{amount.classes}"
    truth, found = folder / f"truth_{name}.json", folder / f"found_{name}.json"
    if truth.is_file() and found.is_file():
        return truth, found
    folder.mkdir(parents=True, exist_ok=True)
    images, annotations, detections = [], [], []
    edges = np.linspace(0, amount.instances, amount.images + 1).round().astype(int)
    for index in tqdm(range(amount.images), desc="Making results", unit="photo", disable=None):
        rng = np.random.default_rng((seed, index))
        image = Image(index + 1, f"{index + 1:06}.jpg", *SIZE)
        images.append(image)
        shapes = _shapes(rng, int(edges[index + 1] - edges[index]), amount.classes)
        for category, outline in shapes:
            annotations.append(_annotation(len(annotations) + 1, image.id, category, _polygon(*outline)))
        detections += _detections(rng, image.id, shapes, amount)
    categories = [Category(k + 1, f"class {k + 1}") for k in range(amount.classes)]
    found.write_bytes(msgspec.json.encode(detections))
    truth.write_bytes(encode_coco(CocoFile(images, annotations, categories)))
    return truth, found


Outline = tuple[np.ndarray, np.ndarray, np.ndarray]  # middle and semi-axes in pixels (2,), radii (VERTICES,)


def _shapes(rng: np.random.Generator, count: int, classes: int) -> list[tuple[int, Outline]]:
    """Classes (from 1) and outlines anywhere in a photo."""
    return [(int(rng.integers(classes)) + 1, _outline(rng)) for _ in range(count)]


def _outline(rng: np.random.Generator) -> Outline:
    axes = np.exp(rng.uniform(np.log(_SMALLEST), np.log(_LARGEST))) * rng.uniform(0.7, 1.4, 2)
    return rng.uniform((0, 0), SIZE), axes, rng.uniform(0.75, 1.25, VERTICES)


def _polygon(middle: np.ndarray, axes: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """(VERTICES, 2) inside the photo, in pixels."""
    angles = np.linspace(0, 2 * np.pi, VERTICES, endpoint=False)
    points = middle + axes * radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return np.clip(points, 0, SIZE).round(2)


def _annotation(number: int, image_id: int, category: int, polygon: np.ndarray) -> Annotation:
    low, side = polygon.min(axis=0), np.ptp(polygon, axis=0)
    area = float(pycocotools.mask.area(_rle(polygon)))
    return Annotation(number, image_id, category, [polygon.ravel().tolist()], area, (*low.tolist(), *side.tolist()))


def _detections(
    rng: np.random.Generator, image_id: int, shapes: list[tuple[int, Outline]], amount: Amount
) -> list[dict[str, object]]:
    """As many as wanted, the most confident one first, as Detectron2 writes them."""
    found = []
    for score in np.sort(rng.beta(0.6, 2.0, amount.detections))[::-1].tolist():
        if shapes and rng.uniform() < _TRUE:
            category, (middle, axes, radii) = shapes[rng.integers(len(shapes))]
            middle = middle + rng.normal(0, _SHIFT, 2) * axes
            outline = (middle, axes * rng.normal(1, _SHIFT / 2, 2), radii * rng.normal(1, 0.05, VERTICES))
            if rng.uniform() < _WRONG_CLASS:
                category = int(rng.integers(amount.classes)) + 1
        else:
            ((category, outline),) = _shapes(rng, 1, amount.classes)
        polygon = _polygon(*outline)
        rle = _rle(polygon)
        box = [*polygon.min(axis=0).tolist(), *np.ptp(polygon, axis=0).tolist()]
        mask = {"size": rle["size"], "counts": rle["counts"].decode()}
        found.append({"image_id": image_id, "category_id": category, "bbox": box, "score": score, "segmentation": mask})
    return found


def _rle(polygon: np.ndarray) -> dict:
    return pycocotools.mask.frPyObjects([polygon.ravel().tolist()], SIZE[1], SIZE[0])[0]
