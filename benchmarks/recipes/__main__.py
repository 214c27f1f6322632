"""Our recipe beside informed Detectron2: the same folds of small datasets, the same number of images seen.

    python -m dataset_tools convert PHOTOS --output datasets/mine --split 1 0 0
    python -m benchmarks.recipes datasets/mine ... --images 400 1200 --minutes 30

Trains the mini network from random weights, prints tables, and keeps in a file what it has measured, so that the same
command goes on where the last one stopped. The peer's batch and rate are those of a grid that are best on fold 0 of the
first dataset, for each number of images. --candidate trains variants of our recipe on fold 0 instead.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.recipes.candidates import CANDIDATES
from benchmarks.recipes.contenders import OURS, PEER_GRID, Length, Recipe
from benchmarks.recipes.measured import RECORD, Record
from benchmarks.recipes.tables import compare, list_contenders
from benchmarks.recipes.trainings import Comparison, Trainings, prepare_folds


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", nargs="+", type=Path, metavar="DATASET", help="dataset folders")
    parser.add_argument("--images", nargs="+", type=int, default=[400, 1200], help="training images seen (400 1200)")
    parser.add_argument("--size", type=int, default=240, help="the short side in pixels (default: %(default)s)")
    parser.add_argument("--folds", type=int, default=3, help="(default: %(default)s)")
    parser.add_argument("--output", type=Path, default=Path("output/recipes"), help="(default: %(default)s)")
    parser.add_argument("--record", type=Path, default=RECORD, help="(default: the project's)")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="no training begins after so many")
    parser.add_argument("--candidate", nargs="+", choices=CANDIDATES, metavar="NAME", help=", ".join(CANDIDATES))
    return parser.parse_args()


def main() -> None:
    args = parse_arguments()
    end = time.monotonic() + 60 * args.minutes
    folds = prepare_folds(args.datasets, args.output, args.folds)
    trainings = Trainings(folds, args.output.resolve(), Record(args.record), end)
    for images in args.images:
        print(f"\n{images} images seen, short side {args.size} px:\n")
        comparison = Comparison(trainings, Length(images), args.size)
        if args.candidate:
            print(list_contenders(comparison.measure([CANDIDATES[name] for name in args.candidate], folds=[0])))
        else:
            print_beside_peer(comparison, range(args.folds))


def print_beside_peer(comparison: Comparison, folds: Sequence[int]) -> None:
    """The peer's grid on one fold, and what is best of it beside our recipe on all folds."""
    grid = comparison.measure(PEER_GRID, folds=[0], datasets=1)
    print(list_contenders(grid), "\n")
    if not all(grid.values()):
        print("More minutes are needed to choose the peer.")
        return
    best = max(PEER_GRID, key=lambda one: statistics.fmean(m.mask_ap for m in grid[one.name].values()))
    measured = comparison.measure([Recipe(OURS), best], folds)
    print(f"The peer is {best.name}.\n\n{compare(measured[OURS], measured[best.name])}")


if __name__ == "__main__":
    main()
