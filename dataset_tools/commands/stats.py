"""``stats``: a dataset in numbers and plots."""

from __future__ import annotations

import argparse
import json
from contextlib import nullcontext
from pathlib import Path

from dataset_tools.commands.reporting import run_and_report
from dataset_tools.commands.source_options import EPILOG, add_folder, add_reading_options, add_split, open_from_options
from dataset_tools.text import visible


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "stats",
        help="count photos, instances and their sizes",
        description="Count the photos of a LabelMe folder or a dataset folder, their instances by class and split, and "
        "the sizes of both: a table, and plots with --output.",
        epilog=EPILOG,
    )
    add_folder(parser)
    add_split(parser, "all")
    parser.add_argument("--output", metavar="DIR", type=Path, help="a folder to make, for plots and stats.json")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="(default: text)")
    add_reading_options(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    import msgspec

    from dataset_tools.output_folder import replaced_folder
    from dataset_tools.view import plots, stats
    from dataset_tools.view.output import check_place

    source, reading = open_from_options(options)
    if options.output is not None:
        check_place(options.output, source)
    with nullcontext() if options.output is None else replaced_folder(options.output, "statistics") as folder:
        counted, code = run_and_report(lambda: stats.count(source, reading, options.split))
        if folder is not None:
            plots.write(counted, folder)
    if options.format == "json":
        print(json.dumps(msgspec.to_builtins(counted.stats), indent=2))  # in ASCII: a label may hold anything
    else:
        print(visible(stats.table(counted.stats)))
    return code
