"""``python -m dataset_tools convert`` beside labelme2coco: whole commands, from the start of Python to its end."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.annotated_photos import POLYGONS, annotated_photos
from benchmarks.peers import LABELME2COCO, labelme2coco_python
from benchmarks.stages.options import PROJECT, Options
from benchmarks.stages.timing import Contender, DifferentWork, Pair, Skipped, Stage

OURS, PEER = "dataset_tools convert --jobs 1", LABELME2COCO
PHOTOS = 1000


def convert(options: Options) -> Stage:
    """A LabelMe folder to COCO files."""
    if options.peers is None:
        raise Skipped(f"{PEER} needs an environment of its own: --peers FOLDER makes one, which takes a network")
    peer = labelme2coco_python(options.peers.resolve()).parent / "labelme2coco"
    source = annotated_photos(options.scratch / "labelme", PHOTOS)
    ours, theirs = options.scratch / "converted", options.scratch / "labelme2coco"
    command = [sys.executable, "-m", "dataset_tools", "convert", source, "--jobs", "1", "--output"]
    files = [ours / f"{split}.json" for split in ("train", "val", "test")]
    contenders = (
        _contender(OURS, [*command, ours], files),
        _contender(PEER, [peer, source, theirs], [theirs / "dataset.json"]),
    )
    return Stage(f"{PHOTOS} photos with {POLYGONS} polygons each", contenders, (Pair(OURS, PEER),), _check)


def _contender(name: str, command: Sequence[object], files: Sequence[Path]) -> Contender:
    folder = files[0].parent
    return Contender(name, _command(command, files), prepare=lambda: shutil.rmtree(folder, ignore_errors=True))


def _command(command: Sequence[object], files: Sequence[Path]) -> Callable[[], tuple[int, int]]:
    def run() -> tuple[int, int]:
        done = subprocess.run([str(part) for part in command], cwd=PROJECT, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{command[0]} ended with {done.returncode}: {done.stderr[-1000:]}")
        contents = [json.loads(file.read_bytes()) for file in files]
        return tuple(sum(len(content[key]) for content in contents) for key in ("images", "annotations"))

    return run


def _check(results: dict[str, tuple[int, int]]) -> str:
    wanted = PHOTOS, PHOTOS * POLYGONS
    for name, counts in results.items():
        if counts != wanted:
            raise DifferentWork(f"{name} wrote {counts} photos and instances of {wanted}")
    return f"{wanted[0]} photos and {wanted[1]} instances on each side"
