"""Pictures of instances on photos, drawn by Detectron2's Visualizer, each class in its one colour."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import matplotlib
import numpy as np
from detectron2.data.catalog import Metadata
from detectron2.data.detection_utils import convert_image_to_rgb
from detectron2.structures import BitMasks, BoxMode
from detectron2.utils.visualizer import Visualizer

from dataset_tools.files import write_atomically
from dataset_tools.geometry.rle import Rle
from dataset_tools.view.fonts import captions, families_for
from dataset_tools.view.palette import class_colour
from polymask.inference.detections import PlacedMask, placed

# The Visualizer's letters are unreadable on a small photo and lost on a large one: photos are drawn this wide.
DRAWN_WIDTH = 960
LARGEST = 2048  # px, of a picture's longer side: a screen shows no more, and matplotlib takes long to draw them
GAP = 8  # white pixels between pictures
# The Visualizer holds a mask of the picture's size for each instance: so many are drawn at a time.
_AT_A_TIME = 50

Polygons = Sequence[Sequence[float]]  # flat, x, y, x, y, ... in px


def metadata_of(classes: Sequence[str]) -> Metadata:
    """What the Visualizer has to know of the classes: their names, as far as fonts have the letters, and colours.

    Without this the colours are random.
    """
    colours = [class_colour(index) for index in range(len(classes))]
    return Metadata(name="polymask", thing_classes=list(captions(classes).values()), thing_colors=colours)


def fitting_width(photo: np.ndarray, width: int, longest: int = LARGEST) -> int:
    """In px, of a picture of a photo, (H, W, 3): so wide, or as wide as its longer side allows."""
    return max(1, min(width, photo.shape[1] * longest // max(photo.shape[:2])))


def draw_instances(
    photo: np.ndarray,
    boxes: np.ndarray,
    masks: Sequence[PlacedMask | Polygons],
    classes: Sequence[int],
    scores: Sequence[float] | None,
    metadata: Metadata,
    width: int = DRAWN_WIDTH,
    ids: Sequence[int | None] | None = None,
) -> np.ndarray:
    """The photo with masks, boxes, class names and scores; the smaller instances on top of the larger ones.

    A photo that is wider than the picture is made smaller first, and its masks with it.

    Args:
        photo: (H, W, 3) uint8, BGR.
        boxes: (N, 4), XYXY in px of the photo.
        masks: of each instance.
        classes: (N,), from 0.
        scores: (N,), 0 to 1; None for annotations.
        metadata: see :func:`metadata_of`.
        width: of the picture in px.
        ids: (N,), of the objects in a video.

    Returns:
        (H', W', 3) uint8, BGR, about ``width`` wide.
    """
    picture = shrunk(photo, width * max(photo.shape[:2]) / photo.shape[1])
    largest_first = np.argsort(-np.prod(boxes[:, 2:] - boxes[:, :2], axis=1), kind="stable")
    for start in range(0, max(1, len(boxes)), _AT_A_TIME):
        rows, scale = largest_first[start : start + _AT_A_TIME], picture.shape[1] / photo.shape[1]
        visualizer = Visualizer(picture[:, :, ::-1], metadata, scale=width / picture.shape[1])
        _overlay(
            visualizer,
            boxes[rows] * scale,
            [_resized(masks[row], picture.shape[:2], scale) for row in rows],
            [classes[row] for row in rows],
            [scores[row] for row in rows] if scores is not None else None,
            [ids[row] for row in rows] if ids is not None else None,
        )
        picture = _picture(visualizer)
    return picture


def _resized(mask: PlacedMask | Polygons, size: tuple[int, int], scale: float) -> np.ndarray | list[np.ndarray]:
    """A mask on a photo that was resized by a factor to a (height, width), as the Visualizer takes it."""
    if isinstance(mask, PlacedMask):
        return mask.resized(size, scale)
    return [np.asarray(polygon) * scale for polygon in mask]


def draw_annotations(photo: np.ndarray, record: dict, metadata: Metadata, width: int = DRAWN_WIDTH) -> np.ndarray:
    """As :func:`draw_instances`, of the annotations of a Detectron2 dataset dict."""
    annotations = record["annotations"]
    boxes = [BoxMode.convert(item["bbox"], item["bbox_mode"], BoxMode.XYXY_ABS) for item in annotations]
    masks = [
        placed(Rle(tuple(mask["size"]), mask["counts"])) if isinstance(mask, dict) else mask
        for mask in (item["segmentation"] for item in annotations)
    ]
    classes = [item["category_id"] for item in annotations]
    return draw_instances(photo, np.reshape(boxes, (-1, 4)), masks, classes, None, metadata, width)


def draw_training_item(item: dict, image_format: str, metadata: Metadata, cell: tuple[int, int]) -> np.ndarray:
    """What the model is given to learn from: the augmented photo with its masks, boxes, class names and file name.

    Args:
        item: ``image`` ((C, H, W) uint8 tensor), ``instances`` (``gt_boxes``, ``gt_classes`` and ``gt_masks`` in pixels
            of the image) and ``file_name``, as a training's data loader yields them.
        image_format: the order of the channels, ``INPUT.FORMAT``.
        metadata: see :func:`metadata_of`.
        cell: width and height in px.

    Returns:
        (H', W', 3) uint8, BGR, as large as fits the cell, but for a pixel.
    """
    photo = convert_image_to_rgb(item["image"].permute(1, 2, 0), image_format)
    visualizer = Visualizer(photo, metadata, scale=_fitting_scale(photo, cell))
    instances = item["instances"]
    if len(instances):  # Detectron2 gives a photo without objects no gt_masks
        classes, masks = instances.gt_classes.tolist(), instances.gt_masks
        if isinstance(masks, BitMasks):  # whose holes overlay_instances would fill
            for mask, colour in zip(masks.tensor.numpy(), _colours(visualizer, classes), strict=True):
                visualizer.draw_binary_mask(mask, colour, area_threshold=0)
            masks = None
        _overlay(visualizer, instances.gt_boxes.tensor.numpy(), masks, classes)
    visualizer.draw_text(_not_math(Path(item["file_name"]).name), (0, 0), color="w", horizontal_alignment="left")
    return _picture(visualizer)


def arrange(pictures: Sequence[np.ndarray], columns: int, cell: tuple[int, int]) -> np.ndarray:
    """Pictures in rows on a white sheet, each in the middle of its cell and as large as that allows.

    Args:
        pictures: one or more, (H, W, 3) uint8.
        columns: at most; fewer pictures make a narrower sheet.
        cell: width and height in px, without the gap between the pictures.
    """
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    (width, height), gap = cell, GAP
    sheet = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), 255, dtype=np.uint8)
    for index, picture in enumerate(pictures):
        row, column = divmod(index, columns)
        fitted = _fitted(picture, cell)
        y = row * (height + gap) + (height - fitted.shape[0]) // 2
        x = column * (width + gap) + (width - fitted.shape[1]) // 2
        sheet[y : y + fitted.shape[0], x : x + fitted.shape[1]] = fitted
    return sheet


def shrunk(picture: np.ndarray, longest: float) -> np.ndarray:
    """A picture, (H, W, 3) uint8, whose longer side has no more than so many px."""
    scale = longest / max(picture.shape[:2])
    if scale >= 1:
        return picture
    size = tuple(max(1, round(side * scale)) for side in (picture.shape[1], picture.shape[0]))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


def write_png(target: Path, picture: np.ndarray) -> None:
    """Writes a picture, (H, W, 3) uint8, BGR, in one step."""
    write_atomically(target, cv2.imencode(".png", picture)[1].tobytes())


def _fitted(picture: np.ndarray, cell: tuple[int, int]) -> np.ndarray:
    scale = _fitting_scale(picture, cell)
    size = (round(picture.shape[1] * scale), round(picture.shape[0] * scale))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


def _fitting_scale(picture: np.ndarray, cell: tuple[int, int]) -> float:
    return min(cell[0] / picture.shape[1], cell[1] / picture.shape[0])


def _overlay(
    visualizer: Visualizer,
    boxes: np.ndarray,
    masks: object,
    classes: Sequence[int],
    scores: Sequence[float] | None = None,
    ids: Sequence[int | None] | None = None,
) -> None:
    labels = [visualizer.metadata.thing_classes[index] for index in classes]
    if ids is not None:
        labels = [label if number is None else f"{label} #{number}" for label, number in zip(labels, ids, strict=True)]
    if scores is not None:
        labels = [f"{label} {100 * score:.0f}%" for label, score in zip(labels, scores, strict=True)]
    labels = [_not_math(label) for label in labels]
    colours = _colours(visualizer, classes)
    visualizer.overlay_instances(boxes=boxes, masks=masks, labels=labels, assigned_colors=colours)


def _not_math(text: str) -> str:
    """The text as matplotlib takes it, which reads a formula between two dollar signs, and fails on most."""
    return text.replace("$", r"\$")


def _colours(visualizer: Visualizer, classes: Sequence[int]) -> list[tuple[float, ...]]:
    """As matplotlib takes them. The Visualizer's own methods vary a class's colour at random."""
    return [tuple(channel / 255 for channel in visualizer.metadata.thing_colors[index]) for index in classes]


def _picture(visualizer: Visualizer) -> np.ndarray:
    families = [*matplotlib.rcParams["font.sans-serif"], *families_for(visualizer.metadata.thing_classes)]
    with matplotlib.rc_context({"font.sans-serif": families}):
        return visualizer.output.get_image()[:, :, ::-1]
