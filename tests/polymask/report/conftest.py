"""Hand-made records of a run and its evaluation."""

import json
from pathlib import Path

import msgspec
import numpy as np
import PIL.Image
import pycocotools.mask
import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog

from dataset_tools.formats.card import CARD_NAME, SPLITS, Card, SplitSummary, encode_card
from dataset_tools.formats.coco import Annotation, CocoFile, Image, categories_of
from polymask.config.load import load_config
from polymask.config.resolve import resolve_dataset
from polymask.engine.run_files import RunFacts
from polymask.evaluation.coco import detections_file
from polymask.evaluation.records import (
    KINDS,
    Analysis,
    ClassAnalysis,
    Figure,
    Interval,
    PhotoAnalysis,
    TaskFigures,
)
from polymask.report.run import Change, RunRecord

FIGURES = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")


def make_task(ap=60.0, width=4.0, **values):
    """COCO's figures, all as the AP but for those named; None is undefined."""
    chosen = {name: values.get(name, ap) for name in FIGURES}
    return TaskFigures(
        **{
            name: Figure(
                value, None if value is None else Interval(max(0.0, value - width / 2), min(100.0, value + width / 2))
            )
            for name, value in chosen.items()
        }
    )


def make_class(name, ap=60.0, instances=20, errors=(), **figures):
    absent = not instances
    task = make_task(None if absent else ap, **figures)
    return ClassAnalysis(
        name=name,
        instances=instances,
        segm=task,
        bbox=task,
        precision_recall={}
        if absent
        else {"0.50": [(0.0, 1.0), (0.5, 0.9), (1.0, 0.4)], "0.75": [(0.0, 0.9), (1.0, 0.1)]},
        f1=[] if absent else [(0.05, 0.4), (0.6, 0.8), (0.99, 0.1)],
        best_threshold=None if absent else 0.6,
        mean_iou=None if absent else 81.0,
        errors=dict.fromkeys(KINDS, 0.0) | dict(errors),
    )


def make_photos(count, classes=("Car",)):
    """Photos from the worst to the best; every other one has a mistake."""
    return tuple(
        PhotoAnalysis(
            image_id=i + 1,
            file_name=f"{i:03d}.jpg",
            score=i / max(1, count - 1),
            classes=(classes[i % len(classes)],),
            kinds=(KINDS[i % len(KINDS)],) if i % 2 == 0 else (),
            instances=10,
            detections=100,
        )
        for i in range(count)
    )


def make_analysis(*classes, photos=4, segm=None, split="test", **fields):
    """An evaluation of hand-made classes; without any of a Car and a Sign Board of which nothing stands out."""
    classes = classes or (make_class("Car"), make_class("Sign Board"))
    names = [c.name for c in classes]
    instances = sum(c.instances for c in classes)
    size = len(classes) + 1
    confusion = [[0] * size for _ in range(size)]
    for index, c in enumerate(classes):
        confusion[index][index] = c.instances
    values = {
        "dataset": f"street_{split}",
        "split": split,
        "photos": photos,
        "instances": instances,
        "detections": 10 * instances,
        "segm": segm or make_task(),
        "bbox": segm or make_task(),
        "classes": tuple(classes),
        "thresholds": dict.fromkeys(names, 0.6),
        "thresholds_from": "val",
        "confusion": tuple(map(tuple, confusion)),
        "errors": dict.fromkeys(KINDS, 0.0),
        "mean_iou": 81.0,
        "photos_detail": make_photos(photos, names),
    }
    return Analysis(**values | fields)


def make_run(folder=Path("output/street"), train_instances=None, **fields):
    """A run on a dataset named ``street``."""
    train_instances = train_instances if train_instances is not None else {"Car": 500, "Sign Board": 500}
    splits = {
        "train": SplitSummary("train.json", 200, sum(train_instances.values()), train_instances),
        "val": SplitSummary("val.json", 4, 20, {}),
        "test": SplitSummary("test.json", 4, 40, {}),
    }
    values = {
        "folder": folder,
        "name": folder.name,
        "dataset_folder": Path("datasets/street"),
        "card": Card("street", list(train_instances), "photos", "polygon", splits),
        "evaluated": ("test", "val"),
        "curves": {},
        "settings": {
            "SEED": 17,
            "SOLVER.BASE_LR": 0.02,
            "MODEL.ROI_HEADS.NMS_THRESH_TEST": 0.5,
            "MODEL.ROI_HEADS.SCORE_THRESH_TEST": 0.05,
            "MODEL.RPN.POST_NMS_TOPK_TEST": 1000,
            "TEST.DETECTIONS_PER_IMAGE": 100,
            "INPUT.MIN_SIZE_TRAIN": (240,),
        },
        "changes": (Change("SEED", "17", "-1"),),
        "config_yaml": "SEED: 17\n",
        "facts": RunFacts(("python train_net.py",), {"torch": "2"}, "CPU", "float32", 1, 200, 61.0, 2.0, 1.5),
    }
    return RunRecord(**values | fields)


