import pytest
import torch
from detectron2.modeling import build_model

from polymask.config.load import load_config
from polymask.modeling.checkpoint import Checkpointer

CONFIG = "configs/mask_rcnn_R_18_FPN.yaml"


def model_of(config=CONFIG, *overrides):
    cfg = load_config(config, ["MODEL.DEVICE", "cpu", "MODEL.ROI_HEADS.NUM_CLASSES", "2", *overrides])
    return build_model(cfg).eval()


def test_features_equal_torchvisions(torchvision_resnet18, torchvision_file):
    model = model_of()
    Checkpointer(model, classes=["a", "b"]).load(str(torchvision_file))
    photo = torch.randn(2, 3, 96, 160)
    with torch.no_grad():
        net = torchvision_resnet18
        expected = {"stem": net.maxpool(net.relu(net.bn1(net.conv1(photo))))}
        for number in range(1, 5):
            expected[f"res{number + 1}"] = net.get_submodule(f"layer{number}")(list(expected.values())[-1])
        bottom_up = model.backbone.bottom_up
        features = {"stem": bottom_up.stem(photo)} | bottom_up(photo)
    assert features.keys() == expected.keys()
    for name in expected:
        torch.testing.assert_close(features[name], expected[name], rtol=0, atol=1e-5, msg=name)


def test_pyramid_has_five_levels_of_stride_4_to_64():
    backbone = model_of().backbone
    shapes = backbone.output_shape()
    assert {name: shape.stride for name, shape in shapes.items()} == {"p2": 4, "p3": 8, "p4": 16, "p5": 32, "p6": 64}
    with torch.no_grad():
        features = backbone(torch.zeros(1, 3, 128, 192))
    for name, shape in shapes.items():
        assert features[name].shape == (1, shape.channels, 128 // shape.stride, 192 // shape.stride)


def test_depth_is_18_in_any_config():
    from detectron2.config import get_cfg
    from detectron2.layers import ShapeSpec
    from detectron2.modeling import BACKBONE_REGISTRY

    cfg = get_cfg()  # Detectron2's own: depth 50
    cfg.MODEL.RESNETS.OUT_FEATURES = ["res2", "res3", "res4", "res5"]
    cfg.MODEL.FPN.IN_FEATURES = ["res2", "res3", "res4", "res5"]
    backbone = BACKBONE_REGISTRY.get("build_resnet18_fpn_backbone")(cfg, ShapeSpec(channels=3))
    blocks = [len(getattr(backbone.bottom_up, f"res{stage}")) for stage in range(2, 6)]
    assert blocks == [2, 2, 2, 2]
    assert cfg.MODEL.RESNETS.DEPTH == 50, "the caller's config must stay as it is"


@pytest.mark.parametrize(
    ("config", "learning", "fixed"),
    [
        (CONFIG, "res3", "stem"),
        ("configs/mini_scratch.yaml", "stem", None),
        ("configs/mask_rcnn_R_18_FPN_scratch.yaml", "stem", None),
    ],
)
def test_what_learns(config, learning, fixed):
    bottom_up = model_of(config).backbone.bottom_up
    assert all(p.requires_grad for p in getattr(bottom_up, learning).parameters())
    if fixed:
        assert not any(p.requires_grad for p in getattr(bottom_up, fixed).parameters())


def test_instance_norm_is_batch_norm_of_each_photo():
    scratch = ["MODEL.WEIGHTS", "", "MODEL.BACKBONE.FREEZE_AT", "0", "MODEL.RESNETS.NORM"]
    by_batch, by_photo = (model_of(CONFIG, *scratch, norm).backbone for norm in ("BN", "IN"))
    weights = {name: tensor for name, tensor in by_batch.state_dict().items() if name in by_photo.state_dict()}
    by_photo.load_state_dict(weights)
    photos = 2 * torch.randn(2, 3, 96, 160) + torch.tensor([-1.0, 1.0])[:, None, None, None]
    with torch.no_grad():
        together = by_photo(photos)
        by_batch.train()
        for index in range(2):
            alone = by_batch(photos[index : index + 1])
            for name in alone:
                torch.testing.assert_close(together[name][index], alone[name][0], rtol=0, atol=1e-4, msg=name)


def test_stages_with_instance_norm_freeze():
    scratch = ["MODEL.WEIGHTS", "", "MODEL.RESNETS.NORM", "IN", "MODEL.BACKBONE.FREEZE_AT", "2"]
    bottom_up = model_of(CONFIG, *scratch).backbone.bottom_up
    learns = {name.split(".")[0] for name, parameter in bottom_up.named_parameters() if parameter.requires_grad}
    assert learns == {"res3", "res4", "res5"}
    assert not list(bottom_up.buffers())
