"""A fault that was brought about, and the commands that it is brought about in."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.polymask.conftest import TINY, draw_photo

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 300  # seconds for a command on a busy machine

# A network whose states take 2 MB, for hundreds of trainings.
SMALL_NETWORK = [*TINY, "MODEL.BACKBONE.NAME", "build_resnet_fpn_backbone", "MODEL.RESNETS.DEPTH", "50",
                 "MODEL.RESNETS.RES2_OUT_CHANNELS", "16", "MODEL.RESNETS.STEM_OUT_CHANNELS", "8",
                 "MODEL.RESNETS.WIDTH_PER_GROUP", "4", "MODEL.FPN.OUT_CHANNELS", "16", "MODEL.ROI_BOX_HEAD.FC_DIM", "16",
                 "MODEL.ROI_MASK_HEAD.CONV_DIM", "16"]  # fmt: skip
# Two updates between states: when the third is there, the first one goes.
SIX_UPDATES = [*SMALL_NETWORK, "SOLVER.MAX_ITER", "6", "SOLVER.CHECKPOINT_PERIOD", "2", "SOLVER.IMS_PER_BATCH", "2",
               "TEST.EVAL_PERIOD", "4", "INPUT.CACHE", "off"]  # fmt: skip


@dataclass(frozen=True)
class Trial:
    """One fault.

    Attributes:
        fault: its kind, a row of the table.
        case: which one of this kind.
        failure: what was wrong afterwards; empty where nothing was.
        skipped: why it could not be brought about here; empty where it was.
    """

    fault: str
    case: str
    failure: str = ""
    skipped: str = ""


def polymask(*arguments: object) -> list[str]:
    """A command line of this Python: ``polymask("-m", "dataset_tools", ...)``."""
    return [sys.executable, *map(str, arguments)]


def training(dataset: Path, output: Path | str, *flags: str, values: Sequence[str] = ()) -> list[str]:
    """The command line of a training of six updates."""
    places = ["DATASETS.ROOT", str(dataset), "OUTPUT_DIR", str(output)]
    return polymask(
        "train_net.py", "--config-file", "configs/mini_scratch.yaml", *flags, *places, *SIX_UPDATES, *values
    )


def begin(command: Sequence[str], environment: Mapping[str, str] | None = None, **options: object) -> subprocess.Popen:
    """Starts a command line with one thread, on which the last digits depend, in its own process group."""
    variables = {"OMP_NUM_THREADS": "1", **(os.environ if environment is None else environment)}
    return subprocess.Popen(
        command, cwd=ROOT, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True, **options,
    )  # fmt: skip


def end(process: subprocess.Popen, expected: int = 0, words: str = "") -> str:
    """Waits for a process, and says what is wrong with how it ended; nothing if nothing is.

    Args:
        expected: its exit code. Any other than 0 comes with one line of error.
        words: that this line holds.
    """
    try:
        output, errors = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        output, errors = process.communicate()
        return f"it did not end: {errors[-500:]}"
    if process.returncode != expected:
        return f"exit code {process.returncode} instead of {expected}: {(output + errors)[-500:]}"
    if "Traceback" in errors:
        return f"a traceback: {errors[-500:]}"
    lines = [line for line in errors.splitlines() if line.startswith("error: ")]
    if expected and not (len(lines) == 1 and words in lines[0]):
        return f"no single error with {words!r}: {errors[-500:]}"
    return ""


def run(command: Sequence[str], expected: int = 0, words: str = "", **options: object) -> str:
    """Runs a command line; see ``end``."""
    return end(begin(command, **options), expected, words)


def must(failure: str) -> None:
    """Ends the whole experiment where its preparation fails."""
    if failure:
        raise RuntimeError(failure)


def annotated_photos(folder: Path, **photos_of_split: int) -> Path:
    """A LabelMe folder with so many drawn photos in each sub-folder."""
    rng = np.random.default_rng(0)
    index = itertools.count()
    for split, photos in photos_of_split.items():
        (folder / split).mkdir(parents=True)
        for _ in range(photos):
            draw_photo(folder / split, next(index), rng)
    return folder


def convert(photos: Path, output: Path, *options: str) -> list[str]:
    """The command line of a conversion."""
    return polymask("-m", "dataset_tools", "convert", photos, "--output", output, *options)


def contents(folder: Path) -> dict[str, bytes | None]:
    """All that is in a folder: the bytes of files, None for folders."""
    paths = sorted(folder.rglob("*"))
    return {path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None for path in paths}


def difference(one: Mapping[str, bytes | None], other: Mapping[str, bytes | None]) -> str:
    """The names of what two folders differ in."""
    return ", ".join(sorted(name for name in {*one, *other} if one.get(name, 0) != other.get(name, 0)))
