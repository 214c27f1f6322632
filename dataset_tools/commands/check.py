"""``check``: what is wrong with a LabelMe folder or a dataset folder."""

from __future__ import annotations

import argparse
from dataclasses import replace

from dataset_tools.commands.source_options import add_folder, add_reading_options, open_from_options


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "check",
        help="say what is wrong with a LabelMe folder or a dataset folder",
        description="Say everything that is wrong or odd in a LabelMe folder or a dataset folder: grouped by code, "
        "with counts, places and what to do. Nothing is changed. docs/findings.md explains every code.",
        epilog="Exit code 0: no errors; 1: the data have errors; 2: the command is wrong.",
    )
    add_folder(parser)
    parser.add_argument(
        "--training-size",
        metavar="PX",
        type=int,
        help="the short side of a photo in training, at which instances may be too small (default: 800)",
    )
    parser.add_argument("--format", choices=("text", "json"), default="text", help="(default: text)")
    parser.add_argument("--all", action="store_true", help="name every place, not the first five of each code")
    add_reading_options(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from dataset_tools.commands import terminal
    from dataset_tools.dataset.checks import check_source
    from dataset_tools.errors import EXIT_DATA

    source, reading = open_from_options(options)
    if options.training_size is not None:
        reading = replace(reading, shapes=replace(reading.shapes, training_size=options.training_size))
    checked = check_source(source, replace(reading, hash_photos=True))
    if options.format == "json":
        print(terminal.as_json(options.folder, checked))
    else:
        print(terminal.diagnosis(options.folder, checked, options.all))
    return EXIT_DATA if any(finding.is_error for finding in checked.findings) else 0
