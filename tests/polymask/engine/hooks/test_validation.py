import random

import numpy as np
import pytest
import torch
from detectron2.modeling import build_model
from detectron2.utils.events import EventStorage

from polymask.config.load import load_config
from polymask.config.resolve import resolve_dataset
from polymask.data.loader import build_validation_loader
from polymask.engine.hooks.validation import validation_losses


@pytest.fixture(scope="module")
def small(tiny_dataset):
    """The configuration of a small network on the tiny dataset, and the network with random weights."""
    import polymask.modeling.resnet18_fpn  # noqa: F401  (registers it)
    from dataset_tools.catalog import register

    cfg = load_config(
        "configs/mini_scratch.yaml",
        ["MODEL.DEVICE", "cpu", "MODEL.FPN.OUT_CHANNELS", "32", "MODEL.ROI_MASK_HEAD.CONV_DIM", "32",
         "MODEL.ROI_BOX_HEAD.FC_DIM", "32", "INPUT.MIN_SIZE_TEST", "128", "DATALOADER.NUM_WORKERS", "0",
         "MODEL.ROI_HEADS.NAME", "StandardROIHeads", "MODEL.ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG", "False"],
    )  # fmt: skip
    resolve_dataset(cfg, register(tiny_dataset))
    torch.manual_seed(0)
    return cfg, build_model(cfg)


def states():
    return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()


def test_the_training_does_not_notice(small):
    cfg, model = small
    model.train()
    model.backbone.bottom_up.stem.eval()  # a part that somebody holds still
    modes = [module.training for module in model.modules()]
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    before = states()
    with EventStorage() as storage:
        validation_losses(cfg, model)
        assert storage.histories() == {}
    assert states() == before
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(tensor, weights[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_the_same_weights_have_the_same_losses(small):
    cfg, model = small
    first = validation_losses(cfg, model)
    torch.rand(3)
    assert validation_losses(cfg, model) == first
    assert first["total_loss"] == pytest.approx(sum(value for name, value in first.items() if name != "total_loss"))
    assert {"loss_cls", "loss_box_reg", "loss_mask", "loss_rpn_cls", "loss_rpn_loc"} < first.keys()


def test_it_is_the_mean_over_the_photos(small):
    """The losses that draw nothing are the same photo by photo; the others depend on the sampled regions."""
    cfg, model = small
    photos = [photo for (photo,) in build_validation_loader(cfg, "tiny_val")]
    assert len(photos) == 2
    model.train()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()
    with torch.no_grad(), EventStorage():
        # 300 of 256 + ... anchors are drawn at random, so the oracle sees all of them: as many as there are.
        everything = [float(model([photo])["loss_rpn_loc"]) for photo in photos]
    ours = validation_losses(cfg, model)["loss_rpn_loc"]
    # loss_rpn_loc sums over the positive anchors, of which a photo has fewer than the sample takes: nothing is drawn.
    assert ours == pytest.approx(np.mean(everything), rel=1e-5)


def test_other_weights_have_other_losses(small):
    cfg, model = small
    before = validation_losses(cfg, model)
    with torch.no_grad():
        bias = model.roi_heads.mask_head.predictor.bias
        bias -= 3  # no pixel is of an object
    try:
        assert validation_losses(cfg, model)["loss_mask"] > before["loss_mask"] + 0.5
    finally:
        with torch.no_grad():
            bias += 3
