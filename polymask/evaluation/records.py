"""What an evaluation says, as records that travel to the report; they can be written as JSON.

Percentages run from 0 to 100. What COCO does not define, such as the AP of a class that is absent, is None: never NaN.
"""

from __future__ import annotations

from msgspec import Struct

# The mistakes of Bolya et al. 2020 (TIDE, https://arxiv.org/abs/2008.08115), in their order.
KINDS = ("classification", "localisation", "both", "duplicate", "background", "missed")


class Interval(Struct, frozen=True):
    """The 95 % interval of a figure, by the bootstrap over photos."""

    low: float
    high: float


class Figure(Struct, frozen=True):
    """A value in percent, and how far to trust it."""

    value: float | None = None
    interval: Interval | None = None


class TaskFigures(Struct, frozen=True):
    """COCO's twelve figures of boxes or of masks, of all classes or of one.

    AP is the mean over IoU .50:.95; s, m and l are areas below 32 x 32, up to 96 x 96 and above, in px2; ARn is the
    recall, mean over the same IoUs, of the n most confident detections of a photo and class. All other figures count all
    detections. cocos_AP counts 100 of a photo and class, as COCO does; None where that is the same.
    """

    AP: Figure
    AP50: Figure
    AP75: Figure
    APs: Figure
    APm: Figure
    APl: Figure
    AR1: Figure
    AR10: Figure
    AR100: Figure
    ARs: Figure
    ARm: Figure
    ARl: Figure
    cocos_AP: float | None = None


class ClassAnalysis(Struct, frozen=True):
    """One class.

    Attributes:
        name: of the class.
        instances: annotated ones.
        segm: figures of its masks.
        bbox: figures of its boxes.
        precision_recall: of masks; IoU ("0.50", "0.75") -> points (recall, precision), 0 to 1.
        f1: of masks at IoU .5; points (confidence, F1), 0 to 1, in ascending order of confidence.
        best_threshold: the confidence of the highest F1 on this split; None without annotations or detections.
        mean_iou: of the masks matched at the threshold in use, in percent.
        errors: kind -> the AP50 of masks, in points, that this class would gain without the mistakes of that kind.
    """

    name: str
    instances: int
    segm: TaskFigures
    bbox: TaskFigures
    precision_recall: dict[str, list[tuple[float, float]]]
    f1: list[tuple[float, float]]
    best_threshold: float | None
    mean_iou: float | None
    errors: dict[str, float]


class PhotoAnalysis(Struct, frozen=True):
    """One photo.

    Attributes:
        image_id: as in the COCO file.
        file_name: as in the COCO file.
        score: F1 at the threshold in use, 0 to 1; 1 where nothing is there and nothing found.
        classes: annotated, or predicted above the threshold.
        kinds: of the mistakes in it, of KINDS; empty without a mistake.
        instances: annotated ones.
        detections: all of them, the unsure ones too.
    """

    image_id: int
    file_name: str
    score: float
    classes: tuple[str, ...]
    kinds: tuple[str, ...]
    instances: int
    detections: int


class Analysis(Struct, frozen=True):
    """All that an evaluation of one split says.

    Attributes:
        dataset: its name.
        split: train, val or test.
        photos: their number.
        instances: annotated ones.
        detections: all of them, the unsure ones too.
        segm: figures of the masks.
        bbox: figures of the boxes.
        classes: in the order of the dataset.
        thresholds: class -> the confidence in use.
        thresholds_from: "val", "this split" or "default".
        confusion: rows are annotated classes and background, columns predicted ones and background. The last column
            is missed, the last row matches no annotation.
        errors: kind -> AP50 of masks, in points, that would be gained without the mistakes of that kind.
        mean_iou: of the masks matched at the thresholds in use, in percent.
        photos_detail: in the order of their ids.
    """

    dataset: str
    split: str
    photos: int
    instances: int
    detections: int
    segm: TaskFigures
    bbox: TaskFigures
    classes: tuple[ClassAnalysis, ...]
    thresholds: dict[str, float]
    thresholds_from: str
    confusion: tuple[tuple[int, ...], ...]
    errors: dict[str, float]
    mean_iou: float | None
    photos_detail: tuple[PhotoAnalysis, ...]
