"""polymask's mini network beside torchvision's own Mask R-CNN ResNet-18 FPN: same scenes, same photos seen.

    python -m benchmarks.torchvision_peer --dataset datasets/sample --output output/peer [KEY VALUE ...]

Both are trained from random weights by the same loop: the same batches in the same order with the same flips, the
same solver and autocast, photos of the same size, anchors of the same sizes; one COCO evaluation judges both. What
differs is the network: torchvision's is its own in everything else (256 channels, 512 regions, its initialisation and
its defaults). The two are trained at the same time, each with half of the machine's threads, so that both
meet the same noise.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch
from detectron2.config import CfgNode
from detectron2.structures import Boxes, Instances
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone

from benchmarks.training import Outcome, print_outcomes, train_and_evaluate
from polymask.engine.trainer import Trainer
from polymask.known_warnings import silence_known_warnings

CONFIG = "configs/mini_scratch.yaml"


class TorchvisionMaskRCNN(torch.nn.Module):
    """torchvision's Mask R-CNN with the inputs and outputs of a Detectron2 model.

    Their format: https://detectron2.readthedocs.io/en/latest/tutorials/models.html
    """

    def __init__(self, cfg: CfgNode):
        super().__init__()
        backbone = resnet_fpn_backbone(
            backbone_name="resnet18", weights=None, norm_layer=torch.nn.BatchNorm2d, trainable_layers=5
        )
        sizes = tuple(tuple(level) for level in cfg.MODEL.ANCHOR_GENERATOR.SIZES)
        ratios = (tuple(cfg.MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS[0]),) * len(sizes)
        self.network = MaskRCNN(
            backbone,
            num_classes=cfg.MODEL.ROI_HEADS.NUM_CLASSES + 1,  # torchvision counts the background, as class 0
            min_size=cfg.INPUT.MIN_SIZE_TEST,
            max_size=cfg.INPUT.MAX_SIZE_TEST,
            rpn_anchor_generator=AnchorGenerator(sizes, ratios),
        )
        self.device = torch.device(cfg.MODEL.DEVICE)
        self.to(self.device)

    def forward(self, inputs: list[dict]) -> dict[str, torch.Tensor] | list[dict]:
        photos = [item["image"].to(self.device).float() / 255 for item in inputs]
        if self.training:
            return self.network(photos, [self._target(item["instances"]) for item in inputs])
        return [
            {"instances": self._instances(found, photo, item)}
            for found, photo, item in zip(self.network(photos), photos, inputs, strict=True)
        ]

    def _target(self, instances: Instances) -> dict[str, torch.Tensor]:
        height, width = instances.image_size
        if len(instances) == 0:
            masks = torch.zeros((0, height, width), dtype=torch.uint8)
        else:
            masks = instances.gt_masks.tensor.to(torch.uint8)
        target = {"boxes": instances.gt_boxes.tensor, "labels": instances.gt_classes + 1, "masks": masks}
        return {name: tensor.to(self.device) for name, tensor in target.items()}

    def _instances(self, found: dict[str, torch.Tensor], photo: torch.Tensor, item: dict) -> Instances:
        size = (item["height"], item["width"])
        instances = Instances(size)
        instances.pred_boxes = Boxes(found["boxes"].clone())
        instances.pred_boxes.scale(size[1] / photo.shape[2], size[0] / photo.shape[1])
        instances.scores = found["scores"]
        instances.pred_classes = found["labels"] - 1
        masks = (
            torch.nn.functional.interpolate(found["masks"], size, mode="bilinear")
            if len(found["masks"])
            else found["masks"]
        )
        instances.pred_masks = masks.reshape(-1, *size) >= 0.5
        return instances


class TorchvisionTrainer(Trainer):
    """polymask's loop around torchvision's network."""

    @classmethod
    def build_model(cls, cfg: CfgNode) -> torch.nn.Module:
        return TorchvisionMaskRCNN(cfg)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("opts", nargs=argparse.REMAINDER, metavar="KEY VALUE", help="for both")
    args = parser.parse_args()
    overrides = ["DATASETS.ROOT", str(args.dataset), *args.opts]
    # torchvision takes masks as bitmaps; Detectron2 makes them of the same polygons.
    bitmasks = [*overrides, "INPUT.MASK_FORMAT", "bitmask"]
    # New processes, since a process that has used its threads cannot be forked.
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn"), initializer=_begin) as pool:
        ours = pool.submit(_train, "polymask mini_scratch", overrides, args.output, Trainer)
        theirs = pool.submit(_train, "torchvision MaskRCNN resnet18", bitmasks, args.output, TorchvisionTrainer)
        ours, theirs = ours.result(), theirs.result()
    print_outcomes([ours, theirs], args.output / "torchvision_peer.json", threads=_threads())
    print(f"Seconds an iteration, torchvision's over ours: {theirs.seconds / ours.seconds:.2f}")


def _begin() -> None:
    silence_known_warnings()
    torch.set_num_threads(_threads())


def _threads() -> int:
    """Half of the machine for each of the two."""
    return max(1, (os.cpu_count() or 1) // 2)


def _train(name: str, overrides: list[str], output: Path, trainer_class: type[Trainer]) -> Outcome:
    return train_and_evaluate(name, CONFIG, overrides, output, trainer_class)


if __name__ == "__main__":
    main()
