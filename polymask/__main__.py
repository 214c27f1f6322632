"""``python -m polymask``: what one does with a finished run. Argument parsing only."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from dataset_tools.errors import EXIT_DATA, UserError, run_command
from dataset_tools.text import one_line

# Of suggest: to delete a wrong shape is two clicks, to draw a missing one is many. If drawing takes four times as long,
# a shape is worth showing from the score on at which one in five is right; a score is roughly the share that is right.
SUGGEST_MIN_SCORE = 0.2


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m polymask", description="What one does with a finished run.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    compare = commands.add_parser(
        "compare",
        help="draw the predictions of a run beside the annotations",
        description="Draws, for each photo of a split, its annotations on the left, and on the right the predictions "
        "of the run's last evaluation.",
    )
    compare.add_argument("run", type=Path, metavar="OUTPUT_DIR", help="the OUTPUT_DIR of a training or an evaluation")
    compare.add_argument(
        "--output", type=Path, metavar="DIR", help="the folder for the pictures (default: OUTPUT_DIR/pictures)"
    )
    compare.add_argument(
        "--split", choices=("val", "test"), default="test", help="the split to draw (default: %(default)s)"
    )
    compare.add_argument(
        "--confidence-threshold",
        type=float,
        default=0.5,
        metavar="T",
        help="draw instances that score at least T (default: %(default)s)",
    )
    _add_opts(compare)
    compare.set_defaults(command=_compare)
    _add_export(commands)
    _add_review(commands)
    _add_suggest(commands)
    report = commands.add_parser(
        "report",
        help="write what a run comes to, or how runs compare, as one HTML page",
        description="Writes OUTPUT_DIR/report.html about the run's last evaluation: figures, mistakes, photos and what "
        "to do next. Two or three runs are compared on one page instead.",
    )
    report.add_argument(
        "runs", type=Path, nargs="+", metavar="OUTPUT_DIR", help="the OUTPUT_DIR of a training or an evaluation"
    )
    report.add_argument(
        "--split",
        choices=("test", "val", "train"),
        help="what the report is about (default: test, if it was evaluated)",
    )
    report.add_argument(
        "--output", type=Path, metavar="FILE", help="of a comparison (default: comparison.html in the first OUTPUT_DIR)"
    )
    _add_opts(report)
    report.set_defaults(command=_report)
    return parser.parse_args(arguments)


def _add_opts(
    command: argparse.ArgumentParser, which: str = "such as DATASETS.ROOT FOLDER where the dataset has moved"
) -> None:
    help_text = f"configuration keys and their values, {which}"
    command.add_argument("--opts", nargs=argparse.REMAINDER, default=[], metavar="KEY VALUE", help=help_text)


def _add_export(commands: argparse._SubParsersAction) -> None:
    export = commands.add_parser(
        "export",
        help="write the network of a run as one file that runs without Detectron2",
        description="Writes an ONNX or TorchScript file, and export.json beside it with its COCO AP. File and model first "
        "look at the same photos: where the file finds something else, nothing is written. docs/deployment.md says how.",
        epilog="Exit code 0: done; 1: the file finds something else than the model; 2: the command is wrong.",
    )
    export.add_argument("--config-file", required=True, type=Path, metavar="FILE", help="the config.yaml of a run")
    export.add_argument("--output", required=True, type=Path, metavar="FILE", help="the file to write; a new one")
    export.add_argument(
        "--format", choices=("onnx", "torchscript"), default="onnx", help="its format (default: %(default)s)"
    )
    export.add_argument(
        "--photos",
        type=Path,
        metavar="FOLDER",
        help="compare on these photos, where the dataset is gone (default: those of the run's val and test splits)",
    )
    _add_opts(export, which="such as MODEL.WEIGHTS FILE (default: model_final.pth beside the configuration)")
    export.set_defaults(command=_export)


def _add_review(commands: argparse._SubParsersAction) -> None:
    review = commands.add_parser(
        "review",
        help="list the annotations that are likely wrong, and write LabelMe files of them to correct",
        description="Compares the annotations of the photos that a run was tested on with what its model finds there, and "
        "writes what is likely wrong: missing objects, wrong classes, bad outlines, duplicates, and annotations that nothing "
        "supports. The folder has review.html with a picture of each, review.csv, and LabelMe files. docs/loop.md explains "
        "how.",
    )
    review.add_argument("run", type=Path, metavar="OUTPUT_DIR", help="the OUTPUT_DIR of a training or an evaluation")
    review.add_argument(
        "--output", type=Path, metavar="DIR", help="the folder to make; new or empty (default: OUTPUT_DIR/review)"
    )
    _add_opts(review)
    review.set_defaults(command=_review)


def _add_suggest(commands: argparse._SubParsersAction) -> None:
    suggest = commands.add_parser(
        "suggest",
        help="choose the photos to annotate next, and write LabelMe files of them to correct",
        description="Ranks photos without annotations by how unsure the model of a run is about them, near copies last, "
        "and writes a folder for LabelMe: copies of the photos, files with what was found on them, classes.txt, and "
        "ranking.csv. docs/loop.md explains how.",
        epilog="Exit code 0: done; 1: done, but some photos cannot be read; 2: the command is wrong.",
    )
    suggest.add_argument("--config-file", required=True, type=Path, metavar="FILE", help="the config.yaml of a run")
    suggest.add_argument(
        "--unlabelled",
        required=True,
        type=Path,
        metavar="FOLDER",
        help="the photos to choose from, in sub-folders too; those with an annotation file, and copies of "
        "annotated photos, are left out",
    )
    suggest.add_argument("--output", required=True, type=Path, metavar="DIR", help="the folder to make; new or empty")
    suggest.add_argument("--top", type=int, default=50, metavar="K", help="how many photos (default: %(default)s)")
    suggest.add_argument(
        "--min-score",
        type=float,
        default=SUGGEST_MIN_SCORE,
        metavar="S",
        help="draw what scores at least S; a low one leaves you to delete rather than to draw (default: %(default)s)",
    )
    suggest.add_argument(
        "--annotated",
        type=Path,
        nargs="+",
        default=[],
        metavar="FOLDER",
        help="LabelMe folders that the run has not seen; their photos are left out, too",
    )
    _add_opts(suggest, which="such as MODEL.WEIGHTS FILE (default: model_final.pth beside the configuration)")
    suggest.set_defaults(command=_suggest)


def main() -> int | None:
    args = parse_arguments()
    from polymask.known_warnings import silence_known_warnings

    silence_known_warnings()
    return args.command(args)


def _compare(args: argparse.Namespace) -> None:
    from polymask.report.side_by_side import compare

    pictures, sheet = compare(
        args.run, args.output or args.run / "pictures", args.split, args.confidence_threshold, args.opts
    )
    print(f"{len(pictures)} pictures are in {pictures[0].parent}; {sheet.name} there shows some of them on one page.")


def _export(args: argparse.Namespace) -> None:
    from tabulate import tabulate

    from polymask.export.export import RECORD_NAME, export

    record = export(args.config_file, args.output, args.format, args.photos, args.opts)
    parity = record.parity
    print(f"File and model were compared on {parity.photos} photos with {parity.instances} instances.")
    print(
        f"They differ by at most {parity.box:.2g} px in boxes, {parity.score:.2g} in scores, {parity.mask} pixels in masks."
    )
    rows = [
        (one_line(dataset), task, *("-" if value is None else f"{value:.2f}" for value in of_both.values()))
        for dataset, tasks in record.AP.items()
        for task, of_both in tasks.items()
    ]
    if rows:
        print("COCO AP, in percent:\n")
        print(
            tabulate(rows, headers=("dataset", "task", "model", "file"), disable_numparse=True, stralign="right"), "\n"
        )
    print(f"{args.output} is the network; {args.output.parent / RECORD_NAME} says all this.")


def _review(args: argparse.Namespace) -> None:
    from tabulate import tabulate

    from polymask.review.review import PAGE_NAME, TO_CORRECT, review

    output = args.output or args.run / "review"
    found = review(args.run, output, args.opts)
    rows = [(row.number, row.kind, one_line(row.file), f"{row.score:.2f}", one_line(row.reason)) for row in found[:10]]
    print(tabulate(rows, headers=("", "kind", "file", "score", "why"), disable_numparse=True), "\n")
    print(f"{len(found)} annotations are likely wrong: {output / PAGE_NAME} shows them. Correct them with")
    _print_labelme_command(output / TO_CORRECT, output)


def _suggest(args: argparse.Namespace) -> int:
    from tabulate import tabulate

    from polymask.review.suggest import suggest

    result = suggest(
        args.config_file, args.unlabelled, args.output, args.top, args.min_score, args.annotated, args.opts
    )
    first, drawn = result.suggestions[:10], sum(suggestion.drawn for suggestion in result.suggestions)
    rows = [(item.rank, one_line(item.photo), f"{item.uncertainty:.2f}", one_line(item.reason)) for item in first]
    print(tabulate(rows, headers=("rank", "photo", "uncertainty", "why"), disable_numparse=True), "\n")
    print(f"Left out: {result.copies} copies of annotated photos, {result.unreadable} photos that cannot be read.")
    print(f"{len(result.suggestions)} photos with {drawn} objects to correct are in {args.output}; open them with")
    _print_labelme_command(args.output, args.output)
    return EXIT_DATA if result.unreadable else 0


def _print_labelme_command(photos: Path, classes: Path) -> None:
    print(f"  labelme {shlex.quote(str(photos))} --labels {shlex.quote(str(classes / 'classes.txt'))}")


def _report(args: argparse.Namespace) -> None:
    from polymask.report.write import write_comparison, write_report

    several = len(args.runs) > 1
    if (args.split and several) or (args.output and not several):
        raise UserError(
            "--split is for the report on one run, --output for a comparison",
            remedy="Leave it out",
            file="command line",
        )
    page = (
        write_comparison(args.runs, args.output, args.opts)
        if several
        else write_report(args.runs[0], args.split, args.opts)
    )
    print(f"{page}: open it in a browser.")


if __name__ == "__main__":
    sys.exit(run_command(main))
