"""Recipes side by side: the same mini network, the same number of training images seen, the same seeds.

    python -m benchmarks.recipes --dataset datasets/sample --output output/recipes [--images 800] [--seeds 5]
        [--recipe NAME ...] [KEY VALUE ...]
    python -m benchmarks.recipes --labelme FOLDER --output output/recipes [--images 800] [--seeds 5] [--folds 3]
        [--recipe NAME ...] [--rates RECIPES.JSON] [KEY VALUE ...]

On a dataset folder every recipe is trained with each seed and measured on the test split; on a LabelMe folder by
cross-validation, with the predictions on all held-out photos pooled. A recipe with several learning rates takes the one
whose first training is best on VAL (on a LabelMe folder: the one named with --rates, which a run on a dataset folder
has chosen). Each training is a process of its own with one thread; what has been trained is not trained again when the
command is repeated.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import os
import shutil
import statistics
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import torch
from tabulate import tabulate
from tqdm import tqdm

from benchmarks.folds import make_folds, pooled_evaluation
from benchmarks.training import train
from dataset_tools.errors import UserError
from polymask.config.load import load_config
from polymask.engine.hooks.finite_loss import REPORT_NAME
from polymask.evaluation.coco import TASKS, detections_file
from polymask.evaluation.intervals import bootstrap_interval
from polymask.known_warnings import silence_known_warnings

MINI = "configs/mini_scratch.yaml"
# Student's t for a two-sided 95 % interval, by degrees of freedom: any table of the distribution.
T_95 = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}


@dataclass(frozen=True)
class Recipe:
    """What is put over ``mini_scratch.yaml``; the network stays, but for ``heads``.

    Args:
        name: for people and folders.
        overrides: KEY VALUE pairs.
        rates: of learning that are tried.
        once: whether the first seed is enough.
    """

    name: str
    overrides: tuple[str, ...]
    rates: tuple[str, ...] = ()
    once: bool = False

    def seeds(self, seeds: Sequence[int]) -> Sequence[int]:
        return seeds[:1] if self.once else seeds


# What mini_scratch.yaml has of its own in the way of training, taken back.
PLAIN = (
    "MODEL.ROI_HEADS.NAME", "StandardROIHeads", "MODEL.ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG", "False",
    "SOLVER.OPTIMIZER", "SGD", "SOLVER.MOMENTUM", "0.9", "SOLVER.WEIGHT_DECAY", "0.0001", "SOLVER.EMA_DECAY", "0.0",
    "SOLVER.CLIP_GRADIENTS.ENABLED", "False", "SOLVER.LR_SCHEDULER_NAME", "WarmupMultiStepLR",
    "SOLVER.IMS_PER_BATCH", "2", "INPUT.COLOR_JITTER", "0.0", "INPUT.COPY_PASTE.PROBABILITY", "0.0",
)  # fmt: skip
# Both references are for 16 images a batch, 2 on each of 8 GPUs, at a rate of 0.02. Linearly scaled to 2 images that is
# 0.0025; a network that starts from nothing may want more.
RATES = ("0.0025", "0.005", "0.01", "0.02")
RECIPES = (
    # The solver of mask_rcnn_R_18_FPN_documented.yaml. It learns next to nothing from random weights: no seed changes that.
    Recipe(
        "documented",
        (*PLAIN, "SOLVER.BASE_LR", "0.00001", "SOLVER.WEIGHT_DECAY", "0.0005", "SOLVER.WARMUP_SHARE", "0.0"),
        once=True,
    ),
    # Base-RCNN-FPN.yaml and the 1x schedule of Detectron2's model zoo: steps at 60,000 and 80,000 of 90,000 iterations,
    # 1,000 iterations of warm-up, short sides of 640 to 800 px, here of 192 to 240.
    Recipe(
        "plain Detectron2",
        (*PLAIN, "SOLVER.STEP_SHARES", "(0.6667, 0.8889)", "SOLVER.WARMUP_SHARE", "0.0111",
         "INPUT.MIN_SIZE_TRAIN", "(192, 202, 211, 221, 230, 240)"),
        RATES,
    ),
    # torchvision's references/detection: steps at epochs 16 and 22 of 26, a warm-up of one epoch (1,000 iterations at
    # most) from a thousandth, decay of the norms too, one size.
    Recipe(
        "torchvision's reference",
        (*PLAIN, "SOLVER.STEP_SHARES", "(0.6154, 0.8462)", "SOLVER.WARMUP_SHARE", "0.0385",
         "SOLVER.WARMUP_FACTOR", "0.001", "SOLVER.WEIGHT_DECAY_NORM", "0.0001"),
        RATES,
    ),
    Recipe("polymask", ()),
    # How much of the difference is not the cascade's: the heads of the others, and all the rest ours.
    Recipe(
        "polymask, plain heads",
        ("MODEL.ROI_HEADS.NAME", "StandardROIHeads", "MODEL.ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG", "False"),
        once=True,
    ),
)  # fmt: skip
PEERS, OURS = ("plain Detectron2", "torchvision's reference"), "polymask"


@dataclass(frozen=True)
class Job:
    """One training: ``folder`` is where it lies, and so its name."""

    recipe: str
    rate: str
    seed: int
    folder: Path
    overrides: tuple[str, ...]
    keeps_weights: bool = False


@dataclass(frozen=True)
class Budget:
    """What all recipes have in common: the images that a training sees, and KEY VALUE pairs."""

    images: int
    overrides: tuple[str, ...]

    def of(self, recipe: Recipe) -> list[str]:
        """The iterations of a recipe with its own batch."""
        given = load_config(MINI, [*recipe.overrides, *self.overrides])
        return [*self.overrides, "SOLVER.MAX_ITER", str(self.images // given.SOLVER.IMS_PER_BATCH)]


def jobs_of(recipe: Recipe, rates: Iterable[str], seeds: Iterable[int], output: Path, budget: Budget) -> list[Job]:
    """A training for each rate and seed; a recipe without rates has its own."""
    jobs = []
    for rate in list(rates) or [""]:
        for seed in seeds:
            words = [recipe.name.replace(" ", "_").replace(",", "").replace("'", ""), rate, f"seed{seed}"]
            values = (
                *recipe.overrides,
                *(("SOLVER.BASE_LR", rate) if rate else ()),
                *budget.of(recipe),
                "SEED",
                str(seed),
            )
            jobs.append(Job(recipe.name, rate, seed, output / "_".join(filter(None, words)), values))
    return jobs


def run_jobs(jobs: list[Job]) -> dict[Job, dict]:
    """The results of each job: ``{dataset: {task: {metric: percent}}}``."""
    for job in jobs:
        if job.folder.exists() and not (job.folder / "results.json").exists():
            shutil.rmtree(job.folder)  # it was interrupted
    waiting = [job for job in jobs if not (job.folder / "results.json").exists()]
    # New processes, since one that has used its threads cannot be forked.
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn"), initializer=_begin) as pool:
        futures = [pool.submit(_train, job) for job in waiting]
        for future in tqdm(as_completed(futures), total=len(futures), desc="trainings", unit="run", disable=None):
            future.result()
    return {job: json.loads((job.folder / "results.json").read_text()) for job in jobs}


def _train(job: Job) -> None:
    try:
        train(MINI, [*job.overrides], job.folder)
    except UserError:
        if not (job.folder / REPORT_NAME).exists():
            raise
        # A learning rate with which the loss became infinite is worth nothing.
        diverged = {f"{split}_{split}": {"segm": {"AP": 0.0}, "bbox": {"AP": 0.0}} for split in ("val", "test")}
        (job.folder / "results.json").write_text(json.dumps(diverged))
    if not job.keeps_weights:
        for checkpoint in job.folder.glob("*.pth"):  # dozens of them would fill the disk
            checkpoint.unlink()


def _begin() -> None:
    silence_known_warnings()
    torch.set_num_threads(1)


def mask_ap(results: dict, split: str) -> float:
    (metrics,) = [metrics for name, metrics in results.items() if name.endswith(f"_{split}")]
    return metrics["segm"]["AP"]


def best_rates(recipes: list[Recipe], output: Path, budget: Budget, seed: int) -> dict[str, str]:
    """For each recipe with several rates the one whose training with this seed is best on VAL."""
    recipes = [recipe for recipe in recipes if recipe.rates]
    jobs = [job for recipe in recipes for job in jobs_of(recipe, recipe.rates, [seed], output, budget)]
    on_val = {job: mask_ap(results, "val") for job, results in run_jobs(jobs).items()}
    rows = [{"recipe": job.recipe, "rate": job.rate, "mask AP on VAL": ap} for job, ap in on_val.items()]
    print(tabulate(rows, headers="keys", tablefmt="pipe", floatfmt=".1f"), "\n")
    return {r.name: max((j for j in jobs if j.recipe == r.name), key=on_val.get).rate for r in recipes}


def on_dataset(recipes: list[Recipe], dataset: Path, output: Path, budget: Budget, seeds: list[int]) -> None:
    """The table of recipes and seeds on the test split, and the paired differences to ours."""
    budget = Budget(budget.images, ("DATASETS.ROOT", str(dataset), *budget.overrides))
    rates = best_rates(recipes, output, budget, seeds[0])
    jobs = [job for r in recipes for job in jobs_of(r, _chosen(rates, r), r.seeds(seeds), output, budget)]
    results = run_jobs(jobs)
    aps = {r.name: [mask_ap(results[j], "test") for j in jobs if j.recipe == r.name] for r in recipes}
    rows = [
        {"recipe": name, "rate": rates.get(name, ""), "mask AP on TEST": statistics.fmean(values)}
        | {f"seed {seed}": ap for seed, ap in itertools.zip_longest(seeds, values)}
        for name, values in aps.items()
    ]
    print(tabulate(rows, headers="keys", tablefmt="pipe", floatfmt=("", "", ".1f", *(".1f" for _ in seeds))), "\n")
    for peer in [name for name in PEERS if {name, OURS} <= aps.keys()]:
        differences = [a - b for a, b in zip(aps[OURS], aps[peer], strict=True)]
        print(f"{OURS} minus {peer}, paired by seed: {mean_of_seeds(differences)}")
    (output / "recipes.json").write_text(json.dumps({"rates": rates, "test": aps}, indent=2) + "\n")


def _chosen(rates: dict[str, str], recipe: Recipe) -> list[str]:
    return [rates[recipe.name]] if recipe.name in rates else []


def mean_of_seeds(values: list[float]) -> str:
    """The mean of a few values, and its 95 % interval by Student's t."""
    mean = statistics.fmean(values)
    if len(values) == 1:
        return f"{mean:.1f}; one seed has no interval"
    margin = T_95[len(values) - 1] * statistics.stdev(values) / len(values) ** 0.5
    return f"{mean:.1f}, 95 % interval {mean - margin:.1f} to {mean + margin:.1f}"


