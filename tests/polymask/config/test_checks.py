import logging
from pathlib import Path

import detectron2
import pytest

from dataset_tools.errors import EXIT_DATA, EXIT_USAGE, UserError
from polymask.config.checks import (
    UNSUPPORTED,
    check_supported,
    check_training_data,
    check_training_keys,
    check_validation_data,
)
from polymask.config.load import load_config
from polymask.config.resolve import resolve_schedule
from polymask.modeling.build import build_model

MINI = "configs/mini_scratch.yaml"
COSINE = ("SOLVER.LR_SCHEDULER_NAME", "WarmupCosineLR")
STEPS = ("SOLVER.LR_SCHEDULER_NAME", "WarmupMultiStepLR")


def resolved(*overrides, images=40):
    cfg = load_config(
        MINI, ["DATASETS.VAL", "('street_val',)", "DATASETS.CLASSES", "['Car', 'Sign Board']", *overrides]
    )
    resolve_schedule(cfg, images)
    return cfg


@pytest.mark.parametrize("config", ["Base-RCNN-R18-FPN", "mask_rcnn_R_18_FPN", "mask_rcnn_R_18_FPN_documented",
                                    "mask_rcnn_R_18_FPN_scratch", "mask_rcnn_R_50_FPN_coco", "mini_scratch"])  # fmt: skip
def test_nothing_is_wrong_with_the_recipes(config):
    cfg = load_config(f"configs/{config}.yaml", [])
    resolve_schedule(cfg, images=100)
    check_supported(cfg)
    check_training_keys(cfg, processes=1)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["SOLVER.BASE_LR", "0.0"], "BASE_LR is 0"),
        (["SOLVER.BASE_LR", "-0.1"], "BASE_LR is -0.1"),
        (["SOLVER.BASE_LR", "1e999"], "BASE_LR is inf"),
        (["SOLVER.BASE_LR_END", "0.1"], "BASE_LR_END"),
        (["SOLVER.OPTIMIZER", "Adam"], "SGD or AdamW"),
        (["SOLVER.LR_SCHEDULER_NAME", "Cosine"], "WarmupCosineLR"),
        (["SOLVER.WARMUP_ITERS", "1600"], "warm-up has 1600 of 1600"),
        (["SOLVER.EMA_DECAY", "1.0"], "EMA_DECAY"),
        (["SOLVER.MOMENTUM", "2.0"], "MOMENTUM is 2.0"),
        (["SOLVER.WEIGHT_DECAY", "-1"], "WEIGHT_DECAY is -1"),
        (["SOLVER.WARMUP_FACTOR", "-3.0"], "WARMUP_FACTOR is -3"),
        (["SOLVER.GAMMA", "0.0"], "GAMMA is 0"),
        (["SOLVER.WEIGHT_DECAY_BIAS", "-0.1"], "WEIGHT_DECAY_BIAS is -0.1"),
        (["SOLVER.BIAS_LR_FACTOR", "-1"], "BIAS_LR_FACTOR is -1"),
        (["SOLVER.ADAM_BETAS", "('a', 'b')"], "ADAM_BETAS is"),
        ([*STEPS, "SOLVER.STEPS", "('a',)"], "increasing"),
        ([*STEPS, "SOLVER.STEPS", "(1.5,)"], "increasing"),
        (["MODEL.RPN.BATCH_SIZE_PER_IMAGE", "0"], "BATCH_SIZE_PER_IMAGE is 0"),
        (["SOLVER.WARMUP_METHOD", "slow"], "linear or constant"),
        (["SOLVER.CLIP_GRADIENTS.CLIP_TYPE", "full_model"], "value or norm"),
        (["SOLVER.CLIP_GRADIENTS.CLIP_VALUE", "0.0"], "nothing is left of a gradient"),
        (["SOLVER.ADAM_BETAS", "(0.9, 1.0)"], "ADAM_BETAS"),
        (["SOLVER.REFERENCE_IMS_PER_BATCH", "-2"], "REFERENCE_IMS_PER_BATCH is -2"),
        (["SOLVER.ACCUMULATION_STEPS", "2"], "ACCUMULATION_STEPS is 2"),
        (["SOLVER.ACCUMULATION_STEPS", "0"], "ACCUMULATION_STEPS is 0"),
        ([*COSINE, "SOLVER.STEPS", "(10,)"], "has no steps"),
        ([*COSINE, "SOLVER.STEP_SHARES", "(0.5,)"], "has no steps"),
        ([*STEPS, "SOLVER.STEPS", "(800, 700)"], "increasing"),
        ([*STEPS, "SOLVER.STEP_SHARES", "(0.5, 1.5)"], "increasing"),
        (["TEST.EARLY_STOPPING_PATIENCE", "-1"], "EARLY_STOPPING_PATIENCE is -1"),
        (["TEST.EARLY_STOPPING_PATIENCE", "3", "TEST.EVAL_EPOCHS", "-2.0"], "EVAL_EPOCHS is -2"),
        (["TEST.EARLY_STOPPING_PATIENCE", "3", "TEST.EVAL_PERIOD", "0"], "nothing is evaluated"),
        (["TEST.EARLY_STOPPING_PATIENCE", "3", "DATASETS.VAL", "()"], "nothing is evaluated"),
        (["INPUT.COPY_PASTE.PROBABILITY", "0.5", "INPUT.MASK_FORMAT", "polygon"], "COPY_PASTE.*polygon"),
        (["INPUT.SCALE_JITTER.ENABLED", "True", "INPUT.CROP.ENABLED", "True"], "crops already"),
        (["MODEL.ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG", "False"], "CLS_AGNOSTIC_BBOX_REG True"),
        (["MODEL.NEW_HEADS", "True"], "has no heads"),
        (["MODEL.NEW_HEADS", "True", "MODEL.WEIGHTS", "torchvision://resnet18"], "has no heads"),
    ],
)
def test_what_no_training_can_have(overrides, words):
    with pytest.raises(UserError, match=words) as caught:
        check_training_keys(resolved(*overrides), processes=1)
    assert caught.value.exit_code == EXIT_USAGE


