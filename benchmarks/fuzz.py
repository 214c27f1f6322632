"""Spoilt LabelMe files through the converter: each ends in a dataset that can be loaded, or in a finding that says why.

    python -m benchmarks.fuzz --mutations 20000 [--first 0] [--output output/fuzz]
    python -m benchmarks.fuzz --only 4711           # one of them again, with its files kept

Each file is converted beside a whole one. The dataset has to be loaded by pycocotools and by Detectron2, photos and
masks included, and no shape may be missing that no finding speaks of. No conversion may raise anything but BadData,
take longer than SECONDS, crash, change anything outside the dataset folder, or read a photo outside the LabelMe folder.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import json
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from tabulate import tabulate
from tqdm import tqdm

from benchmarks.mutations import ABOVE, SECRET, Case, case, encoded, picture
from dataset_tools.commands.reporting import report
from dataset_tools.commands.terminal import summarise
from dataset_tools.dataset.convert import ConvertOptions, convert
from dataset_tools.dataset.make import ConversionResult
from dataset_tools.findings import BadData

# What one file may take, in seconds of processor time: a busy machine stretches the clock.
SECONDS = 2.0

# When a process that does not answer is ended, in seconds by the clock: nothing else ends a hang in C code. The check
# of the outcome is in it, which decodes every mask: 300 of them on a photo of 81 megapixels take half a minute.
PATIENCE = 120.0

NAME = "fuzz"
_SQUARE = {"label": "car", "points": [[8, 8], [24, 8], [24, 24], [8, 24]]}
_WHOLE = {"version": "5.4.1", "shapes": [_SQUARE], "imagePath": "whole.jpg", "imageData": None}

# Audit events of what changes a file system, and how many paths their arguments begin with.
_CHANGES = {"os.mkdir": 1, "os.rmdir": 1, "os.remove": 1, "os.chmod": 1, "os.truncate": 1, "shutil.rmtree": 1}
_CHANGES |= {"os.rename": 2, "os.link": 2, "os.symlink": 2}


class Fault(Exception):
    """The converter did what it must not do."""


@dataclass(frozen=True)
class Verdict:
    """What came of one file.

    Attributes:
        number: of its case; with it the case can be repeated.
        steps: how it was spoilt.
        outcome: ``converted``, ``left out`` (no LabelMe file, say) or ``refused``.
        codes: of the findings about it.
        seconds: of processor time.
        fault: what is wrong with the outcome, perhaps a traceback; empty if nothing is.
    """

    number: int
    steps: str = ""
    outcome: str = ""
    codes: frozenset[str] = frozenset()
    seconds: float = 0.0
    fault: str = ""

    def __str__(self) -> str:
        return f"mutation {self.number} ({self.steps}): {self.fault or self.outcome}"


# One case


def judge(number: int, folder: Path) -> Verdict:
    """Converts the case of a number in a folder that is emptied first, and looks at what comes of it."""
    return judge_case(number, case(number), folder)


def judge_case(number: int, spoilt: Case, folder: Path) -> Verdict:
    """The same for any case."""
    lay_out(spoilt, folder)
    before, start = _contents(folder), time.process_time()
    try:
        with _watch.over(folder):
            result = _convert(folder, spoilt.options)
        seconds = time.process_time() - start
        if changed := sorted(path for path, _ in _contents(folder) ^ before):
            raise Fault(f"changed outside the dataset folder: {changed}")
        if seconds > SECONDS:
            raise Fault(f"it took {seconds:.1f} s")
        outcome = _outcome(spoilt, result, folder)
    except Exception as error:
        fault = str(error) if isinstance(error, Fault) else traceback.format_exc()
        return Verdict(number, spoilt.steps, fault=fault)
    codes = frozenset(finding.rule.code for finding in result.findings if finding.file == spoilt.name)
    return Verdict(number, spoilt.steps, outcome, codes, seconds)


def lay_out(spoilt: Case, folder: Path) -> None:
    """The case beside a whole annotation file, below a photo that is nobody's business."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "made").mkdir(parents=True)
    files = spoilt.photos | {f"../{SECRET}": _photo(8), "whole.jpg": _photo(9)}
    files["whole.json"] = json.dumps(_WHOLE).encode(spoilt.options.get("encoding", "utf-8"))
    files[spoilt.name] = spoilt.content.replace(ABOVE.encode(), str(folder.resolve()).encode())
    for name, content in files.items():
        path = folder / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _photo(seed: int) -> bytes:
    return encoded(picture(seed), "JPEG")


