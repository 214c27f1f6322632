"""What an evaluation says in sentences, and what to do next, the most costly first.

Facts are computed elsewhere; a sentence says no more than they do.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from polymask.evaluation.figures import LIMITS
from polymask.evaluation.records import KINDS, Analysis, ClassAnalysis, Figure
from polymask.report.run import RunRecord, in_words

# Points of AP by which trainings that differ in their seed alone differ on a few dozen photos: the demo's have 82.1 to
# 83.9. Less is not worth a sentence.
NOISE = 1.0

# Detectron2's MODEL.ROI_HEADS.SCORE_THRESH_TEST: an AP of detections above a higher one misses those that are unsure.
LOWEST_SCORE = 0.05

_LOST_TO = {
    "classification": "the wrong class",
    "localisation": "masks in the wrong place or shape",
    "both": "detections with the wrong class and the wrong place at once",
    "duplicate": "duplicates",
    "background": "detections that match no annotation",
    "missed": "objects that are not found",
}


class Advice(Struct, frozen=True):
    """A sentence about what stands out, and what to do about it.

    Attributes:
        subject: the class that it is about, or "".
        finding: goes on after the subject, without a full stop.
        remedy: one or more sentences.
        cost: in points of AP, as an estimate to sort by; 0 where there is none.
    """

    subject: str
    finding: str
    remedy: str
    cost: float = 0.0


class Outcomes(Struct, frozen=True):
    """At the confidence in use: objects found with the right class, with a wrong one, missed; detections that match none."""

    right: int
    confused: int
    missed: int
    unmatched: int


def summary(analysis: Analysis) -> list[str]:
    """What the evaluation says, in sentences."""
    split = f"Split: {analysis.split}. Photos: {analysis.photos}. Annotated objects: {analysis.instances}."
    if not analysis.instances:
        return [split, "Without annotated objects there is no AP."]
    sentences = [split, f"Mask AP: {_with_interval(analysis.segm.AP)}. Box AP: {_with_interval(analysis.bbox.AP)}."]
    aps = {"mask": analysis.segm.cocos_AP, "box": analysis.bbox.cocos_AP}
    if cocos := [f"a {name} AP of {ap:.1f}" for name, ap in aps.items() if ap is not None]:
        sentences.append(
            f"All detections count. COCO counts {LIMITS[-1]} of a photo and class, which gives {' and '.join(cocos)}."
        )
    if analysis.segm.AP.interval:
        sentences.append("A difference between two runs that is smaller than such an interval may be chance.")
    if not analysis.detections:
        return [*sentences, "The model finds nothing at all."]
    found = outcomes(analysis)
    sentences.append(
        f"With the confidence in use, {found.right} of {analysis.instances} objects are found with the right class, "
        f"{found.confused} with a wrong class, and {found.missed} are missed. Detections that match no annotation: "
        f"{found.unmatched}. Nothing is there, or it is found already, or the mask is in the wrong place."
    )
    if analysis.mean_iou is not None:
        sentences.append(f"Mean IoU of the masks that are found: {analysis.mean_iou:.0f} %.")
    return sentences


def advise(analysis: Analysis, run: RunRecord) -> list[Advice]:
    """What to do next, the most costly first; empty where nothing stands out."""
    nothing_found = analysis.instances and not analysis.detections
    found = [_nothing_found(run)] if nothing_found else [*_limits(analysis, run), *_mistakes(analysis, run)]
    found += [*_still_rising(run), *_absent(analysis, run)]
    return sorted(found, key=lambda advice: -advice.cost)


def outcomes(analysis: Analysis) -> Outcomes:
    """What became of the objects, from the confusion matrix."""
    matrix, background = analysis.confusion, len(analysis.confusion) - 1
    right = sum(matrix[i][i] for i in range(background))
    missed = sum(row[background] for row in matrix[:background])
    confused = sum(sum(row[:background]) for row in matrix[:background]) - right
    return Outcomes(right, confused, missed, sum(matrix[background][:background]))


def _with_interval(figure: Figure) -> str:
    if figure.value is None:
        return "not defined"
    between = f" (95 %: {figure.interval.low:.0f} to {figure.interval.high:.0f})" if figure.interval else ""
    return f"{figure.value:.1f}{between}"


def _nothing_found(run: RunRecord) -> Advice:
    return Advice(
        "",
        "The model finds nothing, not even with the lowest confidence that is evaluated",
        f"{_cut_off(run)}Look at the curves below: a loss that has hardly fallen wants more iterations or a higher `SOLVER.BASE_LR` "
        f"(it was {in_words(run.settings.get('SOLVER.BASE_LR'))}). `train_net.py --dry-run` warns of a rate that is "
        "too low.",
        cost=100.0,
    )


def _beyond_limits(analysis: Analysis, run: RunRecord) -> dict[str, tuple[int, int]]:
    """Keys that limit what is found in a photo -> how many objects of the split that excludes, and the most in a photo.

    The number of detections limits a photo that has just as many. That of proposals leaves no such trace, but an
    object needs one. A photo with more detections was evaluated with another limit than the run's.
    """
    kept, proposed = "TEST.DETECTIONS_PER_IMAGE", "MODEL.RPN.POST_NMS_TOPK_TEST"
    most, proposals, photos = run.settings[kept], run.settings[proposed], analysis.photos_detail
    beyond = {
        kept: [p.instances for p in photos if p.instances > most == p.detections],
        proposed: [p.instances for p in photos if p.instances > proposals >= p.detections],
    }
    return {key: (sum(n) - run.settings[key] * len(n), max(n)) for key, n in beyond.items() if n}


def _limits(analysis: Analysis, run: RunRecord) -> Iterator[Advice]:
    """A sentence for each limit of the configuration on the objects of a photo that the split goes beyond."""
    for key, (lost, most) in _beyond_limits(analysis, run).items():
        enough = "more than" if key.startswith("TEST") else "several times"
        yield Advice(
            "",
            f"{lost} of {analysis.instances} objects cannot be found: photos have up to {most}, and {key} is "
            f"{run.settings[key]}",
            f"Set `{key}` to {enough} {most} and evaluate again, without training (`train_net.py --eval-only`).",
            100 * lost / analysis.instances,
        )


def _are_missed_by_limits(analysis: Analysis, run: RunRecord) -> bool:
    """Whether limits of the configuration explain most of the objects that are missed."""
    lost = max((lost for lost, _ in _beyond_limits(analysis, run).values()), default=0)
    return 2 * lost > outcomes(analysis).missed


def _mistakes(analysis: Analysis, run: RunRecord) -> Iterator[Advice]:
    """A sentence for each costly kind of mistake: about the classes that lose most to it, or about all together."""
    annotated = [c for c in analysis.classes if c.instances]
    for kind in KINDS:
        if kind == "missed" and _are_missed_by_limits(analysis, run):
            continue
        losers = sorted(annotated, key=lambda c: -c.errors.get(kind, 0.0))
        losers = [c for c in losers if c.errors.get(kind, 0.0) / len(annotated) >= NOISE]
        lost = analysis.errors.get(kind, 0.0)
        if losers:
            worst, *others = losers
            also = "".join(f", {c.name} {c.errors[kind]:.1f}" for c in others)
            finding = f"loses points of AP50 to {_LOST_TO[kind]}: {worst.errors[kind]:.1f}{also}"
            cost = sum(c.errors[kind] for c in losers) / len(annotated)
            yield Advice(worst.name, finding, _remedy(kind, worst, analysis, run), cost)
        elif lost >= NOISE:
            finding = f"All classes together lose points of AP50 to {_LOST_TO[kind]}: {lost:.1f}"
            yield Advice("", finding, _remedy(kind, None, analysis, run), lost)


def _remedy(kind: str, worst: ClassAnalysis | None, analysis: Analysis, run: RunRecord) -> str:
    gallery = f"Look at them in the gallery below (mistake: {kind})."
    match kind:
        case "classification":
            return (
                f"{_taken_for(worst, analysis)}{gallery} Where the annotation is wrong, correct it; where two classes "
                "look alike, annotate more photos that show both."
            )
        case "localisation":
            size = in_words(run.settings.get("INPUT.MIN_SIZE_TRAIN"))
            return (
                f"{gallery} Are all objects outlined in the same way, with or without what hides or hangs on them? If "
                f"they are, train longer, or with larger photos (`INPUT.MIN_SIZE_TRAIN`, now {size})."
            )
        case "both":
            return f"{gallery} What they have in common is what the next photos to annotate should show."
        case "duplicate":
            threshold = in_words(run.settings.get("MODEL.ROI_HEADS.NMS_THRESH_TEST"))
            return (
                f"Lower `MODEL.ROI_HEADS.NMS_THRESH_TEST` (now {threshold}) and evaluate again, without training. If "
                "an object was outlined in several shapes, give these the same `group_id`, or they count as several "
                "objects."
            )
        case "background":
            return (
                f"{gallery} Each that is really there lacks an annotation: add it. For the others, add photos that "
                "show such things and nothing to annotate."
            )
        case _:
            return (
                f"{_cut_off(run)}{gallery} What they have in common (small, hidden, dark, seen from behind) is what the next photos "
                "to annotate should show. `python -m polymask suggest` picks photos."
            )


def _cut_off(run: RunRecord) -> str:
    """What to do first where the configuration keeps detections from counting, or nothing."""
    key = "MODEL.ROI_HEADS.SCORE_THRESH_TEST"
    if run.settings[key] <= LOWEST_SCORE:
        return ""
    return (
        f"Detections with a confidence below {run.settings[key]:g} do not count (`{key}`): first set it to {LOWEST_SCORE} "
        "and evaluate again, without training. "
    )


def _taken_for(worst: ClassAnalysis | None, analysis: Analysis) -> str:
    """With which class a class is confused most often, or nothing."""
    if worst is None:
        return ""
    names = [c.name for c in analysis.classes]
    row = analysis.confusion[names.index(worst.name)]
    count, other = max(((count, name) for count, name in zip(row, names) if name != worst.name), default=(0, ""))
    return f"Most often {worst.name} is taken for {other} ({count} of {worst.instances}). " if count else ""


def _still_rising(run: RunRecord) -> Iterator[Advice]:
    curve = run.curves.get("validation/segm/AP", ())
    if len(curve) > 1 and curve[-1][1] - max(value for _, value in curve[:-1]) >= NOISE:
        before, last = curve[-2][1], curve[-1][1]
        yield Advice(
            "",
            f"The mask AP on VAL was still rising when the training ended (from {before:.1f} to {last:.1f} with the "
            "last evaluation)",
            "Train longer (`SOLVER.MAX_ITER` or `SOLVER.EPOCHS`) before you annotate more.",
            last - before,  # at least, if it goes on so
        )


def _absent(analysis: Analysis, run: RunRecord) -> Iterator[Advice]:
    untested = [c.name for c in analysis.classes if not c.instances]
    if run.folds:
        if untested:
            finding = f"Classes that are not in two folds, so without an AP: {', '.join(untested)}"
            yield Advice("", finding, "Annotate more photos that show them.")
        return
    untrained = [c.name for c in analysis.classes if not run.train_instances.get(c.name, 0)]
    if untrained:
        yield Advice("", f"Classes without an instance in the train split: {', '.join(untrained)}", "Annotate some.")
    if untested:
        finding = f"Classes without an instance in the {analysis.split} split, so without an AP: {', '.join(untested)}"
        yield Advice("", finding, "Annotate photos that show them, or convert with another --seed.")
