"""What is annotated in a split and what was found in it, read, checked against each other, and laid out in columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import pycocotools.mask
from numpy.typing import NDArray

from dataset_tools.errors import EXIT_DATA, UserError
from dataset_tools.formats.coco import Annotation, CocoFile, Image, read_coco
from dataset_tools.geometry.rle import BadRle, Rle, checked_runs

TASKS = ("bbox", "segm")

# pycocotools 2.0.11 keeps the number of masks of which it is asked the area in a byte.
_AREAS_AT_ONCE = 255

# px: no photo is so large, and areas of such boxes can still be computed.
_LARGEST_COORDINATE = 1e6

_EVALUATE_AGAIN = "Evaluate the model on this dataset again: train_net.py --eval-only"


@dataclass(frozen=True)
class Objects:
    """Annotated or found objects, those of a photo together; N of them.

    Attributes:
        photo: (N,) indices of photos, ascending.
        category: (N,) indices of classes.
        score: (N,) confidences; of annotations 1.
        box: (N, 4) XYWH in px.
        mask: N codes of pycocotools, compressed; of the size of their photo.
        mask_area: (N,) in px2.
        crowd: (N,) whether it is a region of several objects, in which COCO ignores detections (iscrowd 1).
        starts: (photos + 1,): those of photo i are at starts[i]:starts[i + 1].
    """

    photo: NDArray[np.int64]
    category: NDArray[np.int64]
    score: NDArray[np.float64]
    box: NDArray[np.float64]
    mask: list[bytes | str]
    mask_area: NDArray[np.float64]
    crowd: NDArray[np.bool_]
    starts: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.photo)

    def area(self, task: str) -> NDArray[np.float64]:
        """(N,) in px2, by which COCO tells small, medium and large: of the masks, or of the boxes of detections."""
        return self.mask_area if task == "segm" else self.box[:, 2] * self.box[:, 3]


@dataclass(frozen=True)
class Truth:
    """A split with its annotations.

    Attributes:
        photos: in the order of their ids, as COCO evaluates them.
        category_ids: of the classes, ascending.
        classes: their names.
        objects: in the order of the file; their areas are the file's for boxes and masks alike, as in COCO.
    """

    photos: tuple[Image, ...]
    category_ids: tuple[int, ...]
    classes: tuple[str, ...]
    objects: Objects


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
        UserError: it cannot be read, has no photos, or an annotation points nowhere.
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
    return Truth(
        photos, tuple(classes), tuple(category.name for category in categories), _annotated(content, index, classes)
    )


def read_detections(source: Path | list[dict], truth: Truth, *, may_be_damaged: bool = False) -> Objects:
    """Detections on a split: those of a photo in the order of their confidence, and equal ones in that of the file.

    Args:
        source: a file of results in COCO's format, or what is in one.
        truth: the split that they belong to.
        may_be_damaged: a file that others may have had their hands on: the codes of its masks are checked, which takes
            as long as counting.

    Raises:
        UserError: it cannot be read or is damaged, or it belongs to another dataset: an image or category that the
            split doesn't have, or a mask of another size than its photo.
    """
    file = source if isinstance(source, Path) else None
    try:
        if file:
            found = msgspec.json.decode(file.read_bytes(), type=list[CocoResult])
        else:
            found = msgspec.convert(source, list[CocoResult])
    except OSError as error:
        raise UserError(
            f"the detections cannot be read: {error.strerror}", file=file, remedy=_EVALUATE_AGAIN
        ) from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise UserError(f"these are no results in COCO's format: {error}", file=file, remedy=_EVALUATE_AGAIN) from error
    return _found(found, truth, file, may_be_damaged)


def _annotated(content: CocoFile, index: dict[int, int], classes: dict[int, int]) -> Objects:
    annotations = sorted(content.annotations, key=lambda annotation: index[annotation.image_id])
    images = {image.id: image for image in content.images}
    photo = np.array([index[annotation.image_id] for annotation in annotations], dtype=np.int64)
    return Objects(
        photo=photo,
        category=np.array([classes[annotation.category_id] for annotation in annotations], dtype=np.int64),
        score=np.ones(len(annotations)),
        box=np.array([annotation.bbox for annotation in annotations], dtype=np.float64).reshape(-1, 4),
        mask=[_code(annotation, images[annotation.image_id]) for annotation in annotations],
        mask_area=np.array([annotation.area for annotation in annotations], dtype=np.float64),
        crowd=np.array([annotation.iscrowd for annotation in annotations], dtype=bool),
        starts=np.searchsorted(photo, np.arange(len(images) + 1)),
    )


def _code(annotation: Annotation, image: Image) -> bytes | str:
    """The mask's compressed code; polygons become pixels as pycocotools draws them."""
    segmentation = annotation.segmentation
    if isinstance(segmentation, Rle):
        return segmentation.counts
    parts = pycocotools.mask.frPyObjects(segmentation, image.height, image.width)
    return pycocotools.mask.merge(parts)["counts"]


