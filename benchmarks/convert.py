"""``python -m dataset_tools convert`` beside labelme2coco and labelme's own script: agreement, speed, peak memory.

    python -m benchmarks.convert --output output/convert_benchmark [--photos 2000] [--repeats 5] [--memory-files 50000]

Speed is that of the conversion alone: the call in a process that has imported everything already, with the folder in
the page cache. Whole commands, from the start of Python to its end, are in the table as well. In each round every
contender takes its turn; ratios are taken within a round, and the median of the rounds is reported. labelme's script
decodes and encodes every photo and takes minutes for what the others do in seconds: it gets a part of the photos. After
each run its output is counted; the benchmark fails where one is incomplete. The floor reads what has to be read and
computes what has to be computed, and nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from tabulate import tabulate
from tqdm import tqdm

from benchmarks.agreement import agreement
from benchmarks.annotated_photos import CLASSES, POLYGONS, annotated_photos, many
from benchmarks.peak import MB, peak_of
from benchmarks.peers import LABELME, LABELME2COCO, labelme2coco_python, labelme_example
from dataset_tools.formats.card import read_card

PROJECT = Path(__file__).resolve().parents[1]

# Photos that are linked to, again and again, to make the large folder.
_DIFFERENT = 400

FLOOR = "floor: parse, header, rasterise"

# A driver ends by printing the seconds of the conversion. Its arguments are source and output, then its own.
_OURS = """
import sys, time
from pathlib import Path
from dataset_tools.convert import ConvertOptions, convert
source, output, jobs = sys.argv[1:]
start = time.perf_counter()
convert(ConvertOptions(source=Path(source), output=Path(output), jobs=int(jobs)))
print(time.perf_counter() - start)
"""
_LABELME2COCO = """
import sys, time
import labelme2coco
source, output = sys.argv[1:]
start = time.perf_counter()
labelme2coco.convert(source, output)
print(time.perf_counter() - start)
"""
_LABELME = """
import runpy, sys, time
import imgviz, labelme, numpy, pycocotools.mask
source, output, script, labels = sys.argv[1:]
sys.argv = [script, source, output, "--labels", labels, "--noviz"]
start = time.perf_counter()
runpy.run_path(script, run_name="__main__")
print(time.perf_counter() - start)
"""
_FLOOR = """
import sys, time
from pathlib import Path
import msgspec, numpy
from PIL import Image
from pycocotools import mask
from dataset_tools.labelme import AnnotationJson
source, output = map(Path, sys.argv[1:])
start, instances = time.perf_counter(), 0
files = sorted(source.glob("*.json"))
for file in files:
    record = msgspec.json.decode(file.read_bytes(), type=AnnotationJson)
    with Image.open(source / record.image_path) as photo:
        width, height = photo.size
    polygons = [numpy.array(shape.points).ravel() for shape in record.shapes]
    encoded = mask.frPyObjects(polygons, height, width)
    instances += len(mask.area(encoded)) * (len(mask.toBbox(encoded)) > 0)
