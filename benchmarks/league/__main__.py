"""What a user could train instead, from random weights, at equal minutes on all cores, on the same folds.

    python -m venv output/league/ultralytics && output/league/ultralytics/bin/pip install ultralytics==8.4.190 pycocotools
    python -m benchmarks.league datasets/mine ... --ultralytics output/league/ultralytics/bin/python [--step 30]

Each contender has its tool's own defaults (docs/recipes.md), and one evaluation judges all. What was measured is kept,
and the same command goes on where the last one stopped.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.recipes.contenders import OURS, Informed, Job, Length, Recipe
from benchmarks.recipes.measured import RECORD, Record
from benchmarks.recipes.tables import compare, list_contenders
from benchmarks.recipes.trainings import Comparison, Trainings, prepare_folds
from dataset_tools.parallel import all_cores

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Script:
    """A contender that is a script of this folder.

    Attributes:
        name: for people.
        file: of the script.
        words: behind the interpreter, for a job.
    """

    name: str
    file: str
    words: Callable[[Job], list[str]]

    def settings(self) -> str:
        return hashlib.sha256((HERE / self.file).read_bytes()).hexdigest()[:12]

    def command(self, job: Job) -> list[str]:
        common = ["--output", str(job.output), "--minutes", str(job.length.minutes), "--seed", str(job.seed)]
        return [*self.words(job), str(job.dataset), *common]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", nargs="+", type=Path, metavar="DATASET", help="dataset folders")
    parser.add_argument("--minutes", type=float, default=10, help="of a training (default: %(default)s)")
    parser.add_argument("--size", type=int, default=240, help="the short side in pixels (default: %(default)s)")
    parser.add_argument("--folds", type=int, default=3, help="(default: %(default)s)")
    parser.add_argument(
        "--ultralytics", metavar="PYTHON", help="of an environment with ultralytics; else it is left out"
    )
    parser.add_argument("--output", type=Path, default=Path("output/league"), help="(default: %(default)s)")
    parser.add_argument("--record", type=Path, default=RECORD, help="(default: the project's)")
    parser.add_argument("--step", type=float, default=float("inf"), metavar="MINUTES", help="no training begins later")
    args = parser.parse_args()
    contenders = [
        Recipe(OURS),
        Informed(batch=4, rate=0.0004),
        Script("torchvision's Mask R-CNN", "torchvision_reference.py", lambda job: [
            sys.executable, "-m", "benchmarks.league.torchvision_reference", "--size", str(job.size)]),
    ]  # fmt: skip
    if args.ultralytics:
        yolo = [str(Path(args.ultralytics).absolute()), str(HERE / "ultralytics_yolo.py")]
        contenders.append(Script("ultralytics' yolo11n-seg", "ultralytics_yolo.py", lambda _: yolo))
    folds = prepare_folds(args.datasets, args.output, args.folds)
    end = time.monotonic() + 60 * args.step
    trainings = Trainings(folds, args.output.resolve(), Record(args.record), end, threads=all_cores())
    comparison = Comparison(trainings, Length(minutes=args.minutes), args.size)
    measured = comparison.measure(contenders, range(args.folds))
    print(list_contenders(measured))
    for contender in contenders[1:]:
        print(f"\nBeside {contender.name}:\n\n{compare(measured[OURS], measured[contender.name])}")


if __name__ == "__main__":
    main()