def _contents(folder: Path) -> set[tuple[str, bytes]]:
    """Every file with its bytes and every folder, but for the dataset's."""
    paths = (path for path in folder.rglob("*") if not path.is_relative_to(folder / "made" / NAME))
    return {(str(path), path.read_bytes() if path.is_file() else b"") for path in paths}


def _convert(folder: Path, reading: dict[str, object]) -> ConversionResult | BadData:
    source, output, fractions = folder / "photos", folder / "made" / NAME, (1.0, 0.0, 0.0)
    try:
        return convert(ConvertOptions(source=source, output=output, fractions=fractions, jobs=1, **reading))
    except BadData as error:
        return error


def _outcome(spoilt: Case, result: ConversionResult | BadData, folder: Path) -> str:
    """The outcome in a word.

    Raises:
        Fault: it is none that may be.
    """
    report(result.findings).encode()  # a finding that cannot be said is none
    about = [finding for finding in result.findings if finding.file == spoilt.name]
    if isinstance(result, BadData):
        if not any(finding.is_error for finding in about):
            raise Fault(f"refused without an error about the file: {result}")
        if (folder / "made" / NAME).exists():
            raise Fault("refused, and yet there is a dataset folder")
        return "refused"
    from benchmarks.loading import loaded  # Detectron2 takes seconds, which a process without a dataset need not spend

    summarise(result, folder).encode()
    instances = [count for name, count in loaded(folder / "made" / NAME).items() if not name.endswith("whole.jpg")]
    if not instances and not about:
        raise Fault("left out without a word")
    if not instances:
        return "left out"
    drawn, said = _drawn(spoilt), any(finding.place.startswith("shapes") for finding in about)
    if drawn not in (None, *instances) and not said:
        raise Fault(f"{drawn} instances were drawn, {instances[0]} converted, and no finding says why")
    return "converted"


def _drawn(spoilt: Case) -> int | None:
    """How many instances a file holds by the letter: shapes, but those of one label and group as one.

    None where its letter is not what counts: it is no JSON as Python reads it, or labels were to be changed.
    """
    if "strip_numbers" in spoilt.options:
        return None
    try:
        shapes = json.loads(spoilt.content.decode("utf-8-sig"))["shapes"]
    except ValueError:
        return None
    groups = [(shape["label"].strip(), shape.get("group_id")) for shape in shapes]
    return len({group for group in groups if group[1] is not None}) + sum(group[1] is None for group in groups)


class _Watch:
    """Looks on while this process opens, makes, moves and removes files: Python says so before it does."""

    def __init__(self) -> None:
        self._folder = ""
        self._secret = ""
        self._strays: list[str] = []
        sys.addaudithook(self._look)

    @contextlib.contextmanager
    def over(self, folder: Path) -> Iterator[None]:
        """While the block runs, only what is in ``made`` may be changed, and no photo above the LabelMe folder be read.

        Raises:
            Fault: when the block has ended, if it did otherwise.
        """
        self._folder, self._strays = str(folder.resolve() / "made"), []
        self._secret = str(folder.resolve() / SECRET)
        usual, tempfile.tempdir = tempfile.tempdir, self._folder  # what is temporary has to be gone afterwards
        try:
            yield
        finally:
            self._folder, tempfile.tempdir = "", usual
        if self._strays:
            raise Fault("; ".join(self._strays))

    def _look(self, event: str, arguments: tuple) -> None:
        if not self._folder:
            return
        if event == "open":
            path, _, flags = arguments
            if isinstance(path, int):
                return
            if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                self._check(event, path)
            elif os.path.abspath(os.fsdecode(path)) == self._secret:
                self._strays.append("a photo outside was read")
        elif event in _CHANGES and (not isinstance(arguments[-1], int) or arguments[-1] == -1):  # else below a folder
            for path in arguments[: _CHANGES[event]]:
                self._check(event, path)

    def _check(self, event: str, path: str | bytes | os.PathLike) -> None:
        name = os.path.abspath(os.fsdecode(path))
        if name != self._folder and not name.startswith(self._folder + os.sep):
            self._strays.append(f"{event} on {name!r}")