@pytest.fixture
def analysis():
    return make_analysis


@pytest.fixture
def of_class():
    return make_class


@pytest.fixture
def figures():
    return make_task


@pytest.fixture
def run():
    return make_run


SIDE = 64  # px


def _rectangle(x, y, width, height):
    return [x, y, x + width, y, x + width, y + height, x, y + height]


def _split(folder, names, split, photos, rng, file_name):
    """Draws photos with a bright rectangle for each class, and writes their COCO file."""
    images, annotations = [], []
    for index in range(photos):
        pixels = rng.integers(90, 120, (SIDE, SIDE, 3), dtype=np.uint8)
        name = file_name.format(f"{split}{index}")
        images.append(Image(index + 1, name, SIDE, SIDE))
        for category in range(1, len(names) + 1):
            x, y = (int(value) for value in rng.integers(0, 30, 2))
            pixels[y : y + 24, x : x + 30] = 255 * category // len(names)
            outline = [[float(value) for value in _rectangle(x, y, 30, 24)]]
            box = (float(x), float(y), 30.0, 24.0)
            annotations.append(Annotation(len(annotations) + 1, index + 1, category, outline, 720.0, box))
        PIL.Image.fromarray(pixels).save(folder / "photos" / name)
    content = CocoFile(images, annotations, categories_of(list(names)))
    (folder / f"{split}.json").write_bytes(msgspec.json.encode(content))
    return content


def _detection(annotation, shift, score):
    """The annotation as a COCO result, moved to the right by so many px."""
    x, y, width, height = annotation.bbox
    x += shift
    codes = pycocotools.mask.frPyObjects([_rectangle(x, y, width, height)], SIDE, SIDE)
    code = pycocotools.mask.merge(codes)
    return {
        "image_id": annotation.image_id,
        "category_id": annotation.category_id,
        "bbox": [x, y, width, height],
        "score": score,
        "segmentation": {"size": [SIDE, SIDE], "counts": code["counts"].decode()},
    }


def make_folder(folder, names=("Car", "Sign Board"), file_name="{}.png", shift=2.0, **photos):
    """A run's folder with what a training leaves there, but for the training; ``photos`` of each evaluated split.

    In the first photo of a split the objects are missed, and something else is seen, with little confidence.
    """
    rng = np.random.default_rng(0)
    photos = photos or {"val": 2, "test": 4}
    dataset, run = folder / "dataset", folder / "run"
    (dataset / "photos").mkdir(parents=True)
    contents = {split: _split(dataset, names, split, photos.get(split, 0), rng, file_name) for split in SPLITS}
    summaries = {
        split: SplitSummary(
            f"{split}.json", len(c.images), len(c.annotations), dict.fromkeys(names, len(c.annotations) // len(names))
        )
        for split, c in contents.items()
    }
    card = Card("street", list(names), "photos", "polygon", summaries)
    (dataset / CARD_NAME).write_bytes(encode_card(card))
    cfg = load_config("configs/mini_scratch.yaml", ["DATASETS.ROOT", str(dataset), "OUTPUT_DIR", str(run)])
    resolve_dataset(cfg, card)
    run.mkdir()
    (run / "config.yaml").write_text(cfg.dump())
    (run / "history.csv").write_text("iteration,lr,total_loss\n0,0.1,2.0\n1,0.1,1.5\n2,0.05,1.0\n")
    for split in photos:
        found = [_detection(a, shift, 0.9) for a in contents[split].annotations if a.image_id != 1]
        found.append(_detection(contents[split].annotations[0], 25.0, 0.1))
        write_detections(run, split, found)
    return run


def write_detections(run, split, found):
    file = detections_file(run, f"street_{split}")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(found))


@pytest.fixture
def folder(tmp_path):
    """See :func:`make_folder`; the dataset is unknown again afterwards."""
    yield lambda name="one", **options: make_folder(tmp_path / name, **options)
    for split in SPLITS:
        if f"street_{split}" in DatasetCatalog.list():
            DatasetCatalog.remove(f"street_{split}")
            MetadataCatalog.remove(f"street_{split}")


@pytest.fixture
def detections():
    """See :func:`write_detections`."""
    return write_detections
