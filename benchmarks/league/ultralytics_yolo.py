"""ultralytics' yolo11n-seg from random weights, for some minutes, with that tool's own defaults.

It runs in an environment that has ultralytics, which is under the AGPL and no dependency of ours: this file imports
nothing of ours.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pycocotools.mask
import torch

VERSION = "8.4.190"  # a part of this file, so that the record knows its measurements
DETECTIONS = "coco_instances_results.json"  # as in benchmarks/recipes/judge.py
LEAST_SCORE = 0.001  # of that tool's own evaluations


def write_yolo(dataset: Path, output: Path) -> tuple[Path, dict[str, int]]:
    """Writes the train split as ultralytics reads it; returns the data.yaml, and the paths of test photos with their ids."""
    card = json.loads((dataset / "dataset.json").read_text())
    root = dataset / card["image_root"]
    content = json.loads((dataset / card["splits"]["train"]["annotations"]).read_text())
    for kind in ("images", "labels"):
        (output / kind).mkdir(parents=True)
    rows: dict[int, list[str]] = {image["id"]: [] for image in content["images"]}
    sizes = {image["id"]: (image["width"], image["height"]) for image in content["images"]}
    for annotation in content["annotations"]:
        polygons = annotation["segmentation"]
        if isinstance(polygons, dict):
            raise ValueError(f"{dataset}: a mask that is not polygons")
        points = np.array(polygons[0]).reshape(-1, 2)
        if len(polygons) > 1:
            from ultralytics.data.converter import merge_multi_segment

            points = np.concatenate(merge_multi_segment(polygons))
        values = (points / sizes[annotation["image_id"]]).clip(0, 1).ravel()
        rows[annotation["image_id"]].append(
            " ".join([str(annotation["category_id"] - 1), *(f"{v:.6f}" for v in values)])
        )
    for image in content["images"]:
        name = f"{image['id']}{Path(image['file_name']).suffix}"
        (output / "images" / name).symlink_to((root / image["file_name"]).resolve())
        (output / "labels" / f"{image['id']}.txt").write_text("\n".join(rows[image["id"]]))
    data = {
        "path": str(output.resolve()),
        "train": "images",
        "val": "images",
        "names": dict(enumerate(card["classes"])),
    }
    (output / "data.yaml").write_text(json.dumps(data))  # JSON is YAML
    test = json.loads((dataset / card["splits"]["test"]["annotations"]).read_text())
    return output / "data.yaml", {str((root / image["file_name"]).resolve()): image["id"] for image in test["images"]}


def detect(model: Any, photos: dict[str, int]) -> Iterator[dict]:
    """COCO's results."""
    for path, image_id in photos.items():
        (found,) = model.predict(path, conf=LEAST_SCORE, retina_masks=True, device="cpu", verbose=False)
        if found.masks is None:
            continue
        for box, category, score, mask in zip(
            found.boxes.xyxy.tolist(),
            found.boxes.cls.tolist(),
            found.boxes.conf.tolist(),
            found.masks.data,
            strict=True,
        ):
            code = pycocotools.mask.encode(np.asfortranarray(mask.numpy() > 0.5, dtype=np.uint8))
            left, top, right, bottom = box
            yield {
                "image_id": image_id, "category_id": int(category) + 1, "score": score,
                "bbox": [left, top, right - left, bottom - top],
                "segmentation": {"size": code["size"], "counts": code["counts"].decode()},
            }  # fmt: skip


def main() -> None:
    import ultralytics

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    if ultralytics.__version__ != VERSION:
        raise SystemExit(f"This is ultralytics {ultralytics.__version__}: install {VERSION}")
    threads = int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1))
    data, photos = write_yolo(args.dataset, args.output / "data")
    model = ultralytics.YOLO("yolo11n-seg.yaml")
    # When it chooses the device it leaves a core to others; all contenders have all cores here.
    model.add_callback("on_train_start", lambda _: torch.set_num_threads(threads))
    # Without validations, which would take a part of the minutes and choose an epoch; the last weights count, as ours do.
    model.train(
        data=str(data), time=args.minutes / 60, pretrained=False, device="cpu", seed=args.seed, val=False, plots=False,
        project=str(args.output.resolve()), name="run",
    )  # fmt: skip
    trained = ultralytics.YOLO(args.output / "run" / "weights" / "last.pt")
    (args.output / DETECTIONS).write_text(json.dumps(list(detect(trained, photos))))


if __name__ == "__main__":
    main()
