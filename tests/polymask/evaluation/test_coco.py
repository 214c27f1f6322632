import json
from argparse import Namespace

import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog
from detectron2.evaluation import COCOEvaluator
from detectron2.modeling import detector_postprocess
from detectron2.structures import Boxes, Instances
from detectron2.utils import comm
from PIL import Image

from dataset_tools.catalog import register
from dataset_tools.parallel import all_cores
from polymask.config.load import load_config
from polymask.engine.launch import launch
from polymask.evaluation.coco import COCOS_AP, MaskAPEvaluator, detections_file, evaluate


@pytest.fixture
def forgetful():
    """Lets a test register datasets named ``ds...``."""
    yield
    for name in DatasetCatalog.list():
        if name.startswith("ds"):
            DatasetCatalog.remove(name)


@pytest.fixture
def dataset(tmp_path, request, forgetful):
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

    return make


def write_photos(folder, name):
    """A dataset of black photos with a box of each class at a place of their own: three in val, one in test."""
    splits = {}
    for split, image_ids in (("train", [1]), ("val", [2, 3, 4]), ("test", [5])):
        images, annotations = [], []
        for image_id in image_ids:
            Image.new("RGB", (100, 80)).save(folder / f"{image_id}.png")
            images.append({"id": image_id, "file_name": f"{image_id}.png", "width": 100, "height": 80})
            for category, (x, y) in enumerate(((image_id, 8), (50, 10 * image_id)), start=1):
                annotations.append(
                    {"id": len(annotations) + 1, "image_id": image_id, "category_id": category, "bbox": [x, y, 40, 20],
                     "area": 800, "iscrowd": 0,
                     "segmentation": [[x, y, x + 40, y, x + 40, y + 20, x, y + 20]]}
                )  # fmt: skip
        categories = [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]
        content = {"images": images, "annotations": annotations, "categories": categories}
        (folder / f"{split}.json").write_text(json.dumps(content))
        splits[split] = {"annotations": f"{split}.json", "images": len(images), "instances": len(annotations)}
    card = {"name": name, "classes": ["a", "b"], "image_root": ".", "mask_format": "polygon", "splits": splits}
    (folder / "dataset.json").write_text(json.dumps(card))


class Guesses(torch.nn.Module):
    """Finds each box of :func:`write_photos` several times, more or less well, with many scores alike."""

    def forward(self, photos):
        return [{"instances": self.guess(photo["image_id"])} for photo in photos]

    def guess(self, image_id):
        generator = torch.Generator().manual_seed(image_id)
        truth = torch.tensor([[image_id, 8, image_id + 40, 28], [50, 10 * image_id, 90, 10 * image_id + 20]])
        boxes = truth.repeat(8, 1) + torch.randint(-3, 4, (16, 4), generator=generator)
        rows, columns = torch.arange(80)[:, None], torch.arange(100)
        instances = Instances((80, 100))
        instances.pred_boxes = Boxes(boxes.float())
        instances.scores = torch.randint(3, 6, (16,), generator=generator) / 10
        instances.pred_classes = torch.tensor([0, 1]).repeat(8)
        instances.pred_masks = torch.stack(
            [(columns >= x0) & (columns < x1) & (rows >= y0) & (rows < y1) for x0, y0, x1, y1 in boxes]
        )
        return instances


def measure(args):
    """One process of an evaluation on val and test, which writes the metrics that it gets."""
    register(args.dataset)
    cfg = load_config("configs/mini_scratch.yaml", ["OUTPUT_DIR", str(args.output), "DATALOADER.NUM_WORKERS", "0"])
    metrics = evaluate(cfg, Guesses(), ("dsshared_val", "dsshared_test"))
    (args.output / f"{comm.get_rank()}.json").write_text(json.dumps(metrics))


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


def test_metrics_are_those_of_detectron2(tmp_path, forgetful):
    """Its COCOEvaluator counts with pycocotools; photos have several predictions of each object, many scores alike."""
    photos = tmp_path / "photos"
    photos.mkdir()
    write_photos(photos, "dsalike")
    register(photos)
    metrics, inputs = [], [{"image_id": image_id} for image_id in (2, 3, 4)]
    for evaluator in (
        MaskAPEvaluator("dsalike_val", tmp_path / "ours"),
        COCOEvaluator("dsalike_val", tasks=("bbox", "segm"), output_dir=str(tmp_path / "theirs")),
    ):
        evaluator.reset()
        evaluator.process(inputs, Guesses()(inputs))
        metrics.append(evaluator.evaluate())
    ours, theirs = metrics
    assert 0 < theirs["segm"]["AP"] < 100
    for task in ("bbox", "segm"):
        assert list(ours[task]) == list(theirs[task])
        assert ours[task] == pytest.approx(theirs[task], abs=1e-9, nan_ok=True)
    files = [tmp_path / name / "coco_instances_results.json" for name in ("ours", "theirs")]
    assert json.loads(files[0].read_text()) == json.loads(files[1].read_text())


