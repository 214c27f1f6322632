"""What is annotated in a split and what was found in it, read, checked against each other, and laid out in columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NoReturn

import msgspec
import numpy as np
import pycocotools.mask
from numpy.typing import NDArray

from dataset_tools.errors import EXIT_DATA, UserError
from dataset_tools.files import read_file
from dataset_tools.formats.coco import Annotation, CocoFile, Image, read_coco
from dataset_tools.geometry.rle import BadRle, Rle, checked_runs

TASKS = ("bbox", "segm")

# px: no photo is so large, and areas of such boxes can still be computed.
_LARGEST_COORDINATE = 1e6

_EVALUATE_AGAIN = "Evaluate the model on this dataset again: train_net.py --eval-only"


@dataclass(frozen=True)
class Objects:
    """Annotated or found objects, those of a photo together; N of them.

    Attributes:
        photo: (N,) indices of photos, ascending.
        category: (N,) indices of classes.
        box: (N, 4) XYWH in px.
        mask: N codes of pycocotools, compressed; of the size of their photo.
        starts: (photos + 1,): those of photo i are at starts[i]:starts[i + 1].
    """

    photo: NDArray[np.int64]
    category: NDArray[np.int64]
    box: NDArray[np.float64]
    mask: list[bytes | str]
    starts: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.photo)

    def of_photo(self, index: int) -> slice:
        """Where the objects of a photo are."""
        return slice(int(self.starts[index]), int(self.starts[index + 1]))


@dataclass(frozen=True)
class Annotations(Objects):
    """Annotated objects, those of a photo in the order of the file.

    Attributes:
        area: (N,) in px2, the file's, for boxes and masks alike, as in COCO.
        crowd: (N,) whether it is a region of several objects, in which COCO ignores detections (iscrowd 1).
    """

    area: NDArray[np.float64]
    crowd: NDArray[np.bool_]


@dataclass(frozen=True)
class Detections(Objects):
    """Found objects, those of a photo in the order of their confidence, and equal ones in that of the file.

    Attributes:
        score: (N,) confidences, 0 to 1.
    """

    score: NDArray[np.float64]

    @cached_property
    def rank(self) -> NDArray[np.int64]:
        """(N,) of each, how many of its photo and class are more confident."""
        order = np.lexsort((self.category, self.photo))  # which keeps the order of confidences
        category, photo = self.category[order], self.photo[order]
        is_first = np.append(True, (np.diff(category) != 0) | (np.diff(photo) != 0))[: len(order)]
        place = np.arange(len(order))
        ranks = np.empty(len(order), dtype=np.int64)
        ranks[order] = place - np.maximum.accumulate(np.where(is_first, place, 0))
        return ranks


@dataclass(frozen=True)
class Truth:
    """A split with its annotations.

    Attributes:
        photos: in the order of their ids, as COCO evaluates them.
        category_ids: of the classes, ascending.
        classes: their names.
        objects: the annotations.
    """

    photos: tuple[Image, ...]
    category_ids: tuple[int, ...]
    classes: tuple[str, ...]
    objects: Annotations


class CocoResult(msgspec.Struct, frozen=True, gc=False):
    """An entry of a file of results as Detectron2 writes it; bbox is XYWH in px."""

    image_id: int
    category_id: int
    bbox: tuple[float, float, float, float]
    score: float
    segmentation: Rle


def read_truth(path: Path) -> Truth:
    """The split of a COCO file.

    Raises:
        UserError: it cannot be read, has no photos, or an annotation points nowhere or has no outline.
    """
    content = read_coco(path)
    remedy = "Name the COCO file of a split that has photos"
    if not content.images:
        raise UserError("this split has no photos, so there is nothing to evaluate", file=path, remedy=remedy)
    photos = tuple(sorted(content.images, key=lambda image: image.id))
    categories = sorted(content.categories, key=lambda category: category.id)
    index = {image.id: position for position, image in enumerate(photos)}
    classes = {category.id: position for position, category in enumerate(categories)}
    for position, annotation in enumerate(content.annotations):
        if annotation.image_id not in index or annotation.category_id not in classes:
            reason = f"image {annotation.image_id} or category {annotation.category_id} does not exist"
            raise UserError(reason, file=path, place=f"annotations[{position}]", remedy="Convert the photos again")
        if not (isinstance(annotation.segmentation, Rle) or _outlines(annotation.segmentation)):
            place, reason = f"annotations[{position}].segmentation", "no outline in it has three points"
            raise UserError(reason, file=path, place=place, remedy="Draw it again, or delete the annotation")
    names = tuple(category.name for category in categories)
    return Truth(photos, tuple(classes), names, _annotations(content, index, classes))


def read_detections(source: Path | list[dict], truth: Truth, *, already_checked: bool = False) -> Detections:
    """Detections on a split.

    Args:
        source: a file of results in COCO's format, or what is in one.
        truth: the split that they belong to.
        already_checked: whether this process has read the file before. The codes of the masks in a file, which others
            may have changed, are checked once, which takes as long as counting.

    Raises:
        UserError: it cannot be read or is damaged, or it belongs to another dataset: an image or category that the
            split doesn't have, or a mask of another size than its photo.
    """
    file = source if isinstance(source, Path) else None
    results = _decode(source, file)
    photos = {image.id: position for position, image in enumerate(truth.photos)}
    classes = {category: position for position, category in enumerate(truth.category_ids)}
    for position, result in enumerate(results):
        reason = _of_another_dataset(result, photos, classes, truth)
        if reason:
            _refuse(f"the detections belong to another dataset: {reason}", file, f"[{position}]")
    if file and not already_checked:
        _check_codes(results, file)
    photo = np.array([photos[result.image_id] for result in results], dtype=np.int64)
    category = np.array([classes[result.category_id] for result in results], dtype=np.int64)
    score = np.array([result.score for result in results], dtype=np.float64)
    box = np.array([result.bbox for result in results], dtype=np.float64).reshape(-1, 4)
    if not ((score >= 0) & (score <= 1)).all():  # NaN is refused, too
        _refuse("a confidence is not from 0 to 1", file)
    if not (np.abs(box) <= _LARGEST_COORDINATE).all() or (box[:, 2:] < 0).any():
        _refuse("a box has a negative side or a coordinate that no photo has", file)
    order = np.lexsort((-score, photo))  # which keeps the order of what is equal
    return Detections(
        photo=photo[order],
        category=category[order],
        box=box[order],
        mask=[results[position].segmentation.counts for position in order.tolist()],
        starts=_starts(photo[order], truth.photos),
        score=score[order],
    )


def codes(masks: Iterable[bytes | str], image: Image) -> list[dict]:
    """The masks of a photo as pycocotools wants them."""
    return [{"size": (image.height, image.width), "counts": counts} for counts in masks]


def _annotations(content: CocoFile, index: dict[int, int], classes: dict[int, int]) -> Annotations:
    annotations = sorted(content.annotations, key=lambda annotation: index[annotation.image_id])
    images = {image.id: image for image in content.images}
    photo = np.array([index[annotation.image_id] for annotation in annotations], dtype=np.int64)
    return Annotations(
        photo=photo,
        category=np.array([classes[annotation.category_id] for annotation in annotations], dtype=np.int64),
        box=np.array([annotation.bbox for annotation in annotations], dtype=np.float64).reshape(-1, 4),
        mask=[_code(annotation, images[annotation.image_id]) for annotation in annotations],
        starts=_starts(photo, content.images),
        area=np.array([annotation.area for annotation in annotations], dtype=np.float64),
        crowd=np.array([annotation.iscrowd for annotation in annotations], dtype=bool),
    )


def rle_of(objects: Objects, row: int, size: tuple[int, int]) -> Rle:
    """The mask of an object of a photo of a (height, width)."""
    counts = objects.mask[row]
    return Rle(size, counts if isinstance(counts, str) else counts.decode())


def _starts(photo: NDArray[np.int64], photos: Sequence[Image]) -> NDArray[np.int64]:
    """See ``Objects.starts``."""
    return np.searchsorted(photo, np.arange(len(photos) + 1))


def _code(annotation: Annotation, image: Image) -> bytes | str:
    """The mask's compressed code; polygons become pixels as pycocotools draws them."""
    segmentation = annotation.segmentation
    if isinstance(segmentation, Rle):
        return segmentation.counts
    parts = pycocotools.mask.frPyObjects(_outlines(segmentation), image.height, image.width)
    return pycocotools.mask.merge(parts)["counts"]


