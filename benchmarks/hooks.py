"""What the hooks cost: their share of the time of an iteration, each by itself.

    python -m benchmarks.hooks --dataset datasets/sample --output output/hooks [KEY VALUE ...]

Trains a little with everything on that runs in every iteration, and measures each hook's calls in the same run. What
happens now and then (evaluations, checkpoints, the writers' lines) is left out: it is rarer the longer a training is.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
from detectron2.engine import HookBase
from tabulate import tabulate

from benchmarks.training import set_up
from polymask.engine.trainer import Trainer
from polymask.known_warnings import silence_known_warnings

ITERATIONS, WARM_UP = 91, 10
VERBS = ("before_step", "after_backward", "after_step")


class TimedTrainer(Trainer):
    """A training that notes the seconds of each hook in each iteration."""

    def build_hooks(self) -> list[HookBase]:
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self.whole: list[float] = []
        built = super().build_hooks()
        for hook in built:
            for verb in VERBS:
                setattr(hook, verb, self._timed(type(hook).__name__, getattr(hook, verb)))
        return built

    def _timed(self, name: str, call):
        def timed() -> None:
            start = time.perf_counter()
            call()
            self.seconds[name][self.iter] += time.perf_counter() - start

        return timed

    def before_step(self) -> None:
        self.started = time.perf_counter()
        super().before_step()

    def after_step(self) -> None:
        super().after_step()
        self.whole.append(time.perf_counter() - self.started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--config-file", default="configs/mini_scratch.yaml")
    parser.add_argument("opts", nargs=argparse.REMAINDER, metavar="KEY VALUE")
    args = parser.parse_args()
    silence_known_warnings()
    everything = ["SOLVER.EMA_DECAY", "0.999", "TEST.EARLY_STOPPING_PATIENCE", "3", "TEST.EVAL_PERIOD", "100000"]
    rarely = ["SOLVER.CHECKPOINT_PERIOD", "100000", "SOLVER.MAX_ITER", str(ITERATIONS), "SOLVER.WARMUP_ITERS", "0"]
    overrides = ["DATASETS.ROOT", str(args.dataset), *everything, *rarely, *args.opts]
    trainer = TimedTrainer(set_up(args.config_file, overrides, args.output))
    trainer.resume_or_load(resume=False)
    for name in [type(hook).__name__ for hook in trainer._hooks]:
        trainer.seconds[name] = [0.0] * ITERATIONS
    trainer.train()
    counted = slice(WARM_UP, ITERATIONS - 1)  # the last iteration evaluates and saves
    # The mean, since a hook may have nothing to do in most iterations.
    whole = np.mean(trainer.whole[counted])
    means = {name: float(np.mean(seconds[counted])) for name, seconds in trainer.seconds.items()}
    means["all"] = sum(means.values())
    rows = [{"hook": name, "ms": 1000 * s, "% of an iteration": 100 * s / whole} for name, s in means.items()]
    print(f"\nAn iteration takes {whole:.3f} s, the mean of {counted.stop - counted.start}.\n")
    print(tabulate(rows, headers="keys", tablefmt="pipe", floatfmt=".2f"))


if __name__ == "__main__":
    main()
