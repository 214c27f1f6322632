"""Generated results of a model, and pycocotools' opinion of them."""

import contextlib
import copy
import io
import json
from dataclasses import dataclass

import numpy as np
import pycocotools.mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

SIZE = (240, 200)  # (width, height) in px: room for small, medium and large objects


@dataclass(frozen=True)
class Results:
    """A COCO file's content and detections in COCO's format."""

    content: dict
    detections: list

    def write(self, folder):
        (folder / "test.json").write_text(json.dumps(self.content))
        (folder / "results.json").write_text(json.dumps(self.detections))
        return folder / "test.json", folder / "results.json"


def annotation(number, image_id, category, box, crowd=0):
    x, y, w, h = box
    polygon = [x, y, x + w, y, x + w, y + h, x, y + h]
    segmentation = rle(box) if crowd else [polygon]
    return {"id": number, "image_id": image_id, "category_id": category, "bbox": list(box), "area": w * h,
            "iscrowd": crowd, "segmentation": segmentation}  # fmt: skip


def rle(box):
    x, y, w, h = box
    polygon = [x, y, x + w, y, x + w, y + h, x, y + h]
    code = pycocotools.mask.frPyObjects([polygon], SIZE[1], SIZE[0])[0]
    return {"size": list(code["size"]), "counts": code["counts"].decode()}


def detection(image_id, category, box, score, mask_box=None):
    """With a mask that fills another box, if one is given."""
    return {"image_id": image_id, "category_id": category, "bbox": list(box), "score": score,
            "segmentation": rle(mask_box or box)}  # fmt: skip


def coco_content(images, annotations, classes):
    return {
        "images": [{"id": i, "file_name": f"{i}.jpg", "width": SIZE[0], "height": SIZE[1]} for i in images],
        "annotations": annotations,
        "categories": [{"id": k + 1, "name": "abcdefgh"[k]} for k in range(classes)],
    }


def random_box(rng):
    w, h = np.exp(rng.uniform(np.log(10), np.log(160), 2)).astype(int).tolist()
    return [int(rng.integers(0, SIZE[0] - w)), int(rng.integers(0, SIZE[1] - h)), w, h]


def moved(rng, box, by):
    """The box with each side moved by some of its size, inside the photo."""
    x, y, w, h = box
    x0, x1 = x + rng.normal(0, by) * w, x + w + rng.normal(0, by) * w
    y0, y1 = y + rng.normal(0, by) * h, y + h + rng.normal(0, by) * h
    x0, x1 = np.clip(sorted((x0, x1)), 0, SIZE[0] - 2)
    y0, y1 = np.clip(sorted((y0, y1)), 0, SIZE[1] - 2)
    return [int(x0), int(y0), max(2, int(x1 - x0)), max(2, int(y1 - y0))]


def make_results(seed, photos=15, classes=3, annotated=4, found=12, ties=False, crowds=False, by=0.12):
    """Detections of a model that errs in all ways; the last class is neither annotated nor found.

    Args:
        annotated, found: at most, in each photo.
        ties: whether many scores are alike.
        by: how far boxes are off.
    """
    rng = np.random.default_rng(seed)
    annotations, detections = [], []
    scores = iter(rng.permutation(photos * found) / (photos * found))
    for image_id in range(10, 10 + photos):
        own = [(int(rng.integers(1, classes)), random_box(rng)) for _ in range(rng.integers(0, annotated + 1))]
        for category, box in own:
            crowd = int(crowds and rng.uniform() < 0.2)
            annotations.append(annotation(len(annotations) + 1, image_id, category, box, crowd))
        for _ in range(rng.integers(0, found + 1)):
            category, box = int(rng.integers(1, classes)), random_box(rng)
            if own and rng.uniform() < 0.7:
                true, box = own[rng.integers(len(own))]
                category, box = true if rng.uniform() < 0.8 else category, moved(rng, box, by)
            score = float(rng.integers(1, 6) / 5 if ties else next(scores))
            detections.append(detection(image_id, category, box, score, moved(rng, box, 0.03)))
    return Results(coco_content(range(10, 10 + photos), annotations, classes), detections)


def squares(count):
    """Boxes of 8 x 8 px in rows, up to 500."""
    return [[10 * column, 10 * row, 8, 8] for row in range(20) for column in range(24)][:count]


def all_found(*classes, photos=1):
    """Detections of every object, each less sure than the one before; ``classes`` are categories and their objects."""
    places = squares(sum(count for _, count in classes))
    objects = [category for category, count in classes for _ in range(count)]
    images = range(1, photos + 1)
    annotations = [
        annotation(0, image, category, box) for image in images for category, box in zip(objects, places, strict=True)
    ]
    detections = [
        detection(one["image_id"], one["category_id"], one["bbox"], 1 - index / (len(annotations) + 1))
        for index, one in enumerate(annotations)
    ]
    annotations = [one | {"id": number} for number, one in enumerate(annotations, start=1)]
    return Results(coco_content(images, annotations, max(category for category, _ in classes)), detections)


def pycocotools_of(results, task, **params):
    """The finished evaluation by pycocotools, as Detectron2 asks for it."""
    found = copy.deepcopy(results.detections)
    if task == "segm":
        for one in found:
            del one["bbox"]  # or the area would be the box's
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = copy.deepcopy(results.content)
        coco.dataset["info"] = {}
        coco.createIndex()
        judge = COCOeval(coco, coco.loadRes(found), task)
        for name, value in params.items():
            setattr(judge.params, name, value)
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return judge
