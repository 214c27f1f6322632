from pathlib import Path

import detectron2
import pytest

from dataset_tools.errors import EXIT_USAGE, UserError
from polymask.config.checks import UNSUPPORTED, check_supported, check_training_keys
from polymask.config.load import load_config
from polymask.config.resolve import resolve_copy_paste, resolve_schedule
from tests.polymask.config.configs import scheduled

MINI = "configs/mini_scratch.yaml"
COSINE = ("SOLVER.LR_SCHEDULER_NAME", "WarmupCosineLR")
STEPS = ("SOLVER.LR_SCHEDULER_NAME", "WarmupMultiStepLR")


@pytest.mark.parametrize("config", ["Base-RCNN-R18-FPN", "mask_rcnn_R_18_FPN", "mask_rcnn_R_18_FPN_documented",
                                    "mask_rcnn_R_18_FPN_scratch", "mask_rcnn_R_50_FPN_coco", "mini_scratch"])  # fmt: skip
def test_nothing_is_wrong_with_the_recipes(config):
    cfg = load_config(f"configs/{config}.yaml", [])
    resolve_copy_paste(cfg, [])
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
        (["SOLVER.MAX_MINUTES", "-1"], "MAX_MINUTES is -1"),
        (["SOLVER.MAX_MINUTES", "1e999"], "MAX_MINUTES is inf"),
        ([*STEPS, "SOLVER.MAX_MINUTES", "5", "SOLVER.STEPS", "(8, 7)"], "increasing"),
        (["SOLVER.OPTIMIZER", "Adam"], "SGD or AdamW"),
        (["SOLVER.WARMUP_ITERS", "1600"], "warm-up has 1600 of 1600"),
        (["SOLVER.EMA_DECAY", "1.0"], "EMA_DECAY"),
        (["SOLVER.MOMENTUM", "2.0"], "MOMENTUM is 2.0"),
        (["SOLVER.WARMUP_FACTOR", "-3.0"], "WARMUP_FACTOR is -3"),
        (["SOLVER.GAMMA", "0.0"], "GAMMA is 0"),
        (["SOLVER.WEIGHT_DECAY_BIAS", "-0.1"], "WEIGHT_DECAY_BIAS is -0.1"),
        (["SOLVER.BIAS_LR_FACTOR", "-1"], "BIAS_LR_FACTOR is -1"),
        (["SOLVER.ADAM_BETAS", "('a', 'b')"], "ADAM_BETAS is"),
        ([*STEPS, "SOLVER.STEPS", "('a',)"], "increasing"),
        ([*STEPS, "SOLVER.STEPS", "(1.5,)"], "increasing"),
        (["MODEL.RPN.BATCH_SIZE_PER_IMAGE", "0"], "BATCH_SIZE_PER_IMAGE is 0"),
        (["SOLVER.CLIP_GRADIENTS.CLIP_VALUE", "0.0"], "CLIP_VALUE is 0"),
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
        (["MODEL.CLASS_SYNONYMS", "a=b"], "MODEL.NEW_HEADS True"),
        (["SOLVER.HEADS_ONLY", "True"], "HEADS_ONLY.*random start"),
        (["SOLVER.HEADS_ONLY", "True", "MODEL.WEIGHTS", "torchvision://resnet18"], "HEADS_ONLY.*random start"),
        (["SOLVER.HEADS_ONLY", "True", "MODEL.WEIGHTS", "a.pth", "SOLVER.BACKBONE_LR_FACTOR", "0.1"], "freezes"),
        (["MODEL.WEIGHTS", "torchvision://resnet18"], "RESNETS.NORM FrozenBN"),
        (["SOLVER.BACKBONE_LR_FACTOR", "0"], "BACKBONE_LR_FACTOR is 0.0.*HEADS_ONLY"),
        (["SOLVER.BACKBONE_LR_FACTOR", "-0.1"], "BACKBONE_LR_FACTOR is -0.1"),
        (["SOLVER.BACKBONE_LR_FACTOR", "1e999"], "BACKBONE_LR_FACTOR is inf"),
    ],
)
def test_what_no_training_can_have(overrides, words):
    with pytest.raises(UserError, match=words) as caught:
        check_training_keys(scheduled(*overrides), processes=1)
    assert caught.value.exit_code == EXIT_USAGE


PLAIN = ("INPUT.SCALE_JITTER.ENABLED", "False")


