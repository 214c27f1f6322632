"""``masks``: objects on black, and index pictures."""

from __future__ import annotations

import argparse
from pathlib import Path

from dataset_tools.commands.reporting import number, run_and_report
from dataset_tools.commands.source_options import EPILOG, add_folder, add_reading_options, add_split, open_from_options
from dataset_tools.text import visible


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "masks",
        help="write photos with everything but the objects black, and pictures that number the instances",
        description="Write, for each photo of a LabelMe folder or a dataset folder, the photo with everything but the "
        "objects black (black/), a picture whose levels number the instances (index/), and a table, masks.json.",
        epilog=EPILOG,
    )
    add_folder(parser)
    parser.add_argument("--output", metavar="DIR", type=Path, required=True, help="the folder to make")
    parser.add_argument("--kind", choices=("black", "index", "both"), default="both", help="(default: both)")
    add_split(parser, "all")
    add_reading_options(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from dataset_tools.view.masks import TABLE_NAME, masks

    done, code = run_and_report(lambda: masks(*open_from_options(options), options.output, options.kind, options.split))
    photos = number(done.photos, "photo")
    print(visible(f"{photos} in {options.output}; their instances in {options.output / TABLE_NAME}"))
    return code
