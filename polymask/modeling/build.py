"""From the configuration to a model, or to words that say why there is none."""

from __future__ import annotations

import torch
from detectron2 import modeling
from detectron2.config import CfgNode
from detectron2.layers import FrozenBatchNorm2d
from detectron2.modeling.backbone import FPN

from dataset_tools.errors import UserError
from polymask.config.refused_keys import refused_keys_reported
from polymask.modeling.jittered_boxes import adds_jittered_boxes
from polymask.modeling.pointwise import DoublingConvTranspose2d, PointwiseConv2d
from polymask.modeling.resnet18_fpn import build_resnet18_fpn_backbone
from polymask.modeling.roi_align import RowPooler

# Modules that compute the same as Detectron2's, faster on a CPU.
FASTER = (RowPooler, PointwiseConv2d, DoublingConvTranspose2d)


def build_model(cfg: CfgNode) -> torch.nn.Module:
    """Detectron2's model of a resolved configuration, on ``MODEL.DEVICE``.

    On a CPU some of its modules compute in a faster way (``FASTER``).

    Raises:
        UserError: Detectron2 refuses the keys of MODEL, or another depth than 18 is asked of our backbone.
    """
    depth, backbone = cfg.MODEL.RESNETS.DEPTH, cfg.MODEL.BACKBONE.NAME
    if backbone == build_resnet18_fpn_backbone.__name__ and depth != 18:  # whose depth is 18 anyway
        raise UserError(
            f"MODEL.RESNETS.DEPTH is {depth}, and MODEL.BACKBONE.NAME is {backbone}",
            remedy="Set MODEL.RESNETS.DEPTH 18, or begin with configs/mask_rcnn_R_50_FPN_coco.yaml",
        )
    with refused_keys_reported("MODEL", "model"):
        model = modeling.build_model(cfg)
    _use_faster_modules(model)
    model.backbone.register_forward_hook(_to_float32)
    _use_channels_last(model.backbone)
    if copies := cfg.MODEL.ROI_HEADS.JITTERED_BOXES:
        model.proposal_generator.register_forward_hook(adds_jittered_boxes(copies))
    return model


def freeze_all_but_heads(model: torch.nn.Module) -> None:
    """Freezes backbone, feature pyramid and RPN, as Detectron2 freezes stages of a ResNet (``MODEL.BACKBONE.FREEZE_AT``).

    Their BatchNorm keeps its statistics, as in an evaluation. The names in checkpoints stay.
    """
    for part in (model.backbone, model.proposal_generator):
        part.requires_grad_(False)
        FrozenBatchNorm2d.convert_frozen_batchnorm(part)


def _use_faster_modules(model: torch.nn.Module) -> None:
    for module in model.modules():
        for faster in FASTER:
            if faster.can_replace(module):
                module.__class__ = faster  # it keeps its name and parameters, and checkpoints do not see a difference


def _to_float32(
    _backbone: torch.nn.Module, _inputs: tuple, features: dict[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    # Under autocast the features are bfloat16 or float16, and Detectron2's ROIAlign rounds the boxes to the type of the
    # features: in bfloat16 a coordinate above 256 is rounded to multiples of 2 px. torchvision's kernel computes in
    # float32 anyway, so that this costs nothing; without autocast it does nothing.
    return {name: feature.float() for name, feature in features.items()}


def _use_channels_last(backbone: torch.nn.Module) -> None:
    """Makes inference on a CPU use PyTorch's channels_last format, in which oneDNN's convolutions are faster.

    From the images on; or from the features on which the pyramid is built, where the network under it has GroupNorm,
    whose variances are inexact in this format where a channel hardly varies. All layers after it keep the format. A
    training keeps the usual one: the gradients of weights are slower otherwise.
    """
    if not _has_group_norm(backbone):
        backbone.register_forward_pre_hook(_images_channels_last)
    elif isinstance(backbone, FPN) and not any(map(_has_group_norm, (*backbone.lateral_convs, *backbone.output_convs))):
        backbone.bottom_up.register_forward_hook(_features_channels_last)


def _has_group_norm(module: torch.nn.Module) -> bool:
    return any(isinstance(part, torch.nn.GroupNorm) for part in module.modules())


def _images_channels_last(backbone: torch.nn.Module, inputs: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
    (images,) = inputs
    return (_channels_last(images, backbone.training),)


def _features_channels_last(
    bottom_up: torch.nn.Module, _inputs: tuple, features: dict[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    return {name: _channels_last(level, bottom_up.training) for name, level in features.items()}


def _channels_last(images: torch.Tensor, training: bool) -> torch.Tensor:
    if training or images.device.type != "cpu":
        return images
    return images.contiguous(memory_format=torch.channels_last)