def test_a_batch_is_shared_by_the_processes():
    cfg = resolved("SOLVER.IMS_PER_BATCH", "6", "SOLVER.ACCUMULATION_STEPS", "3")
    check_training_keys(cfg, processes=2)
    for processes, words in ((4, "4 processes"), (3, "ACCUMULATION_STEPS is 3")):
        with pytest.raises(UserError, match=words):
            check_training_keys(cfg, processes)


@pytest.mark.parametrize("key", UNSUPPORTED)
def test_what_polymask_leaves_out_is_refused(key):
    value = {"DATALOADER.SAMPLER_TRAIN": "RepeatFactorTrainingSampler", "SOLVER.REFERENCE_WORLD_SIZE": "8"}.get(key)
    if value is None:
        value = "[['bbox', 'AP', 38.5, 0.2]]" if key == "TEST.EXPECTED_RESULTS" else str(not UNSUPPORTED[key])
    with pytest.raises(UserError, match=key):
        check_supported(load_config(MINI, [key, value]))


def test_models_of_detectron2_s_zoo_and_of_grey_photos():
    zoo = Path(detectron2.__file__).parent / "model_zoo/configs/COCO-InstanceSegmentation"
    for kind in ("C4", "DC5", "FPN"):
        check_supported(load_config(zoo / f"mask_rcnn_R_50_{kind}_1x.yaml", []))
    grey = ["INPUT.FORMAT", "L", "MODEL.PIXEL_MEAN", "[110.0]", "MODEL.PIXEL_STD", "[58.0]"]
    check_supported(load_config(MINI, grey))


