"""Contenders that take turns in one process, and the ratios of their times."""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch


class Skipped(Exception):
    """A stage that cannot run here; its message says why."""


class DifferentWork(Exception):
    """Two sides did not do the same work, so that their times cannot be compared; its message says what differs."""


@dataclass(frozen=True)
class Time:
    """Seconds by the clock, and of the processor: of all threads, and of child processes that have ended."""

    clock: float
    processor: float


@dataclass(frozen=True)
class Contender:
    """One way to do the work of a stage.

    Attributes:
        name: in the table.
        run: does the work once, and returns what ``Stage.check`` compares.
        prepare: is called before each run, and is not timed.
    """

    name: str
    run: Callable[[], object]
    prepare: Callable[[], object] = lambda: None


@dataclass(frozen=True)
class Pair:
    """A row of the table.

    Attributes:
        ours, peer, limit: names of contenders. ``limit`` is the part of the work that no implementation can avoid.
        at_least: how many times as fast as the peer we want to be; None for no aim.
    """

    ours: str
    peer: str
    at_least: float | None = None
    limit: str | None = None


@dataclass(frozen=True)
class Stage:
    """What takes turns in a stage.

    Attributes:
        work: what is done in one turn.
        contenders: in the order of their turns.
        pairs: which of them are compared.
        check: gets the result of each contender's first run by its name, and says what was the same. It raises
            ``DifferentWork``.
        warm_up: whether there is a round before those that count.
        most_rounds: for stages that take long.
    """

    work: str
    contenders: tuple[Contender, ...]
    pairs: tuple[Pair, ...]
    check: Callable[[dict[str, object]], str]
    warm_up: bool = True
    most_rounds: int = 1000

    def take_turns(self, rounds: int) -> tuple[dict[str, list[Time]], dict[str, object]]:
        """The times of each contender, one for each round, and the result of its first run.

        In each round every contender has its turn, so that all meet the same load of the machine.
        """
        times: dict[str, list[Time]] = {contender.name: [] for contender in self.contenders}
        results: dict[str, object] = {}
        for number in range(-1 if self.warm_up else 0, min(rounds, self.most_rounds)):
            for contender in self.contenders:
                contender.prepare()
                taken, result = timed(contender.run)
                results.setdefault(contender.name, result)
                if number >= 0:
                    times[contender.name].append(taken)
        return times, results


@dataclass(frozen=True)
class Comparison:
    """A row of the table: medians over the rounds, in seconds, and medians of the ratios within each round."""

    pair: Pair
    ours: Time
    peer: Time
    limit: Time | None
    ratio: Time


def timed(run: Callable[[], object]) -> tuple[Time, object]:
    """The time of one call, and what it returns. On a GPU it lasts until the GPU has finished."""
    _wait_for_gpu()
    clock, processor = time.perf_counter(), _processor_seconds()
    result = run()
    _wait_for_gpu()
    return Time(time.perf_counter() - clock, _processor_seconds() - processor), result


def _wait_for_gpu() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _processor_seconds() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def compare(pair: Pair, times: dict[str, list[Time]]) -> Comparison:
    """A row of the table. A ratio above 1 means that ours takes less time."""
    ours, peer = times[pair.ours], times[pair.peer]
    ratios = [Time(t.clock / o.clock, t.processor / o.processor) for o, t in zip(ours, peer, strict=True)]
    limit = _median(times[pair.limit]) if pair.limit else None
    return Comparison(pair, _median(ours), _median(peer), limit, _median(ratios))


def _median(times: Iterable[Time]) -> Time:
    """The medians of both kinds of seconds, or of their ratios."""
    times = list(times)
    return Time(statistics.median(t.clock for t in times), statistics.median(t.processor for t in times))
