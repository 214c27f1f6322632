"""``python -m polymask``: what one does with a finished run. Argument parsing only."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from dataset_tools.errors import run_command


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
    compare.set_defaults(command=_compare)
    return parser.parse_args(arguments)


def main() -> int | None:
    args = parse_arguments()
    from polymask.known_warnings import silence_known_warnings

    silence_known_warnings()
    return args.command(args)


def _compare(args: argparse.Namespace) -> None:
    from polymask.report.compare import compare

    pictures, sheet = compare(args.run, args.output or args.run / "pictures", args.split, args.confidence_threshold)
    print(f"{len(pictures)} pictures are in {pictures[0].parent}; {sheet.name} there shows some of them on one page.")


if __name__ == "__main__":
    sys.exit(run_command(main))
