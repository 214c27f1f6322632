"""What is found in a video as tables: COCO JSON and CSV, in which each object keeps its id."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dataset_tools.files import replaced_file
from dataset_tools.formats.coco import Image, categories_of, write_coco
from dataset_tools.table import write_table
from polymask.inference.detections import Detections, ScoredAnnotation

SUFFIXES = {"coco": ".json", "csv": ".csv"}
_COLUMNS = ("frame", "seconds", "track_id", "class", "score", "left", "top", "right", "bottom", "area")


class Tracks:
    """The objects of a video, frame by frame; what is there by then is written when this is closed.

    Args:
        files: to write, ``coco`` and ``csv``.
        name: of the video, without its ending: its frames are ``name_000001.jpg`` and so on.
        classes: all that the model knows, in its order.
        rate: frames a second.
    """

    def __init__(self, files: dict[str, Path], name: str, classes: Sequence[str], rate: float):
        self._files = files
        self._name = name
        self._classes = classes
        self._rate = rate
        self._frames: list[Image] = []
        self._annotations: list[ScoredAnnotation] = []

    def add(self, found: Detections) -> None:
        """Takes what was found in the next frame, with its ids (see ``polymask.inference.tracker``)."""
        number = len(self._frames) + 1
        self._frames.append(Image(number, f"{self._name}_{number:06}.jpg", *found.size))
        self._annotations += found.to_coco(number, len(self._annotations) + 1)

    def close(self) -> None:
        if not self._frames:
            return
        for path in self._files.values():
            path.parent.mkdir(parents=True, exist_ok=True)
        if "coco" in self._files:
            with replaced_file(self._files["coco"]) as file:
                write_coco(file, self._frames, self._annotations, categories_of(list(self._classes)))
        if "csv" in self._files:
            write_table(self._files["csv"], _COLUMNS, map(self._row, self._annotations))

    def _row(self, found: ScoredAnnotation) -> tuple[object, ...]:
        left, top, width, height = found.bbox
        box = [round(side, 2) for side in (left, top, left + width, top + height)]
        seconds, name = round((found.image_id - 1) / self._rate, 3), self._classes[found.category_id - 1]
        return found.image_id, seconds, found.track_id, name, round(found.score, 4), *box, int(found.area)
