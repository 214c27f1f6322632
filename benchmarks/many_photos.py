"""What ``demo.py`` and ``runtime`` do with thousands of photos when they are killed twice.

    python -m benchmarks.many_photos --run output/demo [--photos 2000] [--processes 1 2] [--model model.onnx] [--save coco]

Photos of 160 x 160 px are cut out of the sample's scenes. The command is killed (SIGKILL for all its processes) when a third
of them is done, and when two thirds are, and goes on with --resume. Then each photo must be in coco.json once. A photo is
done twice if its line in the output comes twice. Memory is the largest resident set of a process in the last third, while
the first and the last quarter of its photos are looked at. Linux only.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

import cv2
import numpy as np
from tabulate import tabulate

from dataset_tools.formats.coco import read_coco

PROJECT = Path(__file__).resolve().parents[1]
SIDE = 160  # px
POLL = 0.2  # seconds


class Outcome(NamedTuple):
    """Of one command with all its stops: photos that are missing, done twice, seconds a photo, and MiB in the last part."""

    lost: int
    twice: int
    seconds: float
    first_mib: float
    last_mib: float


def make_photos(folder: Path, photos: int) -> None:
    """Squares out of scenes of the sample, half of them mirrored, the same for the same number."""
    rng, scenes = np.random.default_rng(0), sorted((PROJECT / "data/sample/test").glob("*.jpg"))
    for number in range(photos):
        scene = cv2.imread(str(scenes[rng.integers(len(scenes))]))
        side = min(scene.shape[:2])
        top, left = (int(rng.integers(length - side + 1)) for length in scene.shape[:2])
        square = cv2.resize(scene[top : top + side, left : left + side], (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(folder / f"{number:06}.jpg"), square[:, :: rng.choice([-1, 1])])


def measure(command: Sequence[str], output: Path, photos: int) -> Outcome:
    """Runs a command into a folder, killed at one and at two thirds of its photos."""
    said, begin = "", time.monotonic()
    for stop in (photos // 3, 2 * photos // 3, None):
        memory: list[float] = []
        with tempfile.TemporaryFile("w+") as log:
            process = subprocess.Popen(command, cwd=PROJECT, stderr=log, stdout=log)
            while process.poll() is None:
                records = [*output.glob(".unfinished_*/*"), *output.glob(".unfinished.jsonl")]
                done = sum(file.read_bytes().count(b"\n") for file in records)
                if stop is not None and done >= stop:
                    for number in family(process.pid):
                        os.kill(number, signal.SIGKILL)
                elif stop is None and done > 2 * photos // 3:
                    memory.append(max(map(resident_mib, family(process.pid)), default=0.0))
                time.sleep(POLL)
            log.seek(0)
            said += (words := log.read())
        if process.returncode != (0 if stop is None else -signal.SIGKILL):
            raise SystemExit(f"{' '.join(command)} ended with {process.returncode}:\n{words[-2000:]}")
    seconds = (time.monotonic() - begin) / photos
    looked_at = Counter(re.findall(r"(\d{6}\.jpg)'?: \d+ instance", said))
    names = {Path(image.file_name).name for image in read_coco(output / "coco.json").images}
    quarter = max(1, len(memory) // 4)
    twice = sum(times - 1 for times in looked_at.values())
    return Outcome(
        photos - len(names), twice, seconds, median(memory[:quarter] or [0]), median(memory[-quarter:] or [0])
    )


def family(process: int) -> list[int]:
    """A process and all that it has started, as far as they still run."""
    try:
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except OSError:
        return []
    return [process, *(member for child in children for member in family(int(child)))]


def resident_mib(process: int) -> float:
    """0 for a process that has gone."""
    try:
        found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
    except OSError:
        return 0.0
    return int(found[1]) / 1024 if found else 0.0


def demo_command(run: Path, photos: Path, output: Path, processes: int, save: Sequence[str]) -> list[str]:
    program = [sys.executable]
    if processes > 1:
        program += ["-m", "torch.distributed.run", "--nproc-per-node", str(processes)]
    words = ["demo.py", "--config-file", run / "config.yaml", "--input", photos, "--output", output, "--save", *save]
    words += ["--resume", "--opts", "MODEL.WEIGHTS", run / "model_final.pth"]
    return [*program, *map(str, words)]


def runtime_command(model: Path, photos: Path, output: Path, save: Sequence[str]) -> list[str]:
    words = ["-m", "runtime", model, photos, "--output", output, "--save", *save, "--resume"]
    return [sys.executable, *map(str, words)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, default=PROJECT / "output/demo", help="the OUTPUT_DIR of a training")
    parser.add_argument("--photos", type=int, default=2000)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--model", type=Path, help="an exported file of the run, for runtime")
    parser.add_argument("--save", nargs="+", default=["coco"])
    args = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as work:
        photos = Path(work, "photos")
        photos.mkdir()
        make_photos(photos, args.photos)
        for processes in args.processes:
            output = Path(work, f"found_{processes}")
            command = demo_command(args.run.resolve(), photos, output, processes, args.save)
            rows.append(("demo.py", processes, *measure(command, output, args.photos)))
        if args.model:
            output = Path(work, "found")
            command = runtime_command(args.model.resolve(), photos, output, args.save)
            rows.append(("runtime", 1, *measure(command, output, args.photos)))
    headers = ("command", "processes", "photos lost", "done twice", "s a photo", "MiB at first", "MiB at last")
    print(tabulate(rows, headers, tablefmt="pipe", floatfmt=("", "", "", "", ".3f", ".0f", ".0f")))


if __name__ == "__main__":
    main()
