"""ResNet-18 with a feature pyramid, under Detectron2's BACKBONE_REGISTRY."""

from __future__ import annotations

import torch
from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from detectron2.modeling import BACKBONE_REGISTRY
from detectron2.modeling.backbone import FPN
from detectron2.modeling.backbone.fpn import build_resnet_fpn_backbone

from polymask.config.keys import INSTANCE_NORM

# What makes Detectron2's ResNet the ResNet-18 of He et al. 2016 (https://arxiv.org/abs/1512.03385), as in torchvision.
RESNET18 = ["MODEL.RESNETS.DEPTH", 18, "MODEL.RESNETS.RES2_OUT_CHANNELS", 64, "MODEL.RESNETS.STEM_OUT_CHANNELS", 64]


@BACKBONE_REGISTRY.register()
def build_resnet18_fpn_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> FPN:
    """An FPN over ResNet-18: ``p2`` to ``p6`` of stride 4 to 64, each with ``MODEL.FPN.OUT_CHANNELS`` channels.

    ``backbone.bottom_up`` is Detectron2's ``ResNet`` with ``stem`` and ``res2`` to ``res5``, which equal torchvision's
    ``layer1`` to ``layer4``. The depth is 18 whatever ``MODEL.RESNETS.DEPTH`` says; normalisation and freezing are the
    config's; ``MODEL.RESNETS.NORM`` may also be ``IN``.
    """
    cfg = cfg.clone()
    cfg.defrost()
    cfg.merge_from_list(RESNET18)
    by_photo, frozen = cfg.MODEL.RESNETS.NORM == INSTANCE_NORM, cfg.MODEL.BACKBONE.FREEZE_AT
    if by_photo:
        cfg.merge_from_list(["MODEL.RESNETS.NORM", "BN", "MODEL.BACKBONE.FREEZE_AT", 0])
    backbone = build_resnet_fpn_backbone(cfg, input_shape)
    if by_photo:
        _normalise_by_photo(backbone.bottom_up)
        backbone.bottom_up.freeze(frozen)
    return backbone


def _normalise_by_photo(network: torch.nn.Module) -> None:
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, torch.nn.BatchNorm2d):
                channels = child.num_features
                # A group for each channel. PyTorch's InstanceNorm2d is the same, and slower on a CPU.
                setattr(module, name, torch.nn.GroupNorm(channels, channels, eps=child.eps))
