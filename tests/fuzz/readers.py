"""The readers of files that may come from strangers, and what each may do with any bytes: return, or raise UserError.

A reader takes at most SECONDS, changes no file, reads no photo outside the folder that it is given, starts no program
and opens no connection. ``corpora/`` holds some files for each, and every one on which it has failed.
"""

from __future__ import annotations

import contextlib
import csv
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
from pycocotools import mask as coco_mask

from dataset_tools.commands.reporting import report
from dataset_tools.errors import UserError
from dataset_tools.formats.card import Card, SplitSummary, is_dataset_folder, read_card
from dataset_tools.formats.coco import CocoFile, Image, categories_of, read_split
from dataset_tools.formats.predictions import read_predictions
from dataset_tools.instances.shapes import ShapeOptions
from dataset_tools.sources.coco_files import CocoFiles
from dataset_tools.sources.csv_boxes import CsvBoxes
from dataset_tools.sources.labelme_folder import LabelmeFolder
from dataset_tools.sources.source import Source
from dataset_tools.sources.via_files import ViaFiles
from dataset_tools.sources.yolo_folder import YoloFolder
from polymask.config.load import load_config
from polymask.engine.hooks.history import read_curves
from polymask.engine.run_files import read_facts
from polymask.evaluation.read import read_detections, read_truth
from polymask.modeling.zoo_pickle import read_zoo_file
from tests.fuzz.checks import watch
from tests.fuzz.valid_cases import SECRET, SIZE, encoded, picture

# For one file, of processor time: a busy machine stretches the clock.
SECONDS = 5.0

CLASSES = ["car", "bus"]
CARD = Card("fuzz", CLASSES, "../photos", "bitmask", {"train": SplitSummary("train.json", 1, 1)})
OPTIONS = ShapeOptions(line_width=3.0, repair=True, holes=True, drop_duplicates=True)


@dataclass(frozen=True)
class Reader:
    """A reader of one format.

    Attributes:
        file: what its file is called.
        steps: that take the path of the file, each whether or not the one before it has refused the file.
    """

    file: str
    steps: tuple[Callable[[Path], object], ...]


def prepare(folder: Path) -> None:
    """Makes the folders that ``check`` works in: a photo, a label of YOLO for it, a split for detections, and a photo that nobody may read."""
    for name in ("photos", "dataset", "made"):
        (folder / name).mkdir(parents=True)
    (folder / "photos" / "a.jpg").write_bytes(encoded(picture(1), "JPEG"))
    (folder / "photos" / "a.txt").write_text("0 0.1 0.1 0.5 0.1 0.5 0.5\n")
    (folder / "photos" / "data.yaml").write_text("names: {0: car, 1: bus}\n")
    (folder / SECRET).write_bytes(encoded(picture(8), "JPEG"))
    split = CocoFile([Image(1, "a.jpg", *SIZE)], [], categories_of(CLASSES))
    (folder / "dataset" / "train.json").write_bytes(msgspec.json.encode(split))


def check(reader: Reader, content: bytes, folder: Path) -> list[UserError]:
    """Lets a reader read some bytes, and returns the errors with which it refuses them.

    Args:
        reader: one of READERS.
        content: of the file.
        folder: a prepared one.

    Raises:
        Exception: the reader fails; AssertionError, if it is by what it does.
    """
    path, refusals = folder / "photos" / reader.file, []
    path.write_bytes(content)
    start = time.process_time()
    with watch.over(folder):
        for step in reader.steps:
            try:
                step(path)
            except UserError as error:
                str(error).encode()  # it can be printed
                refusals.append(error)
    seconds = time.process_time() - start
    assert seconds <= SECONDS, f"it took {seconds:.1f} s"
    return refusals


def _read_all(source: Source) -> None:
    for _, findings in source.read(source.keys, OPTIONS):
        report(findings).encode()
    report(list(source.rest(set(), set()).findings)).encode()


def _read_detections(path: Path) -> None:
    found = read_detections(path, read_truth(path.parents[1] / "dataset" / "train.json"))
    width, height = SIZE
    for mask in found.mask:
        coco_mask.decode({"size": (height, width), "counts": mask})


def _read_history(path: Path) -> None:
    with contextlib.suppress(ValueError, TypeError, csv.Error):  # it says so, and the report has an error for these
        read_curves(path)


def _read_zoo_file(path: Path) -> None:
    with contextlib.suppress(ValueError):  # it says so, and the one who loads checkpoints has an error for it
        for array in read_zoo_file(path)["model"].values():
            repr(array)


READERS = {
    "labelme": Reader("a.json", (lambda path: _read_all(LabelmeFolder(path.parent)),)),
    "coco": Reader("a.json", (lambda path: _read_all(CocoFiles({None: path}, path.parent)),)),
    "csv": Reader("a.csv", (lambda path: _read_all(CsvBoxes(path)),)),
    "via": Reader("a.json", (lambda path: _read_all(ViaFiles([path], path.parent)),)),
    "yolo": Reader("data.yaml", (lambda path: _read_all(YoloFolder(path)),)),
    "yolo_labels": Reader("a.txt", (lambda path: _read_all(YoloFolder(path.with_name("data.yaml"))),)),
    "card": Reader("dataset.json", (lambda path: is_dataset_folder(path.parent), lambda path: read_card(path.parent))),
    "split": Reader("train.json", (lambda path: read_split(path.parent, CARD, "train"), read_truth)),
    "config": Reader("config.yaml", (lambda path: load_config(path, []),)),
    "detections": Reader("coco_instances_results.json", (_read_detections, read_predictions)),
    "facts": Reader("run.json", (lambda path: read_facts(path.parent),)),
    "history": Reader("history.csv", (_read_history,)),
    "zoo": Reader("weights.pkl", (_read_zoo_file,)),
}
