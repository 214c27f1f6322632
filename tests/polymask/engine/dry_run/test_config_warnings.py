"""Each warning, and beside it the nearest case that gives none."""

import re
from pathlib import Path

import numpy as np
import pytest
from detectron2.data.datasets import load_coco_json
from detectron2.data.transforms import AugInput, ResizeScale, ResizeShortestEdge

from dataset_tools.dataset.convert import ConvertOptions, convert
from polymask.config.load import load_config
from polymask.config.resolve import resolve_schedule
from polymask.engine.dry_run.config_warnings import (
    GIB,
    TORCHVISION_PIXELS,
    training_scale,
    training_warnings,
)

MINI = "configs/mini_scratch.yaml"
CLASSES = ("Car", "Sign Board")
SGD = ("SOLVER.OPTIMIZER", "SGD", "SOLVER.IMS_PER_BATCH", "4", "SOLVER.CLIP_GRADIENTS.ENABLED", "False")
CLIPPED = ("SOLVER.CLIP_GRADIENTS.ENABLED", "True")


def photo(*boxes, size=(320, 240), category=0):
    """A record of a photo of ``size`` (width, height) with a box (width, height) for each object, all of one class."""
    annotations = [{"bbox": [5, 5, width, height], "category_id": category} for width, height in boxes]
    return {"width": size[0], "height": size[1], "annotations": annotations}


ORDINARY = [photo((60, 40), category=index % 2) for index in range(100)]
CAMERA = [photo((900, 600), (300, 500), size=(4000, 3000), category=index % 2) for index in range(100)]


def resolved(config, *overrides, images=100, classes=CLASSES):
    cfg = load_config(config, ["DATASETS.VAL", "('street_val',)", "DATASETS.CLASSES", str(list(classes)), *overrides])
    resolve_schedule(cfg, images)
    return cfg


def warnings_of(*overrides, config="mini_scratch", photos=ORDINARY, classes=CLASSES, **context):
    cfg = resolved(f"configs/{config}.yaml", *overrides, images=len(photos), classes=classes)
    return training_warnings(cfg, photos, **context)


def expect_only(words, found):
    assert len(found) == 1 and re.search(words, found[0]), found


def with_rare(rare, percent):
    """A hundred ordinary photos but for some."""
    return [rare] * percent + ORDINARY[percent:]


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """The training records of the embedded sample."""
    folder = tmp_path_factory.mktemp("sample")
    convert(ConvertOptions(source=Path("data/sample"), output=folder / "sample", name="sample"))
    return load_coco_json(str(folder / "sample/train.json"), "", dataset_name="sample_of_warnings")


def test_the_demo_raises_no_warning(sample):
    assert len(sample) == 260
    assert warnings_of(photos=sample) == []


@pytest.mark.parametrize("config", ["mask_rcnn_R_18_FPN", "mask_rcnn_R_18_FPN_scratch"])
def test_photos_of_a_camera_raise_no_warning_about_what_we_recommend(config):
    assert warnings_of(config=config, photos=CAMERA, torchvision_weights="scratch" not in config) == []


def test_the_documented_solver_hardly_moves():
    found = warnings_of(config="mask_rcnn_R_18_FPN_documented", photos=CAMERA, torchvision_weights=True)
    expect_only("1e-05.*hardly.*0.0025", found)


@pytest.mark.parametrize(
    ("wrong", "fine", "words"),
    [
        ((*SGD, "SOLVER.BASE_LR", "0.00001"), (*SGD, "SOLVER.BASE_LR", "0.0001"), "hardly moves.*Begin with 0.005"),
        ((*SGD, "SOLVER.BASE_LR", "0.0051"), (*SGD, "SOLVER.BASE_LR", "0.005"), "diverge.*with 0.005, or set.*CLIP"),
        ((*SGD, *CLIPPED, "SOLVER.BASE_LR", "0.021"), (*SGD, *CLIPPED, "SOLVER.BASE_LR", "0.02"), "diverge.*0.005.$"),
        (
            ("MODEL.WEIGHTS", "model.pth", "SOLVER.MAX_ITER", "49", "SOLVER.IMS_PER_BATCH", "2"),
            ("MODEL.WEIGHTS", "model.pth", "SOLVER.MAX_ITER", "50", "SOLVER.IMS_PER_BATCH", "2"),
            "after 98 of 100",
        ),
        (("DATASETS.VAL", "()"), (), "no val split"),
        (
            ("MODEL.BACKBONE.FREEZE_AT", "1"),
            ("MODEL.BACKBONE.FREEZE_AT", "1", "MODEL.WEIGHTS", "model.pth"),
            "Set MODEL.BACKBONE.FREEZE_AT 0",
        ),
        (
            ("MODEL.RESNETS.NORM", "FrozenBN"),
            ("MODEL.RESNETS.NORM", "FrozenBN", "MODEL.WEIGHTS", "model.pth"),
            "random weights.*Set MODEL.RESNETS.NORM GN",
        ),
        (("MODEL.FPN.NORM", "FrozenBN"), ("MODEL.FPN.NORM", "GN"), "Set MODEL.FPN.NORM GN"),
    ],
)
def test_keys(wrong, fine, words):
    expect_only(words, warnings_of(*wrong))
    assert warnings_of(*fine) == []