@pytest.mark.parametrize(("side", "cocos"), [(6, 100 * 67 / 101), (9, None)], ids=["150", "80"])
def test_photos_with_more_objects_than_coco_counts(dataset, tmp_path, side, cocos):
    """Detectron2 counts more where it is asked to; where it is not, its AP is the one that we give beside ours."""
    boxes = [(x, y, side - 1, side - 1) for x in range(0, 90, side) for y in range(0, 60, side)][: 150 if cocos else 80]
    name = dataset(["cell"], {1: boxes})
    corners = [(x, y, x + w, y + h) for x, y, w, h in boxes]
    ours = evaluated(name, tmp_path / "out", corners, [0] * len(boxes), np.linspace(1, 0.5, len(boxes)).tolist())
    found = json.loads((tmp_path / "out/coco_instances_results.json").read_text())
    for most in (100, 1000):
        judge = COCOEvaluator(name, tasks=("segm",), max_dets_per_image=most)
        judge.reset()
        judge._predictions = [{"image_id": 1, "instances": [one | {"category_id": 0} for one in found]}]
        theirs = judge.evaluate()["segm"]
        expected = cocos if cocos and most == 100 else 100
        assert theirs["AP"] == pytest.approx(expected)
    for task in ("bbox", "segm"):
        assert ours[task]["AP"] == ours[task]["AP-cell"] == pytest.approx(100)
        assert ours[task].get(COCOS_AP) == pytest.approx(cocos)


class Network(Guesses):
    """The same guesses as a network gives them, before post-processing, on a photo of 77 x 61 px."""

    def guess(self, image_id):
        found = super().guess(image_id)
        raw = Instances((61, 77), scores=found.scores, pred_classes=found.pred_classes)
        raw.pred_boxes = found.pred_boxes.clone()
        raw.pred_boxes.scale(77 / 100, 61 / 80)
        generator = torch.Generator().manual_seed(image_id)
        raw.pred_masks = torch.sigmoid(3 + 3 * torch.randn(len(found), 1, 28, 28, generator=generator))
        return raw


def test_masks_pasted_inside_their_boxes_give_the_file_of_detectron2(tmp_path, forgetful):
    """Whose post-processing and evaluator hold each mask in the size of the photo."""
    photos = tmp_path / "photos"
    photos.mkdir()
    write_photos(photos, "dspasted")
    register(photos)
    inputs = [{"image_id": image_id, "height": 80, "width": 100} for image_id in (2, 3, 4)]
    ours = MaskAPEvaluator("dspasted_val", tmp_path / "ours")
    ours.reset()
    ours.process(inputs, [found["instances"] for found in Network()(inputs)])
    theirs = COCOEvaluator("dspasted_val", tasks=("bbox", "segm"), output_dir=str(tmp_path / "theirs"))
    theirs.reset()
    theirs.process(
        inputs, [{"instances": detector_postprocess(found["instances"], 80, 100)} for found in Network()(inputs)]
    )
    metrics, expected = ours.evaluate(), theirs.evaluate()
    assert 0 < expected["segm"]["AP"] < 100
    assert metrics["segm"]["AP"] == pytest.approx(expected["segm"]["AP"], abs=1e-9)
    found = [json.loads((tmp_path / name / "coco_instances_results.json").read_text()) for name in ("ours", "theirs")]
    assert len(found[0]) == 48 and found[0] == found[1]


@pytest.mark.skipif(all_cores() < 2 or torch.cuda.is_available(), reason="needs two cores and no GPU")
def test_two_processes_measure_what_one_does(tmp_path):
    """Two and one photo of val; of test the second process has none."""
    alone, shared, photos = (tmp_path / name for name in ("alone", "shared", "photos"))
    for folder in (alone, shared, photos):
        folder.mkdir()
    write_photos(photos, "dsshared")
    flags = {"num_machines": None, "machine_rank": None, "dist_url": None}
    measure(Namespace(dataset=photos, output=alone))
    launch(measure, Namespace(**flags, num_gpus=2, dataset=photos, output=shared))
    metrics = (alone / "0.json").read_text()
    assert 0 < json.loads(metrics)["dsshared_val"]["segm"]["AP"] < 100
    assert (shared / "0.json").read_text() == (shared / "1.json").read_text() == metrics
    for name in ("dsshared_val", "dsshared_test"):
        assert detections_file(shared, name).read_bytes() == detections_file(alone, name).read_bytes()
