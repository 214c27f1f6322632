"""Our recipe beside informed Detectron2: the same folds of small datasets, the same number of images seen.

    python -m dataset_tools convert PHOTOS --output datasets/mine --split 1 0 0
    python -m benchmarks.recipes datasets/mine ... --images 400 1200 --minutes 30 [--test datasets/kept_back ...]

Trains the mini network from random weights, prints tables, and keeps in a file what it has measured, so that the same
command goes on where the last one stopped. The peer's batch and rate are those of a grid that are best on fold 0 of the
first dataset, for each number of images; nothing is chosen on the datasets of --test. --candidate trains variants of our
recipe on fold 0 instead.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.recipes.candidates import CANDIDATES
from benchmarks.recipes.contenders import OURS, PEER_GRID, Informed, Length, Recipe
from benchmarks.recipes.measured import RECORD, Record
from benchmarks.recipes.tables import compare, list_contenders
from benchmarks.recipes.trainings import Comparison, Trainings, own_splits, prepare_folds


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", nargs="+", type=Path, metavar="DATASET", help="dataset folders")
    parser.add_argument("--images", nargs="+", type=int, default=[400, 1200], help="training images seen (400 1200)")
    parser.add_argument("--size", type=int, default=240, help="the short side in pixels (default: %(default)s)")
    parser.add_argument("--folds", type=int, default=3, help="(default: %(default)s)")
    parser.add_argument("--output", type=Path, default=Path("output/recipes"), help="(default: %(default)s)")
    parser.add_argument("--record", type=Path, default=RECORD, help="(default: the project's)")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="no training begins after so many")
    parser.add_argument(
        "--test",
        nargs="+",
        type=Path,
        default=[],
        metavar="DATASET",
        help="dataset folders whose test splits are compared, too",
    )
    parser.add_argument("--candidate", nargs="+", choices=CANDIDATES, metavar="NAME", help=", ".join(CANDIDATES))
    args = parser.parse_args()
    if args.candidate and args.test:
        parser.error("nothing is chosen on a test split: give --candidate or --test")
    return args


def main() -> None:
    args = parse_arguments()
    end = time.monotonic() + 60 * args.minutes
    record = Record(args.record)
    trainings = Trainings(prepare_folds(args.datasets, args.output, args.folds), args.output.resolve(), record, end)
    tests = replace(trainings, folds=own_splits(args.test))
    for images in args.images:
        print(f"\n{images} images seen, short side {args.size} px:\n")
        comparison = Comparison(trainings, Length(images), args.size)
        if args.candidate:
            print(list_contenders(comparison.measure([CANDIDATES[name] for name in args.candidate], folds=[0])))
        elif peer := choose_peer(comparison):
            print(f"The peer is {peer.name}.\n")
            print_beside_peer(comparison, peer, range(args.folds))
            if args.test:
                print("\nOn test splits:\n")
                print_beside_peer(Comparison(tests, Length(images), args.size), peer, [0])
        else:
            print("More minutes are needed to choose the peer.")


def choose_peer(comparison: Comparison) -> Informed | None:
    """What is best of the peer's grid on one fold, once all of it is measured there."""
    grid = comparison.measure(PEER_GRID, folds=[0], datasets=1)
    print(list_contenders(grid), "\n")
    if not all(grid.values()):
        return None
    return max(PEER_GRID, key=lambda one: statistics.fmean(m.mask_ap for m in grid[one.name].values()))


def print_beside_peer(comparison: Comparison, peer: Informed, folds: Sequence[int]) -> None:
    measured = comparison.measure([Recipe(OURS), peer], folds)
    print(compare(measured[OURS], measured[peer.name]))


if __name__ == "__main__":
    main()
