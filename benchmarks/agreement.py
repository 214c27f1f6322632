"""labelme's own example, converted, beside the COCO file that labelme's script made of it."""

from __future__ import annotations

import contextlib
import io
from collections import Counter
from pathlib import Path

from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from scipy.optimize import linear_sum_assignment

from dataset_tools.dataset.convert import ConvertOptions, convert
from dataset_tools.instances.labels import RESERVED_LABELS


def agreement(example: Path, output: Path) -> list[dict[str, object]]:
    """A row for each annotation of the golden file, with the one of ours that covers it best.

    Areas are of labelme's rasteriser in the golden file, which also paints the outline; so the masks are compared as
    pycocotools draws both files' polygons.

    Args:
        example: labelme's folder ``examples/instance_segmentation``.
        output: the dataset folder to make.

    Raises:
        RuntimeError: the categories, or the number of annotations of some category in some photo, differ.
    """
    names = (example / "labels.txt").read_text().split("\n")
    classes = tuple(name.strip() for name in names if name.strip() and name.strip() not in RESERVED_LABELS)
    source = example / "data_annotated"
    convert(ConvertOptions(source=source, output=output, classes=classes, fractions=(1.0, 0.0, 0.0), overwrite=True))
    golden, ours = _by_photo(example / "data_dataset_coco" / "annotations.json"), _by_photo(output / "train.json")
    counts = [Counter({key: len(own) for key, own in side.items()}) for side in (golden, ours)]
    if counts[0] != counts[1]:
        raise RuntimeError(
            f"labelme's example: only in the golden file {counts[0] - counts[1]}, only in ours {counts[1] - counts[0]}"
        )
    return [row for key in golden for row in _pairs(*key, golden[key], ours[key])]


def _by_photo(file: Path) -> dict[tuple[str, str], list[dict]]:
    """The annotations of each (photo, category), with their masks."""
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(file))
    found: dict[tuple[str, str], list[dict]] = {}
    for annotation in coco.anns.values():
        key = Path(coco.imgs[annotation["image_id"]]["file_name"]).name, coco.cats[annotation["category_id"]]["name"]
        found.setdefault(key, []).append(annotation | {"mask": coco.annToRLE(annotation)})
    return found


def _pairs(photo: str, category: str, golden: list[dict], ours: list[dict]) -> list[dict[str, object]]:
    overlap = coco_mask.iou([one["mask"] for one in golden], [one["mask"] for one in ours], [0] * len(ours))
    rows = []
    for row, column in zip(*linear_sum_assignment(-overlap), strict=True):
        one, other = golden[row], ours[column]
        shift = max(abs(a - b) for a, b in zip(one["bbox"], other["bbox"], strict=True))
        areas = {"golden area": int(one["area"]), "our area": int(other["area"]), "largest shift of the box, px": shift}
        rows.append({"photo": photo, "category": category, **areas, "IoU of the masks": float(overlap[row, column])})
    return rows