_watch = _Watch()


# Many cases


def verdicts(
    numbers: Iterable[int], folder: Path, judge: Callable[[int, Path], Verdict] = judge, patience: float = PATIENCE
) -> Iterator[Verdict]:
    """The verdict on each number, in their order.

    They are found in a process of its own. If it crashes, or is ended because it does not answer, then the case that it
    was at gets what it said last as its verdict, and a new process goes on behind it.
    """
    context = multiprocessing.get_context("spawn")  # a process with threads (torch's, a test's) cannot be forked
    waiting = list(numbers)
    folder.mkdir(parents=True, exist_ok=True)
    last_words = folder / "last_words.txt"
    while waiting:
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=_work, args=(judge, tuple(waiting), folder, last_words, patience, sender))
        process.start()
        sender.close()  # so that the pipe ends with the process
        try:
            while waiting:
                yield receiver.recv()
                del waiting[0]
        except EOFError:
            process.join()
            fault = f"the process ended with {process.exitcode}\n{last_words.read_text()}"
            yield Verdict(waiting.pop(0), fault=fault)
        except BaseException:
            process.terminate()  # nobody wants to know the rest
            raise
        finally:
            process.join()


def _work(
    judge: Callable, numbers: tuple[int, ...], folder: Path, last_words: Path, patience: float, sender: Connection
) -> None:
    with open(last_words, "w") as file:
        sys.stderr = file
        faulthandler.enable(file)
        for number in numbers:
            faulthandler.dump_traceback_later(patience, exit=True, file=file)  # from a thread that needs no Python
            sender.send(judge(number, folder / "case"))
        faulthandler.cancel_dump_traceback_later()
        faulthandler.disable()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutations", type=int, default=20_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--only", type=int)
    parser.add_argument("--output", type=Path, default=Path("output/fuzz"))
    args = parser.parse_args()
    if args.only is not None:
        verdict = judge(args.only, args.output / "case")
        print(f"{verdict}\n{', '.join(sorted(verdict.codes))}\nIts files are in {args.output / 'case'}.")
        return bool(verdict.fault)
    numbers = range(args.first, args.first + args.mutations)
    found = []
    for verdict in tqdm(verdicts(numbers, args.output), total=len(numbers), unit="file"):
        found.append(verdict)
        if verdict.fault:
            tqdm.write(str(verdict))
    print_verdicts(found, args.output / "fuzz.json")
    return any(verdict.fault for verdict in found)


def print_verdicts(found: list[Verdict], file: Path) -> None:
    """A table for people and the same as JSON for programs."""
    outcomes = Counter("FAULT" if verdict.fault else verdict.outcome for verdict in found)
    codes = Counter(code for verdict in found for code in verdict.codes)
    slowest = max(found, key=lambda verdict: verdict.seconds)
    print(f"\n{len(found)} mutations: " + ", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common()))
    print(f"The slowest took {slowest.seconds:.2f} s: {slowest}\n")
    print(tabulate(sorted(codes.items()), headers=("finding", "mutations"), tablefmt="pipe"))
    faults = [str(verdict) for verdict in found if verdict.fault]
    content = {
        "mutations": len(found),
        "outcomes": outcomes,
        "codes": codes,
        "slowest": slowest.seconds,
        "faults": faults,
    }
    file.write_text(json.dumps(content, indent=2) + "\n")
    print(f"\nAlso in {file}.")


if __name__ == "__main__":
    sys.exit(main())
