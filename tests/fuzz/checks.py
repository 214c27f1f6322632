"""Converts a broken LabelMe file and checks what comes of it: a dataset that can be loaded, or a finding that says why.

The file lies beside a valid one. pycocotools and Detectron2 must load the dataset, photos and masks included, and no
shape may be missing without a finding about it. A conversion raises nothing but BadData, takes at most SECONDS, changes
nothing outside the dataset folder and reads no photo outside the LabelMe folder.
"""

from __future__ import annotations

import contextlib
import faulthandler
import io
import json
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dataset_tools.commands.conversion import summarise
from dataset_tools.commands.reporting import report
from dataset_tools.dataset.convert import ConvertOptions, convert
from dataset_tools.dataset.make import ConversionResult
from dataset_tools.findings import BadData
from tests.fuzz.mutations import broken_case
from tests.fuzz.valid_cases import ABOVE, SECRET, Case, encoded, picture

# For one conversion, of processor time: a busy machine stretches the clock.
SECONDS = 2.0

# After which a process that does not answer is ended, by the clock: nothing else ends a hang in C code. Loading the
# dataset is part of it: 300 masks on a photo of 81 megapixels take half a minute.
PATIENCE = 120.0

NAME = "fuzz"
_SQUARE = {"label": "car", "points": [[8, 8], [24, 8], [24, 24], [8, 24]]}
WHOLE = {"version": "5.4.1", "shapes": [_SQUARE], "imagePath": "whole.jpg", "imageData": None}

# Audit events of calls that change a file system, and how many paths their arguments begin with.
_CHANGES = {"os.mkdir": 1, "os.rmdir": 1, "os.remove": 1, "os.chmod": 1, "shutil.rmtree": 1}
_CHANGES |= {"os.rename": 2, "os.link": 2, "os.symlink": 2}

# Those of calls that start a program or open a connection.
_NEVER = {"os.exec", "os.posix_spawn", "os.system", "socket.connect", "subprocess.Popen"}


@dataclass(frozen=True)
class Verdict:
    """What came of one file.

    Attributes:
        number: of its case.
        steps: how it was broken.
        outcome: ``converted``, ``left out`` (not a LabelMe file, for example) or ``refused``.
        codes: of the findings about it.
        seconds: of processor time.
        fault: what is wrong with the outcome, as a traceback; empty if nothing is.
    """

    number: int
    steps: str = ""
    outcome: str = ""
    codes: frozenset[str] = frozenset()
    seconds: float = 0.0
    fault: str = ""

    def __str__(self) -> str:
        return f"mutation {self.number} ({self.steps}): {self.fault or self.outcome}"


def check_number(number: int, folder: Path) -> Verdict:
    """Converts the broken case of a number in a folder that is emptied first, and checks the outcome."""
    return check_case(number, broken_case(number), folder)


def check_case(number: int, case: Case, folder: Path) -> Verdict:
    """The same for any case."""
    lay_out(case, folder)
    start = time.process_time()
    try:
        with watch.over(folder):
            result = _convert(folder, case.options)
        seconds = time.process_time() - start
        assert seconds <= SECONDS, f"it took {seconds:.1f} s"
        left = {path.name for path in (folder / "made").iterdir()} - {NAME}
        assert not left, f"left beside the dataset folder: {left}"
        about = [finding for finding in result.findings if finding.file == case.name]
        report(result.findings).encode()  # every finding can be printed
        if isinstance(result, BadData):
            assert any(finding.is_error for finding in about), f"refused without an error about the file: {result}"
            assert not (folder / "made" / NAME).exists(), "refused, but there is a dataset folder"
            outcome = "refused"
        else:
            summarise(result, folder).encode()
            outcome = _check_dataset(folder / "made" / NAME, case, [finding.place for finding in about])
    except Exception:
        return Verdict(number, case.steps, fault=traceback.format_exc())
    return Verdict(number, case.steps, outcome, frozenset(finding.rule.code for finding in about), seconds)


