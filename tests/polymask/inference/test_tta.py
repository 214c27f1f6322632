"""Test-time augmentation beside plain predictions, Detectron2's own class, and masks that are averaged here."""

import json

import cv2
import numpy as np
import pytest
import torch
from detectron2.data.transforms import ResizeShortestEdge
from detectron2.engine import DefaultPredictor
from detectron2.layers.mask_ops import _do_paste_mask
from detectron2.modeling import GeneralizedRCNNWithTTA
from detectron2.structures import Boxes, Instances

from dataset_tools.errors import UserError
from polymask.config.load import load_config
from polymask.config.resolve import resolve_device
from polymask.inference.detections import shared_area
from polymask.inference.predictor import Predictor, predictor_config, read_photo
from polymask.inference.tiles import detect_in_tiles
from polymask.inference.tta import AugmentedRCNN
from polymask.modeling.build import build_model

SIZE = 203, 301  # (height, width) px: no view has it


@pytest.fixture(scope="module")
def predictors(overfitted):
    """A predictor with such keys of TEST.AUG, or a plain one without."""

    def build(*keys, size=128, threshold=0.3):
        weights = ["MODEL.WEIGHTS", str(overfitted / "model_final.pth"), "INPUT.MIN_SIZE_TEST", str(size)]
        enabled = ["TEST.AUG.ENABLED", str(bool(keys))]
        return Predictor(predictor_config(overfitted / "config.yaml", [*weights, *enabled, *keys], threshold))

    return build


def aug(sizes, flip):
    return "TEST.AUG.MIN_SIZES", str(sizes), "TEST.AUG.FLIP", str(flip)


@pytest.fixture(scope="module")
def photos(tiny_dataset):
    paths = sorted((tiny_dataset.parent / "labelme/train").glob("*.png"))
    return [cv2.resize(read_photo(path), SIZE[::-1]) for path in paths]


def iou(one, other):
    shared = shared_area(one, other)
    return shared / (one.area + other.area - shared)


def test_one_view_is_a_plain_prediction(predictors, photos):
    plain, augmented = predictors(size=112), predictors(*aug((112,), False))
    for photo in photos:
        (expected,), (found,) = plain.detect([photo]), augmented.detect([photo])
        assert len(found) == len(expected) >= 1 and found.size == expected.size
        for one, other in zip(found, expected, strict=True):
            assert one.category == other.category and one.score == pytest.approx(other.score, abs=1e-5)
            assert one.box == pytest.approx(other.box, abs=1e-2) and iou(one.mask, other.mask) > 0.99


def test_a_flipped_photo_gives_what_is_flipped(predictors, photos):
    predictor = predictors(*aug((112, 128), True))
    for photo in photos:
        found, flipped = predictor.detect([photo, np.ascontiguousarray(photo[:, ::-1])])
        assert len(found) == len(flipped) >= 1
        for one, other in zip(found, flipped, strict=True):
            assert one.category == other.category and one.score == pytest.approx(other.score, abs=1e-3)
            left, top, right, bottom = other.box
            assert one.box == pytest.approx((SIZE[1] - right, top, SIZE[1] - left, bottom), abs=0.1)
            whole = [mask.pixels_in((0, 0, *SIZE[::-1])) for mask in (one.mask, other.mask)]
            assert (whole[0] ^ whole[1][:, ::-1]).sum() <= 0.01 * whole[0].sum()


