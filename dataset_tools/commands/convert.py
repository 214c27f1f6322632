"""``convert``: a LabelMe folder to a dataset folder."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_parser(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "convert",
        help="turn a LabelMe folder into a dataset folder",
        description="Turn a LabelMe folder into a dataset folder: train.json, val.json, test.json in COCO's format, "
        "and the card dataset.json. Photos are referenced where they are. Everything odd in the files is reported; "
        "files with errors stop the conversion before anything is written.",
        epilog="Exit code 0: done; 1: the data have errors; 2: the command is wrong.",
    )
    parser.add_argument(
        "source",
        metavar="SRC",
        type=Path,
        help="the LabelMe folder; sub-folders are read too, and those named train, val and test decide the split",
    )
    parser.add_argument("--output", metavar="DST", type=Path, required=True, help="the dataset folder to make")
    parser.add_argument("--name", help="name of the dataset in Detectron2's catalog (default: the name of DST)")
    parser.add_argument(
        "--classes",
        metavar="FILE|A,B",
        help="the classes in order: a text file with one a line, or a list; any other label is an error "
        "(default: all labels, sorted)",
    )
    parser.add_argument(
        "--split",
        metavar=("TRAIN", "VAL", "TEST"),
        type=float,
        nargs=3,
        help="shares of the photos, drawn at random (default: 0.75 0.125 0.125)",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the random split (default: 0)")
    parser.add_argument("--encoding", default="utf-8", help="text encoding of the JSON files (default: utf-8)")
    parser.add_argument("--skip-bad", action="store_true", help="leave files with errors out, and convert the rest")
    parser.add_argument("--overwrite", action="store_true", help="replace DST if it is a dataset folder")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from dataset_tools.classes import parse_classes
    from dataset_tools.convert import ConvertOptions, convert
    from dataset_tools.findings import BadData
    from dataset_tools.terminal import report, summarise

    try:
        converted = convert(
            ConvertOptions(
                source=options.source,
                output=options.output,
                name=options.name,
                classes=parse_classes(options.classes) if options.classes is not None else None,
                fractions=tuple(options.split) if options.split else None,
                seed=options.seed,
                overwrite=options.overwrite,
                skip_bad=options.skip_bad,
                encoding=options.encoding,
            )
        )
    except BadData as error:
        print(report(error.findings), file=sys.stderr)
        raise
    if converted.findings:
        print(report(converted.findings), file=sys.stderr)
    print(summarise(converted, options.output))
    return 0
