"""``preview``: annotations drawn onto their photos."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_parser(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "preview",
        help="draw the masks, labels and boxes of a dataset folder onto its photos",
        description="Draw the masks, labels and boxes of a dataset folder onto its photos: a PNG per photo, and all of "
        "them on one sheet, preview.png.",
    )
    parser.add_argument("dataset", metavar="DATASET", type=Path, help="the dataset folder")
    parser.add_argument(
        "--output",
        metavar="DIR",
        type=Path,
        required=True,
        help="the folder to make; previews that are there are replaced",
    )
    parser.add_argument(
        "--split", choices=("train", "val", "test"), default="train", help="which photos (default: train)"
    )
    parser.add_argument("--max", metavar="N", type=int, help="at most so many photos, evenly spread (default: all)")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from dataset_tools.preview import preview

    count = preview(options.dataset, options.output, split=options.split, most=options.max)
    print(f"{count} photos of {options.split} in {options.output}; all on one sheet: {options.output / 'preview.png'}")
    return 0
