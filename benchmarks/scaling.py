"""What each command takes as objects, photos, pixels and classes grow; its inputs are generated.

    python -m benchmarks.scaling [--only CASE ...] [--share 1] [--output output/scaling.json]

Each case has a quarter, a half and all of its amount. The table has the processor seconds of each command, all its processes
together, and the most memory that one of them held. The last row of a case says how many times as long all takes as a half,
without what a single small photo takes: 2 is linear. "evaluation" counts boxes and masks of as many detections as there are
objects, "report" is ``python -m polymask report``: both are measured, and may grow faster. A step that --output holds
already is not measured again, so that the command can be stopped and repeated.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from PIL import Image, ImageDraw
from tabulate import tabulate

from benchmarks.stages.labelme_folder import Layout, draw_polygon
from polymask.known_warnings import silence_known_warnings

PROJECT = Path(__file__).resolve().parents[1]
STEPS = {"a quarter": 0.25, "a half": 0.5, "all": 1.0}
COMMANDS = ("check", "convert", "adopt", "stats", "preview", "masks", "to-labelme", "evaluation", "report")


class Amount(NamedTuple):
    """How many photos of which (width, height) in px there are, objects on each, and classes."""

    photos: int = 1
    size: tuple[int, int] = (640, 480)
    objects: int = 1
    classes: int = 1


class Cost(NamedTuple):
    """Seconds by the clock and of the processor; the most memory of a process in MB."""

    seconds: float
    processor: float
    memory: float


# Of a share of each amount.
CASES: dict[str, Callable[[float], Amount]] = {
    "objects": lambda share: Amount(1, (4000, 3000), round(5000 * share), 3),
    "photos": lambda share: Amount(round(10_000 * share), (320, 240), 5, 3),
    "pixels": lambda share: Amount(1, (round(math.sqrt(share) * 12_000), round(math.sqrt(share) * 8_400)), 20, 3),
    "classes": lambda share: Amount(300, (320, 240), 10, round(300 * share)),
}
ONE = "one photo"


def steps(only: Sequence[str], share: float) -> dict[str, Amount]:
    """The amount of each step by its name, and first one small photo."""
    return {ONE: Amount()} | {
        f"{case}, {name}": CASES[case](share * part) for case in only for name, part in STEPS.items()
    }


def write_folder(folder: Path, amount: Amount) -> None:
    """Draws photos with polygons of 40 vertices, and their LabelMe files: the same for the same amount."""
    folder.mkdir()
    side = max(4.0, min(amount.size) / max(4.0, math.sqrt(amount.objects)))
    layout = Layout(amount.size, amount.objects, (side / 2, side))
    for number in range(amount.photos):
        rng, name = np.random.default_rng((0, number)), f"{number:06}"
        coarse = rng.integers(40, 216, (9, 12, 3), dtype=np.uint8)
        photo = Image.fromarray(coarse).resize(amount.size, Image.Resampling.BICUBIC)
        pen, shapes = ImageDraw.Draw(photo), []
        for index in range(amount.objects):
            points = draw_polygon(rng, layout).round(2).tolist()
            pen.polygon([tuple(point) for point in points], fill=tuple(rng.integers(0, 256, 3).tolist()))
            label = f"class {(number * amount.objects + index) % amount.classes}"
            shapes.append({"label": label, "points": points, "group_id": None, "shape_type": "polygon", "flags": {}})
        photo.save(folder / f"{name}.jpg", quality=90)
        content = {"version": "5.4.1", "flags": {}, "shapes": shapes, "imagePath": f"{name}.jpg", "imageData": None}
        content |= {"imageHeight": amount.size[1], "imageWidth": amount.size[0]}
        (folder / f"{name}.json").write_text(json.dumps(content))


def measure(amount: Amount, scratch: Path) -> dict[str, Cost]:
    """What each of COMMANDS takes.

    Args:
        amount: of what is generated.
        scratch: an empty folder.
    """
    photos, dataset, run = (scratch / name for name in ("photos", "scaling", "run"))
    write_folder(photos, amount)
    costs = {"check": _run("dataset_tools", "check", photos)}
    costs["convert"] = _run("dataset_tools", "convert", photos, "--output", dataset, "--split", "1", "0", "0")
    for command, source in (
        ("adopt", dataset),
        ("stats", photos),
        ("preview", photos),
        ("masks", photos),
        ("to-labelme", dataset),
    ):
        output = scratch / command
        wanted = [] if command == "stats" else ["--output", output]
        costs[command] = _run("dataset_tools", command, source, *wanted)
        shutil.rmtree(output, ignore_errors=True)
    # In a process of its own: what this one has ever held would count for all commands that it starts.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        costs["evaluation"] = process.submit(_evaluate, dataset, run).result()
    costs["report"] = _run("polymask", "report", run)
    return {command: costs[command] for command in COMMANDS}


def _run(*words: object) -> Cost:
    """A command's cost, with that of the processes that it starts."""
    begin = time.perf_counter()
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen([sys.executable, "-m", *map(str, words)], cwd=PROJECT, stdout=said, stderr=said)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            raise SystemExit(f"{' '.join(map(str, words))} ended with {process.returncode}:\n{said.read()[-2000:]}")
    return Cost(time.perf_counter() - begin, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def _evaluate(dataset: Path, run: Path) -> Cost:
    """Of as many detections as there are objects, each with the mask of one; makes the folder of a run of them."""
    silence_known_warnings()  # Detectron2 warns when it is imported
    from dataset_tools.catalog import register
    from polymask.config.load import load_config
    from polymask.config.resolve import resolve_dataset
    from polymask.evaluation.coco import MaskAPEvaluator, detections_file
    from polymask.evaluation.read import read_truth

    card = register(dataset)
    overrides = ["DATASETS.ROOT", str(dataset), "OUTPUT_DIR", str(run), "TEST.DETECTIONS_PER_IMAGE", "10000"]
    cfg = load_config(PROJECT / "configs/mini_scratch.yaml", overrides)
    resolve_dataset(cfg, card)
    run.mkdir()
    (run / "config.yaml").write_text(cfg.dump())
    truth = read_truth(dataset / "train.json")
    objects, scores = truth.objects, np.random.default_rng(0).uniform(0.05, 1, len(truth.objects))
    found = []
    for index, (photo, category, score) in enumerate(zip(objects.photo.tolist(), objects.category.tolist(), scores)):
        image, code = truth.photos[photo], objects.mask[index]
        counts = code.decode() if isinstance(code, bytes) else code
        mask = {"size": [image.height, image.width], "counts": counts}
        place = {"image_id": image.id, "category_id": truth.category_ids[category], "bbox": objects.box[index].tolist()}
        found.append(place | {"score": float(score), "segmentation": mask})
    name = f"{card.name}_train"
    begin, processor = time.perf_counter(), time.process_time()
    MaskAPEvaluator(name, detections_file(run, name).parent).measure(found)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Cost(time.perf_counter() - begin, time.process_time() - processor, memory)


def table(measured: dict[str, dict[str, Cost]], amounts: dict[str, Amount]) -> str:
    """Seconds of the processor as Markdown, and for each case how many times as long all takes as a half."""
    rows: list[list[str]] = []
    one = measured.get(ONE)
    for step, costs in measured.items():
        amount = amounts[step]
        what = f"{amount.photos} x {amount.size[0]} x {amount.size[1]} px, {amount.objects} objects each, {amount.classes} classes"
        memory = max(cost.memory for cost in costs.values())
        rows.append([step, what, *(f"{costs[name].processor:.1f}" for name in COMMANDS), f"{memory:.0f}"])
        half = measured.get(step.replace(", all", ", a half"))
        if step.endswith(", all") and half and one:
            pairs = [(costs[n].processor - one[n].processor, half[n].processor - one[n].processor) for n in COMMANDS]
            times = [f"{whole / part:.1f}" if part > 0.2 else "-" for whole, part in pairs]  # less is noise
            rows.append(["", "times a half", *times, ""])
    headers = ["", "photos", *COMMANDS, "MB"]
    return tabulate(rows, headers, tablefmt="pipe", disable_numparse=True, colalign=["left"] * 2 + ["right"] * 10)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scaling", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only", nargs="+", choices=tuple(CASES), default=tuple(CASES), metavar="CASE", help=", ".join(CASES)
    )
    parser.add_argument("--share", type=float, default=1.0, help="of all amounts (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=Path("output/scaling.json"), help="(default: %(default)s)")
    args = parser.parse_args(arguments)
    kind = dict[str, dict[str, Cost]]
    measured = msgspec.json.decode(args.output.read_bytes(), type=kind) if args.output.exists() else {}
    amounts = steps(args.only, args.share)
    for step, amount in amounts.items():
        if step in measured:
            continue
        with tempfile.TemporaryDirectory() as scratch:
            measured[step] = measure(amount, Path(scratch))
        args.output.parent.mkdir(parents=True, exist_ok=True)
        args.output.write_bytes(msgspec.json.format(msgspec.json.encode(measured)))
        print(f"{step}: {sum(cost.seconds for cost in measured[step].values()):.0f} s", flush=True)
    print(table({step: measured[step] for step in amounts}, amounts))
    return 0


if __name__ == "__main__":
    sys.exit(main())
