"""``convert``: what was drawn with LabelMe and other programs to a dataset folder."""

from __future__ import annotations

import argparse
from pathlib import Path

from dataset_tools.commands.conversion import run_conversion
from dataset_tools.commands.options import add_labels, add_output, add_reading, add_shapes, record_of


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "convert",
        help="turn a LabelMe folder into a dataset folder",
        description="Turn a LabelMe folder into a dataset folder: train.json, val.json, test.json in COCO's format, "
        "and the card dataset.json. Everything odd in the files is reported; files with errors stop the conversion "
        "before anything is written.",
        epilog="Exit code 0: done; 1: the data have errors; 2: the command is wrong.",
    )
    parser.add_argument(
        "source",
        metavar="SRC",
        type=Path,
        help="the LabelMe folder; sub-folders are read too, and those named train, val and test decide the split. "
        "Or a folder with files of VIA, or with data.yaml and labels of YOLO, or one of these files; or a CSV file of "
        "boxes as makesense.ai exports it. Which it is, is recognised",
    )
    add_output(parser)
    add_labels(parser)
    add_shapes(parser)
    add_reading(parser)
    parser.add_argument(
        "--negatives", action="store_true", help="photos without an annotation file are photos with nothing in them"
    )
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from dataset_tools.dataset.convert import ConvertOptions, convert

    return run_conversion(lambda: convert(record_of(ConvertOptions, options)), options.output)
