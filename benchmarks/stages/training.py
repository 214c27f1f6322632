"""A training step beside Detectron2's and torchvision's: one batch again and again, from equal random weights."""

from __future__ import annotations

import itertools
from functools import partial

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.structures import BitMasks, Boxes, Instances
from detectron2.utils.events import EventStorage
from PIL import Image, ImageDraw

from benchmarks.stages.detectron2_peer import Detectron2Step, forward_once
from benchmarks.stages.layers import layers_alone, measure_work, record_layers
from benchmarks.stages.options import CLASSES, Options, frozen_config
from benchmarks.stages.same_work import check_losses, check_work
from benchmarks.stages.timing import Contender, Pair, Stage
from benchmarks.stages.torchvision_peer import TorchvisionStep
from polymask.data.seeding import seed_everything
from polymask.engine.trainer import Trainer
from polymask.engine.update import UpdateTrainer
from polymask.modeling.build import build_model
from polymask.modeling.precision import NAMES, half_type

OURS, DETECTRON2, TORCHVISION, LIMIT = "polymask", "Detectron2", "torchvision", "layers alone"

# The weights must hardly move, so that every round has the same regions.
_STILL = ["SOLVER.BASE_LR", "1e-7", "SOLVER.AMP.ENABLED", "False"]
SIDE = 256  # px
FULL = [
    *_STILL, "INPUT.MIN_SIZE_TRAIN", f"({SIDE},)", "INPUT.MAX_SIZE_TRAIN", str(SIDE), "SOLVER.IMS_PER_BATCH", "2",
    # torchvision's own, where Detectron2's default is adaptive. It is the same on all sides.
    "MODEL.ROI_BOX_HEAD.POOLER_SAMPLING_RATIO", "2", "MODEL.ROI_MASK_HEAD.POOLER_SAMPLING_RATIO", "2",
]  # fmt: skip

# On a drawn photo. Proposals of random weights hit objects by chance: with so many objects the mini network gets 26
# regions for masks in a step, as in the middle of the demo's training.
OBJECTS = 24
SIDES = (32, 80)  # px

# Losses that both libraries define alike; those of boxes differ by a constant of smooth L1.
TORCHVISION_LOSSES = {"loss_cls": "loss_classifier", "loss_mask": "loss_mask", "loss_rpn_cls": "loss_objectness"}
# Random regions and anchors are drawn in another order there.
TORCHVISION_TOLERANCE = 0.1
# float32 sums in another order.
LOSS_TOLERANCE = 1e-3
# torchvision has outputs for the background too, and the matched regions differ by a few.
WORK_TOLERANCE = 0.05


class OurStep:
    """An iteration of polymask's trainer on one batch, again and again.

    Args:
        compute_type: of the forward pass.
        weights: to begin with.
    """

    def __init__(self, cfg: CfgNode, batch: list[dict], compute_type: torch.dtype, weights: dict[str, torch.Tensor]):
        self.model = build_model(cfg)
        self.model.load_state_dict(weights)
        self.forward = partial(forward_once, cfg, self.model, batch)
        self._trainer = UpdateTrainer(
            self.model, itertools.repeat(batch), Trainer.build_optimizer(cfg, self.model),
            device=cfg.MODEL.DEVICE, compute_type=compute_type, parts=1, seed=cfg.SEED,
        )  # fmt: skip

    def run(self) -> dict[str, float]:
        """The losses before the update."""
        with EventStorage():
            self._trainer.run_step()
        return self._trainer.losses


def training_mini(options: Options) -> Stage:
    """The network of ``configs/mini_scratch.yaml``."""
    # Detectron2 adds no copies of annotated boxes to the regions.
    cfg = frozen_config("configs/mini_scratch.yaml", [*_STILL, "MODEL.ROI_HEADS.JITTERED_BOXES", "0"])
    return _stage(cfg, (320, cfg.INPUT.MIN_SIZE_TRAIN[0]), aims={}, with_torchvision=False)


def training_full(options: Options) -> Stage:
    """The network of ``configs/mask_rcnn_R_18_FPN.yaml`` on 2 photos of 256 px."""
    cfg = frozen_config("configs/mask_rcnn_R_18_FPN.yaml", FULL)
    aims = {
        (half_type(cfg.MODEL.DEVICE), DETECTRON2): 2.0,
        (torch.float32, DETECTRON2): 1.4,
        (torch.float32, TORCHVISION): 1.2 if torch.get_num_threads() == 1 else 1.3,
    }
    return _stage(cfg, (SIDE, SIDE), aims, with_torchvision=True)


