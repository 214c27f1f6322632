"""Where the results go: pictures, a COCO file, LabelMe files, a window. Each file is written in one step."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import cv2
import msgspec
import numpy as np

from dataset_tools.errors import UserError
from dataset_tools.files import write_atomically
from dataset_tools.formats.coco import Annotation, Image, categories_of, write_coco
from dataset_tools.to_labelme.annotation_files import annotation_names, encode_annotations, way_to_photo
from dataset_tools.to_labelme.shapes import LabelledInstance, draw
from polymask.demo.photos import InputPhoto
from polymask.inference.detections import Detection
from polymask.inference.drawing import draw_detections
from polymask.inference.visualizer import metadata_of

KINDS = ("pictures", "coco", "labelme")
COCO_NAME, LABELME_NAME = "coco.json", "labelme"
# What OpenCV writes, by the end of the name.
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
WINDOW = "polymask"
ESCAPE = 27


class Results(Protocol):
    """A kind of results, one photo after the other."""

    def save(self, photo: InputPhoto, pixels: np.ndarray, found: Sequence[Detection]) -> bool:
        """Takes what was found on a photo, (H, W, 3) uint8 in BGR; False where nothing more is wanted."""

    def close(self) -> None:
        """Keeps what is there so far, also where something has gone wrong."""


def is_one_picture(output: Path) -> bool:
    """Whether ``--output`` is the name of a picture, and not of a folder."""
    return output.suffix.lower() in PICTURE_SUFFIXES and not output.is_dir()


# What looks like a file that is wanted, and would become a folder.
_NO_FOLDERS = (".json", ".mp4", ".avi", ".mov", ".mkv", ".webm")


def check_output(output: Path, kinds: Sequence[str], photos: Sequence[InputPhoto]) -> None:
    """Whether the results have a place, and overwrite no annotations: what looks like ours may be corrected by hand.

    Raises:
        UserError: one of them has none, or would.
    """
    if is_one_picture(output):
        if list(kinds) != ["pictures"] or len(photos) != 1:
            raise UserError(
                f"this is one file, and {len(photos)} photos and {', '.join(kinds)} are asked for",
                file=output,
                remedy="Name a folder with --output",
            )
        if photos[0].path.resolve() == output.resolve():
            raise UserError("the picture would overwrite its photo", file=output, remedy="Choose another --output")
        return
    if output.suffix.lower() in _NO_FOLDERS and not output.exists():
        raise UserError("photos are written into a folder", file=output, remedy="Name a folder with --output")
    if output.exists() and not output.is_dir():
        raise UserError("this is a file that is no picture", file=output, remedy="Name a folder with --output")
    wanted = [output / COCO_NAME] if "coco" in kinds else []
    wanted += _labelme_files(output, photos) if "labelme" in kinds else []
    there = [file for file in wanted if file.exists()]
    if there:
        raise UserError(
            "this exists already, and may have been corrected by hand, so it is kept"
            + (f"; and so do {len(there) - 1} more" if there[1:] else ""),
            file=there[0],
            remedy="Choose another --output, or move it away",
        )


def open_results(
    output: Path | None, kinds: Sequence[str], photos: Sequence[InputPhoto], classes: Sequence[str]
) -> list[Results]:
    """The kinds of results that are asked for; a window where there is no ``output``."""
    if output is None:
        return [Window(classes)]
    make = {
        "pictures": lambda: Pictures(output, classes),
        "coco": lambda: CocoResults(output / COCO_NAME, classes),
        "labelme": lambda: LabelmeFiles(output, photos, classes),
    }
    return [make[kind]() for kind in KINDS if kind in kinds]


class Pictures:
    """A picture for each photo: ``OUTPUT/a.jpg.png`` for ``a.jpg``, so that ``a.png`` has another; or the one file."""

    def __init__(self, output: Path, classes: Sequence[str]):
        self.output = output
        self.metadata = metadata_of(classes)

    def save(self, photo: InputPhoto, pixels: np.ndarray, found: Sequence[Detection]) -> bool:
        target = self.output
        if not is_one_picture(target):
            target = target / photo.place.with_name(f"{photo.place.name}.png")
        _, content = cv2.imencode(target.suffix, draw_detections(pixels, found, self.metadata))
        target.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(target, content.data)
        return True

    def close(self) -> None:
        pass


class ScoredAnnotation(Annotation, frozen=True, gc=False, kw_only=True):
    """An instance as COCO's annotations and its results have it: with ids, area and box, and with a score."""

    score: float


