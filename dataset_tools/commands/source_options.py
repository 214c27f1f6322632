"""What ``check``, ``stats``, ``preview`` and ``masks`` share: which folder they read, and how."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from dataset_tools.commands.options import add_labels, add_reading, add_shapes, record_of

if TYPE_CHECKING:
    from dataset_tools.dataset.scan import ReadOptions
    from dataset_tools.sources.source import Source


EPILOG = (
    "Photos with errors are reported and left out. Exit code 0: done; 1: done, but photos were left out, or nothing is "
    "left; 2: the command is wrong."
)


def add_folder(parser: argparse.ArgumentParser) -> None:
    """What is looked at."""
    what = "the dataset folder; or what convert takes: a folder of LabelMe, VIA or YOLO, or a CSV file"
    parser.add_argument("folder", metavar="FOLDER", type=Path, help=what)


def add_split(parser: argparse.ArgumentParser, default: str) -> None:
    """Which photos are looked at; ``default`` says what no option means."""
    parser.add_argument(
        "--split",
        choices=("train", "val", "test"),
        help=f"which photos, where there are splits (default: {default})",
    )


def add_reading_options(parser: argparse.ArgumentParser) -> None:
    """How the folder is read: what ``convert`` makes of it with the same options is what one sees."""
    add_labels(parser)
    add_shapes(parser)
    add_reading(parser, "FOLDER")


def open_from_options(options: argparse.Namespace) -> tuple[Source, ReadOptions]:
    """The folder, and how to read it.

    Raises:
        UserError: there is no such folder, or the options are wrong.
    """
    from dataset_tools.dataset.scan import ReadOptions
    from dataset_tools.sources.open import open_source

    source = open_source(options.folder, options.photos, options.encoding, options.attribute)
    return source, record_of(ReadOptions, options)
