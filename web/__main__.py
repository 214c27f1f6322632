"""Serves a page on which photos are dropped, and what an exported model finds on them is seen.

python -m web --model model.onnx
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

import uvicorn

from runtime.model import Model
from runtime.photos import RuntimeProblem
from web.app import Limits, create_app

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m web", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    limits = Limits()
    parser.add_argument("--model", required=True, type=Path, metavar="FILE", help="what polymask export has written")
    parser.add_argument("--host", default=LOOPBACK[0], help="0.0.0.0 lets everybody in who reaches this machine")
    parser.add_argument("--port", type=int, default=8000, help="(default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=limits.jobs, help="photos at a time (default: %(default)s)")
    parser.add_argument("--waiting", type=int, default=limits.waiting, help="photos that wait (default: %(default)s)")
    parser.add_argument("--megabytes", type=float, default=limits.size / 2**20, help="of a file (default: %(default)g)")
    parser.add_argument(
        "--megapixels", type=float, default=limits.pixels / 1e6, help="of a photo (default: %(default)g)"
    )
    return parser.parse_args(arguments)


def check_limits(args: argparse.Namespace) -> None:
    """Refuses limits with which no photo could be looked at.

    Raises:
        RuntimeProblem: one is too small, or not a number.
    """
    for flag, lowest in (("jobs", 1), ("waiting", 0)):
        if getattr(args, flag) < lowest:
            raise RuntimeProblem(f"--{flag}", f"it is {getattr(args, flag)}", f"Use {lowest} or more")
    for flag in ("megabytes", "megapixels"):
        if not 0 < getattr(args, flag) < math.inf:
            raise RuntimeProblem(f"--{flag}", f"it is {getattr(args, flag)}", "Use a number above 0")


def main() -> int:
    args = parse_arguments()
    try:
        check_limits(args)
        model = Model(args.model)
    except RuntimeProblem as problem:
        print(problem, file=sys.stderr)
        return 2
    limits = Limits(
        size=round(args.megabytes * 2**20),
        pixels=round(args.megapixels * 1e6),
        jobs=args.jobs,
        waiting=args.waiting,
    )
    if args.host not in LOOPBACK:
        print("Everybody who reaches this machine can use the page: it asks for no password.", file=sys.stderr)
    uvicorn.run(create_app(model, limits), host=args.host, port=args.port)
    return 0


if __name__ == "__main__":
    sys.exit(main())
