"""What was measured, in a file that the project keeps."""

from __future__ import annotations

import json
import threading
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.recipes.contenders import Contender, Length
from dataset_tools.files import write_atomically

RECORD = Path(__file__).with_name("measured.json")


@dataclass(frozen=True)
class Task:
    """A training that is wanted.

    Attributes:
        contender: how it is trained.
        dataset: the name of the dataset.
        fold: the number of the fold whose photos are held out.
        content: the digest of the fold's annotation files.
        length: of the training.
        size: the short side of test photos, in pixels.
    """

    contender: Contender
    dataset: str
    fold: int
    content: str
    length: Length
    size: int


@dataclass(frozen=True)
class Measurement:
    """What the training of a task came to.

    Attributes:
        dataset, fold, content, length, size: those of the task.
        recipe: the contender's name.
        settings: the contender's digest. With other settings a measurement does not count.
        mask_ap: COCO's, of the held-out photos, in percent.
        box_ap: likewise.
        processor_seconds: of the whole command.
        processor: its name.
    """

    dataset: str
    fold: int
    content: str
    length: str
    size: int
    recipe: str
    settings: str
    mask_ap: float
    box_ap: float
    processor_seconds: float
    processor: str

    def is_of(self, task: Task) -> bool:
        return (self.content, self.length, self.size, self.settings) == (
            task.content, str(task.length), task.size, task.contender.settings(),
        )  # fmt: skip


class Record:
    """The file of all measurements; threads may add to it."""

    def __init__(self, path: Path):
        self._path = path
        self._measurements = [Measurement(**one) for one in json.loads(path.read_text())] if path.exists() else []
        self._lock = threading.Lock()

    def find(self, task: Task) -> Measurement | None:
        return next((one for one in self._measurements if one.is_of(task)), None)

    def add(self, measurement: Measurement) -> None:
        with self._lock:
            self._measurements.append(measurement)
            self._measurements.sort(key=lambda one: (one.dataset, one.length, one.recipe, one.fold))
            lines = ",\n".join(json.dumps(asdict(one)) for one in self._measurements)
            write_atomically(self._path, f"[\n{lines}\n]\n".encode())
