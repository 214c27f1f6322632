"""The stages by name: running one, and the table of all."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tabulate import tabulate

from benchmarks.stages import convert, evaluation, inference, loader, masks, training
from benchmarks.stages.options import Options
from benchmarks.stages.timing import Comparison, DifferentWork, Skipped, Stage, Time, compare

STAGES: dict[str, Callable[[Options], Stage]] = {
    "training_mini": training.training_mini,
    "training_full": training.training_full,
    "loader": loader.loader,
    "inference_mini": inference.inference_mini,
    "inference_full": inference.inference_full,
    "detect": inference.detect,
    "masks": masks.masks,
    "evaluation": evaluation.evaluation,
    "convert": convert.convert,
}


@dataclass
class Outcome:
    """What came of a stage.

    Attributes:
        said: what was the same on both sides, what differed, or why the stage did not run.
        ok: whether both sides did the same work.
        comparisons: rows of the table.
        times: of each contender, one for each round.
        seconds: that the whole stage took, with what it had to prepare.
    """

    stage: str
    work: str = ""
    said: str = ""
    ok: bool = True
    comparisons: list[Comparison] = field(default_factory=list)
    times: dict[str, list[Time]] = field(default_factory=dict)
    seconds: float = 0.0


def run_stage(name: str, options: Options, rounds: int) -> Outcome:
    """Runs a stage, and checks that all did the same work."""
    outcome, begin = Outcome(name), time.perf_counter()
    try:
        stage = STAGES[name](options)
        outcome.work = stage.work
        outcome.times, results = stage.take_turns(rounds)
        outcome.said = stage.check(results)
        outcome.comparisons = [compare(pair, outcome.times) for pair in stage.pairs]
    except Skipped as error:
        outcome.said = f"skipped: {error}"
    except DifferentWork as error:
        outcome.said, outcome.ok = f"NOT THE SAME WORK: {error}", False
    outcome.seconds = time.perf_counter() - begin
    gc.collect()  # models of one stage make room for those of the next
    return outcome


def table(outcomes: list[Outcome]) -> str:
    """The rows of all stages, as Markdown."""
    rows = [_row(outcome.stage, comparison) for outcome in outcomes for comparison in outcome.comparisons]
    return tabulate(rows, headers="keys", tablefmt="pipe", floatfmt=".2f")


def _row(stage: str, comparison: Comparison) -> dict[str, object]:
    pair, limit = comparison.pair, comparison.limit
    return {
        "stage": stage,
        "ours": pair.ours,
        "against": pair.peer,
        "aim": pair.at_least,
        "ratio": comparison.ratio.clock,
        "ratio, processor": comparison.ratio.processor,
        "ours, s": comparison.ours.clock,
        "peer, s": comparison.peer.clock,
        "limit, s": limit.clock if limit else None,
        "ours, processor s": comparison.ours.processor,
        "peer, processor s": comparison.peer.processor,
        "limit, processor s": limit.processor if limit else None,
    }
