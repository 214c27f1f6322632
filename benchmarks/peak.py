"""The most memory that a command takes, together with the processes that it starts. Linux only: it reads /proc."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_INTERVAL = 0.02  # seconds between two looks

MB = 1e6


@dataclass(frozen=True)
class Peak:
    """What a command took.

    Attributes:
        seconds: by the clock, with its start.
        shared_once: MB at most of all processes together; a page that several share counts once (PSS).
        shared_each: the same, where it counts for each of them (RSS).
    """

    seconds: float
    shared_once: float
    shared_each: float


def peak_of(command: Sequence[str], cwd: Path) -> Peak:
    """Runs a command to its end, and looks at its memory meanwhile."""
    start = time.perf_counter()
    process = subprocess.Popen(command, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    shared_once = shared_each = 0.0
    while process.poll() is None:
        sizes = [_sizes(pid) for pid in _family(process.pid)]
        shared_once = max(shared_once, sum(pss for pss, _ in sizes))
        shared_each = max(shared_each, sum(rss for _, rss in sizes))
        time.sleep(_INTERVAL)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}: {process.stderr.read()}")
    return Peak(time.perf_counter() - start, shared_once / MB, shared_each / MB)


def _family(pid: int) -> Iterator[int]:
    """A process, and those that it and its children started."""
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in _text(children).split():
            yield from _family(int(child))


def _sizes(pid: int) -> tuple[int, int]:
    """PSS and RSS in bytes; 0 of a process that has just ended."""
    fields = dict(line.split()[:2] for line in _text(Path(f"/proc/{pid}/smaps_rollup")).splitlines()[1:])
    return int(fields.get("Pss:", 0)) * 1024, int(fields.get("Rss:", 0)) * 1024


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
