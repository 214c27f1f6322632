"""``preview``: annotations drawn onto their photos."""

from __future__ import annotations

import argparse
from pathlib import Path

from dataset_tools.commands.reporting import number, run_and_report
from dataset_tools.commands.source_options import EPILOG, add_folder, add_reading_options, add_split, open_from_options
from dataset_tools.text import one_line, visible


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "preview",
        help="draw masks, labels and boxes onto the photos",
        description="Draw the masks, labels and boxes of a LabelMe folder or a dataset folder onto its photos: a PNG "
        "per photo, and all of them on one sheet, preview.png, or a hundred of them, evenly spread.",
        epilog=EPILOG,
    )
    add_folder(parser)
    parser.add_argument(
        "--output",
        metavar="DIR|FILE.png",
        type=Path,
        required=True,
        help="the folder to make, or a PNG file for the sheet alone; previews that are there are replaced",
    )
    add_split(parser, "train")
    parser.add_argument("--max", metavar="N", type=int, help="at most so many photos, evenly spread (default: all)")
    add_reading_options(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from dataset_tools.view.preview import SHEET_NAME, is_sheet, preview

    output = options.output
    drawn, code = run_and_report(lambda: preview(*open_from_options(options), output, options.split, options.max))
    photos = number(drawn.photos, "photo") + (f" of {drawn.split}" if drawn.split else "")
    if is_sheet(output):
        print(visible(f"{photos} on one sheet: {output}"))
    else:
        print(visible(f"{photos} in {output}; on one sheet: {output / SHEET_NAME}"))
    for caption, label in drawn.numbered.items():
        print(one_line(f"{caption} is {label!r}, which no font here can show"))
    return code
