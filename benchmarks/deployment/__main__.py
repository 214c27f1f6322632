"""PyTorch (this project's own way), onnxruntime (``runtime/``) and OpenVINO, with the same networks and photos on a CPU.

    python -m benchmarks.deployment --runs output/demo output/mine --photos photos --sizes 512 1024

Each program looks at all photos in a new process, one after the other, in several rounds. The table has the medians of
the rounds, and the median of what PyTorch takes, divided by what the program takes in the same round. OpenVINO is left
out where it is not installed (``pip install openvino``); no part of the project needs it.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import statistics
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from tabulate import tabulate

from benchmarks.deployment.programs import PROGRAMS, Job, Measured, measure, write_network

# The long side may be so many times the short one, as in Detectron2's configurations.
LONGEST = 1333 / 800


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", nargs="+", type=Path, required=True, metavar="RUN", help="folders of trainings")
    parser.add_argument("--photos", type=Path, required=True, metavar="FOLDER", help="JPEGs and PNGs")
    parser.add_argument("--sizes", nargs="+", type=int, default=[512, 1024], help="short sides in px (512 1024)")
    parser.add_argument("--most", type=int, default=10, help="photos (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="(default: %(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="(default: %(default)s)")
    return parser.parse_args()


def main() -> None:
    args = parse_arguments()
    photos = sorted(p for p in args.photos.iterdir() if p.suffix.lower() in (".jpg", ".jpeg", ".png"))[: args.most]
    if not photos:
        raise SystemExit(f"{args.photos} does not hold JPEGs or PNGs")
    os.environ["OMP_NUM_THREADS"] = str(args.threads)  # of the processes that follow
    programs = [name for name in PROGRAMS if name != "OpenVINO" or importlib.util.find_spec("openvino")]
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        for run in args.runs:
            for size in args.sizes:
                job = Job(run, Path(scratch, "model.onnx"), size, round(size * LONGEST), photos, args.threads)
                in_new_process(write_network, job)
                rounds = [{name: in_new_process(measure, name, job) for name in programs} for _ in range(args.rounds)]
                rows += rows_of(f"{run.name}, {size} px", rounds)
    print(tabulate(rows, headers="keys", tablefmt="pipe", floatfmt=".2f"))


def in_new_process(function, *arguments):  # type: ignore[no-untyped-def]
    """What a function returns that is called in a new process, which has imported nothing yet."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def rows_of(network: str, rounds: Sequence[dict[str, Measured]]) -> list[dict[str, object]]:
    """A row for each program."""
    rows = []
    for name in rounds[0]:
        faster = [one["PyTorch"].seconds / one[name].seconds for one in rounds]
        rows.append(
            {
                "network": network,
                "program": name,
                "seconds a photo": statistics.median(one[name].seconds for one in rounds),
                "PyTorch / program": statistics.median(faster),
                "MiB": round(statistics.median(one[name].memory for one in rounds)),
            }
        )
    return rows


if __name__ == "__main__":
    main()
