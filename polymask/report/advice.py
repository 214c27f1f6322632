"""From figures to sentences: what an evaluation says in plain words, and what to do next, the most costly first.

Facts are computed elsewhere; here they are only weighed. A sentence says no more than the data do.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from msgspec import Struct

from polymask.evaluation.records import KINDS, Analysis, ClassAnalysis
from polymask.report.run import Curve, RunRecord, in_words

# A kind of mistake is worth a sentence from so many points of AP50, mean over the classes: the next training with
# another seed moves the AP of a few dozen photos as much by itself.
COSTLY_ERROR = 1.0
# An interval of AP so wide, 3 points to each side, hides twice what a ResNet-101 brings in the place of a ResNet-50 in
# Detectron2's model zoo (mask AP 38.6 against 37.2).
WIDE_INTERVAL = 6.0
# Training photos of a class up to which LVIS (Gupta et al. 2019, https://arxiv.org/abs/1908.03195) calls it common, and
# beyond which frequent; Mask R-CNN's AP there falls with each step down.
FEW_INSTANCES = 100
# So far below the mean of the other classes' AP a class with few instances stands out.
LAGGING = 5.0
# Loss on VAL over loss in training from which the two are called apart. Below, augmentation and the noise of single
# photos may explain the difference.
LOSS_GAP = 1.5
# The rise of the loss on VAL over its lowest value from which it is called a rise.
LOSS_RISE = 1.05
# The last share of the training that its loss is averaged over: single iterations jump about.
LAST_SHARE = 0.1
# What the last evaluation on VAL has to bring over the one before to be called a rise, in AP.
STILL_RISING = 1.0
# AP75 below AP50: in the Mask R-CNN paper (He et al. 2017, https://arxiv.org/abs/1703.06870, table 1) the masks of
# ResNet-101-FPN have 58.0 and 37.8. Half as much again is more than the measure's own strictness.
USUAL_DROP, LARGE_DROP = 20.0, 30.0
# Small instances below the best of the other sizes, in AP: in the same table they have 15.5, and large ones 52.4.
SMALL_LAGGING = 40.0
# More sentences would not be read.
MOST_SENTENCES = 8

_LOST_TO = {
    "classification": "to the wrong class",
    "localisation": "to masks in the wrong place or shape",
    "both": "to detections with the wrong class and the wrong place at once",
    "duplicate": "to duplicates",
    "background": "to detections of what nobody annotated",
    "missed": "to objects that are not found",
}


class Advice(Struct, frozen=True):
    """A sentence about what stands out, and one about what to do.

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
    """At the confidence in use: objects found and named rightly, named wrongly, missed; detections that match none."""

    right: int
    confused: int
    missed: int
    unmatched: int


def summary(analysis: Analysis) -> list[str]:
    """What the evaluation says, in sentences."""
    data = (
        f"{_count(analysis.photos, 'photo')} of the {analysis.split} split, on which {_annotated(analysis.instances)}"
    )
    mask, box = analysis.segm.AP, analysis.bbox.AP
    if mask.value is None:
        return [f"The model has looked at {data}: without them there is no AP."]
    sentences = [
        f"On {data}, the mask AP is {mask.value:.1f}"
        + (f" and the box AP {box.value:.1f}." if box.value is not None else ".")
    ]
    interval = mask.interval
    if interval and interval.high - interval.low > WIDE_INTERVAL:
        sentences.append(
            f"{_count(analysis.photos, 'photo')}: the AP is somewhere between {interval.low:.0f} and "
            f"{interval.high:.0f} (95 %). A difference between two runs that is smaller than this may be chance."
        )
    if not analysis.detections:
        return [*sentences, "The model finds nothing at all."]
    found = outcomes(analysis)
    sentences.append(
        f"At the confidence in use, {found.right} of {_count(analysis.instances, 'object')} "
        f"{'is' if analysis.instances == 1 else 'are'} found and named rightly, "
        f"{found.confused} taken for another class and {found.missed} missed; {_count(found.unmatched, 'detection')} "
        f"{'matches' if found.unmatched == 1 else 'match'} no annotation: nothing is there, or it is found already, or "
        "the mask is badly placed."
    )
    if analysis.mean_iou is not None:
        sentences.append(f"The masks found cover their objects with a mean IoU of {analysis.mean_iou:.0f} %.")
    return sentences


def advise(analysis: Analysis, run: RunRecord) -> list[Advice]:
    """What to do next, the most costly first; empty where nothing stands out."""
    if not analysis.detections and analysis.instances:
        found = [_nothing_found(run)]
    else:
        found = [
            *_mistakes(analysis, run),
            *_few_instances(analysis, run),
            *_loose_masks(analysis),
            *_small(analysis, run),
        ]
    found += [*_course(run), *_absent(analysis, run)]
    return sorted(found, key=lambda advice: -advice.cost)[:MOST_SENTENCES]


