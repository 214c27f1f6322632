"""Where the results go: pictures, a COCO file, LabelMe files, a window. Each file is written in one step."""

from __future__ import annotations

import os
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

import cv2
import numpy as np

from dataset_tools.errors import UserError
from dataset_tools.files import write_atomically
from dataset_tools.text import is_text
from dataset_tools.to_labelme.annotation_files import annotation_names, way_to_photo
from polymask.demo.photos import InputPhoto
from polymask.inference.detections import Detections
from polymask.inference.drawing import draw_detections

COCO_NAME, LABELME_NAME = "coco.json", "labelme"
# What OpenCV writes, by the end of the name.
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
# An --output with one of these looks like a file, and would become a folder.
_FILE_SUFFIXES = (".json", ".mp4", ".avi", ".mov", ".mkv", ".webm")
# Bytes of a photo's name. File systems take 255; the longest ending of ours is .json.
_LONGEST_NAME = 255 - len(".json")
WINDOW = "polymask"
ESCAPE = 27


class Results(ABC):
    """A kind of results, one photo after the other."""

    @abstractmethod
    def save(self, photo: InputPhoto, pixels: np.ndarray, found: Detections) -> bool:
        """Takes what was found on a photo, (H, W, 3) uint8 in BGR; False where nothing more is wanted."""

    def close(self) -> None:  # noqa: B027 - most kinds have nothing left to do
        """Keeps what is there so far, also where something has gone wrong."""


def open_results(
    output: Path | None, kinds: Sequence[str], photos: Sequence[InputPhoto], resume: bool
) -> list[Results]:
    """The kinds of results that are asked for, or a window where there is no ``output``. Nothing is written yet.

    Without ``coco.json``, which is written when all photos are done (see ``polymask.demo.journal``). With ``resume``,
    LabelMe files may be there.

    Raises:
        UserError: ``output`` or their names cannot hold them, there is no screen for the window, or a file would be
            overwritten that may have been corrected by hand.
    """
    if output is None:
        demand_screen()
        return [Window()]
    if is_one_picture(output):
        _check_one_picture(output, kinds, photos)
        return [Pictures(output)]
    _check_folder(output)
    _check_names(photos, None if list(kinds) == ["pictures"] else output)
    results: list[Results] = [Pictures(output)] if "pictures" in kinds else []
    annotations: list[Path] = []
    if "coco" in kinds:
        annotations.append(output / COCO_NAME)
    if "labelme" in kinds:
        places = [photo.place for photo in photos]
        files = [output / LABELME_NAME / name for name in annotation_names(places)]
        results.append(LabelmeFiles(dict(zip(places, files, strict=True))))
        annotations += files if not resume else []
    check_are_free(annotations)
    return results


def is_one_picture(output: Path) -> bool:
    """Whether ``--output`` is the name of a picture, and not of a folder."""
    return output.suffix.lower() in PICTURE_SUFFIXES and not output.is_dir()


def _check_one_picture(output: Path, kinds: Sequence[str], photos: Sequence[InputPhoto]) -> None:
    if list(kinds) != ["pictures"] or len(photos) != 1:
        raise UserError(
            f"{len(photos)} photos as {', '.join(kinds)} do not fit into one file",
            file=output,
            remedy="Name a folder with --output",
        )
    if photos[0].path.resolve() == output.resolve():
        raise UserError("the picture would overwrite its photo", file=output, remedy="Choose another --output")


def _check_folder(output: Path) -> None:
    if output.suffix.lower() in _FILE_SUFFIXES and not output.exists():
        raise UserError("photos are written into a folder", file=output, remedy="Name a folder with --output")
    if output.exists() and not output.is_dir():
        raise UserError("this is neither a picture nor a folder", file=output, remedy="Name a folder with --output")


def _check_names(photos: Sequence[InputPhoto], annotations: Path | None) -> None:
    """Refuse photos whose results could not be written, before minutes are spent on others; None: no annotations."""
    for photo in photos:
        if len(os.fsencode(photo.place.name)) > _LONGEST_NAME:
            reason = f"its name is longer than {_LONGEST_NAME} bytes, too long for those of its results"
            raise UserError(reason, file=photo.path, remedy="Rename it")
        if annotations and not is_text(way_to_photo(photo.path, annotations)):
            reason = "its name or its folder's is not Unicode text, and JSON files hold nothing else"
            raise UserError(reason, file=ascii(str(photo.path)), remedy="Rename it, or save pictures only")


def check_are_free(files: Sequence[Path]) -> None:
    """Refuse to write files that are there.

    Raises:
        UserError: there is one.
    """
    there = [file for file in files if file.exists()]
    if there:
        more = f"; {len(there) - 1} more files exist, too" if there[1:] else ""
        raise UserError(
            f"this exists already and may have been corrected by hand, so it is kept{more}",
            file=there[0],
            remedy="Choose another --output, or move it away",
        )


class Pictures(Results):
    """A picture for each photo: ``OUTPUT/a.jpg.png`` for ``a.jpg``, so that ``a.png`` has another; or the one file."""

    def __init__(self, output: Path):
        self.output = output

    def save(self, photo: InputPhoto, pixels: np.ndarray, found: Detections) -> bool:
        target = self.output
        if not is_one_picture(target):
            target = target / photo.place.with_name(f"{photo.place.name}.png")
        _, content = cv2.imencode(target.suffix, draw_detections(pixels, found))
        target.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(target, content.data)
        return True


class LabelmeFiles(Results):
    """A LabelMe file for each photo, ``OUTPUT/labelme/a.json`` for ``a.jpg``, with a polygon around each instance."""

    def __init__(self, files: Mapping[PurePosixPath, Path]):
        self.files = files

    def save(self, photo: InputPhoto, pixels: np.ndarray, found: Detections) -> bool:
        file = self.files[photo.place]
        if not file.exists():  # else a demo has written it that was stopped then, and it may be corrected already
            file.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(file, found.to_labelme(way_to_photo(photo.path, file.parent)))
        return True


class Window(Results):
    """A window that shows one picture after the other; Escape ends it."""

    def save(self, photo: InputPhoto, pixels: np.ndarray, found: Detections) -> bool:
        return self.write(draw_detections(pixels, found), wait=True)

    def write(self, picture: np.ndarray, wait: bool = False) -> bool:
        """Shows a picture, until a key is pressed or for a moment; False if it was Escape."""
        cv2.imshow(WINDOW, picture)
        return cv2.waitKey(0 if wait else 1) != ESCAPE

    def close(self) -> None:
        cv2.destroyAllWindows()


def demand_screen() -> None:
    """Whether a window can be shown: tried in another process, for Qt ends the one that finds no screen.

    Raises:
        UserError: it cannot.
    """
    # -P: without the current folder on the path, where a stranger's cv2.py may lie. -I would also leave out PYTHONPATH
    # and the user's packages, where OpenCV may be.
    trial = subprocess.run([sys.executable, "-P", "-c", "import cv2; cv2.namedWindow('trial')"], capture_output=True)
    if trial.returncode:
        raise UserError("there is no screen here to show anything on", remedy="Name a folder with --output")
