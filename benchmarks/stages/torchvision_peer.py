"""torchvision's Mask R-CNN ResNet-18 FPN, made equal to a Detectron2 model: layers, regions, sampling and weights."""

from __future__ import annotations

import torch
from detectron2.config import CfgNode
from detectron2.structures import Instances
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.ops import FrozenBatchNorm2d, MultiScaleRoIAlign

from polymask.data.seeding import seed_everything
from polymask.modeling.weights import from_torchvision

FROZEN_STAGES = 2  # MODEL.BACKBONE.FREEZE_AT: torchvision counts the stages that are trained, of five

# torchvision's names of the layers behind the backbone, and Detectron2's.
LAYERS = {
    **{f"backbone.fpn.inner_blocks.{k}.0": f"backbone.fpn_lateral{k + 2}" for k in range(4)},
    **{f"backbone.fpn.layer_blocks.{k}.0": f"backbone.fpn_output{k + 2}" for k in range(4)},
    "rpn.head.conv.0.0": "proposal_generator.rpn_head.conv",
    "rpn.head.cls_logits": "proposal_generator.rpn_head.objectness_logits",
    "rpn.head.bbox_pred": "proposal_generator.rpn_head.anchor_deltas",
    "roi_heads.box_head.fc6": "roi_heads.box_head.fc1",
    "roi_heads.box_head.fc7": "roi_heads.box_head.fc2",
    **{f"roi_heads.mask_head.{k}.0": f"roi_heads.mask_head.mask_fcn{k + 1}" for k in range(4)},
    "roi_heads.mask_predictor.conv5_mask": "roi_heads.mask_head.deconv",
}
# The layers with an output for each class: torchvision has one more, the background, in the first place.
CLASS_LAYERS = {
    "roi_heads.box_predictor.bbox_pred": "roi_heads.box_predictor.bbox_pred",
    "roi_heads.mask_predictor.mask_fcn_logits": "roi_heads.mask_head.predictor",
}
CLASS_SCORES = "roi_heads.box_predictor.cls_score"


class TorchvisionStep:
    """An iteration of torchvision's model on one batch, again and again: forward, backward, SGD; float32.

    Args:
        cfg: of the full network with frozen normalisation, trained by SGD.
        batch: Detectron2's inputs with bitmasks, of photos that have the size of the configuration already.
        weights: the state of the Detectron2 model.
    """

    def __init__(self, cfg: CfgNode, batch: list[dict], weights: dict[str, torch.Tensor]):
        self.cfg = cfg
        self.model = _build_equal_model(cfg).to(cfg.MODEL.DEVICE).train()
        self.model.load_state_dict(_rename(weights, self.model.state_dict()))
        self._photos = [item["image"] for item in batch]
        self._targets = [_target(item["instances"], cfg.MODEL.DEVICE) for item in batch]
        trained, solver = [p for p in self.model.parameters() if p.requires_grad], cfg.SOLVER
        self._optimizer = torch.optim.SGD(
            trained, lr=solver.BASE_LR, momentum=solver.MOMENTUM, weight_decay=solver.WEIGHT_DECAY
        )

    def run(self) -> dict[str, float]:
        """The losses before the update, under torchvision's names."""
        losses = self.forward()
        self._optimizer.zero_grad()
        sum(losses.values()).backward()
        values = {name: loss.item() for name, loss in losses.items()}
        if self.cfg.SOLVER.CLIP_GRADIENTS.ENABLED:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.cfg.SOLVER.CLIP_GRADIENTS.CLIP_VALUE)
        self._optimizer.step()
        return values

    def forward(self) -> dict[str, torch.Tensor]:
        """The losses of the batch."""
        seed_everything(self.cfg.SEED, 0, 0)
        photos = [photo.to(self.cfg.MODEL.DEVICE).float() / 255 for photo in self._photos]
        return self.model(photos, self._targets)


def _build_equal_model(cfg: CfgNode) -> MaskRCNN:
    """torchvision's network with the anchors, proposals, regions and sampling ratio of a configuration."""
    backbone = resnet_fpn_backbone(
        backbone_name="resnet18", weights=None, norm_layer=FrozenBatchNorm2d, trainable_layers=5 - FROZEN_STAGES
    )
    model, heads = cfg.MODEL, cfg.MODEL.ROI_HEADS
    sizes = tuple(tuple(level) for level in model.ANCHOR_GENERATOR.SIZES)
    ratios = (tuple(model.ANCHOR_GENERATOR.ASPECT_RATIOS[0]),) * len(sizes)
    levels = ["0", "1", "2", "3"]
    sampling = model.ROI_BOX_HEAD.POOLER_SAMPLING_RATIO, model.ROI_MASK_HEAD.POOLER_SAMPLING_RATIO
    return MaskRCNN(
        backbone,
        num_classes=heads.NUM_CLASSES + 1,
        min_size=cfg.INPUT.MIN_SIZE_TRAIN[0],
        max_size=cfg.INPUT.MAX_SIZE_TRAIN,
        rpn_anchor_generator=AnchorGenerator(sizes, ratios),
        rpn_pre_nms_top_n_train=model.RPN.PRE_NMS_TOPK_TRAIN,
        rpn_post_nms_top_n_train=model.RPN.POST_NMS_TOPK_TRAIN,
        rpn_batch_size_per_image=model.RPN.BATCH_SIZE_PER_IMAGE,
        box_batch_size_per_image=heads.BATCH_SIZE_PER_IMAGE,
        box_positive_fraction=heads.POSITIVE_FRACTION,
        box_roi_pool=MultiScaleRoIAlign(levels, model.ROI_BOX_HEAD.POOLER_RESOLUTION, sampling[0]),
        mask_roi_pool=MultiScaleRoIAlign(levels, model.ROI_MASK_HEAD.POOLER_RESOLUTION, sampling[1]),
    )


def _rename(weights: dict[str, torch.Tensor], own: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Detectron2's weights under torchvision's names; what torchvision has for the background class stays its own."""
    body = [name.removeprefix("backbone.body.") for name in own if name.startswith("backbone.body.")]
    theirs_of = from_torchvision(dict(zip(body, body, strict=True)))
    renamed = {f"backbone.body.{name}": weights[theirs] for theirs, name in theirs_of.items()}
    for part in ("weight", "bias"):
        renamed |= {f"{name}.{part}": weights[f"{theirs}.{part}"] for name, theirs in LAYERS.items()}
        renamed[f"{CLASS_SCORES}.{part}"] = weights[f"{CLASS_SCORES}.{part}"].roll(1, dims=0)
        for name, theirs in CLASS_LAYERS.items():
            classes = weights[f"{theirs}.{part}"]
            background = own[f"{name}.{part}"][: len(own[f"{name}.{part}"]) - len(classes)]
            renamed[f"{name}.{part}"] = torch.cat([background, classes])
    return renamed


def _target(instances: Instances, device: str) -> dict[str, torch.Tensor]:
    target = {
        "boxes": instances.gt_boxes.tensor,
        "labels": instances.gt_classes + 1,
        "masks": instances.gt_masks.tensor.to(torch.uint8),
    }
    return {name: tensor.to(device) for name, tensor in target.items()}
