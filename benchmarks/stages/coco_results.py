"""A COCO file and detections of photos that don't exist: the same bytes for the same amount."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pycocotools.mask

from benchmarks.stages.labelme_folder import Layout, draw_polygon

LAYOUT = Layout(size=(640, 480), sides=(16, 220))  # small, medium and large objects in COCO's terms

# A third of the detections are one of the annotated objects, moved and stretched by as much as a model errs. The others
# are anywhere, as those of a model that must give 100 are.
_TRUE = 1 / 3
_ERROR = 0.1  # standard deviation, as a part of the object's sides


@dataclass(frozen=True)
class Amount:
    """How many photos, objects and detections in each photo, and classes."""

    photos: int
    objects: int
    detections: int
    classes: int


def write_results(folder: Path, amount: Amount) -> tuple[Path, Path]:
    """Writes the COCO file of a split and the detections of a model; returns both files."""
    images, annotations, detections = [], [], []
    width, height = LAYOUT.size
    for number in range(1, amount.photos + 1):
        rng = np.random.default_rng((0, number))
        images.append({"id": number, "file_name": f"{number:06}.jpg", "width": width, "height": height})
        objects = [_draw_object(rng, amount.classes) for _ in range(amount.objects)]
        for category, polygon in objects:
            common = _shared_keys(number, category, polygon)
            area = float(pycocotools.mask.area(_rle(polygon)))
            own = {"id": len(annotations) + 1, "segmentation": [polygon.ravel().tolist()], "area": area, "iscrowd": 0}
            annotations.append(common | own)
        for score in np.sort(rng.beta(0.6, 2.0, amount.detections))[::-1].tolist():
            category, polygon = _draw_object(rng, amount.classes)
            if rng.uniform() < _TRUE:
                category, polygon = objects[rng.integers(len(objects))]
                polygon = _move(rng, polygon)
            rle = _rle(polygon)
            mask = {"size": rle["size"], "counts": rle["counts"].decode()}
            detections.append(_shared_keys(number, category, polygon) | {"score": score, "segmentation": mask})
    categories = [{"id": k + 1, "name": f"class {k + 1}"} for k in range(amount.classes)]
    truth, found = folder / "truth.json", folder / "found.json"
    truth.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    found.write_text(json.dumps(detections))
    return truth, found


def _draw_object(rng: np.random.Generator, classes: int) -> tuple[int, np.ndarray]:
    return int(rng.integers(classes)) + 1, draw_polygon(rng, LAYOUT).round(2)


def _move(rng: np.random.Generator, polygon: np.ndarray) -> np.ndarray:
    """Moved and stretched, inside the photo."""
    middle, sides = polygon.mean(axis=0), np.ptp(polygon, axis=0)
    moved = middle + (polygon - middle) * rng.normal(1, _ERROR, 2) + rng.normal(0, _ERROR, 2) * sides
    return np.clip(moved, 0, LAYOUT.size)


def _shared_keys(image_id: int, category: int, polygon: np.ndarray) -> dict[str, object]:
    box = [*polygon.min(axis=0).tolist(), *np.ptp(polygon, axis=0).tolist()]  # XYWH
    return {"image_id": image_id, "category_id": category, "bbox": box}


def _rle(polygon: np.ndarray) -> dict:
    return pycocotools.mask.frPyObjects([polygon.ravel().tolist()], *LAYOUT.size[::-1])[0]
