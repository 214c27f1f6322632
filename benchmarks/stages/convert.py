"""``python -m dataset_tools convert`` beside labelme2coco: whole commands, from the start of Python to its end."""

from __future__ import annotations

import json
import os
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
        Contender(OURS, lambda: _run(command), prepare=lambda: shutil.rmtree(ours, ignore_errors=True)),
        Contender(
            PEER, lambda: _run([peer, source, theirs]), prepare=lambda: shutil.rmtree(theirs, ignore_errors=True)
        ),
    )
    written = {OURS: files, PEER: [theirs / "dataset.json"]}
    return Stage(
        f"{PHOTOS} photos with {POLYGONS} polygons each",
        contenders,
        (Pair(OURS, PEER, at_least=2.0),),
        lambda _: _check(written),
    )


def _install_peer(folder: Path) -> Path:
    """labelme2coco's command in a virtual environment; made on the first call, which takes a minute."""
    environment = folder / PEER
    if not (environment / "ready").exists():
        shutil.rmtree(environment, ignore_errors=True)
        _run([sys.executable, "-m", "venv", environment])
        _run([environment / "bin/python", "-m", "pip", "install", "--disable-pip-version-check", PEER])
        (environment / "ready").touch()
    return environment / "bin/labelme2coco"


def _run(command: Sequence[object]) -> None:
    # pip has compiled the peer's modules; ours are compiled and kept in the first round.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run([str(part) for part in command], cwd=PROJECT, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{command[0]} ended with {done.returncode}: {done.stderr[-1000:]}")


def _check(written: dict[str, Sequence[Path]]) -> str:
    wanted = PHOTOS, PHOTOS * POLYGONS
    for name, files in written.items():
        contents = [json.loads(file.read_bytes()) for file in files]
        counts = tuple(sum(len(content[key]) for content in contents) for key in ("images", "annotations"))
        if counts != wanted:
            raise DifferentWork(f"{name} wrote {counts} photos and instances of {wanted}")
    return f"{wanted[0]} photos and {wanted[1]} instances on each side"
