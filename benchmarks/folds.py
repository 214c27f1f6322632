"""Mask AP on a small LabelMe folder by cross-validation: each photo is judged by a model that has not seen it.

    python -m benchmarks.folds --labelme FOLDER --output output/folds [--folds 3] [--config-file ...] [KEY VALUE ...]

The predictions on the held-out photos of all folds are pooled and evaluated once, with a bootstrap interval over the
photos.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from benchmarks.subsets import photos_of, write_dataset
from benchmarks.training import print_outcomes, train_and_evaluate
from dataset_tools.dataset.convert import ConvertOptions, convert
from dataset_tools.formats.card import read_card
from dataset_tools.formats.coco import read_coco
from polymask.evaluation.coco import TASKS, detections_file
from polymask.evaluation.counting import Evaluation, count
from polymask.evaluation.intervals import bootstrap_interval
from polymask.evaluation.read import read_detections, read_truth
from polymask.known_warnings import silence_known_warnings


def make_folds(labelme_folder: Path, output: Path, folds: int, seed: int) -> tuple[Path, list[Path]]:
    """Converts the folder once as a whole, and writes a dataset folder for each fold.

    A fold's own photos are its ``test``, those of the other folds its ``train``.
    """
    whole = output / "whole"
    convert(
        ConvertOptions(source=labelme_folder, output=whole, name="whole", fractions=(1.0, 0.0, 0.0), overwrite=True)
    )
    card, content = read_card(whole), read_coco(whole / "train.json")
    shuffled = np.random.default_rng(seed).permutation([image.id for image in content.images]).tolist()
    folders = []
    for fold in range(folds):
        held_out = set(shuffled[fold::folds])
        parts = {"train": {image.id for image in content.images} - held_out, "val": set(), "test": held_out}
        splits = {split: photos_of(content, ids) for split, ids in parts.items()}
        folders.append(write_dataset(output / f"fold{fold}", f"fold{fold}", splits, whole, card))
    return whole, folders


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labelme", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--config-file", default="configs/mini_scratch.yaml")
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0, help="of the folds (default: %(default)s)")
    parser.add_argument("opts", nargs=argparse.REMAINDER, metavar="KEY VALUE")
    args = parser.parse_args()
    silence_known_warnings()
    whole, folders = make_folds(args.labelme, args.output, args.folds, args.seed)
    outcomes, detections = [], []
    for folder in folders:
        overrides = ["DATASETS.ROOT", str(folder), *args.opts]
        outcomes.append(train_and_evaluate(f"run {folder.name}", args.config_file, overrides, args.output))
        found = detections_file(args.output / f"run_{folder.name}", f"{folder.name}_test")
        detections += json.loads(found.read_text())
    print_outcomes(outcomes, args.output / "folds.json")
    for task in TASKS:
        evaluation = pooled_evaluation(whole / "train.json", detections, task)
        low, high = bootstrap_interval(evaluation)
        ap, photos, instances = 100 * evaluation.stats[0], len(evaluation.truth.photos), len(evaluation.truth.objects)
        print(f"pooled {task} AP of the held-out photos: {ap:.1f} [{low:.1f}, {high:.1f}] "
              f"({photos} photos, {instances} instances)")  # fmt: skip


def pooled_evaluation(truth: Path, detections: list[dict], task: str) -> Evaluation:
    """The counted evaluation of the detections on the held-out photos of all folds."""
    content = read_truth(truth)
    return count(content, read_detections(detections, content), task)


if __name__ == "__main__":
    main()