def test_a_mask_is_the_mean_of_what_the_views_show_at_each_pixel(predictors, photos):
    """Computed in full: the values of each view are pasted into a photo of its orientation and turned back."""
    sizes = (96, 128)
    predictor = predictors(*aug(sizes, True))
    for photo in photos:
        (found,) = predictor.detect([photo])
        boxes = torch.tensor([d.box for d in found])
        classes = torch.tensor([d.category for d in found])
        sums = torch.zeros(len(found), *SIZE)
        differ = []
        for size in sizes:
            for flip in (False, True):
                shown, where = photo[:, :, ::-1], boxes.clone()  # RGB
                if flip:
                    shown, where = shown[:, ::-1], torch.stack([SIZE[1] - boxes[:, 2], boxes[:, 1],
                                                                SIZE[1] - boxes[:, 0], boxes[:, 3]], dim=1)  # fmt: skip
                shown = np.ascontiguousarray(shown)
                view = ResizeShortestEdge(size, 4000).get_transform(shown).apply_image(shown)
                height, width = view.shape[:2]
                scale = torch.tensor([width / SIZE[1], height / SIZE[0]]).repeat(2)
                given = Instances((height, width), pred_boxes=Boxes(where * scale), pred_classes=classes)
                image = torch.from_numpy(np.ascontiguousarray(view.transpose(2, 0, 1)))
                with torch.no_grad():
                    (masks,) = predictor.model.inference([{"image": image}], [given], do_postprocess=False)
                pasted, _ = _do_paste_mask(masks.pred_masks, where, *SIZE, skip_empty=False)
                sums += pasted.flip(2) if flip else pasted
                differ.append((pasted.flip(2) if flip else pasted) >= 0.5)
        expected = (sums / 4 >= 0.5).numpy()
        assert len(found) >= 1 and not torch.equal(differ[0], differ[1]), "the views do not agree on everything"
        for detection, pixels in zip(found, expected, strict=True):
            assert (detection.mask.pixels_in((0, 0, *SIZE[::-1])) ^ pixels).sum() <= 2


@pytest.mark.parametrize("cascade", [True, False])
@pytest.mark.parametrize("size", [SIZE, (1, 900), (900, 1)])
def test_views_of_one_size_give_what_detectron2_s_own_class_gives(cascade, size):
    """Of a photo in full. A network with random weights finds many objects of all classes."""
    keys = ["MODEL.DEVICE", "cpu", "MODEL.ROI_HEADS.NUM_CLASSES", "3", "MODEL.ROI_HEADS.SCORE_THRESH_TEST", "0.2"]
    if not cascade:
        keys += ["MODEL.ROI_HEADS.NAME", "StandardROIHeads", "MODEL.ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG", "False"]
    cfg = load_config("configs/mini_scratch.yaml", [*keys, *aug((96,), True), "TEST.DETECTIONS_PER_IMAGE", "20"])
    torch.manual_seed(1)
    model = build_model(cfg).eval()
    image = torch.randint(0, 255, (3, *size), dtype=torch.uint8)
    with torch.no_grad():
        (found,) = AugmentedRCNN(cfg, model)([{"image": image, "height": size[0], "width": size[1]}])
        if 1 in size:
            return  # of which Detectron2 leaves nothing
        (expected,) = GeneralizedRCNNWithTTA(cfg, model)([{"image": image, "height": size[0], "width": size[1]}])
    expected = expected["instances"]
    assert len(found) == len(expected) == 20 and found.image_size == expected.image_size
    for name in ("pred_classes", "scores"):
        assert torch.equal(found.get(name), expected.get(name))
    assert torch.equal(found.pred_boxes.tensor, expected.pred_boxes.tensor)
    pasted, _ = _do_paste_mask(found.pred_masks, found.pred_boxes.tensor, *size, skip_empty=False)
    assert torch.allclose(pasted >= 0.5, expected.pred_masks)


def run_out_of_memory(*_):
    raise torch.OutOfMemoryError("tried to allocate 20 GiB")


def test_the_model_stays_as_it_is(predictors, photos, monkeypatch):
    predictor = predictors(*aug((96,), True), threshold=1.0)
    (before,) = DefaultPredictor.__call__(predictor, photos[0]).values()
    assert len(predictor.detect([photos[0]])[0]) == 0, "nothing scores so much"
    (after,) = DefaultPredictor.__call__(predictor, photos[0]).values()
    assert len(before) == len(after) and predictor.model.roi_heads.mask_on
    cfg, model = predictor.cfg, predictor.model
    with monkeypatch.context() as patch, pytest.raises(UserError, match="TEST.AUG.MIN_SIZES"):
        patch.setattr(model.roi_heads, "forward", run_out_of_memory)
        predictor.detect([photos[0]])
    assert model.roi_heads.mask_on and len(predictors(*aug((96,), True)).detect([photos[0]])[0]) >= 1
    assert not AugmentedRCNN(cfg, model.eval()).training and AugmentedRCNN(cfg, model.train()).training
    model.eval()


