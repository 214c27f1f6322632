"""Recipes side by side: the same mini network, the same number of training images seen, the same seeds.

    python -m benchmarks.recipes --dataset datasets/sample --output output/recipes [--images 800] [--seeds 5]
        [--recipe NAME ...] [KEY VALUE ...]
    python -m benchmarks.recipes --labelme FOLDER --output output/recipes [--images 800] [--seeds 5] [--folds 3]
        [--recipe NAME ...] [--rates RECIPES.JSON] [KEY VALUE ...]

On a dataset folder every recipe is trained with each seed and measured on the test split; on a LabelMe folder by
cross-validation, with the predictions on all held-out photos pooled. A recipe with several learning rates takes the one
whose first training is best on VAL (on a LabelMe folder: the one in the file of --rates, which a run on a dataset folder
has written). Each training is a ``train_net.py`` with one thread, as many at a time as there are cores; what has been
trained is not trained again when the command is repeated.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import ttest_1samp
from tabulate import tabulate
from tqdm import tqdm

from dataset_tools.dataset.convert import ConvertOptions, convert
from dataset_tools.formats.card import read_card
from polymask.config.load import load_config
from polymask.engine.hooks.finite_loss import REPORT_NAME
from polymask.evaluation.analysis import analyse
from polymask.evaluation.coco import detections_file
from polymask.evaluation.records import Analysis

PROJECT = Path(__file__).resolve().parents[1]
MINI = "configs/mini_scratch.yaml"


@dataclass(frozen=True)
class Recipe:
    """What is put over ``mini_scratch.yaml``; the network stays, but for the heads.

    Attributes:
        name: for people and folders.
        overrides: KEY VALUE pairs.
        rates: of learning that are tried; without any, the configuration's.
        once: whether the first seed is enough.
    """

    name: str
    overrides: tuple[str, ...]
    rates: tuple[str, ...] = ()
    once: bool = False


PLAIN_HEADS = ("MODEL.ROI_HEADS.NAME", "StandardROIHeads", "MODEL.ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG", "False")
# Undoes what mini_scratch.yaml changes in the training.
PLAIN = (
    *PLAIN_HEADS, "SOLVER.OPTIMIZER", "SGD", "SOLVER.MOMENTUM", "0.9", "SOLVER.WEIGHT_DECAY", "0.0001",
    "SOLVER.EMA_DECAY", "0.0", "SOLVER.CLIP_GRADIENTS.ENABLED", "False", "SOLVER.LR_SCHEDULER_NAME",
    "WarmupMultiStepLR", "SOLVER.IMS_PER_BATCH", "2", "INPUT.COLOR_JITTER", "0.0", "INPUT.COPY_PASTE.PROBABILITY", "0.0",
)  # fmt: skip
# Both references are for 16 images a batch, 2 on each of 8 GPUs, at a rate of 0.02. Linearly scaled to 2 images that is
# 0.0025; a network that starts from nothing may want more.
RATES = ("0.0025", "0.005", "0.01", "0.02")
OURS, PEERS = "polymask", ("plain Detectron2", "torchvision's reference")
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
        PEERS[0],
        (*PLAIN, "SOLVER.STEP_SHARES", "(0.6667, 0.8889)", "SOLVER.WARMUP_SHARE", "0.0111",
         "INPUT.MIN_SIZE_TRAIN", "(192, 202, 211, 221, 230, 240)"),
        RATES,
    ),
    # torchvision's references/detection: steps at epochs 16 and 22 of 26, a warm-up of one epoch (1,000 iterations at
    # most) from a thousandth, decay of the norms too, one size.
    Recipe(
        PEERS[1],
        (*PLAIN, "SOLVER.STEP_SHARES", "(0.6154, 0.8462)", "SOLVER.WARMUP_SHARE", "0.0385",
         "SOLVER.WARMUP_FACTOR", "0.001", "SOLVER.WEIGHT_DECAY_NORM", "0.0001"),
        RATES,
    ),
    Recipe(OURS, ()),
    # How much of the difference is not the cascade's: the heads of the others, and all the rest ours.
    Recipe("polymask, plain heads", PLAIN_HEADS, once=True),
)  # fmt: skip


@dataclass(frozen=True)
class Training:
    """One training of a recipe on a dataset folder.

    Attributes:
        folder: where it goes.
        values: KEY VALUE pairs.
    """

    folder: Path
    values: tuple[str, ...]

    def run(self) -> None:
        """Trains in another process, unless that was done before."""
        if (self.folder / "results.json").exists():
            return
        shutil.rmtree(self.folder, ignore_errors=True)  # it was interrupted
        command = [sys.executable, "train_net.py", "--config-file", MINI, *self.values, "OUTPUT_DIR", str(self.folder)]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True)
        if (self.folder / REPORT_NAME).exists():
            (self.folder / "results.json").write_text("{}")  # the loss became infinite: it finds nothing
        elif done.returncode:
            raise RuntimeError(f"{self.folder}: {done.stderr[-2000:]}")
        for checkpoint in self.folder.glob("*.pth"):  # dozens of them would fill the disk
            checkpoint.unlink()

    def validation_ap(self) -> float:
        """The mask AP on VAL."""
        results = json.loads((self.folder / "results.json").read_text())
        return next((metrics["segm"]["AP"] for name, metrics in results.items() if name.endswith("_val")), 0.0)

    def detections(self, dataset: Path) -> list[dict]:
        """On the test split."""
        file = detections_file(self.folder, f"{read_card(dataset).name}_test")
        return json.loads(file.read_text()) if file.exists() else []


@dataclass(frozen=True)
class Plan:
    """What all recipes have in common.

    Attributes:
        datasets: on each of which a recipe is trained: a dataset folder, or those of the folds.
        truth: the COCO file of all test photos.
        output: where everything goes.
        images: that a training sees.
        values: KEY VALUE pairs.
    """

    datasets: list[Path]
    truth: Path
    output: Path
    images: int
    values: tuple[str, ...]

    def training(self, recipe: Recipe, rate: str, seed: int, dataset: Path) -> Training:
        words = [recipe.name.replace(" ", "_").replace(",", "").replace("'", ""), rate, f"seed{seed}"]
        values = (*recipe.overrides, *self.values, *(("SOLVER.BASE_LR", rate) if rate else ()))
        iterations = self.images // load_config(PROJECT / MINI, [*values]).SOLVER.IMS_PER_BATCH
        values += ("DATASETS.ROOT", str(dataset), "SOLVER.MAX_ITER", str(iterations), "SEED", str(seed))
        return Training(self.output / dataset.name / "_".join(filter(None, words)), values)

    def find_rates(self, recipes: Sequence[Recipe]) -> dict[str, str]:
        """For each recipe with several rates the one whose training with the first seed is best on VAL."""
        tried = {(r, rate): self.training(r, rate, 1, self.datasets[0]) for r in recipes for rate in r.rates}
        run_all(list(tried.values()))
        aps = {key: training.validation_ap() for key, training in tried.items()}
        rows = [[recipe.name, rate, f"{ap:.1f}"] for (recipe, rate), ap in aps.items()]
        print(tabulate(rows, ["recipe", "rate", "mask AP on VAL"], tablefmt="pipe", disable_numparse=True), "\n")
        return {r.name: max(r.rates, key=lambda rate, r=r: aps[r, rate]) for r in recipes if r.rates}

    def measure(self, recipes: Sequence[Recipe], rates: dict[str, str], seeds: range) -> dict[str, list[Analysis]]:
        """The evaluation of all test photos, for each recipe and seed."""
        trainings = {
            (recipe.name, seed): [self.training(recipe, rates.get(recipe.name, ""), seed, d) for d in self.datasets]
            for recipe in recipes
            for seed in (seeds[:1] if recipe.once else seeds)
        }
        run_all([training for group in trainings.values() for training in group])
        measured: dict[str, list[Analysis]] = {}
        for (name, _), group in trainings.items():
            found = [one for training, d in zip(group, self.datasets, strict=True) for one in training.detections(d)]
            measured.setdefault(name, []).append(analyse(self.truth, found, dataset="recipes", split="test"))
        return measured


def run_all(trainings: Sequence[Training]) -> None:
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        done = pool.map(Training.run, trainings)
        for _ in tqdm(done, total=len(trainings), desc="trainings", unit="run", disable=None):
            pass


def make_folds(labelme: Path, output: Path, folds: int) -> tuple[Path, list[Path]]:
    """The COCO file of a LabelMe folder, and a dataset folder for each fold: its photos are ``test``, the others ``train``."""
    whole = output / "whole"
    convert(ConvertOptions(source=labelme, output=whole, name="whole", fractions=(1.0, 0.0, 0.0), overwrite=True))
    content, card = (json.loads((whole / name).read_text()) for name in ("train.json", "dataset.json"))
    photos = {image["id"] for image in content["images"]}
    shuffled = np.random.default_rng(0).permutation(sorted(photos)).tolist()
    for fold in range(folds):
        folder, held_out, splits = output / f"fold{fold}", set(shuffled[fold::folds]), {}
        folder.mkdir(exist_ok=True)
        for split, wanted in (("train", photos - held_out), ("val", set()), ("test", held_out)):
            images = [image for image in content["images"] if image["id"] in wanted]
            annotations = [annotation for annotation in content["annotations"] if annotation["image_id"] in wanted]
            (folder / f"{split}.json").write_text(json.dumps(content | {"images": images, "annotations": annotations}))
            splits[split] = {"annotations": f"{split}.json", "images": len(images), "instances": len(annotations)}
        root = os.path.relpath(whole / card["image_root"], folder)
        own = {"name": folder.name, "image_root": root, "splits": splits}
        (folder / "dataset.json").write_text(json.dumps(card | own))
    return whole / "train.json", [output / f"fold{fold}" for fold in range(folds)]


def print_results(measured: dict[str, list[Analysis]], rates: dict[str, str]) -> None:
    """The AP of each recipe and seed with the intervals of a bootstrap over photos, and differences to the peers."""
    for task in ("segm", "bbox"):
        figures = {name: [getattr(analysis, task).AP for analysis in own] for name, own in measured.items()}
        aps = {name: [figure.value for figure in own] for name, own in figures.items()}
        rows = []
        for name, own in figures.items():
            cells = [f"{f.value:.1f} [{f.interval.low:.1f}, {f.interval.high:.1f}]" for f in own]
            rows.append([name, rates.get(name, ""), f"{statistics.fmean(aps[name]):.1f}", *cells])
        headers = ["recipe", "rate", f"{task} AP", *(f"seed {k + 1}" for k in range(max(map(len, rows)) - 3))]
        print(tabulate(rows, headers, tablefmt="pipe", disable_numparse=True), "\n")
        for peer in [name for name in PEERS if {name, OURS} <= aps.keys() and len(aps[name]) > 1]:
            differences = np.subtract(aps[OURS], aps[peer])
            low, high = ttest_1samp(differences, 0).confidence_interval(0.95)
            print(
                f"{OURS} minus {peer}, paired by seed: {differences.mean():.1f}, 95 % interval {low:.1f} to {high:.1f}\n"
            )


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
    output, recipes = args.output.resolve(), [recipe for recipe in RECIPES if recipe.name in (args.recipe or names)]
    output.mkdir(parents=True, exist_ok=True)
    # Loader processes would crowd the machine; the checkpoints to resume from are for longer trainings.
    sparing = ("DATALOADER.NUM_WORKERS", "0", "TEST.EVAL_PERIOD", "0", "SOLVER.CHECKPOINT_PERIOD", str(args.images))
    values = (*sparing, *args.opts)
    if args.dataset:
        dataset = args.dataset.resolve()
        plan = Plan([dataset], dataset / "test.json", output, args.images, values)
        rates = plan.find_rates(recipes)
        (output / "recipes.json").write_text(json.dumps({"rates": rates}, indent=2) + "\n")
    else:
        truth, folders = make_folds(args.labelme, output, args.folds)
        plan = Plan(folders, truth, output, args.images, values)
        rates = json.loads(args.rates.read_text())["rates"] if args.rates else {}
    print_results(plan.measure(recipes, rates, range(1, args.seeds + 1)), rates)


if __name__ == "__main__":
    main()
