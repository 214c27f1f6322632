"""``python -m dataset_tools``: joins the commands, one file each in ``commands``, to one command line."""

from __future__ import annotations

import argparse
import logging
import sys
import warnings

from dataset_tools.commands import adopt, check, convert, masks, preview, stats, to_labelme, to_yolo
from dataset_tools.errors import run_command

COMMANDS = (convert, adopt, check, stats, preview, masks, to_labelme, to_yolo)


def main(arguments: list[str] | None = None) -> int:
    """Run one command; the result is the exit code: 0 success, 1 the data have errors, 2 the command is wrong."""
    options = _parser().parse_args(arguments)
    warnings.filterwarnings("ignore", module="PIL")  # of large pictures and odd EXIF data: both are findings here
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    return run_command(lambda: options.run(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m dataset_tools",
        description="From photos annotated in LabelMe to a COCO dataset that Detectron2 trains on, and back.",
        epilog="'python -m dataset_tools COMMAND --help' explains a command.",
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add_parser(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