@pytest.mark.parametrize(("wrong", "fine", "words"), [("370", "360", "1.5 times"), ("158", "162", "0.66 times")])
def test_photos_of_another_size_in_the_evaluation(wrong, fine, words):
    """A training at 240 px."""
    size = ("INPUT.MAX_SIZE_TEST", "999", "INPUT.MIN_SIZE_TEST")
    expect_only(words + ".*MIN_SIZE_TEST to about 240", warnings_of(*size, wrong))
    assert warnings_of(*size, fine) == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("INPUT.FORMAT", "BGR"),
        ("MODEL.PIXEL_MEAN", "[103.53, 116.28, 123.675]"),
        ("MODEL.PIXEL_STD", "[1.0, 1.0, 1.0]"),
    ],
)
def test_the_pixels_of_torchvision(key, value):
    context = {"config": "mask_rcnn_R_18_FPN", "photos": CAMERA}
    expect_only(key, warnings_of(key, value, **context, torchvision_weights=True))
    assert warnings_of(key, value, **context) == [], "other weights know other pixels"
    rounded = [round(number) for number in TORCHVISION_PIXELS["PIXEL_MEAN"]]
    assert warnings_of("MODEL.PIXEL_MEAN", str(rounded), **context, torchvision_weights=True) == []


def test_more_objects_than_are_predicted():
    photos = [*ORDINARY, photo(*[(60, 40)] * 41)]
    expect_only("41 objects", warnings_of("TEST.DETECTIONS_PER_IMAGE", "40", photos=photos))
    assert warnings_of("TEST.DETECTIONS_PER_IMAGE", "41", photos=photos) == []


@pytest.mark.parametrize("key", ["TEST.DETECTIONS_PER_IMAGE", "MODEL.RPN.POST_NMS_TOPK_TEST"])
def test_more_objects_of_a_photo_to_evaluate(key):
    """Those of the training are few."""
    held_out = [photo(*[(60, 40)] * 41)]
    expect_only(f"41 objects.*{key}", warnings_of(key, "40", held_out=held_out))
    assert warnings_of(key, "41", held_out=held_out) == []
    crowds = [photo(), {"annotations": [a | {"iscrowd": 1} for a in held_out[0]["annotations"]]}]
    assert warnings_of(key, "40", held_out=crowds) == [], "nothing to predict"


def test_a_flip_and_a_class_with_a_side():
    expect_only("called Left door", warnings_of(classes=("Left door", "Bright lamp")))
    assert warnings_of("INPUT.RANDOM_FLIP", "none", classes=("Left door", "Bright lamp")) == []
    assert warnings_of(classes=("Leftover", "Bright lamp")) == []


ANCHORS_FROM_32 = ("MODEL.ANCHOR_GENERATOR.SIZES", "[[32], [64], [128], [256], [512]]")
ANCHORS_TO_256 = ("MODEL.ANCHOR_GENERATOR.SIZES", "[[16], [32], [64], [128], [256]]")


@pytest.mark.parametrize(
    ("wrong", "fine", "overrides", "words"),
    [
        ((16, 15), (16, 16), ANCHORS_FROM_32, "half the size of the smallest anchor, 32.*16.*32.*64.*128.*256"),
        ((510, 515), (510, 514), ANCHORS_TO_256, "twice the size of the largest anchor, 256.*32.*64.*128.*256.*512"),
    ],
)
def test_sizes_of_objects(wrong, fine, overrides, words):
    """On photos that keep their 240 px; up to a tenth of the objects is not worth a word."""
    found = warnings_of(*overrides, photos=with_rare(photo(wrong), 11))
    assert re.search(words, found[0]) and "11 %" in found[0]
    assert warnings_of(*overrides, photos=with_rare(photo(wrong), 10)) == []
    assert warnings_of(*overrides, photos=with_rare(photo(fine), 11)) == []


def test_objects_count_at_the_size_of_the_training():
    shrunk = [photo((60, 40), size=(3200, 2400), category=index % 2) for index in range(100)]
    assert any("smallest anchor" in warning for warning in warnings_of(photos=shrunk))
    crop = ("INPUT.CROP.ENABLED", "True")
    assert warnings_of(*crop, photos=shrunk) == [], "how much they are enlarged is random"
    assert (
        warnings_of(
            "INPUT.MIN_SIZE_TRAIN",
            "(800,)",
            "INPUT.MAX_SIZE_TRAIN",
            "1333",
            "INPUT.MIN_SIZE_TEST",
            "800",
            "INPUT.MAX_SIZE_TEST",
            "1333",
            photos=shrunk,
        )
        == []
    )


def test_the_disk():
    expect_only("take 3.0 GiB.*has 2.9 GiB", warnings_of(checkpoint_bytes=3 * GIB, free_bytes=int(2.9 * GIB)))
    assert warnings_of(checkpoint_bytes=3 * GIB, free_bytes=3 * GIB) == []


@pytest.mark.parametrize("size", [(320, 240), (240, 320), (1000, 100), (100, 100)])
def test_the_scale_is_that_of_detectron2s_augmentations(size):
    photo = np.zeros((size[1], size[0], 3), dtype=np.uint8)
    jitter = ("INPUT.SCALE_JITTER.ENABLED", "True", "INPUT.SCALE_JITTER.RANGE", "(0.5, 2.5)", "INPUT.SCALE_JITTER.SIZE")
    for overrides, augmentation in (
        (("INPUT.MIN_SIZE_TRAIN", "(200, 240, 280)"), ResizeShortestEdge([240], 426, "choice")),
        (("INPUT.MIN_SIZE_TRAIN", "(0,)"), ResizeShortestEdge([0], 426, "choice")),
        ((*jitter, "200"), ResizeScale(1.5, 1.5, 200, 200)),
    ):
        given = AugInput(photo)
        augmentation(given)
        scale = training_scale(resolved(MINI, *overrides), size[1], size[0])
        assert scale == pytest.approx(max(given.image.shape) / max(size)), overrides
