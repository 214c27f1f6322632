"""Commands are killed at random moments: what was there stays whole or is replaced as a whole, and no photo changes."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dataset_tools.errors import EXIT_USAGE
from tests.faults.trial import (
    Trial,
    annotated_photos,
    begin,
    contents,
    convert,
    difference,
    must,
    polymask,
    run,
    training,
)


@dataclass(frozen=True)
class Command:
    """A command that is killed.

    Attributes:
        name: of the command.
        before: what makes the results that it replaces; empty where it replaces none.
        line: the command line.
        results: the names of all that it writes, as patterns in the folder of the experiment.
        is_one: whether its results appear in one step; else each file does.
    """

    name: str
    before: list[str]
    line: list[str]
    results: tuple[str, ...]
    is_one: bool = True


def conversions(folder: Path) -> list[Command]:
    """Commands of ``dataset_tools``, on photos and a dataset that are made in this folder."""
    photos = annotated_photos(folder / "photos", train=30, val=6, test=6)
    must(run(convert(photos, folder / "dataset")))
    output = folder / "output"
    overwrite = convert(photos, output, "--images", "copy")
    to_labelme = polymask(
        "-m", "dataset_tools", "to-labelme", folder / "dataset", "--output", output, "--images", "copy"
    )
    results = ("output", "output/**/*")
    return [
        Command("convert --overwrite", [*overwrite, "--ignore", "disc"], [*overwrite, "--overwrite"], results),
        Command("to-labelme", [], to_labelme, results),
    ]


def reports(folder: Path) -> list[Command]:
    """Commands of ``polymask``, on a trained run that is made in this folder."""
    photos = annotated_photos(folder / "photos", train=4, val=6, test=6)
    must(run(convert(photos, folder / "dataset")))
    must(run(training(folder / "dataset", folder / "run")))
    compare = polymask("-m", "polymask", "compare", folder / "run", "--output", folder / "output")
    report = polymask("-m", "polymask", "report", folder / "run", "--split")
    threshold = "--confidence-threshold"
    return [
        Command(
            "compare", [*compare, threshold, "1"], [*compare, threshold, "0"], ("output", "output/*"), is_one=False
        ),
        Command("report", [*report, "val"], [*report, "test"], ("run/report.html",)),
    ]


def kill_command(folder: Path, command: Command, times: int, seed: int) -> Iterator[Trial]:
    """Kills a command so often, each time at another moment of its second half; the first is Python's start.

    Args:
        folder: where is what the command needs. All in it but the results is the user's.
    """
    shutil.rmtree(folder / "output", ignore_errors=True)
    temporary = folder.with_name(f"{folder.name}-temporary")
    temporary.mkdir(exist_ok=True)
    variables = {**os.environ, "TMPDIR": str(temporary)}
    if command.before:
        must(run(command.before))
    old, users = results_and_others(folder, command)
    start = time.monotonic()
    must(run(command.line, environment=variables))
    seconds = time.monotonic() - start
    new, _ = results_and_others(folder, command)
    moments = random.Random(seed)
    for _ in range(times):
        restore(folder, command, old)
        moment = moments.uniform(seconds / 2, seconds)
        failure = kill_after(begin(command.line, variables), moment)
        left, _ = results_and_others(folder, command)
        wrong = {name for name, content in left.items() if content not in (old.get(name, 0), new.get(name, 0))}
        if command.is_one and left not in (old, new) or wrong:
            failure = failure or f"neither the old results nor the new ones: {difference(left, new)}"
        # What replaces nothing is refused where it has been written already.
        failure = failure or run(
            command.line, 0 if command.before or left == old else EXIT_USAGE, environment=variables
        )
        left, others = results_and_others(folder, command)
        if left != new:
            failure = failure or f"a second run does not give the same: {difference(left, new)}"
        if others != users:
            failure = failure or f"other files have changed: {difference(others, users)}"
        if any(temporary.iterdir()):
            failure = failure or f"temporary files are left: {sorted(path.name for path in temporary.iterdir())}"
        yield Trial(f"{command.name} killed", f"after {moment:.2f} s", failure)
    shutil.rmtree(temporary)


def results_and_others(folder: Path, command: Command) -> tuple[dict[str, bytes | None], dict[str, bytes | None]]:
    """What lies in a folder: the results of a command, and all else."""
    names = {path.relative_to(folder).as_posix() for pattern in command.results for path in folder.glob(pattern)}
    everything = contents(folder)
    results = {name: content for name, content in everything.items() if name in names}
    return results, {name: content for name, content in everything.items() if name not in names}


def restore(folder: Path, command: Command, old: dict[str, bytes | None]) -> None:
    """Puts the results back that were there before a command."""
    shutil.rmtree(folder / "output", ignore_errors=True)
    for name, content in old.items():
        path = folder / name
        if content is None:
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.write_bytes(content)


def kill_after(process: subprocess.Popen, seconds: float) -> str:
    """SIGKILL for one process, unless it has ended by itself. Those that it has started must end, too."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
    process.wait()
    end = time.monotonic() + 10
    while time.monotonic() < end:
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            process.communicate()
            return ""
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    return "processes that it has started are still there"
