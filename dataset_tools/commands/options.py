"""Options that several commands have."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_reading(parser: argparse.ArgumentParser, photos_of: str = "SRC") -> None:
    """How a folder is read."""
    reading = parser.add_argument_group("reading")
    reading.add_argument(
        "--photos", metavar="DIR", type=Path, help=f"the folder of the photos, if they are not under {photos_of}"
    )
    reading.add_argument("--encoding", default="utf-8", help="text encoding of the files (default: utf-8)")
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
        default=[],
        help="rename a label; where NEW is in use already, the two become one class (may be repeated)",
    )
    labels.add_argument("--ignore", metavar="FILE|A,B", default="", help="labels whose shapes are left out")
    labels.add_argument(
        "--strip-numbers",
        action="store_true",
        help="take the number off labels like Ball1 to Ball189; shapes of one numbered label in a photo are one object",
    )


def add_shapes(parser: argparse.ArgumentParser, with_lines: bool = True) -> None:
    """What becomes of shapes; lines and points are LabelMe's alone."""
    shapes = parser.add_argument_group("shapes")
    parser.set_defaults(line_width=None)
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
        default="reference",
        help="leave the photos where they are, copy them, or make larger ones smaller and turn them upright "
        "(default: reference)",
    )
    output.add_argument(
        "--max-size", metavar="PX", type=int, help="the longer side of photos for --images resize (default: 1024)"
    )
    split = parser.add_argument_group("split")
    split.add_argument(
        "--split",
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
    split.add_argument("--seed", type=int, default=0, help="seed of the draw (default: 0)")


def label_options(options: argparse.Namespace) -> dict[str, Any]:
    """The options of ``add_labels`` as keywords of ``LabelRules``."""
    from dataset_tools.instances.labels import parse_classes, parse_renames

    return {
        "classes": parse_classes(options.classes) if options.classes is not None else None,
        "rename": parse_renames(options.rename),
        "ignore": parse_classes(options.ignore, "--ignore"),
        "strip_numbers": options.strip_numbers,
    }


def shape_options(options: argparse.Namespace) -> dict[str, Any]:
    """The options of ``add_shapes`` as keywords of ``ShapeOptions``."""
    return {name: getattr(options, name) for name in ("line_width", "repair", "holes", "drop_duplicates")}


def dataset_options(options: argparse.Namespace) -> dict[str, Any]:
    """The options of ``add_labels``, ``add_shapes`` and ``add_output`` as keywords of ``DatasetOptions``."""
    names = ("output", "name", "overwrite", "skip_bad", "images", "max_size", "group", "seed", "jobs")
    return {
        **label_options(options),
        **shape_options(options),
        **{name: getattr(options, name) for name in names},
        "fractions": tuple(options.split) if options.split else None,
    }