@pytest.mark.parametrize(
    ("key", "value"),
    [("RANDOM_FLIP", "both"), ("COLOR_JITTER", "1.0"), ("COLOR_JITTER", "-0.1"), ("SCALE_JITTER.RANGE", "(2.0, 0.1)"),
     ("SCALE_JITTER.RANGE", "(0.5,)"), ("SCALE_JITTER.RANGE", "('a', 'b')"), ("MIN_SIZE_TRAIN", "()"),
     ("MIN_SIZE_TRAIN", "(-1,)"), ("MIN_SIZE_TRAIN", "('a',)"),
     ("SCALE_JITTER.RANGE", "(0.0, 1.0)"), ("SCALE_JITTER.SIZE", "0"), ("COPY_PASTE.PROBABILITY", "1.5")],
)  # fmt: skip
def test_values_that_no_augmentation_can_have(key, value):
    with pytest.raises(UserError, match=f"INPUT.{key} is"):
        check_training_keys(scheduled(f"INPUT.{key}", value), processes=1)


@pytest.mark.parametrize(
    ("crop", "size", "words"),
    [("absolute", "[0.9, 0.9]", "CROP.SIZE is .* use pixels"), ("relative", "[200, 200]", "CROP.SIZE is .* use shares"),
     ("relative_range", "[0.9]", "CROP.SIZE is"), ("Absolute", "[9, 9]", "CROP.TYPE is 'Absolute'")],
)  # fmt: skip
def test_crops_that_there_are_not(crop, size, words):
    overrides = ("INPUT.CROP.ENABLED", "True", "INPUT.CROP.TYPE", crop, "INPUT.CROP.SIZE", size)
    with pytest.raises(UserError, match=words):
        check_training_keys(scheduled(*PLAIN, *overrides), processes=1)
    for crop, size in (("absolute", "[90, 90]"), ("relative", "[0.9, 1.0]")):
        check_training_keys(
            scheduled(*PLAIN, *overrides[:2], "INPUT.CROP.TYPE", crop, "INPUT.CROP.SIZE", size), processes=1
        )


def test_a_batch_is_shared_by_the_processes():
    cfg = scheduled("SOLVER.IMS_PER_BATCH", "6", "SOLVER.ACCUMULATION_STEPS", "3")
    check_training_keys(cfg, processes=2)
    for processes, words in ((4, "4 processes"), (3, "ACCUMULATION_STEPS is 3")):
        with pytest.raises(UserError, match=words):
            check_training_keys(cfg, processes)


@pytest.mark.parametrize("key", UNSUPPORTED)
def test_what_polymask_leaves_out_is_refused(key):
    others = {
        "MODEL.META_ARCHITECTURE": "ProposalNetwork",
        "MODEL.PROPOSAL_GENERATOR.NAME": "RRPN",
        "DATALOADER.SAMPLER_TRAIN": "RepeatFactorTrainingSampler",
        "SOLVER.REFERENCE_WORLD_SIZE": "8",
        "TEST.EXPECTED_RESULTS": "[['bbox', 'AP', 38.5, 0.2]]",
    }
    value = others.get(key, str(not UNSUPPORTED[key]))
    with pytest.raises(UserError, match=key):
        check_supported(load_config(MINI, [key, value]))


def test_models_of_detectron2_s_zoo():
    zoo = Path(detectron2.__file__).parent / "model_zoo/configs/COCO-InstanceSegmentation"
    for kind in ("C4", "DC5", "FPN"):
        check_supported(load_config(zoo / f"mask_rcnn_R_50_{kind}_1x.yaml", []))


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["MODEL.ROI_BOX_HEAD.POOLER_TYPE", "Max"], "ROIAlignV2"),
        (["MODEL.PIXEL_MEAN", "[110.0]"], "INPUT.FORMAT RGB has 3 channels"),
        (["MODEL.PIXEL_STD", "[0.0, 0.0, 0.0]"], "above 0"),
        (["INPUT.MIN_SIZE_TEST", "-3"], "MIN_SIZE_TEST is -3"),
        (["TEST.DETECTIONS_PER_IMAGE", "0"], "DETECTIONS_PER_IMAGE is 0"),
        (["TEST.AUG.MIN_SIZES", "()"], "AUG.MIN_SIZES is"),
        (["TEST.AUG.MIN_SIZES", "(0, 400)"], "AUG.MIN_SIZES is"),
        (["TEST.AUG.MIN_SIZES", "('a',)"], "AUG.MIN_SIZES is"),
        (["TEST.AUG.MAX_SIZE", "0"], "AUG.MAX_SIZE is 0"),
        (["DATALOADER.NUM_WORKERS", "-2"], "NUM_WORKERS is -2"),
        (["INPUT.FORMAT", "XYZ"], "RGB or BGR"),
        (["INPUT.FORMAT", "L"], "RGB or BGR"),
    ],
)
def test_models_that_there_are_not(overrides, words):
    with pytest.raises(UserError, match=words):
        check_supported(load_config(MINI, overrides))