class CocoResults:
    """All photos in one file: COCO's ``images`` and ``categories``, and its results as ``annotations``."""

    def __init__(self, file: Path, classes: Sequence[str]):
        self.file = file
        self.categories = categories_of(list(classes))
        self.images: list[Image] = []
        self.annotations: list[bytes] = []

    def save(self, photo: InputPhoto, pixels: np.ndarray, found: Sequence[Detection]) -> bool:
        height, width = pixels.shape[:2]
        number = len(self.images) + 1
        self.images.append(Image(number, way_to_photo(photo.path, self.file.parent), width, height))
        for detection in found:
            left, top, right, bottom = detection.box
            annotation = ScoredAnnotation(
                id=len(self.annotations) + 1,
                image_id=number,
                category_id=detection.category + 1,
                segmentation=detection.mask.rle((height, width)),
                area=detection.mask.area,
                bbox=(left, top, right - left, bottom - top),
                score=detection.score,
            )
            self.annotations.append(msgspec.json.encode(annotation))
        return True

    def close(self) -> None:
        content = io.BytesIO()
        write_coco(content, self.images, self.annotations, self.categories)
        self.file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self.file, content.getbuffer())


class LabelmeFiles:
    """A LabelMe file for each photo, ``OUTPUT/labelme/a.json`` for ``a.jpg``, with a polygon around each instance."""

    def __init__(self, output: Path, photos: Sequence[InputPhoto], classes: Sequence[str]):
        self.files = dict(zip((photo.place for photo in photos), _labelme_files(output, photos), strict=True))
        self.classes = classes

    def save(self, photo: InputPhoto, pixels: np.ndarray, found: Sequence[Detection]) -> bool:
        height, width = size = pixels.shape[:2]
        file = self.files[photo.place]
        file.parent.mkdir(parents=True, exist_ok=True)
        instances = [LabelledInstance(self.classes[d.category], d.mask.rle(size), d.score) for d in found]
        shapes = [draw(instance, (width, height), "polygon") for instance in instances]
        write_atomically(file, encode_annotations(photo.path, file, (width, height), shapes))
        return True

    def close(self) -> None:
        pass


def _labelme_files(output: Path, photos: Sequence[InputPhoto]) -> list[Path]:
    return [output / LABELME_NAME / name for name in annotation_names([photo.place for photo in photos])]


class Window:
    """A window that shows one picture after the other: any key goes on, Escape ends it."""

    def __init__(self, classes: Sequence[str]):
        self.metadata = metadata_of(classes)

    def save(self, photo: InputPhoto, pixels: np.ndarray, found: Sequence[Detection]) -> bool:
        return show(draw_detections(pixels, found, self.metadata), wait=True)

    def close(self) -> None:
        cv2.destroyAllWindows()


def show(picture: np.ndarray, wait: bool) -> bool:
    """Shows a picture, until a key is pressed or for a moment; False if it was Escape."""
    cv2.imshow(WINDOW, picture)
    return cv2.waitKey(0 if wait else 1) != ESCAPE


def demand_screen() -> None:
    """Whether a window can be shown: tried in another process, for Qt ends the one that finds no screen.

    Raises:
        UserError: it cannot.
    """
    trial = subprocess.run([sys.executable, "-c", "import cv2; cv2.namedWindow('trial')"], capture_output=True)
    if trial.returncode:
        raise UserError("there is no screen here to show anything on", remedy="Name a folder with --output")
