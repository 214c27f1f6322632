"""polymask's counting of masks beside pycocotools': time and peak memory, and the time of a whole analysis.

    python -m benchmarks.evaluate --output output/evaluate [--images 5000] [--classes 80 3] [--rounds 3]

An evaluation is: read the COCO file and the detections, count masks, accumulate, summarise; both get the same files.
Each one runs in a process of its own, which has imported everything before the clock starts; its peak memory is that of
the whole process. In each round both take their turn; ratios are taken within a round, and the median of the rounds is
reported. On a busy machine the seconds of the processor say more than those by the clock. The benchmark fails where the
twelve figures differ. Last, ``analyse`` (boxes, masks, intervals, kinds of mistakes) is timed on fewer photos.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from tabulate import tabulate
from tqdm import tqdm

from benchmarks.generated_results import Amount, generated_results

PROJECT = Path(__file__).resolve().parents[1]

OURS, THEIRS = "polymask", "pycocotools"

# A driver ends by printing a line of JSON: seconds by the clock and of the processor, peak memory in KB, the twelve
# figures. Its arguments are the COCO file and the detections.
_END = """
seconds, busy = time.perf_counter() - start, time.process_time() - busy
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
figures = [float(value) for value in stats]
print(json.dumps({"seconds": seconds, "busy": busy, "kilobytes": memory, "figures": figures}))
"""
_DRIVERS = {
    OURS: """
import json, resource, sys, time
from pathlib import Path
from polymask.evaluation.counting import count
from polymask.evaluation.read import read_detections, read_truth
start, busy = time.perf_counter(), time.process_time()
truth = read_truth(Path(sys.argv[1]))
stats = count(truth, read_detections(Path(sys.argv[2]), truth), "segm").stats
"""
    + _END,
    # As Detectron2 asks for it: without the boxes, since the areas would be theirs.
    THEIRS: """
import json, resource, sys, time
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
start, busy = time.perf_counter(), time.process_time()
coco = COCO(sys.argv[1])
with open(sys.argv[2]) as file:
    found = json.load(file)
for detection in found:
    del detection["bbox"]
judge = COCOeval(coco, coco.loadRes(found), "segm")
judge.evaluate()
judge.accumulate()
judge.summarize()
stats = judge.stats
"""
    + _END,
}
_ANALYSIS = (
    """
import json, resource, sys, time
from pathlib import Path
from polymask.evaluation.analysis import analyse
start, busy = time.perf_counter(), time.process_time()
analysis = analyse(Path(sys.argv[1]), Path(sys.argv[2]), dataset="generated", split="test")
stats = [analysis.segm.AP.value / 100]
"""
    + _END
)


@dataclass(frozen=True)
class Turn:
    """One evaluation in a process of its own: seconds by the clock and of the processor; figures are from 0 to 1."""

    seconds: float
    busy: float
    megabytes: float
    figures: list[float]


def take_turn(driver: str, truth: Path, found: Path) -> Turn:
    done = subprocess.run(
        [sys.executable, "-c", driver, str(truth), str(found)],
        cwd=PROJECT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"an evaluation ended with {done.returncode}: {done.stderr[-2000:]}")
    said = json.loads(done.stdout.splitlines()[-1])
    return Turn(said["seconds"], said["busy"], said["kilobytes"] * 1024 / 1e6, said["figures"])


def rounds_of(truth: Path, found: Path, rounds: int, title: str) -> list[dict[str, Turn]]:
    """So many rounds, in each of which both take their turn.

    Raises:
        RuntimeError: the twelve figures differ.
    """
    taken = []
    with tqdm(total=2 * rounds, desc=title, unit="turn", disable=None) as progress:
        for index in range(rounds):
            turns = {}
            for name in (OURS, THEIRS)[:: 1 if index % 2 else -1]:  # each goes first in turn
                turns[name] = take_turn(_DRIVERS[name], truth, found)
                progress.update()
            ours, theirs = (np.array(turns[name].figures) for name in (OURS, THEIRS))
            if len(ours) != 12 or np.abs(ours - theirs).max() > 1e-12:
                raise RuntimeError(f"the figures differ: {ours} and {theirs}")
            taken.append(turns)
    return taken


def table_of(taken: list[dict[str, Turn]], amount: Amount) -> list[dict[str, object]]:
    rows = []
    for name in (THEIRS, OURS):
        times = [turns[THEIRS].seconds / turns[name].seconds for turns in taken]
        busy = [turns[THEIRS].busy / turns[name].busy for turns in taken]
        memories = [turns[name].megabytes / turns[THEIRS].megabytes for turns in taken]
        rows.append({
            "classes": amount.classes,
            "counted by": name,
            "seconds": statistics.median(turns[name].seconds for turns in taken),
            "times as fast": statistics.median(times),
            "lowest": min(times),
            "highest": max(times),
            "seconds of the processor": statistics.median(turns[name].busy for turns in taken),
            "times as fast by them": statistics.median(busy),
            "peak, MB": statistics.median(turns[name].megabytes for turns in taken),
            "of its memory": statistics.median(memories),
        })  # fmt: skip
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("output/evaluate"))
    parser.add_argument("--images", type=int, default=5000, help="(default: %(default)s, as in COCO's val2017)")
    parser.add_argument("--instances", type=int, default=36_000, help="of all images (default: %(default)s)")
    parser.add_argument("--detections", type=int, default=100, help="of each image (default: %(default)s)")
    parser.add_argument("--classes", type=int, nargs="+", default=[80, 3], help="numbers of them (default: 80 3)")
    parser.add_argument("--rounds", type=int, default=3, help="(default: %(default)s)")
    parser.add_argument("--analysed-images", type=int, default=1000, help="0: no analysis (default: %(default)s)")
    args = parser.parse_args()
    folder = args.output.resolve()
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    results: dict[str, object] = {"machine": machine, "images": args.images, "instances": args.instances}
    results |= {"detections of an image": args.detections, "rounds": {}, "evaluation": [], "analysis": []}
    for classes in args.classes:
        amount = Amount(args.images, args.instances, args.detections, classes)
        files = generated_results(folder, amount)
        taken = rounds_of(*files, args.rounds, f"{classes} classes")
        results["rounds"][classes] = [{name: asdict(turn) for name, turn in turns.items()} for turns in taken]
        results["evaluation"] += table_of(taken, amount)
        if args.analysed_images:
            part = round(args.instances * args.analysed_images / args.images)
            files = generated_results(folder, Amount(args.analysed_images, part, args.detections, classes))
            turn = take_turn(_ANALYSIS, *files)
            row = {"classes": classes, "images": args.analysed_images, "seconds": turn.seconds}
            row["seconds of the processor"] = turn.busy
            results["analysis"].append(row | {"peak, MB": turn.megabytes})
        (folder / "evaluate.json").write_text(json.dumps(results, indent=2) + "\n")
    title = f"{args.images} images, {args.instances} instances, {args.detections} detections of each image; masks"
    show(f"{title}; median of {args.rounds} rounds", results["evaluation"])
    if results["analysis"]:
        show("analyse(): boxes and masks, with intervals of 1,000 drawings", results["analysis"])
    print(f"\nAlso in {folder / 'evaluate.json'}.")


def show(title: str, rows: object) -> None:
    print(f"\n{title}\n\n{tabulate(rows, headers='keys', tablefmt='pipe', floatfmt='.2f')}", flush=True)


if __name__ == "__main__":
    main()
