"""``python -m dataset_tools``: argument parsing only. A command imports what it needs when it runs: --help is quick."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from dataset_tools.errors import run_command


def main(arguments: list[str] | None = None) -> int:
    """Run one command; the result is the exit code: 0 success, 1 the data have errors, 2 the command is wrong."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    return run_command(lambda: options.run(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m dataset_tools",
        description="From photos annotated in LabelMe to a COCO dataset that Detectron2 trains on.",
        epilog="'python -m dataset_tools COMMAND --help' explains a command.",
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_convert(commands)
    _add_preview(commands)
    return parser


def _add_convert(commands: argparse._SubParsersAction) -> None:
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
    parser.set_defaults(run=_convert)


def _convert(options: argparse.Namespace) -> int:
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


def _add_preview(commands: argparse._SubParsersAction) -> None:
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
    parser.set_defaults(run=_preview)


def _preview(options: argparse.Namespace) -> int:
    from dataset_tools.preview import preview

    count = preview(options.dataset, options.output, split=options.split, most=options.max)
    print(f"{count} photos of {options.split} in {options.output}; all on one sheet: {options.output / 'preview.png'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
