"""``adopt``: an existing COCO dataset to a dataset folder."""

from __future__ import annotations

import argparse
from pathlib import Path

from dataset_tools.commands.conversion import run_conversion
from dataset_tools.commands.options import add_labels, add_output, add_shapes, record_of


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "adopt",
        help="turn an existing COCO dataset into a dataset folder",
        description="Check an existing COCO dataset of instances, and make a dataset folder of it: with ids, boxes and "
        "areas made again, and the card dataset.json. Classes come in the order of the category ids. Everything odd is "
        "reported; photos with errors stop the command before anything is written.",
        epilog="Exit code 0: done; 1: the data have errors; 2: the command is wrong.",
    )
    parser.add_argument(
        "file",
        metavar="FILE",
        type=Path,
        nargs="?",
        help="a COCO file, whose photos are split as --split says; or a folder with files like train.json, "
        "annotations/instances_train.json or train/_annotations.coco.json",
    )
    for split in ("train", "val", "test"):
        parser.add_argument(f"--{split}", metavar="FILE", type=Path, help=f"in place of FILE: the file of {split}")
    parser.add_argument(
        "--images-root",
        metavar="DIR",
        type=Path,
        help="the folder of the photos, which is searched with its sub-folders (default: the folder of the file)",
    )
    parser.add_argument(
        "--crowds",
        choices=("objects", "left-out"),
        help="what regions with iscrowd 1 are: objects, as CVAT and Datumaro write masks; else they are left out "
        "(default: left-out)",
    )
    parser.add_argument("--jobs", metavar="N", type=int, help="processes that work at a time (default: one a core)")
    add_output(parser)
    add_labels(parser)
    add_shapes(parser, with_lines=False)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from dataset_tools.dataset.adopt import AdoptOptions, adopt

    return run_conversion(lambda: adopt(record_of(AdoptOptions, options)), options.output)
