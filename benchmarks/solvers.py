"""The documented solver beside the recommended ones: same mini network, same random start, same iterations.

    python -m benchmarks.solvers --dataset datasets/sample --output output/solvers [KEY VALUE ...]

Each run takes every SOLVER key of a config of configs/ (so its batch too), but the iterations and the precision of
mini_scratch.yaml.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.training import print_outcomes, train_and_evaluate
from polymask.config import load_config
from polymask.known_warnings import silence_known_warnings

NETWORK = "configs/mini_scratch.yaml"
SOLVERS = {
    "documented": "configs/mask_rcnn_R_18_FPN_documented.yaml",
    "recommended for a fine-tune": "configs/mask_rcnn_R_18_FPN.yaml",
    "recommended from scratch": "configs/mini_scratch.yaml",
}


def solver_overrides(config_file: str) -> list[str]:
    """The SOLVER keys of a config as KEY VALUE pairs, with the length and the precision of the mini network's."""
    solver, mini = load_config(config_file, []).SOLVER, load_config(NETWORK, []).SOLVER
    solver.MAX_ITER, solver.AMP.ENABLED = mini.MAX_ITER, mini.AMP.ENABLED
    pairs = []
    for key, value in solver.items():
        nested = {f"{key}.{inner}": v for inner, v in value.items()} if hasattr(value, "items") else {key: value}
        for name, plain in nested.items():
            pairs += [f"SOLVER.{name}", plain if isinstance(plain, str) else repr(plain)]
    return pairs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("opts", nargs=argparse.REMAINDER, metavar="KEY VALUE", help="for all")
    args = parser.parse_args()
    silence_known_warnings()
    outcomes = []
    for name, config_file in SOLVERS.items():
        overrides = [*solver_overrides(config_file), "DATASETS.ROOT", str(args.dataset), *args.opts]
        outcomes.append(train_and_evaluate(name, NETWORK, overrides, args.output))
    print_outcomes(outcomes, args.output / "solvers.json")


if __name__ == "__main__":
    main()