def outcomes(analysis: Analysis) -> Outcomes:
    """What became of the objects, from the confusion matrix."""
    matrix, background = analysis.confusion, len(analysis.confusion) - 1
    right = sum(matrix[i][i] for i in range(background))
    missed = sum(row[background] for row in matrix[:background])
    confused = sum(sum(row[:background]) for row in matrix[:background]) - right
    return Outcomes(right, confused, missed, sum(matrix[background][:background]))


def _nothing_found(run: RunRecord) -> Advice:
    threshold = run.settings.get("MODEL.ROI_HEADS.SCORE_THRESH_TEST", 0.05)
    return Advice(
        "",
        f"The model finds nothing, not even with the confidence of {in_words(threshold)} that the evaluation begins "
        "with",
        "Look at the curves below: a loss that has hardly fallen wants more iterations or a higher `SOLVER.BASE_LR` "
        f"(it was {in_words(run.settings.get('SOLVER.BASE_LR'))}). `train_net.py --dry-run` warns of a rate that is "
        "too low.",
        cost=100.0,
    )


def _mistakes(analysis: Analysis, run: RunRecord) -> Iterator[Advice]:
    """A sentence for each costly kind of mistake: about the classes that lose most to it, or about all together."""
    annotated = [c for c in analysis.classes if c.instances]
    for kind in KINDS:
        losers = [(c.errors.get(kind, 0.0), c) for c in annotated]
        losers = sorted(
            (pair for pair in losers if pair[0] / len(annotated) >= COSTLY_ERROR), key=lambda pair: -pair[0]
        )
        lost = analysis.errors.get(kind, 0.0)
        if losers:
            (most, worst), *others = losers
            also = "".join(f", {c.name} {_points(points)}" for points, c in others)
            finding = f"loses {_points(most)} of AP50 {_LOST_TO[kind]}{also}"
            cost = sum(points for points, _ in losers) / len(annotated)
            yield Advice(worst.name, finding, _remedy(kind, worst, analysis, run), cost)
        elif lost >= COSTLY_ERROR:
            finding = f"All classes together lose {_points(lost)} of AP50 {_LOST_TO[kind]}"
            yield Advice("", finding, _remedy(kind, None, analysis, run), lost)


def _remedy(kind: str, found: ClassAnalysis | None, analysis: Analysis, run: RunRecord) -> str:
    gallery = f"Look at them in the gallery below (mistake: {kind})"
    match kind:
        case "classification":
            return (
                f"{_taken_for(found, analysis)}{gallery}. Where the annotation is wrong, correct it; where two "
                "classes look alike, annotate more photos that show both."
            )
        case "localisation":
            size = in_words(run.settings.get("INPUT.MIN_SIZE_TRAIN"))
            return (
                f"{gallery}: are all objects outlined in the same way, with or without what hides or hangs on them? If "
                f"they are, train longer, or with larger photos (`INPUT.MIN_SIZE_TRAIN`, now {size})."
            )
        case "both":
            return f"{gallery}. What they have in common is what the next photos to annotate should show."
        case "duplicate":
            threshold = in_words(run.settings.get("MODEL.ROI_HEADS.NMS_THRESH_TEST"))
            return (
                f"Lower `MODEL.ROI_HEADS.NMS_THRESH_TEST` (now {threshold}) and evaluate again, without training. If "
                "an object was outlined in several shapes, give these the same `group_id`, or they count as several "
                "objects."
            )
        case "background":
            return (
                f"{gallery}. Each that is really there lacks an annotation: add it. For the others, add photos that "
                "show such things and nothing to annotate."
            )
        case _:
            missed = _missed(found, analysis)
            return (
                f"{missed}{gallery}: what they have in common (small, hidden, dark, seen from behind) is what the next "
                "photos to annotate should show. `python -m polymask suggest` picks photos."
            )


def _taken_for(found: ClassAnalysis | None, analysis: Analysis) -> str:
    if found is None:
        return ""
    index = [c.name for c in analysis.classes].index(found.name)
    others = [
        (count, c.name)
        for j, c in enumerate(analysis.classes)
        if j != index and (count := analysis.confusion[index][j])
    ]
    return f"Most often {found.name} is taken for {max(others)[1]} ({_times(max(others)[0])}). " if others else ""


def _missed(found: ClassAnalysis | None, analysis: Analysis) -> str:
    if found is None:
        return ""
    index = [c.name for c in analysis.classes].index(found.name)
    missed = analysis.confusion[index][-1]
    return f"{missed} of {found.instances} are missed at the confidence in use. " if missed else ""


def _few_instances(analysis: Analysis, run: RunRecord) -> Iterator[Advice]:
    scored = [c for c in analysis.classes if c.segm.AP.value is not None]
    for found in scored:
        others = [c.segm.AP.value for c in scored if c is not found]
        instances = run.train_instances.get(found.name, 0)
        if not others or not 0 < instances < FEW_INSTANCES:
            continue
        behind = statistics.fmean(others) - found.segm.AP.value
        if behind >= LAGGING:
            yield Advice(
                found.name,
                f"has {_count(instances, 'instance')} to learn from, and its mask AP is {behind:.0f} below that of the "
                "other classes",
                "Annotate more photos that show it first.",
                behind / len(scored),
            )


