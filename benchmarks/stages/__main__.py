"""Each stage of polymask beside its named peer, in turn in one process.

    python -m benchmarks.stages [--output output/stages.json] [--only STAGE ...] [--rounds N]

In each round every contender has its turn. The table has the medians of the rounds in seconds, by the clock and of the
processor, and the medians of the ratios within the rounds: above 1, ours takes less time. On a machine that is not idle
the processor's say more. "Limit" is the same convolutions and products alone. Each stage checks that both sides did the
same work; one that fails the check has no row, and the exit code is 1. docs/performance.md says what the rows are.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from polymask.known_warnings import silence_known_warnings

DEMO = Path(__file__).resolve().parents[2] / "output/demo"  # where `make demo` leaves its training


def parse_arguments(stages: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.stages", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=Path("output/stages.json"), help="(default: %(default)s)")
    parser.add_argument("--only", nargs="+", choices=stages, default=stages, metavar="STAGE", help=", ".join(stages))
    parser.add_argument("--rounds", type=int, default=3, help="of which the medians count (default: %(default)s)")
    parser.add_argument(
        "--run", type=Path, default=DEMO if (DEMO / "model_final.pth").exists() else None, metavar="FOLDER",
        help="a finished training of the mini network, for inference_mini and detect (default: output/demo if it is "
        "there, else made-up weights)",
    )  # fmt: skip
    parser.add_argument("--peers", type=Path, metavar="FOLDER", help="where to install labelme2coco, for convert")
    return parser.parse_args()


def main() -> int:
    silence_known_warnings()
    # Detectron2 warns when it is imported.
    from benchmarks.stages.options import Options, describe_machine
    from benchmarks.stages.run import STAGES, run_stage, table

    args = parse_arguments(tuple(STAGES))
    machine, outcomes = describe_machine(), []
    print("\n".join(f"{name}: {value}" for name, value in machine.items()), flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        options = Options(Path(scratch), args.run, args.peers)
        for name in args.only:
            outcomes.append(outcome := run_stage(name, options, args.rounds))
            print(f"\n{name} ({outcome.seconds:.0f} s): {outcome.work}\n  {outcome.said}", flush=True)
    print(f"\n{table(outcomes)}")
    weights = str(args.run or "made up")
    stages = [asdict(outcome) for outcome in outcomes]
    content = {"machine": machine, "weights of the mini network": weights, "stages": stages}
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_text(json.dumps(content, indent=2) + "\n")
    print(f"\nAlso in {args.output}.")
    return 0 if all(outcome.ok for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