@pytest.mark.parametrize(
    "overrides",
    [
        ["MODEL.RPN.IN_FEATURES", "['p9']"],
        ["MODEL.ANCHOR_GENERATOR.SIZES", "[[8], [16]]"],
        ["MODEL.RPN.IOU_THRESHOLDS", "[0.7, 0.3]"],
        ["MODEL.ROI_BOX_CASCADE_HEAD.IOUS", "(0.5,)"],
        ["MODEL.BACKBONE.NAME", "build_resnet_backbone"],
    ],
)
def test_keys_that_make_no_model(overrides):
    cfg = load_config(MINI, ["MODEL.ROI_HEADS.NUM_CLASSES", "2", "MODEL.DEVICE", "cpu", *overrides])
    with pytest.raises(UserError, match="the keys of MODEL make no model: .* of Detectron2 stops at '.+'"):
        build_model(cfg)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["MODEL.BACKBONE.NAME", "resnet18"], "MODEL.BACKBONE.NAME is 'resnet18'. Use .*build_resnet18_fpn_backbone"),
        (["MODEL.ROI_HEADS.NAME", "Standard"], "StandardROIHeads"),
        (["MODEL.RESNETS.NORM", "XX"], "FrozenBN"),
        (["MODEL.RESNETS.DEPTH", "50"], "DEPTH is 50, and MODEL.BACKBONE.NAME is build_resnet18_fpn_backbone"),
        (["MODEL.META_ARCHITECTURE", "RetinaNet"], "Use GeneralizedRCNN"),
        (["MODEL.ROI_BOX_HEAD.POOLER_TYPE", "Max"], "ROIAlignV2"),
        (["MODEL.PIXEL_MEAN", "[110.0]"], "INPUT.FORMAT RGB has 3 channels"),
        (["MODEL.PIXEL_STD", "[0.0, 0.0, 0.0]"], "above 0"),
        (["INPUT.MIN_SIZE_TEST", "-3"], "MIN_SIZE_TEST is -3"),
        (["TEST.DETECTIONS_PER_IMAGE", "0"], "DETECTIONS_PER_IMAGE is 0"),
        (["DATALOADER.NUM_WORKERS", "-2"], "NUM_WORKERS is -2"),
        (["INPUT.FORMAT", "XYZ"], "RGB, BGR or L"),
    ],
)
def test_models_that_there_are_not(overrides, words):
    with pytest.raises(UserError, match=words):
        check_supported(load_config(MINI, overrides))


def records(*classes_of_photos):
    return [{"annotations": [{"category_id": index} for index in classes]} for classes in classes_of_photos]


def test_a_batch_larger_than_the_dataset():
    with pytest.raises(UserError, match="IMS_PER_BATCH is 4, and there are 3 training photos"):
        check_training_data(resolved("SOLVER.IMS_PER_BATCH", "4"), records([0], [1], [0, 1]))


def test_more_classes_than_annotations():
    with pytest.raises(UserError, match="1 annotations for 2 classes") as caught:
        check_training_data(resolved(), records([0], []))
    assert caught.value.exit_code == EXIT_DATA


def test_a_val_split_without_an_instance(caplog):
    """There is no AP on it: nothing is ever better than before, and no weights are the best."""
    empty, annotated = records([], []), records([], [0])
    patient = resolved("TEST.EARLY_STOPPING_PATIENCE", "3")
    with pytest.raises(UserError, match="no annotated object.*EARLY_STOPPING_PATIENCE") as caught:
        check_validation_data(patient, empty)
    assert caught.value.exit_code == EXIT_DATA
    with caplog.at_level(logging.WARNING):
        check_validation_data(patient, annotated)
        check_validation_data(resolved(), [])
        assert not caplog.text
        check_validation_data(resolved(), empty)
    assert "no best checkpoint is kept" in caplog.text


def test_a_class_without_an_instance_is_warned_of(caplog):
    with caplog.at_level(logging.WARNING):
        check_training_data(resolved(), records([0], [0]))
    assert "Sign Board" in caplog.text and "Car" not in caplog.text
