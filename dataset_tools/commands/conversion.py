"""What ``convert`` and ``adopt`` say when they are done."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from dataset_tools.commands.reporting import number, run_and_report
from dataset_tools.text import LONGEST_CELL, one_line, visible

if TYPE_CHECKING:
    from dataset_tools.dataset.make import ConversionResult
    from dataset_tools.formats.card import Card


def run_conversion(conversion: Callable[[], ConversionResult], output: Path) -> int:
    """Run a conversion, and say what was found and what came of it; the exit code."""
    result, _ = run_and_report(conversion)  # files with errors are left out only where that was asked for
    print(summarise(result, output))
    return 0


def summarise(converted: ConversionResult, folder: Path) -> str:
    """A table of images and instances per split, where they are, and the next command."""
    card = converted.card
    images = number(sum(split.images for split in card.splits.values()), "image")
    instances = number(sum(split.instances for split in card.splits.values()), "instance")
    classes = number(len(card.classes), "class", "classes")
    lines = [f"{card.name}: {images}, {instances}, {classes} in {folder}"]
    if converted.skipped:
        lines.append(f"left out: {number(converted.skipped, 'file')} with errors")
    return visible("\n".join([*lines, "", *_table(card), "", *_trainings(folder)]))


def _trainings(folder: Path) -> list[str]:
    """The commands that train on a dataset folder, the one for this machine first."""
    configurations = [("Without a GPU", "mini_scratch"), ("With a GPU", "mask_rcnn_R_18_FPN")]
    if _has_gpu():
        configurations.reverse()
    lines = ["Train on it (add --dry-run before DATASETS.ROOT to see how long it takes here)."]
    for title, name in configurations:
        command = f"{_python()} train_net.py --config-file configs/{name}.yaml DATASETS.ROOT {shlex.quote(str(folder))}"
        lines += [f"{title}:", f"    {command}"]
    return lines


def _has_gpu() -> bool:
    """Whether NVIDIA's driver is here. PyTorch knows better, but takes seconds to load."""
    return Path("/dev/nvidiactl").exists() or shutil.which("nvidia-smi") is not None


def _python() -> str:
    """This interpreter as one may type it here: ``python`` alone is another one where no environment is active."""
    interpreter, here = Path(sys.executable), Path.cwd()
    return shlex.quote(str(interpreter.relative_to(here))) if interpreter.is_relative_to(here) else "python"


def _table(card: Card) -> list[str]:
    rows = [["", *card.splits]]
    rows.append(["images", *(str(split.images) for split in card.splits.values())])
    rows.append(["instances", *(str(split.instances) for split in card.splits.values())])
    rows += [
        [
            f"  {one_line(name, LONGEST_CELL)}",
            *(str(split.instances_per_class.get(name, 0)) for split in card.splits.values()),
        ]
        for name in card.classes
    ]
    first = max(len(row[0]) for row in rows)
    return [row[0].ljust(first) + "".join(cell.rjust(8) for cell in row[1:]) for row in rows]
