"""``to-yolo``: a dataset folder to files that YOLO's programs train on."""

from __future__ import annotations

import argparse
from pathlib import Path

from dataset_tools.commands.reporting import number
from dataset_tools.commands.to_labelme import add_tolerance, losses
from dataset_tools.text import visible


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "to-yolo",
        help="write a dataset folder as YOLO's programs read it",
        description="Write a dataset folder as a dataset of YOLO for segmentation: copies of the photos in images/, a "
        "label file each in labels/, by splits, and data.yaml.",
        epilog="Exit code 0: done; 1: the data have errors; 2: the command is wrong.",
    )
    parser.add_argument("dataset", metavar="DATASET", type=Path, help="the dataset folder")
    parser.add_argument("--output", metavar="DIR", type=Path, required=True, help="the folder to make")
    add_tolerance(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from dataset_tools.commands.options import record_of
    from dataset_tools.dataset.to_yolo import to_yolo
    from dataset_tools.to_labelme.from_dataset import ToLabelmeOptions

    written = to_yolo(record_of(ToLabelmeOptions, options, shapes="polygon"))
    counts = f"{number(written.files, 'photo')} in {options.output}: {number(written.instances, 'instance')}"
    print(visible("\n".join([counts, *losses(written)])))
    return 0
