"""What has been found so far on many photos, on the disk: a demo that was stopped goes on there, and none is held in memory."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np
from detectron2.utils import comm

from dataset_tools.errors import EXIT_DATA, UserError
from dataset_tools.files import is_locked, lock, opened_for_reading, replaced_file
from dataset_tools.formats.coco import Image, categories_of, write_coco
from dataset_tools.to_labelme.annotation_files import way_to_photo
from polymask.demo.photos import InputPhoto
from polymask.demo.results import Results
from polymask.inference.detections import Detections, ScoredAnnotation

log = logging.getLogger(__name__)
PREFIX = ".unfinished_"


class Entry(msgspec.Struct, frozen=True):
    """A line: a photo by its way from the output folder, its (width, height) in px, and what was found on it."""

    photo: str
    size: tuple[int, int]
    found: list[ScoredAnnotation]


class Journal(Results):
    """A line for each photo that is done, in a hidden folder among the results, where each process has its own file.

    A photo is done when its line has an end, which is written after all else of it. The folder goes when all are done.

    Args:
        output: the folder of the results.
        settings: a name of what decides about results, so that those of two models are not mixed.
        resume: go on where another demo has stopped.

    Raises:
        UserError: there are lines of another demo, which still runs, was stopped and is not resumed, or was another one.
    """

    def __init__(self, output: Path, settings: str, resume: bool):
        self.output = output
        self.folder = output / f"{PREFIX}{settings}"
        for folder in sorted(output.glob(f"{PREFIX}*")):
            if not resume or folder != self.folder:
                difference = ", with another model or other settings" if resume else ""
                raise UserError(
                    f"a demo into this folder was stopped before its end{difference}",
                    file=output,
                    remedy=f"Repeat its command with --resume, choose another --output, or delete {folder.name} there",
                )
        if comm.is_main_process():
            self._check_nobody_writes()
        self.is_resumed = self.folder.exists()
        self._places = self._read_places()
        self._finished = False

    def begin(self) -> None:
        """Opens a new file for this process's lines."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lines = tempfile.NamedTemporaryFile(dir=self.folder, delete=False)
        lock(self._lines.fileno())

    def is_done(self, photo: InputPhoto) -> bool:
        """Whether the photo was done when this demo began."""
        return self._key(photo) in self._places

    def save(self, photo: InputPhoto, pixels: np.ndarray, found: Detections) -> bool:
        self._lines.write(msgspec.json.encode(Entry(self._key(photo), found.size, found.to_coco())) + b"\n")
        self._lines.flush()  # so that the system has it when this process is killed
        return True

    def close(self) -> None:
        self._lines.close()
        if not self._finished and comm.is_main_process():
            log.warning("This is not finished. The same command with --resume goes on.")

    def finish(self, photos: Sequence[InputPhoto], coco: Path | None, classes: Sequence[str]) -> None:
        """Writes all that was found as one COCO file, if there should be one: by the main process, when all are done."""
        self._finished = True
        if not comm.is_main_process():
            return
        self._places = self._read_places()
        if coco is not None:
            done = [photo for photo in photos if self.is_done(photo)]
            images = (
                Image(number, way_to_photo(photo.path, coco.parent), *entry.size)
                for number, (photo, entry) in enumerate(zip(done, self._entries(done), strict=True), start=1)
            )
            with replaced_file(coco) as file:
                write_coco(file, images, self._annotations(done), categories_of(list(classes)))
        shutil.rmtree(self.folder)

    def _annotations(self, done: Sequence[InputPhoto]) -> Iterator[ScoredAnnotation]:
        number = 0
        for image_id, entry in enumerate(self._entries(done), start=1):
            for annotation in entry.found:
                number += 1
                yield msgspec.structs.replace(annotation, id=number, image_id=image_id)

    def _entries(self, done: Sequence[InputPhoto]) -> Iterator[Entry]:
        for photo in done:
            file, start = self._places[self._key(photo)]
            with opened_for_reading(file) as lines:
                lines.seek(start)
                yield msgspec.json.decode(lines.readline(), type=Entry)

    def _read_places(self) -> dict[str, tuple[Path, int]]:
        """The file of each photo's line, and where it begins there. What a kill has cut has no end, and does not count."""
        places = {}
        for file in sorted(self.folder.glob("*")):
            start = 0
            with opened_for_reading(file) as lines:
                for line in lines:
                    if line.endswith(b"\n"):
                        places[self._photo_in(line, file)] = file, start
                    start += len(line)
        return places

    def _photo_in(self, line: bytes, file: Path) -> str:
        try:
            return msgspec.json.decode(line, type=Entry).photo
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            remedy = f"Delete {self.folder.name} and begin again"
            raise UserError(f"this file is damaged: {error}", file=file, remedy=remedy, exit_code=EXIT_DATA) from error

    def _check_nobody_writes(self) -> None:
        for file in self.folder.glob("*"):
            with opened_for_reading(file) as lines:
                if is_locked(lines.fileno()):
                    raise UserError("another demo writes into this folder", file=self.output, remedy="Wait for its end")

    def _key(self, photo: InputPhoto) -> str:
        """In ASCII: a name need not be Unicode text."""
        return ascii(way_to_photo(photo.path, self.output))
