"""Whether a file finds what its model finds: both are compared instance by instance, and judged by figures alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from msgspec import Struct
from torchvision.ops import box_iou

from polymask.inference.detections import Detection, Detections, shared_area

# How far a box (px of the photo) and a score may be apart, and how many pixels of a mask: so many, and of its box.
MOST_BOX, MOST_SCORE, MOST_PIXELS, MOST_SHARE = 0.01, 1e-4, 4, 1 / 10_000
# One instance in so many may be found by one of the two alone, and so many must have been compared.
UNMATCHED_ONE_IN, FEWEST = 500, 50
# From this IoU of their boxes on, two instances of a class are the same one: non-maximum suppression leaves no other.
_SAME = 0.9


class Difference(Struct, frozen=True):
    """How far the file's instance is from the model's.

    Attributes:
        photo: the name of its photo.
        category: its class.
        box: px of the photo, the largest of four coordinates.
        score: 0 to 1.
        pixels: of the mask at the photo's size that one of the two has alone.
        allowed: as many may be.
    """

    photo: str
    category: str
    box: float
    score: float
    pixels: int
    allowed: float


class Unmatched(Struct, frozen=True):
    """An instance that one of the two finds alone.

    Attributes:
        photo: the name of its photo.
        finder: ``model`` or ``file``.
        category: its class.
        score: 0 to 1.
        box: XYXY in px of the photo.
        tie: whether its score is as good as equal to the lowest that counts, or to that of an instance it overlaps:
            then the implementation decides which of them stays.
    """

    photo: str
    finder: str
    category: str
    score: float
    box: tuple[float, float, float, float]
    tie: bool


class Comparison(Struct, frozen=True):
    """Of all photos: the instances that both have found, and those that one has found alone."""

    photos: int
    differences: tuple[Difference, ...]
    unmatched: tuple[Unmatched, ...]

    def faults(self) -> Iterator[str]:
        """Why the file may not be used, in words; nothing where it may."""
        compared = len(self.differences)
        if compared < FEWEST:
            yield f"nothing could be checked: {compared} instances were compared, and {FEWEST} are needed"
        parts = (
            ("box", MOST_BOX, "px", lambda difference: difference.box),
            ("score", MOST_SCORE, "", lambda difference: difference.score),
            ("mask", 1, "times the pixels that may be", lambda difference: difference.pixels / difference.allowed),
        )
        for name, most, unit, amount in parts:
            wrong = [difference for difference in self.differences if not amount(difference) <= most]  # NaN is wrong
            if wrong:
                worst = max(wrong, key=amount)
                yield (
                    f"the {name} of {len(wrong)} of {compared} instances differs by more than {most:g} {unit}, "
                    f"the most by {amount(worst):.3g} ({worst.category} in {worst.photo})"
                )
        alone = [found for found in self.unmatched if not found.tie]
        if not alone and len(self.unmatched) * UNMATCHED_ONE_IN > compared:
            alone = list(self.unmatched)  # too many for ties
        if alone:
            yield f"{len(alone)} instances are found by one of the two alone: {_in_words(alone)}"


def compare_photo(photo: str, model: Detections, file: Detections, lowest: float, most: int) -> Comparison:
    """The two lists of instances of one photo.

    Args:
        photo: its name.
        model, file: what each has found.
        lowest: the score from which on instances count.
        most: how many of a photo count, the best ones.
    """
    ious = _ious(model.found, file.found)
    differences = []
    pairs: dict[int, int] = {}
    for first, own in enumerate(model):
        alike = [
            (float(ious[first, second]), second)
            for second, other in enumerate(file)
            if other.category == own.category and second not in pairs.values()
        ]
        iou, second = max(alike, default=(0.0, -1))
        if iou >= _SAME:
            pairs[first] = second
            differences.append(_difference(photo, model.classes[own.category], own, file.found[second]))
    unmatched = []
    sides = (("model", model, file, pairs.keys()), ("file", file, model, pairs.values()))
    for finder, finders, others, matched in sides:
        for index, found in enumerate(finders):
            if index not in matched:
                rivals = [other for other in (*finders, *others) if other is not found]
                tie = _is_tie(found, rivals, finders.found[-1].score if len(finders) >= most else lowest)
                name = model.classes[found.category]
                unmatched.append(Unmatched(photo, finder, name, found.score, found.box, tie))
    return Comparison(1, tuple(differences), tuple(unmatched))


def merged(parts: Sequence[Comparison]) -> Comparison:
    """The comparisons of several photos as one."""
    return Comparison(
        sum(part.photos for part in parts),
        tuple(difference for part in parts for difference in part.differences),
        tuple(found for part in parts for found in part.unmatched),
    )


def _difference(photo: str, category: str, own: Detection, other: Detection) -> Difference:
    left, top, right, bottom = own.box
    return Difference(
        photo,
        category,
        box=max(abs(a - b) for a, b in zip(own.box, other.box, strict=True)),
        score=abs(own.score - other.score),
        pixels=own.mask.area + other.mask.area - 2 * shared_area(own.mask, other.mask),
        allowed=MOST_PIXELS + MOST_SHARE * (right - left) * (bottom - top),
    )


def _is_tie(found: Detection, rivals: Sequence[Detection], lowest: float) -> bool:
    overlaps = _ious([found], rivals)[0]
    scores = [rival.score for rival, overlap in zip(rivals, overlaps.tolist(), strict=True) if overlap > 0]
    return any(abs(found.score - score) <= MOST_SCORE for score in (lowest, *scores))


def _ious(some: Sequence[Detection], others: Sequence[Detection]) -> torch.Tensor:
    boxes = (torch.tensor([found.box for found in found_]).reshape(-1, 4) for found_ in (some, others))
    return box_iou(*boxes)


def _in_words(alone: Sequence[Unmatched]) -> str:
    return "; ".join(f"{found.category} {found.score:.4f} in {found.photo} by the {found.finder}" for found in alone)