def test_tiles_are_looked_at_in_all_views(predictors, tiny_dataset):
    """Two photos in corners of a large one, where a tile has just the one and another one just the other."""
    predictor = predictors(*aug((112, 128), True), threshold=0.5)
    paths = sorted((tiny_dataset.parent / "labelme/train").glob("*.png"))[:2]
    photos, large = [read_photo(path) for path in paths], np.full((256, 256, 3), 120, dtype=np.uint8)
    large[:128, :128], large[128:, 128:] = photos
    found = detect_in_tiles(predictor.detect, large, side=128, overlap=0.1)
    for photo, corner in zip(photos, (0, 128), strict=True):
        for seen in predictor.detect([photo])[0].scoring(0.9):
            expected = seen.mask.moved(corner, corner)
            assert max(iou(d.mask, expected) for d in found if d.category == seen.category) > 0.7


def test_an_evaluation_writes_what_the_predictor_finds(predictors, overfitted, train, tiny_dataset, tmp_path):
    """Photos are read in full by the one and by the other."""
    keys = ("TEST.AUG.ENABLED", "True", *aug((112, 144), True), "DATASETS.TEST", "('tiny_train',)")
    weights = ("MODEL.WEIGHTS", str(overfitted / "model_final.pth"))
    output = train(*weights, *keys, flags=["--eval-only"], output=tmp_path / "evaluation")
    assert json.loads((output / "results.json").read_text())["tiny_train"]["segm"]["AP"] > 80
    written = json.loads((output / "inference/tiny_train/coco_instances_results.json").read_text())
    images = json.loads((tiny_dataset / "train.json").read_text())["images"]
    root = tiny_dataset / json.loads((tiny_dataset / "dataset.json").read_text())["image_root"]
    predictor = predictors(*keys, threshold=0.05)
    for image in images:
        (found,) = predictor.detect([read_photo(root / image["file_name"])])
        expected = [entry for entry in written if entry["image_id"] == image["id"]]
        assert [d.score for d in found] == pytest.approx([entry["score"] for entry in expected], abs=1e-6)
        for detection, entry in zip(found, expected, strict=True):
            assert detection.mask.rle((128, 128)).counts == entry["segmentation"]["counts"]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_sees_the_same(predictors, overfitted, photos):
    keys = aug((96, 128), True)
    cpu = predictors(*keys, "MODEL.DEVICE", "cpu").detect(photos)
    for found, expected in zip(predictors(*keys, "MODEL.DEVICE", "cuda").detect(photos), cpu, strict=True):
        for one, other in zip(found.scoring(0.5), expected.scoring(0.5), strict=True):
            assert one.category == other.category and iou(one.mask, other.mask) > 0.98


def test_a_mask_head_for_all_classes(tmp_path):
    keys = ["MODEL.DEVICE", "auto", "MODEL.ROI_HEADS.NUM_CLASSES", "3", "MODEL.ROI_MASK_HEAD.CLS_AGNOSTIC_MASK", "True"]
    cfg = load_config(
        "configs/mini_scratch.yaml", [*keys, "MODEL.ROI_HEADS.SCORE_THRESH_TEST", "0.0", *aug((64,), True)]
    )
    resolve_device(cfg)
    with torch.no_grad():
        (found,) = AugmentedRCNN(cfg, build_model(cfg).eval())([{"image": torch.zeros(3, 64, 96, dtype=torch.uint8)}])
    assert found.pred_masks.shape[:2] == (len(found), 1) and 0 < len(found) <= cfg.TEST.DETECTIONS_PER_IMAGE