seconds = time.perf_counter() - start
output.mkdir()
(output / "counts").write_text(f"{len(files)} {instances}")
print(seconds)
"""


@dataclass(frozen=True)
class Contender:
    """Something that converts, or the floor.

    Attributes:
        name: in the table.
        python: its interpreter.
        driver: source that times the conversion alone.
        arguments: of the driver, behind source and output.
        command: the whole command of a source and an output; None where there is none.
        count: (images, annotations) in an output.
    """

    name: str
    python: Path
    driver: str
    count: Callable[[Path], tuple[int, int]]
    arguments: tuple[str, ...] = ()
    command: Callable[[Path, Path], list[str]] | None = None


@dataclass(frozen=True)
class Timing:
    """One turn of a contender: images a second of the conversion alone, and of the whole command."""

    conversion: float
    command: float | None


# What takes part


def contenders(peer: Path) -> list[Contender]:
    """All that convert the whole folder; the first one is what the ratios are relative to."""
    python = Path(sys.executable)
    theirs = Contender(
        LABELME2COCO,
        peer,
        _LABELME2COCO,
        _count_labelme2coco,
        command=lambda source, output: [str(peer.parent / "labelme2coco"), str(source), str(output)],
    )
    ours = [
        Contender(f"polymask --jobs {jobs}", python, _OURS, _count_ours, (str(jobs),), partial(_our_command, jobs=jobs))
        for jobs in (1, 2)
    ]
    return [theirs, *ours, Contender(FLOOR, python, _FLOOR, _count_floor)]


def labelme_script(example: Path, labels: Path) -> Contender:
    script = example / "labelme2coco.py"
    return Contender(f"{LABELME}, its script", Path(sys.executable), _LABELME, _count_coco, (str(script), str(labels)))


def _our_command(source: Path, output: Path, jobs: int) -> list[str]:
    options = ["--output", str(output), "--jobs", str(jobs)]
    return [sys.executable, "-m", "dataset_tools", "convert", str(source), *options]


def _count_ours(output: Path) -> tuple[int, int]:
    splits = read_card(output).splits.values()
    return sum(split.images for split in splits), sum(split.instances for split in splits)


def _count_coco(output: Path, name: str = "annotations.json") -> tuple[int, int]:
    content = json.loads((output / name).read_bytes())
    return len(content["images"]), len(content["annotations"])


_count_labelme2coco = partial(_count_coco, name="dataset.json")


def _count_floor(output: Path) -> tuple[int, int]:
    images, annotations = (output / "counts").read_text().split()
    return int(images), int(annotations)


# Speed


def turn(contender: Contender, source: Path, photos: int, scratch: Path) -> Timing:
    """Both measurements of one contender; the output is counted each time.

    Raises:
        RuntimeError: it failed, or its output is incomplete.
    """
    arguments = [str(contender.python), "-c", contender.driver, str(source), str(scratch), *contender.arguments]
    said, _ = _run(arguments, contender, photos, scratch)
    conversion, command = photos / float(said.splitlines()[-1]), None
    if contender.command:
        _, seconds = _run(contender.command(source, scratch), contender, photos, scratch)
        command = photos / seconds
    return Timing(conversion, command)


def _run(command: list[str], contender: Contender, photos: int, scratch: Path) -> tuple[str, float]:
    """What a command says, and its seconds by the clock."""
    shutil.rmtree(scratch, ignore_errors=True)
    start = time.perf_counter()
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    if done.returncode:
        raise RuntimeError(f"{contender.name} ended with {done.returncode}: {done.stderr[-2000:]}")
    if contender.count(scratch) != (photos, photos * POLYGONS):
        raise RuntimeError(f"{contender.name} made {contender.count(scratch)} images and annotations of {photos}")
    return done.stdout, seconds


def speed(
    source: Path, all_of_them: list[Contender], photos: int, repeats: int, scratch: Path
) -> dict[str, list[Timing]]:
    """The timings of each contender, a round after the other; a round that warms the page cache comes before them."""
    timings: dict[str, list[Timing]] = {contender.name: [] for contender in all_of_them}
    turns = [contender for _ in range(repeats + 1) for contender in all_of_them]
    for index, contender in enumerate(tqdm(turns, desc=f"Converting {source.name}", unit="turn", disable=None)):
        timing = turn(contender, source, photos, scratch)
        if index >= len(all_of_them):
            timings[contender.name].append(timing)
    return timings


def speed_table(timings: dict[str, list[Timing]], reference: str) -> list[dict[str, object]]:
    """A row for each contender: medians of its rounds, and of its ratios to the reference and the floor in each."""
    rows = []
    for name, own in timings.items():
        rounds = list(zip(own, timings[reference], strict=True))
        shares = [one.conversion / floor.conversion for one, floor in zip(own, timings[FLOOR], strict=True)]
        ratios = [one.conversion / other.conversion for one, other in rounds]
        commands = [one.command / other.command for one, other in rounds if one.command and other.command]
        row = {
            "contender": name,
            "images/s": statistics.median(timing.conversion for timing in own),
            "ratio": statistics.median(ratios),
            "lowest": min(ratios),
            "highest": max(ratios),
            "of the floor": statistics.median(shares),
            "images/s, whole command": statistics.median(timing.command for timing in own) if commands else None,
            "ratio, whole command": statistics.median(commands) if commands else None,
        }
        rows.append(row)
    return rows


def script_speed(source: Path, script: Contender, ours: Contender, photos: int, runs: int, scratch: Path) -> list[dict]:
    """labelme's script on a part of the photos, and right after it ours on all of them; a row for each run."""
    part = source.with_name(f"{source.name}_part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    stems = sorted(path.stem for path in source.glob("*.json"))
    for stem in stems[:photos]:
        for name in (f"{stem}.json", f"{stem}.jpg"):
            os.link(source / name, part / name)
    rows = []
    for _ in range(runs):
        slow = turn(script, part, min(photos, len(stems)), scratch).conversion
        fast = turn(ours, source, len(stems), scratch).conversion
        rows.append({script.name: slow, ours.name: fast, "ratio": fast / slow})
    return rows


# Memory


def memory(base: Path, files: int, folder: Path) -> list[dict[str, object]]:
    """The peak of the whole command on a folder of very many files; a row for each number of processes."""
    source, rows = many(folder / "many", base, files), []
    for jobs in (1, 2):
        output = folder / "made_of_many"
        shutil.rmtree(output, ignore_errors=True)
        peak = peak_of(_our_command(source, output, jobs), PROJECT)
        size = sum(path.stat().st_size for path in output.rglob("*") if path.is_file()) / MB
        if _count_ours(output) != (files, files * POLYGONS):
            raise RuntimeError(f"polymask made {_count_ours(output)} images and annotations of {files}")
        row = {"jobs": jobs, "files": files, "images/s, whole command": files / peak.seconds, "output, MB": size}
        row |= {"peak, MB (shared once)": peak.shared_once, "peak, MB (shared each)": peak.shared_each}
        rows.append(row | {"peak / output": peak.shared_once / size})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("output/convert_benchmark"))
    parser.add_argument("--photos", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--script-photos", type=int, default=200, help="the part that labelme's script gets")
    parser.add_argument("--script-runs", type=int, default=2)
    parser.add_argument("--memory-files", type=int, help="measure the peak of the memory on so many files")
    args = parser.parse_args()
    folder = args.output.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    results: dict[str, object] = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    }
    example = labelme_example(folder)
    results["agreement"] = agreement(example, folder / "agreement")
    show("The example of labelme: its golden file beside ours", results["agreement"], digits=4)
    taking_part = contenders(labelme2coco_python(folder))
    labels = folder / "labels.txt"
    labels.write_text("\n".join(("__ignore__", *CLASSES)) + "\n")
    script, scratch = labelme_script(example, labels), folder / "made"
    for name in ("plain", "embedded"):
        source = annotated_photos(folder / name, args.photos, embedded=name == "embedded")
        timings = speed(source, taking_part, args.photos, args.repeats, scratch)
        results[f"rounds, {name}"] = {key: [asdict(timing) for timing in own] for key, own in timings.items()}
        results[f"speed, {name}"] = speed_table(timings, taking_part[0].name)
        show(f"{args.photos} photos, imageData {name}; median of {args.repeats} rounds", results[f"speed, {name}"])
        runs = script_speed(source, script, taking_part[2], args.script_photos, args.script_runs, scratch)
        results[f"script, {name}"] = runs
        show(f"labelme's script on {args.script_photos} of them", runs)
    if args.memory_files:
        base = annotated_photos(folder / "base", _DIFFERENT, embedded=False)
        results["memory"] = memory(base, args.memory_files, folder)
        show("Peak memory of the whole command", results["memory"])
    (folder / "convert.json").write_text(json.dumps(results, indent=2) + "\n")
    print(f"\nAlso in {folder / 'convert.json'}.")


def show(title: str, rows: object, digits: int = 2) -> None:
    print(f"\n{title}\n\n{tabulate(rows, headers='keys', tablefmt='pipe', floatfmt=f'.{digits}f')}", flush=True)


if __name__ == "__main__":
    main()
