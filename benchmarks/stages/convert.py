"""``python -m dataset_tools convert`` beside labelme2coco: whole commands, from the start of Python to its end."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.stages.labelme_folder import Layout, write_labelme_folder
from benchmarks.stages.options import PROJECT, Options
from benchmarks.stages.timing import Contender, DifferentWork, Pair, Skipped, Stage

OURS, PEER = "dataset_tools convert --jobs 1", "labelme2coco==0.2.6"
PHOTOS, POLYGONS = 1000, 6  # photos, and polygons on each


def convert(options: Options) -> Stage:
    """A LabelMe folder to COCO files."""
    if options.peers is None:
        raise Skipped(f"{PEER} needs its own environment: --peers FOLDER makes one, which takes a network")
    peer = _install_peer(options.peers.resolve())
    source = write_labelme_folder(options.scratch / "labelme", PHOTOS, Layout(polygons=POLYGONS))
    ours, theirs = options.scratch / "converted", options.scratch / "labelme2coco"
    command = [sys.executable, "-m", "dataset_tools", "convert", source, "--jobs", "1", "--output", ours]
    files = [ours / f"{split}.json" for split in ("train", "val", "test")]
    contenders = (
        _contender(OURS, command, files),
        _contender(PEER, [peer, source, theirs], [theirs / "dataset.json"]),
    )
    return Stage(f"{PHOTOS} photos with {POLYGONS} polygons each", contenders, (Pair(OURS, PEER),), _check)


def _install_peer(folder: Path) -> Path:
    """labelme2coco's command in a virtual environment; made on the first call, which takes a minute."""
    environment = folder / PEER
    if not (environment / "ready").exists():
        shutil.rmtree(environment, ignore_errors=True)
        _run([sys.executable, "-m", "venv", environment])
        _run([environment / "bin/python", "-m", "pip", "install", "--disable-pip-version-check", PEER])
        (environment / "ready").touch()
    return environment / "bin/labelme2coco"


def _contender(name: str, command: Sequence[object], files: Sequence[Path]) -> Contender:
    def run() -> tuple[int, int]:
        _run(command)
        contents = [json.loads(file.read_bytes()) for file in files]
        return tuple(sum(len(content[key]) for content in contents) for key in ("images", "annotations"))

    return Contender(name, run, prepare=lambda: shutil.rmtree(files[0].parent, ignore_errors=True))


def _run(command: Sequence[object]) -> None:
    done = subprocess.run([str(part) for part in command], cwd=PROJECT, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{command[0]} ended with {done.returncode}: {done.stderr[-1000:]}")


def _check(results: dict[str, tuple[int, int]]) -> str:
    wanted = PHOTOS, PHOTOS * POLYGONS
    for name, counts in results.items():
        if counts != wanted:
            raise DifferentWork(f"{name} wrote {counts} photos and instances of {wanted}")
    return f"{wanted[0]} photos and {wanted[1]} instances on each side"