def lay_out(case: Case, folder: Path) -> None:
    """Writes the case and a valid annotation file into ``photos``, and the secret photo beside that folder."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "made").mkdir(parents=True)
    files = case.photos | {f"../{SECRET}": encoded(picture(8), "JPEG"), "whole.jpg": encoded(picture(9), "JPEG")}
    files["whole.json"] = json.dumps(WHOLE).encode(case.options.get("encoding", "utf-8"))
    files[case.name] = case.content.replace(ABOVE.encode(), str(folder.resolve()).encode())
    for name, content in files.items():
        path = folder / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _convert(folder: Path, options: dict[str, object]) -> ConversionResult | BadData:
    source, output, fractions = folder / "photos", folder / "made" / NAME, (1.0, 0.0, 0.0)
    try:
        return convert(ConvertOptions(source=source, output=output, fractions=fractions, jobs=1, **options))
    except BadData as error:
        return error


def _check_dataset(dataset: Path, case: Case, places: list[str]) -> str:
    """The outcome of a case with a dataset, once that was loaded; ``places`` are those of the findings."""
    counts = _load(dataset)
    instances = [count for name, count in counts.items() if not name.endswith("whole.jpg")]
    if not instances:
        assert places, "left out without a finding"
        return "left out"
    drawn, said = _count_drawn(case), any(place.startswith("shapes") for place in places)
    assert said or drawn in (None, *instances), f"{drawn} instances drawn, {instances[0]} converted, no finding"
    return "converted"


def _load(dataset: Path) -> dict[str, int]:
    """The number of instances of each photo, by its path, once pycocotools and Detectron2 have loaded everything."""
    # They take seconds to import, which a process that checks no dataset need not spend.
    from detectron2.data import DatasetCatalog, MetadataCatalog
    from detectron2.data.detection_utils import annotations_to_instances, check_image_size, read_image
    from pycocotools import mask
    from pycocotools.coco import COCO

    from dataset_tools.catalog import register

    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(dataset / "train.json"))
    for annotation in coco.anns.values():
        rle = coco.annToRLE(annotation)
        assert 0 < mask.decode(rle).sum() == annotation["area"], annotation
        assert mask.toBbox(rle).tolist() == annotation["bbox"], annotation
    card, counts = register(dataset), {}
    try:
        for record in DatasetCatalog.get(f"{NAME}_train"):
            photo = read_image(record["file_name"], "BGR")
            check_image_size(record, photo)
            instances = annotations_to_instances(record["annotations"], photo.shape[:2], card.mask_format)
            assert len(instances) == len(record["annotations"]), record["file_name"]
            counts[record["file_name"]] = len(instances)
    finally:
        for split in card.splits:
            DatasetCatalog.remove(f"{NAME}_{split}")
            MetadataCatalog.remove(f"{NAME}_{split}")
    return counts


def _count_drawn(case: Case) -> int | None:
    """How many instances a file has: its shapes, those of one label and group counted as one.

    None where the file alone does not decide it: it is not JSON as Python reads it, or labels were to be changed.
    """
    if "strip_numbers" in case.options:
        return None
    try:
        shapes = json.loads(case.content.decode("utf-8-sig"))["shapes"]
    except ValueError:
        return None
    groups = [(shape["label"].strip(), shape.get("group_id")) for shape in shapes]
    return len({group for group in groups if group[1] is not None}) + sum(group[1] is None for group in groups)


class _Watch:
    """Sees each file that this process opens, makes, moves and removes: Python announces it before it does it.

    There is one for the process, because an audit hook cannot be removed.
    """

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._wrong: list[str] = []
        sys.addaudithook(self._see)

    @contextlib.contextmanager
    def over(self, folder: Path) -> Iterator[None]:
        """While the block runs, only what is in ``made`` may be changed, the secret photo not be read, and nothing run."""
        self._folder, self._wrong = folder.resolve(), []
        usual, tempfile.tempdir = tempfile.tempdir, str(folder / "made")  # what is temporary must be gone afterwards
        try:
            yield
        finally:
            self._folder, tempfile.tempdir = None, usual
        assert not self._wrong, "; ".join(self._wrong)

    def _see(self, event: str, arguments: tuple) -> None:
        if self._folder is None:
            return
        if event == "open" and not isinstance(arguments[0], int):
            path, _, flags = arguments
            if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                self._check(event, path)
            elif os.path.abspath(os.fsdecode(path)) == str(self._folder / SECRET):
                self._wrong.append("the secret photo was read")
        elif event in _CHANGES and arguments[-1] in (None, -1):  # else a name in a folder that is open already
            for path in arguments[: _CHANGES[event]]:
                self._check(event, path)
        elif event in _NEVER:
            self._wrong.append(f"{event} {arguments!r}")

    def _check(self, event: str, path: str | bytes | os.PathLike) -> None:
        if not Path(os.path.abspath(os.fsdecode(path))).is_relative_to(self._folder / "made"):
            self._wrong.append(f"{event} on {path!r}")


watch = _Watch()


def check_numbers(
    numbers: Iterable[int],
    folder: Path,
    check: Callable[[int, Path], Verdict] = check_number,
    patience: float = PATIENCE,
) -> Iterator[Verdict]:
    """The verdict on each number, in their order.

    They are found in another process. If it crashes, or is ended because it does not answer, the case that it was at
    gets that as its verdict, and a new process goes on behind it.
    """
    waiting = list(numbers)
    while waiting:
        # A process that has threads (torch's, a test's) cannot be forked.
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), faulthandler.enable) as pool:
            try:
                for verdict in pool.map(partial(_check_in_time, check, folder, patience), tuple(waiting)):
                    yield verdict
                    del waiting[0]
            except BrokenProcessPool:
                yield Verdict(waiting.pop(0), fault="the process crashed or hung: its traceback is on standard error")


def _check_in_time(check: Callable[[int, Path], Verdict], folder: Path, patience: float, number: int) -> Verdict:
    faulthandler.dump_traceback_later(patience, exit=True)  # from a thread that needs no Python
    verdict = check(number, folder / "case")
    faulthandler.cancel_dump_traceback_later()
    return verdict
