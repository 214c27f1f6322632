"""``stats``: facts about annotations."""

from __future__ import annotations

import argparse
from pathlib import Path

from dataset_tools.commands.looking import EPILOG, add_folder, add_how, add_split, look, opened


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "stats",
        help="count images, instances, classes and sizes, as tables and plots",
        description="Say how many images and instances of each class a LabelMe folder or a dataset folder has in each "
        "split, and how large they are.",
        epilog=EPILOG,
    )
    add_folder(parser)
    parser.add_argument(
        "--output",
        metavar="DIR",
        type=Path,
        help="a folder to make, with plots and stats.json; statistics that are there are replaced",
    )
    add_split(parser, "all")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="(default: text)")
    add_how(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from dataset_tools.stats import as_json, as_text, stats
    from dataset_tools.terminal import visible

    counted, code = look(lambda: stats(*opened(options), options.split, options.output))
    print(as_json(counted.stats).decode().rstrip() if options.format == "json" else visible(as_text(counted.stats)))
    return code
