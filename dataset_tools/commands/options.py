"""Options that several commands have."""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar


def add_reading(parser: argparse.ArgumentParser, photos_of: str = "SRC") -> None:
    """How a folder is read."""
    reading = parser.add_argument_group("reading")
    reading.add_argument(
        "--photos", metavar="DIR", type=Path, help=f"the folder of the photos, if they are not under {photos_of}"
    )
    reading.add_argument("--encoding", default="utf-8", help="text encoding of the files (default: utf-8)")
    reading.add_argument(
        "--attribute",
        metavar="NAME",
        help="of the regions of VIA, the attribute that is the class, if that is not clear",
    )
    reading.add_argument("--jobs", metavar="N", type=int, help="processes that work at a time (default: one a core)")


def add_labels(parser: argparse.ArgumentParser) -> None:
    """What becomes of labels."""
    labels = parser.add_argument_group("classes")
    labels.add_argument(
        "--classes",
        metavar="FILE|A,B",
        help="the classes in order: a text file with one a line, or a list; any other label is an error "
        "(default: all labels, sorted)",
    )
    labels.add_argument(
        "--rename",
        metavar="OLD=NEW",
        action="append",
        help="rename a label; where NEW is in use already, the two become one class (may be repeated)",
    )
    labels.add_argument("--ignore", metavar="FILE|A,B", help="labels whose shapes are left out")
    labels.add_argument(
        "--strip-numbers",
        action="store_true",
        help="take the number off labels like Ball1 to Ball189; shapes of one numbered label in a photo are one object",
    )


def add_shapes(parser: argparse.ArgumentParser, with_lines: bool = True) -> None:
    """What becomes of shapes; lines and points are LabelMe's alone."""
    shapes = parser.add_argument_group("shapes")
    if with_lines:
        shapes.add_argument(
            "--line-width",
            metavar="PX",
            type=float,
            help="give lines and points a surface: strips and discs so many pixels wide (default: they are left out)",
        )
    shapes.add_argument(
        "--repair", action="store_true", help="take outlines that cross themselves apart (default: kept as drawn)"
    )
    shapes.add_argument(
        "--holes", action="store_true", help="a shape inside another one of its group is a hole (default: adds nothing)"
    )
    shapes.add_argument("--drop-duplicates", action="store_true", help="of equal shapes keep the first")


def add_output(parser: argparse.ArgumentParser) -> None:
    """What is made, and how it is split."""
    output = parser.add_argument_group("output")
    output.add_argument("--output", metavar="DST", type=Path, required=True, help="the dataset folder to make")
    output.add_argument("--name", help="name of the dataset in Detectron2's catalog (default: the name of DST)")
    output.add_argument(
        "--overwrite", action="store_true", help="replace DST if all that is in it was written by convert or adopt"
    )
    output.add_argument("--skip-bad", action="store_true", help="leave files with errors out, and convert the rest")
    output.add_argument(
        "--images",
        choices=("reference", "copy", "resize"),
        help="leave the photos where they are, copy them, or make larger ones smaller and turn them upright "
        "(default: reference)",
    )
    output.add_argument(
        "--max-size", metavar="PX", type=int, help="the longer side of photos for --images resize (default: 1024)"
    )
    split = parser.add_argument_group("split")
    split.add_argument(
        "--split",
        dest="fractions",
        metavar=("TRAIN", "VAL", "TEST"),
        type=float,
        nargs=3,
        help="shares of the photos, drawn so that each has its share of every class (default: 0.75 0.125 0.125)",
    )
    split.add_argument(
        "--group",
        metavar="REGEX",
        help="photos whose paths have the same match (of the first group in brackets, if there is one) stay together",
    )
    split.add_argument("--seed", type=int, help="seed of the draw (default: 0)")


Record = TypeVar("Record")


def record_of(kind: type[Record], options: argparse.Namespace, **others: Any) -> Record:
    """The options on a command line as a record whose fields are named as they are.

    What was not passed is what the record has for it.

    Args:
        kind: the record: a dataclass.
        options: the command line.
        others: fields that are not named after an option.

    Raises:
        UserError: a list of labels cannot be read.
    """
    from dataset_tools.instances.labels import parse_classes, parse_renames

    values = {item.name: getattr(options, item.name, None) for item in fields(kind)}  # type: ignore[arg-type]
    passed = {name: value for name, value in values.items() if value is not None}
    if "classes" in passed:
        passed["classes"] = parse_classes(passed["classes"])
    if "ignore" in passed:
        passed["ignore"] = parse_classes(passed["ignore"], "--ignore")
    if "rename" in passed:
        passed["rename"] = parse_renames(passed["rename"])
    return kind(**passed, **others)
