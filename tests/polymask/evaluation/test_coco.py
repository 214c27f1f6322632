import json

import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog
from detectron2.structures import Boxes, Instances

from dataset_tools.catalog import register
from polymask.evaluation.coco import MaskAPEvaluator


@pytest.fixture
def dataset(tmp_path, request):
    """Writes a dataset of one photo of 100 x 80 px and returns its registered name; classes as the test wants."""

    def make(classes, boxes_of_class):
        annotations = []
        for category, boxes in boxes_of_class.items():
            for x, y, w, h in boxes:
                polygon = [x, y, x + w, y, x + w, y + h, x, y + h]
                annotations.append(
                    {"id": len(annotations) + 1, "image_id": 1, "category_id": category, "bbox": [x, y, w, h],
                     "area": w * h, "iscrowd": 0, "segmentation": [polygon]}
                )  # fmt: skip
        categories = [{"id": i + 1, "name": name} for i, name in enumerate(classes)]
        images = [{"id": 1, "file_name": "a.jpg", "width": 100, "height": 80}]
        name = f"ds{abs(hash(request.node.name))}"
        splits = {}
        for split in ("train", "val", "test"):
            content = {"images": images, "annotations": annotations, "categories": categories}
            (tmp_path / f"{split}.json").write_text(json.dumps(content))
            splits[split] = {"annotations": f"{split}.json", "images": 1, "instances": len(annotations)}
        card = {"name": name, "classes": classes, "image_root": ".", "mask_format": "polygon", "splits": splits}
        (tmp_path / "dataset.json").write_text(json.dumps(card))
        register(tmp_path)
        return f"{name}_test"

    yield make
    for name in DatasetCatalog.list():
        if name.startswith("ds"):
            DatasetCatalog.remove(name)


def evaluated(name, output, boxes=(), classes=(), scores=()):
    """The metrics of these predictions, whose masks fill their boxes."""
    instances = Instances((80, 100))
    instances.pred_boxes = Boxes(torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4))
    instances.scores = torch.tensor(scores)
    instances.pred_classes = torch.tensor(classes, dtype=torch.int64)
    masks = torch.zeros((len(boxes), 80, 100), dtype=torch.bool)
    for mask, (x0, y0, x1, y1) in zip(masks, boxes, strict=True):
        mask[y0:y1, x0:x1] = True
    instances.pred_masks = masks
    evaluator = MaskAPEvaluator(name, output)
    evaluator.reset()
    evaluator.process([{"image_id": 1}], [{"instances": instances}])
    return evaluator.evaluate()


def test_a_perfect_prediction_has_100(dataset, tmp_path):
    name = dataset(["a", "b"], {1: [(10, 10, 40, 20)], 2: [(60, 40, 20, 30)]})
    metrics = evaluated(name, tmp_path / "out", [(10, 10, 50, 30), (60, 40, 80, 70)], [0, 1], [0.9, 0.8])
    for task in ("bbox", "segm"):
        assert [metrics[task][key] for key in ("AP", "AP50", "AP-a", "AP-b")] == pytest.approx([100] * 4)


def test_the_wrong_class_has_0(dataset, tmp_path):
    name = dataset(["a", "b"], {1: [(10, 10, 40, 20)], 2: [(60, 40, 20, 30)]})
    metrics = evaluated(name, tmp_path / "out", [(10, 10, 50, 30), (60, 40, 80, 70)], [1, 0], [0.9, 0.8])
    assert metrics["segm"]["AP"] == 0


def test_a_single_class_has_its_row(dataset, tmp_path):
    name = dataset(["only"], {1: [(10, 10, 40, 20)]})
    metrics = evaluated(name, tmp_path / "out", [(10, 10, 50, 30)], [0], [0.9])
    assert metrics["segm"]["AP-only"] == metrics["segm"]["AP"] == pytest.approx(100)


def test_predicting_nothing_is_an_ap_of_0_for_boxes_and_masks(dataset, tmp_path):
    # 40 x 20 = 800 px2 is small in COCO's terms (below 32 x 32); nothing is medium or large, and class b is absent.
    metrics = evaluated(dataset(["a", "b"], {1: [(10, 10, 40, 20)]}), tmp_path / "out")
    for task in ("bbox", "segm"):
        assert [metrics[task][key] for key in ("AP", "AP50", "AP75", "APs", "AP-a")] == [0] * 5
        assert all(np.isnan(metrics[task][key]) for key in ("APm", "APl", "AP-b"))


def test_nothing_to_find_has_no_ap(dataset, tmp_path):
    metrics = evaluated(dataset(["a"], {}), tmp_path / "out", [(10, 10, 50, 30)], [0], [0.9])
    assert np.isnan(metrics["segm"]["AP"])
