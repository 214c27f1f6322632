"""``to-labelme``: a dataset folder, or predictions for it, to LabelMe files."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from dataset_tools.commands.options import record_of
from dataset_tools.commands.reporting import number
from dataset_tools.text import one_line, visible

if TYPE_CHECKING:
    from dataset_tools.to_labelme.from_dataset import WriteReport


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "to-labelme",
        help="write annotations or predictions as LabelMe files, to correct them",
        description="Write the annotations of a dataset folder, or predictions for one of its splits, as LabelMe files "
        "that labelme 6.3 opens. The ground truth goes into sub-folders train, val and test; with --split or "
        "--predictions, the files of the one split go into DIR itself.",
        epilog="Exit code 0: done; 1: the data have errors; 2: the command is wrong.",
    )
    parser.add_argument("dataset", metavar="DATASET", type=Path, help="the dataset folder")
    parser.add_argument("--output", metavar="DIR", type=Path, required=True, help="the folder to make; new or empty")
    parser.add_argument(
        "--predictions",
        metavar="FILE",
        type=Path,
        help="write these instead of the ground truth: the coco_instances_results.json of an evaluation",
    )
    parser.add_argument(
        "--split",
        choices=("train", "val", "test"),
        help="only this split (default: all; for predictions, the one that the folder of FILE is named after)",
    )
    parser.add_argument(
        "--min-score", metavar="S", type=float, help="leave out predictions that score less (default: 0.5)"
    )
    parser.add_argument(
        "--shapes",
        choices=("polygon", "mask"),
        help="what every instance becomes (default: what it is in the ground truth; polygons for predictions)",
    )
    add_tolerance(parser)
    parser.add_argument(
        "--images",
        choices=("reference", "copy"),
        default="reference",
        help="refer to the photos where they are, or copy them beside their files (default: reference)",
    )
    parser.set_defaults(run=_run)


def add_tolerance(parser: argparse.ArgumentParser) -> None:
    """How near polygons are to masks."""
    parser.add_argument(
        "--tolerance",
        metavar="PX",
        type=float,
        help="how far in pixels a polygon may be from the mask that it is made of; 0 follows every pixel (default: 1)",
    )


def _run(options: argparse.Namespace) -> int:
    from dataset_tools.to_labelme.from_dataset import ToLabelmeOptions, to_labelme

    written = to_labelme(record_of(ToLabelmeOptions, options, copy_photos=options.images == "copy"))
    print(_summary(written, options.output))
    return 0


def _summary(written: WriteReport, output: Path) -> str:
    """What was written, left out or changed."""
    from dataset_tools.to_labelme.annotation_files import CLASSES_NAME

    lines = [
        f"{number(written.files, 'file')} in {output}: {number(written.instances, 'instance')}, "
        f"{number(written.shapes, 'shape')}"
    ]
    if written.below_score:
        whose = "its" if written.below_score == 1 else "their"
        lines.append(f"left out for {whose} score: {number(written.below_score, 'prediction')}")
    lines += losses(written)
    photos = ["--photos", str(written.photos)] if written.photos else []
    command = ["convert", str(output), *photos, "--classes", str(output / CLASSES_NAME), "--output", "DATASET_FOLDER"]
    lines.append(f"once they are corrected:\n    python -m dataset_tools {shlex.join(command)}")
    return visible("\n".join(lines))


def losses(written: WriteReport) -> list[str]:
    """What was left out or changed because polygons cannot say it."""
    lines = []
    if written.empty:
        who = "it covers" if written.empty == 1 else "they cover"
        lines.append(f"left out because {who} nothing: {number(written.empty, 'instance')}")
    if written.changed:
        least, where = written.least_overlap
        lines.append(
            f"{number(written.changed, 'mask')} became polygons of not quite the same pixels; the least alike "
            f"({one_line(where)}) has an IoU of {least:.3f} with its mask"
        )
    return lines