def _outlines(polygons: list[list[float]]) -> list[list[float]]:
    """Those that pycocotools takes for polygons, and not for boxes or nothing."""
    return [polygon for polygon in polygons if len(polygon) > 4]


def _decode(source: Path | list[dict], file: Path | None) -> list[CocoResult]:
    try:
        if isinstance(source, Path):
            return msgspec.json.decode(read_file(source), type=list[CocoResult])
        return msgspec.convert(source, list[CocoResult])
    except OSError as error:
        raise UserError(
            f"the detections cannot be read: {error.strerror}", file=file, remedy=_EVALUATE_AGAIN
        ) from error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"not results in COCO's format: {error}", file=file, remedy=_EVALUATE_AGAIN) from error


def _of_another_dataset(
    result: CocoResult, photos: dict[int, int], classes: dict[int, int], truth: Truth
) -> str | None:
    """Why a detection cannot be of this split."""
    if result.image_id not in photos:
        return f"image {result.image_id} is not in this split"
    if result.category_id not in classes:
        return f"category {result.category_id} is not in this dataset"
    image, (height, width) = truth.photos[photos[result.image_id]], result.segmentation.size
    if (height, width) != (image.height, image.width):
        return f"the mask is {width} x {height} px, its photo ({image.file_name}) {image.width} x {image.height} px"
    return None


def _check_codes(results: list[CocoResult], file: Path) -> None:
    """Refuses masks that pycocotools would fill up with whatever is in memory, or crash on."""
    for position, result in enumerate(results):
        try:
            checked_runs(result.segmentation.size, result.segmentation.counts)
        except BadRle as error:
            _refuse(f"the code of the mask is damaged: {error}", file, f"[{position}]")


def _refuse(reason: str, file: Path | None, place: str | None = None) -> NoReturn:
    raise UserError(reason, file=file, place=place, remedy=_EVALUATE_AGAIN, exit_code=EXIT_DATA)