def on_folds(
    recipes: list[Recipe], labelme: Path, output: Path, budget: Budget, seeds: list[int], folds: int, rates: dict
) -> None:
    """The table of recipes on the held-out photos of all folds, pooled, for each seed."""
    whole, folders = make_folds(labelme, output, folds, seed=0)
    jobs = {}
    for recipe in recipes:
        for folder in folders:
            here = Budget(budget.images, ("DATASETS.ROOT", str(folder), *budget.overrides))
            where, chosen = output / f"run_{folder.name}", _chosen(rates, recipe)
            jobs[recipe.name, folder.name] = jobs_of(recipe, chosen, recipe.seeds(seeds), where, here)
    run_jobs([job for group in jobs.values() for job in group])
    rows = []
    for recipe in recipes:
        row = {"recipe": recipe.name}
        for index, seed in enumerate(recipe.seeds(seeds)):
            found = []
            for folder in folders:
                run = jobs[recipe.name, folder.name][index].folder
                found += json.loads(detections_file(run, f"{folder.name}_test").read_text())
            for task in reversed(TASKS):
                evaluation = pooled_evaluation(whole / "train.json", found, task)
                low, high = bootstrap_interval(evaluation)
                row[f"{task}, seed {seed}"] = f"{100 * evaluation.stats[0]:.1f} [{low:.1f}, {high:.1f}]"
        rows.append(row)
    print(tabulate(rows, headers="keys", tablefmt="pipe"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    data = parser.add_mutually_exclusive_group(required=True)
    data.add_argument("--dataset", type=Path)
    data.add_argument("--labelme", type=Path, metavar="FOLDER")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--images", type=int, default=800, help="training images seen (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=5, help="how many (default: %(default)s)")
    parser.add_argument("--folds", type=int, default=3, help="of a LabelMe folder (default: %(default)s)")
    parser.add_argument("--rates", type=Path, metavar="RECIPES.JSON", help="of a run with --dataset, for --labelme")
    names = [recipe.name for recipe in RECIPES]
    parser.add_argument("--recipe", action="append", choices=names, metavar="NAME", help="repeatable (default: all)")
    parser.add_argument("opts", nargs=argparse.REMAINDER, metavar="KEY VALUE", help="for all recipes")
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    seeds = list(range(1, args.seeds + 1))
    # Workers of their own would only crowd the machine; the checkpoints to resume from are for longer trainings.
    sparing = ("DATALOADER.NUM_WORKERS", "0", "TEST.EVAL_PERIOD", "0", "SOLVER.CHECKPOINT_PERIOD", str(args.images))
    budget = Budget(args.images, (*sparing, *args.opts))
    recipes = [recipe for recipe in RECIPES if recipe.name in (args.recipe or names)]
    if args.dataset:
        on_dataset(recipes, args.dataset, args.output, budget, seeds)
    else:
        rates = json.loads(args.rates.read_text())["rates"] if args.rates else {}
        on_folds(recipes, args.labelme, args.output, budget, seeds, args.folds, rates)


if __name__ == "__main__":
    main()
