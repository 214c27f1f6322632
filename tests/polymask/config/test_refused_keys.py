"""Values that no table of ours lists, because Detectron2 or PyTorch stops at them before the first iteration."""

import pytest

from dataset_tools.errors import EXIT_USAGE, UserError
from polymask.config.load import load_config
from polymask.config.resolve import resolve_schedule
from polymask.data.augmentation import build_train_augmentations
from polymask.engine.trainer import Trainer
from polymask.modeling.build import build_model

SGD = ("SOLVER.OPTIMIZER", "SGD")
RANGE = ("INPUT.MIN_SIZE_TRAIN_SAMPLING", "range")


def configured(*overrides):
    tiny = ("MODEL.FPN.OUT_CHANNELS", "16", "MODEL.ROI_MASK_HEAD.CONV_DIM", "16")
    cfg = load_config("configs/mini_scratch.yaml", ["MODEL.ROI_HEADS.NUM_CLASSES", "2", "MODEL.DEVICE", "cpu",
                                                    "DATASETS.CLASSES", "['a', 'b']", *tiny, *overrides])  # fmt: skip
    resolve_schedule(cfg, images=40)
    return cfg


@pytest.mark.parametrize(
    ("overrides", "value"),
    [
        (["MODEL.BACKBONE.NAME", "resnet18"], "resnet18"),
        (["MODEL.ROI_HEADS.NAME", "Standard"], "Standard"),
        (["MODEL.RESNETS.NORM", "XX"], "XX"),
        (["MODEL.FPN.NORM", "XX"], "XX"),
        (["MODEL.ROI_MASK_HEAD.NORM", "XX"], "XX"),
        (["MODEL.RPN.IN_FEATURES", "['p9']"], "p9"),
        (["MODEL.ANCHOR_GENERATOR.SIZES", "[[8], [16]]"], "stops at"),
        (["MODEL.RPN.IOU_THRESHOLDS", "[0.7, 0.3]"], "stops at"),
        (["MODEL.ROI_BOX_CASCADE_HEAD.IOUS", "(0.5,)"], "stops at"),
        (["MODEL.BACKBONE.NAME", "build_resnet_backbone"], "stops at"),
        ([*SGD, "SOLVER.WEIGHT_DECAY", "-1"], "-1"),
        (["SOLVER.WEIGHT_DECAY", "-1"], "-1"),
        (["SOLVER.ADAM_BETAS", "(0.9, 1.0)"], "1.0"),
        (["SOLVER.LR_SCHEDULER_NAME", "Cosine"], "Cosine"),
        (["SOLVER.WARMUP_METHOD", "slow"], "slow"),
        (["SOLVER.CLIP_GRADIENTS.CLIP_TYPE", "full_model"], "full_model"),
    ],
)
def test_keys_of_which_nothing_can_be_built(tmp_path, overrides, value):
    with pytest.raises(UserError, match=f"the keys of (MODEL|SOLVER) make no .*{value}") as caught:
        Trainer(configured("OUTPUT_DIR", str(tmp_path), *overrides))
    assert caught.value.exit_code == EXIT_USAGE


@pytest.mark.parametrize(
    ("overrides", "value"),
    [(["INPUT.MIN_SIZE_TRAIN_SAMPLING", "any"], "any"), ([*RANGE, "INPUT.MIN_SIZE_TRAIN", "(1, 2, 3)"], "(1, 2, 3)")],
)
def test_keys_of_which_no_augmentation_can_be_built(overrides, value):
    with pytest.raises(UserError, match="the keys of INPUT make no augmentation") as caught:
        build_train_augmentations(configured(*overrides))
    assert value in str(caught.value) and caught.value.exit_code == EXIT_USAGE


def test_another_depth_than_that_of_the_backbone():
    with pytest.raises(UserError, match="DEPTH is 50.*build_resnet18_fpn_backbone"):
        build_model(configured("MODEL.RESNETS.DEPTH", "50"))