def _stage(
    cfg: CfgNode, size: tuple[int, int], aims: dict[tuple[torch.dtype | None, str], float], with_torchvision: bool
) -> Stage:
    batch = [_draw_photo(np.random.default_rng((0, index)), size) for index in range(cfg.SOLVER.IMS_PER_BATCH)]
    seed_everything(cfg.SEED)
    theirs = Detectron2Step(cfg, batch)
    weights = {name: tensor.clone() for name, tensor in theirs.model.state_dict().items()}
    half = half_type(cfg.MODEL.DEVICE)
    types = (torch.float32, half) if half else (torch.float32,)
    steps: dict[str, OurStep | Detectron2Step | TorchvisionStep] = {
        f"{OURS}, {NAMES[kind]}": OurStep(cfg, batch, kind, weights) for kind in types
    }
    steps[DETECTRON2] = theirs
    if with_torchvision:
        steps[TORCHVISION] = TorchvisionStep(cfg, batch, weights)
    calls = {name: record_layers(step.model, step.forward) for name, step in steps.items()}
    works = {name: measure_work(step.model, calls[name]) for name, step in steps.items()}
    contenders = [Contender(name, step.run) for name, step in steps.items()]
    contenders += [Contender(f"{LIMIT}, {NAMES[kind]}", layers_alone(calls[DETECTRON2], kind)) for kind in types]
    rows = [(kind, DETECTRON2) for kind in types] + [(torch.float32, TORCHVISION)] * with_torchvision
    pairs = [
        Pair(f"{OURS}, {NAMES[kind]}", peer, aims.get((kind, peer)), f"{LIMIT}, {NAMES[kind]}") for kind, peer in rows
    ]
    work = f"forward, backward and update of {len(batch)} x {size[0]} x {size[1]} px"
    return Stage(work, tuple(contenders), tuple(pairs), lambda results: _check(results, works))


def _check(results: dict[str, dict[str, float]], works: dict[str, dict[str, int]]) -> str:
    ours = f"{OURS}, float32"
    losses = {name: name for name in results[ours] if name in results[DETECTRON2]}
    said = [
        f"{DETECTRON2}: {check_work(works[ours], works[DETECTRON2])}",
        check_losses(results[ours], results[DETECTRON2], losses, LOSS_TOLERANCE),
    ]
    if TORCHVISION in results:
        said.append(f"{TORCHVISION}: {check_work(works[ours], works[TORCHVISION], WORK_TOLERANCE)}")
        said.append(check_losses(results[ours], results[TORCHVISION], TORCHVISION_LOSSES, TORCHVISION_TOLERANCE))
    return "; ".join(said)


def _draw_photo(rng: np.random.Generator, size: tuple[int, int]) -> dict:
    """An input of Detectron2's models: ellipses on noise, with bitmasks; ``size`` is (width, height) in pixels."""
    width, height = size
    pixels = Image.fromarray(rng.integers(60, 120, (height, width, 3), dtype=np.uint8))
    masks = []
    for _ in range(OBJECTS):
        sides = rng.uniform(*SIDES, 2)
        corner = rng.uniform((0, 0), np.array(size) - sides)
        outline = [*corner.tolist(), *(corner + sides).tolist()]
        mask = Image.new("L", size)
        ImageDraw.Draw(mask).ellipse(outline, fill=1)
        ImageDraw.Draw(pixels).ellipse(outline, fill=tuple(rng.integers(120, 256, 3).tolist()))
        masks.append(np.array(mask, dtype=bool))
    instances = Instances((height, width))
    instances.gt_masks = BitMasks(torch.from_numpy(np.stack(masks)))
    instances.gt_boxes = Boxes(instances.gt_masks.get_bounding_boxes().tensor)
    instances.gt_classes = torch.from_numpy(rng.integers(len(CLASSES), size=OBJECTS))
    image = torch.from_numpy(np.array(pixels).transpose(2, 0, 1).copy())
    return {"image": image, "instances": instances, "height": height, "width": width}