def _found(found: list[CocoResult], truth: Truth, file: Path | None, may_be_damaged: bool) -> Objects:
    index = {image.id: position for position, image in enumerate(truth.photos)}
    classes = {category: position for position, category in enumerate(truth.category_ids)}
    for position, detection in enumerate(found):
        _check(detection, position, index, classes, truth, file)
    photo = np.array([index[detection.image_id] for detection in found], dtype=np.int64)
    score = np.array([detection.score for detection in found], dtype=np.float64)
    if not ((score >= 0) & (score <= 1)).all():  # nor is NaN
        raise UserError("a confidence is not from 0 to 1", file=file, remedy=_EVALUATE_AGAIN, exit_code=EXIT_DATA)
    order = np.lexsort((-score, photo))  # which keeps the order of what is equal
    category = np.array([classes[detection.category_id] for detection in found], dtype=np.int64)
    box = np.array([detection.bbox for detection in found], dtype=np.float64).reshape(-1, 4)
    if not (np.abs(box) <= _LARGEST_COORDINATE).all() or (box[:, 2:] < 0).any():
        raise UserError("a box is no box", file=file, remedy=_EVALUATE_AGAIN, exit_code=EXIT_DATA)
    if may_be_damaged:
        _check_codes(found, file)
    masks = [found[position].segmentation.counts for position in order.tolist()]
    photo = photo[order]
    starts = np.searchsorted(photo, np.arange(len(truth.photos) + 1))
    parts = zip(starts[:-1].tolist(), starts[1:].tolist(), truth.photos, strict=True)
    areas = [_areas(masks[start:end], image) for start, end, image in parts]
    crowd = np.zeros(len(found), dtype=bool)
    return Objects(photo, category[order], score[order], box[order], masks, np.concatenate(areas), crowd, starts)


def _check(
    detection: CocoResult,
    position: int,
    index: dict[int, int],
    classes: dict[int, int],
    truth: Truth,
    file: Path | None,
) -> None:
    """Refuses a detection that cannot be of this split."""
    if detection.image_id not in index:
        reason = f"image {detection.image_id} is not in this split"
    elif detection.category_id not in classes:
        reason = f"category {detection.category_id} is not in this dataset"
    else:
        image = truth.photos[index[detection.image_id]]
        height, width = detection.segmentation.size
        if (height, width) == (image.height, image.width):
            return
        reason = f"the mask is {width} x {height} px, its photo ({image.file_name}) {image.width} x {image.height} px"
    raise UserError(
        f"the detections belong to another dataset: {reason}",
        file=file,
        place=f"[{position}]",
        remedy=_EVALUATE_AGAIN,
        exit_code=EXIT_DATA,
    )


def _check_codes(found: list[CocoResult], file: Path | None) -> None:
    """Refuses masks that pycocotools would fill up with whatever is in memory, or crash on."""
    for position, detection in enumerate(found):
        try:
            checked_runs(detection.segmentation.size, detection.segmentation.counts)
        except BadRle as error:
            raise UserError(
                f"the code of the mask is damaged: {error}",
                file=file,
                place=f"[{position}]",
                remedy=_EVALUATE_AGAIN,
                exit_code=EXIT_DATA,
            ) from error


def codes(masks: Iterable[bytes | str], image: Image) -> list[dict]:
    """The masks of a photo as pycocotools wants them."""
    return [{"size": (image.height, image.width), "counts": counts} for counts in masks]


def _areas(masks: Sequence[bytes | str], image: Image) -> NDArray[np.float64]:
    parts = [masks[start : start + _AREAS_AT_ONCE] for start in range(0, len(masks), _AREAS_AT_ONCE)]
    return np.concatenate([pycocotools.mask.area(codes(part, image)) for part in parts] or [[]]).astype(np.float64)
