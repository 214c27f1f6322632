"""A trained model as the start: three ways to go on from it beside random weights, on folds of small datasets.

    make demo                                                                           # the model: drawn streets
    python -m dataset_tools convert PHOTOS --output datasets/mine --split 1 0 0         # each folder of photos
    python -m benchmarks.transfer datasets/mine ... --weights output/demo/model_final.pth --synonyms Vehiculo=Car

Trains the mini network, prints a table, and keeps in a file what it has measured, so that the same command goes on where
the last one stopped.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.recipes.contenders import Job, Length, Recipe
from benchmarks.recipes.measured import RECORD, Record
from benchmarks.recipes.tables import list_contenders
from benchmarks.recipes.trainings import Comparison, Trainings, prepare_folds
from dataset_tools.formats.card import read_card

FROM_NOTHING = Recipe("random weights")
WAYS = {
    "the whole network": (),
    "the backbone at a tenth of the rate": ("SOLVER.BACKBONE_LR_FACTOR", "0.1"),
    "the heads alone": ("SOLVER.HEADS_ONLY", "True"),
}


@dataclass(frozen=True)
class FineTune:
    """``mini_scratch.yaml`` with the weights of a trained model.

    Attributes:
        name: for people.
        weights: the file.
        digest: of the file.
        synonyms: classes and what the model calls them, as "ours=theirs".
        values: KEY VALUE pairs over the configuration.
    """

    name: str
    weights: Path
    digest: str
    synonyms: tuple[str, ...] = ()
    values: tuple[str, ...] = ()

    def settings(self) -> str:
        parts = (Recipe(self.name, self.values).settings(), self.digest, *sorted(self.synonyms))
        return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:12]

    def command(self, job: Job) -> list[str]:
        classes = read_card(job.dataset).classes
        synonyms = ",".join(pair for pair in self.synonyms if pair.partition("=")[0] in classes)
        start = ("MODEL.WEIGHTS", str(self.weights), "MODEL.NEW_HEADS", "True", "MODEL.CLASS_SYNONYMS", synonyms)
        return Recipe(self.name, (*self.values, *start)).command(job)


def contenders(weights: Path, synonyms: tuple[str, ...]) -> list[Recipe | FineTune]:
    """Random weights, and each way to go on from a trained model."""
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    fine_tunes = [FineTune(name, weights.resolve(), digest, synonyms, values) for name, values in WAYS.items()]
    return [FROM_NOTHING, *fine_tunes]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", nargs="+", type=Path, metavar="DATASET", help="dataset folders")
    parser.add_argument("--weights", type=Path, required=True, metavar="FILE", help="a checkpoint of mini_scratch.yaml")
    parser.add_argument("--synonyms", nargs="*", default=[], metavar="OURS=THEIRS", help="classes that have two names")
    parser.add_argument("--images", type=int, default=200, help="training images seen (default: %(default)s)")
    parser.add_argument("--size", type=int, default=240, help="the short side in pixels (default: %(default)s)")
    parser.add_argument("--folds", type=int, default=3, help="(default: %(default)s)")
    parser.add_argument("--output", type=Path, default=Path("output/transfer"), help="(default: %(default)s)")
    parser.add_argument("--record", type=Path, default=RECORD, help="(default: the project's)")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="no training begins after so many")
    args = parser.parse_args()
    end = time.monotonic() + 60 * args.minutes
    folds = prepare_folds(args.datasets, args.output, args.folds)
    trainings = Trainings(folds, args.output.resolve(), Record(args.record), end)
    comparison = Comparison(trainings, Length(args.images), args.size)
    measured = comparison.measure(contenders(args.weights, tuple(args.synonyms)), range(args.folds))
    print(list_contenders(measured))


if __name__ == "__main__":
    main()