def _loose_masks(analysis: Analysis) -> Iterator[Advice]:
    coarse, fine = analysis.segm.AP50.value, analysis.segm.AP75.value
    if coarse is not None and fine is not None and coarse - fine >= LARGE_DROP:
        yield Advice(
            "",
            f"Objects are found, but outlined loosely: the AP falls from {coarse:.0f} at IoU .50 to {fine:.0f} at "
            "IoU .75",
            "Train longer, if the AP on VAL still rises at the end of its curve. Otherwise look at the outlines of the "
            "annotations: masks can be no sharper than these.",
            coarse - fine - USUAL_DROP,
        )


def _small(analysis: Analysis, run: RunRecord) -> Iterator[Advice]:
    small, interval = analysis.segm.APs.value, analysis.segm.APs.interval
    others = [figure.value for figure in (analysis.segm.APm, analysis.segm.APl) if figure.value is not None]
    # Without an interval there are no two photos with small objects: too few to give advice on.
    if small is not None and interval and others and max(others) - small >= SMALL_LAGGING:
        size = in_words(run.settings.get("INPUT.MIN_SIZE_TEST"))
        yield Advice(
            "",
            f"Small objects (under 32 x 32 pixels) have a mask AP of {small:.0f} (between "
            f"{interval.low:.0f} and {interval.high:.0f}), larger ones up to {max(others):.0f}",
            f"Raise `INPUT.MIN_SIZE_TRAIN` and `INPUT.MIN_SIZE_TEST` (now {size}), so that they cover more pixels.",
        )


def _course(run: RunRecord) -> Iterator[Advice]:
    """What the curves of the training say about more photos and more iterations."""
    losses, on_val = run.curves.get("total_loss", ()), run.curves.get("validation/total_loss", ())
    ap = run.curves.get("validation/segm/AP", ())
    if losses and on_val:
        trained, validated = _last_mean(losses), on_val[-1][1]
        best_at, best = min(on_val, key=lambda point: point[1])
        if validated >= LOSS_RISE * best and trained < _mean_around(losses, best_at):
            yield Advice(
                "",
                f"The loss on VAL was lowest after iteration {best_at} ({best:.2f}) and has risen to {validated:.2f}, "
                "while that on the training photos fell",
                "The model begins to know the training photos by heart: more photos would help, and so would more "
                "augmentation (`INPUT.COLOR_JITTER`, `INPUT.COPY_PASTE`). Compare `model_best.pth` with --eval-only.",
            )
            return
        if trained > 0 and validated / trained >= LOSS_GAP:
            yield Advice(
                "",
                f"The loss on VAL ({validated:.2f}) is {validated / trained:.1f} times that on the training photos "
                f"({trained:.2f})",
                "The model knows these better than others: more training photos would likely help.",
            )
            return
    if len(ap) > 1 and ap[-1][1] - max(value for _, value in ap[:-1]) >= STILL_RISING:
        yield Advice(
            "",
            f"The mask AP on VAL was still rising when the training ended (from {ap[-2][1]:.1f} to {ap[-1][1]:.1f} "
            "with the last evaluation)",
            "Train longer (`SOLVER.MAX_ITER` or `SOLVER.EPOCHS`) before you annotate more.",
            ap[-1][1] - ap[-2][1],  # at least, if it goes on so
        )


def _absent(analysis: Analysis, run: RunRecord) -> Iterator[Advice]:
    for found in analysis.classes:
        if not run.train_instances.get(found.name, 0):
            yield Advice(
                found.name, "has no instance in the train split, so that nothing could learn it", "Annotate some."
            )
        if not found.instances:
            finding = f"has no annotated instance in the {analysis.split} split, so that nothing can be said about it"
            yield Advice(found.name, finding, "Annotate photos that show it, or convert with another --seed.")


def _last_mean(curve: Curve) -> float:
    return statistics.fmean(value for _, value in curve[-max(1, round(len(curve) * LAST_SHARE)) :])


def _mean_around(curve: Curve, iteration: int) -> float:
    """The mean over as many iterations as of the end, up to an iteration."""
    before = tuple(point for point in curve if point[0] <= iteration) or curve[:1]
    return statistics.fmean(value for _, value in before[-max(1, round(len(curve) * LAST_SHARE)) :])


def _annotated(instances: int) -> str:
    return (
        "nothing is annotated"
        if not instances
        else f"{_count(instances, 'object')} {'is' if instances == 1 else 'are'} annotated"
    )


def _points(lost: float) -> str:
    return f"{lost:.0f} points" if lost >= 10 else f"{lost:.1f} points"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"
