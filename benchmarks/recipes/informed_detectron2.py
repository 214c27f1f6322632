"""One training of the informed peer: Detectron2's own trainer, loader, mapper and evaluation, and a YAML file.

python -m benchmarks.recipes.informed_detectron2 DATASET --output RUN --images 400 --batch 4 --rate 0.0004

With --minutes it takes the number of images from the time of its first iterations.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from detectron2.config import CfgNode, get_cfg
from detectron2.engine import DefaultTrainer
from detectron2.evaluation import COCOEvaluator
from detectron2.solver.build import maybe_add_gradient_clipping
from detectron2.utils.env import seed_all_rng
from detectron2.utils.events import EventStorage

from dataset_tools.catalog import register
from polymask.known_warnings import silence_known_warnings

SETTINGS = Path(__file__).with_name("informed_detectron2.yaml")
LONGEST = 1.67  # the most that a photo's long side may have of the short side of the comparison
TIMED = 20  # iterations


class InformedTrainer(DefaultTrainer):
    """Detectron2's default trainer, but for the optimizer."""

    @classmethod
    def build_optimizer(cls, cfg: CfgNode, model: torch.nn.Module) -> torch.optim.Optimizer:
        adamw = maybe_add_gradient_clipping(cfg, torch.optim.AdamW)
        return adamw(model.parameters(), lr=cfg.SOLVER.BASE_LR, weight_decay=cfg.SOLVER.WEIGHT_DECAY)

    @classmethod
    def build_evaluator(cls, cfg: CfgNode, dataset_name: str) -> COCOEvaluator:
        # The fast implementation needs Detectron2's compiled part, and counts the same.
        return COCOEvaluator(dataset_name, ("bbox", "segm"), output_dir=cfg.OUTPUT_DIR, use_fast_impl=False)


def informed_config(dataset: Path, output: Path, images: int, batch: int, rate: float, size: int, seed: int) -> CfgNode:
    """The peer's configuration.

    Args:
        dataset: a dataset folder with a train and a test split.
        output: the run's folder.
        images: how many a training sees.
        batch: images in an update.
        rate: of learning.
        size: the short side of test photos, in pixels; training photos have 0.8, 0.9 or all of it.
        seed: of weights and order.
    """
    card = register(dataset)
    cfg = get_cfg()
    cfg.merge_from_file(str(SETTINGS))
    cfg.MODEL.DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
    cfg.MODEL.ROI_HEADS.NUM_CLASSES = len(card.classes)
    cfg.DATASETS.TRAIN, cfg.DATASETS.TEST = (f"{card.name}_train",), (f"{card.name}_test",)
    cfg.INPUT.MASK_FORMAT = card.mask_format
    cfg.INPUT.MIN_SIZE_TRAIN = (round(0.8 * size), round(0.9 * size), size)
    cfg.INPUT.MIN_SIZE_TEST = size
    cfg.INPUT.MAX_SIZE_TRAIN = cfg.INPUT.MAX_SIZE_TEST = round(LONGEST * size)
    cfg.SOLVER.IMS_PER_BATCH = batch
    cfg.SOLVER.BASE_LR = rate
    cfg.SOLVER.MAX_ITER, cfg.SOLVER.CHECKPOINT_PERIOD = images // batch, 1_000_000
    cfg.SOLVER.STEPS = ()  # a cosine has none
    cfg.SOLVER.WARMUP_ITERS = cfg.SOLVER.MAX_ITER // 10
    cfg.DATALOADER.NUM_WORKERS = 0  # two trainings at a time have all cores
    cfg.OUTPUT_DIR, cfg.SEED = str(output), seed
    return cfg


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--images", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=0)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--size", type=int, default=240, help="short side in pixels (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    silence_known_warnings()
    seed_all_rng(args.seed)
    args.output.mkdir(parents=True)
    cfg = informed_config(
        args.dataset, args.output, args.images or TIMED * args.batch, args.batch, args.rate, args.size, args.seed
    )
    if not args.images:
        cfg.SOLVER.MAX_ITER = round(args.minutes * 60 / seconds_of_an_iteration(cfg))
        cfg.SOLVER.WARMUP_ITERS = cfg.SOLVER.MAX_ITER // 10
    try:
        InformedTrainer(cfg).train()  # and evaluates at its end
    except FloatingPointError as error:  # the loss became infinite: nothing is found
        print(error)


def seconds_of_an_iteration(cfg: CfgNode) -> float:
    """Trains a model for a moment; it is not used for anything else."""
    trainer = InformedTrainer(cfg)
    begin = time.monotonic()
    with EventStorage():
        for _ in range(TIMED):
            trainer.run_step()
    return (time.monotonic() - begin) / TIMED


if __name__ == "__main__":
    main()
