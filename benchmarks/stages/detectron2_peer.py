"""Detectron2 as a user has it: the configuration without our parts, and one step of its own trainer."""

from __future__ import annotations

import itertools
from functools import partial
from importlib import import_module

import torch
import torchvision
from detectron2.config import CfgNode
from detectron2.engine import SimpleTrainer
from detectron2.modeling import build_model
from detectron2.utils.events import EventStorage

from benchmarks.stages.timing import DifferentWork
from polymask.config.keys import INSTANCE_NORM
from polymask.data.seeding import seed_everything
from polymask.engine.trainer import Trainer

# Our names of parts of the network, and Detectron2's of the same part.
DETECTRON2_NAMES = {"build_resnet18_fpn_backbone": "build_resnet_fpn_backbone"}


def detectron2_config(cfg: CfgNode) -> CfgNode:
    """The same network, of Detectron2's and PyTorch's parts alone.

    With instance normalisation, which Detectron2 does not build, the backbone stays ours: it is theirs with PyTorch's
    GroupNorm.
    """
    plain = cfg.clone()
    plain.defrost()
    if cfg.MODEL.RESNETS.NORM != INSTANCE_NORM:
        plain.MODEL.BACKBONE.NAME = DETECTRON2_NAMES.get(cfg.MODEL.BACKBONE.NAME, cfg.MODEL.BACKBONE.NAME)
    plain.freeze()
    return plain


def demand_plain(model: torch.nn.Module) -> None:
    """Raises DifferentWork for a peer with a part of ours, or with another ROIAlign than torchvision's."""
    ours = {type(module).__name__ for module in model.modules() if type(module).__module__.startswith("polymask")}
    if ours:
        raise DifferentWork(f"the peer has parts of ours: {', '.join(sorted(ours))}")
    # The package has a function of the same name as its module.
    if import_module("detectron2.layers.roi_align").roi_align is not torchvision.ops.roi_align:
        raise DifferentWork("Detectron2's ROIAlign was replaced in the whole process")


def forward_once(cfg: CfgNode, model: torch.nn.Module, batch: list[dict]) -> None:
    """The forward pass of a training step, with the regions of the first step."""
    seed_everything(cfg.SEED, 0, 0)
    with EventStorage():
        model.train()(batch)


class Detectron2Step:
    """An iteration of Detectron2's ``SimpleTrainer`` on one batch, again and again; float32, as Detectron2 trains."""

    def __init__(self, cfg: CfgNode, batch: list[dict]):
        self.cfg = cfg
        self.model = build_model(detectron2_config(cfg))
        demand_plain(self.model)
        self.forward = partial(forward_once, cfg, self.model, batch)
        optimizer = Trainer.build_optimizer(cfg, self.model)
        for group in optimizer.param_groups:
            group["fused"] = None  # PyTorch's default
        self._trainer = SimpleTrainer(self.model, itertools.repeat(batch), optimizer)

    def run(self) -> dict[str, float]:
        """The losses before the update."""
        with EventStorage() as storage:
            seed_everything(self.cfg.SEED, self._trainer.iter, 0)  # as our trainer does
            self._trainer.run_step()
            return {name: value for name, (value, _) in storage.latest().items() if name.startswith("loss_")}
