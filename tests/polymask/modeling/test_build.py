import copy

import pytest
import torch
from detectron2 import modeling
from detectron2.structures import BitMasks, Boxes, Instances
from detectron2.utils.events import EventStorage

from polymask.config.load import load_config
from polymask.modeling.build import FASTER, build_model, freeze_all_but_heads

HEADS = ["StandardROIHeads", "CascadeROIHeads"]


def config(heads, file="configs/mini_scratch.yaml"):
    overrides = ["MODEL.DEVICE", "cpu", "MODEL.ROI_HEADS.NUM_CLASSES", "2", "MODEL.ROI_HEADS.NAME", heads]
    overrides += ["MODEL.ROI_HEADS.JITTERED_BOXES", "0"]  # which are ours alone
    return load_config(file, overrides)


def models(heads):
    """Ours and Detectron2's with the same weights."""
    ours, theirs = build_model(config(heads)), modeling.build_model(config(heads))
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


def photo(side=128):
    generator = torch.Generator().manual_seed(0)
    instances = Instances((side, side))
    instances.gt_boxes = Boxes(torch.tensor([[10.0, 10, 60, 50], [70, 60, 120, 125]]))
    instances.gt_classes = torch.tensor([0, 1])
    masks = torch.zeros(2, side, side, dtype=torch.bool)
    masks[0, 10:50, 10:60] = masks[1, 60:125, 70:120] = True
    instances.gt_masks = BitMasks(masks)
    image = torch.randint(0, 256, (3, side, side), generator=generator, dtype=torch.uint8)
    return {"image": image, "instances": instances}


@pytest.mark.parametrize("heads", HEADS)
def test_every_faster_module_is_in_use_and_checkpoints_do_not_see_it(heads):
    ours, theirs = models(heads)
    assert set(FASTER) <= {type(module) for module in ours.modules()}
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert not set(FASTER) & {type(module) for module in theirs.modules()}


@pytest.mark.parametrize("heads", HEADS)
def test_losses_and_gradients_are_those_of_detectron2(heads):
    found = []
    for model in models(heads):
        torch.manual_seed(1)  # which regions are sampled
        with EventStorage():
            losses = model.train()([copy.deepcopy(photo())])
        sum(losses.values()).backward()
        found.append((losses, {name: p.grad for name, p in model.named_parameters()}))
    (our_losses, our_gradients), (their_losses, their_gradients) = found
    torch.testing.assert_close(our_losses, their_losses, rtol=1e-4, atol=1e-5)
    for name, gradient in their_gradients.items():
        torch.testing.assert_close(our_gradients[name], gradient, rtol=1e-2, atol=1e-3, msg=name)


@pytest.mark.parametrize("heads", HEADS)
def test_predictions_are_those_of_detectron2(heads):
    ours, theirs = (model.eval()([photo()])[0]["instances"] for model in models(heads))
    assert len(ours) == len(theirs) > 0
    torch.testing.assert_close(ours.pred_boxes.tensor, theirs.pred_boxes.tensor, rtol=0, atol=1e-2)
    torch.testing.assert_close(ours.scores, theirs.scores, rtol=0, atol=1e-4)
    assert (ours.pred_masks != theirs.pred_masks).float().mean() < 1e-3


def are_channels_last(features):
    return {level.is_contiguous(memory_format=torch.channels_last) for level in features.values() if level.shape[2] > 1}


@pytest.mark.parametrize("norm, below", [("BN", True), ("IN", False), ("GN", False)])
def test_the_channels_lie_together_in_inference_alone(norm, below):
    """Under the pyramid only where no GroupNorm is, which is inexact then; IN is one."""
    cfg = config("StandardROIHeads")
    cfg.MODEL.RESNETS.NORM = norm
    backbone = build_model(cfg).eval().backbone
    images = torch.zeros(1, 3, 64, 64)
    assert are_channels_last(backbone(images)) == {True}
    taken = []
    for stage in (backbone.bottom_up.stem, *backbone.bottom_up.stages):
        stage.register_forward_hook(lambda _, images, features: taken.append(features))
    backbone(images)
    assert are_channels_last(dict(enumerate(taken))) == {below}
    assert are_channels_last(backbone.train()(images)) == {False}


def test_a_pyramid_with_group_norm_keeps_the_usual_format():
    cfg = config("StandardROIHeads")
    cfg.MODEL.FPN.NORM = "GN"
    assert are_channels_last(build_model(cfg).eval().backbone(torch.zeros(1, 3, 64, 64))) == {False}


@pytest.mark.parametrize("file", ["configs/mini_scratch.yaml", "configs/mask_rcnn_R_50_FPN_coco.yaml"])
def test_boxes_are_not_rounded_in_half_precision(file):
    """ROIAlign takes boxes in the type of the features."""
    cfg = load_config(file, ["MODEL.ROI_HEADS.NUM_CLASSES", "2", "MODEL.DEVICE", "cpu"])
    backbone = build_model(cfg).eval().backbone
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert {level.dtype for level in backbone(torch.zeros(1, 3, 64, 64)).values()} == {torch.float32}


def test_features_of_a_photo_of_one_colour_are_exact():
    """All that its channels differ in are the edges, so that rounded variances would be seen."""
    backbone = build_model(config("StandardROIHeads")).eval().backbone
    photo = torch.full((1, 3, 256, 320), -0.1)
    with torch.no_grad():
        features = backbone(photo)
        backbone._forward_hooks.clear()  # which would make float32 of them
        exact = backbone.double()(photo.double())
    for name, level in features.items():
        torch.testing.assert_close(level.double(), exact[name], rtol=0, atol=1e-4 * float(exact[name].abs().max()))


@pytest.mark.parametrize("norm", ["BN", "GN"])
def test_all_but_the_heads_is_frozen(norm):
    """In a training the rest computes as in an evaluation, and learns nothing; the names in checkpoints stay."""
    cfg = config("StandardROIHeads")
    cfg.MODEL.RESNETS.NORM = cfg.MODEL.FPN.NORM = cfg.MODEL.ROI_MASK_HEAD.NORM = norm
    model = build_model(cfg)
    before = copy.deepcopy(model.state_dict())
    features = model.eval().backbone(torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)))
    freeze_all_but_heads(model)
    again = model.train().backbone(torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)))
    for name, level in features.items():
        torch.testing.assert_close(again[name], level, rtol=1e-3, atol=1e-3)  # the order of sums differs
    with EventStorage():
        sum(model([photo()]).values()).backward()
    assert all((p.grad is not None) == name.startswith("roi_heads.") for name, p in model.named_parameters())
    after = model.state_dict()
    assert list(after) == list(before)
    changed = {name for name, tensor in after.items() if not torch.equal(tensor, before[name])}
    assert all(".norm." in name and name.startswith("roi_heads.mask_head.") for name in changed)
    assert bool(changed) == (norm == "BN")
