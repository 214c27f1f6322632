"""Curves as small pictures that the page's template writes as inline SVG, in the page's own colours and letters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
from matplotlib.ticker import MaxNLocator
from msgspec import Struct

from polymask.engine.hooks import loss_curve
from polymask.engine.hooks.history import Curve
from polymask.evaluation.records import ClassAnalysis

# Units of the picture: about as wide as a phone in pixels, where letters of 11 are read.
WIDTH, HEIGHT = 360, 220
LEFT, RIGHT, TOP, BOTTOM = 46, 10, 8, 34
# As many as the style sheet has; further lines start again with the first, dashed.
COLOURS = 8
# At this size nobody sees more points of a line.
MOST_POINTS = 300
# Nobody can follow more lines: the classes with the most instances are shown.
MOST_CLASSES = 8
# An axis that is shorter shows one value.
LEAST_EXTENT = 1e-12
_MOST_TICKS = 6

Points = Sequence[tuple[float, float]]


class Line(Struct, frozen=True):
    """A line to be drawn.

    Attributes:
        label: what it means.
        points: (x, y), one or more.
        colour: from 1.
        dashed: it is drawn so.
        marked: each point is marked with a dot.
    """

    label: str
    points: Points
    colour: int
    dashed: bool = False
    marked: bool = False


class DrawnLine(Struct, frozen=True):
    """A line in units of the picture: an SVG path, and the places of its dots."""

    label: str
    path: str
    dots: Sequence[tuple[float, float]]
    colour: int
    dashed: bool


class Tick(Struct, frozen=True):
    """A mark of an axis: where, in units of the picture, and what it says."""

    at: float
    label: str


class Plot(Struct, frozen=True):
    """A picture: its words and its lines.

    Attributes:
        title: above it.
        x, y: what the axes show.
        x_ticks, y_ticks: the marks of the axes.
        lines: drawn, also for the legend.
        note: below it, or "".
    """

    title: str
    x: str
    y: str
    x_ticks: Sequence[Tick]
    y_ticks: Sequence[Tick]
    lines: Sequence[DrawnLine]
    note: str = ""


def plotted(
    title: str,
    lines: Sequence[Line],
    *,
    x: str,
    y: str,
    x_range: tuple[float, float] | None = None,
    y_range: tuple[float, float] | None = None,
    whole_x: bool = False,
    note: str = "",
) -> Plot:
    """A picture of lines.

    Args:
        title: above it.
        lines: one or more.
        x, y: what the axes show.
        x_range: of the axis; None for what the lines have.
        y_range: likewise; None for from 0 up to the highest value.
        whole_x: x counts something: its marks are whole numbers.
        note: below it.
    """
    every = np.concatenate([np.asarray(line.points, dtype=float) for line in lines])
    if x_range is None:
        x_range = (every[:, 0].min(), every[:, 0].max())
    x_range = _with_an_extent(x_range, below=1.0)
    y_range = _with_an_extent(y_range or (0.0, 1.05 * every[:, 1].max()))
    return Plot(
        title,
        x,
        y,
        [Tick(_across(value, x_range), label) for value, label in _ticks(x_range, whole_x)],
        [Tick(_down(value, y_range), label) for value, label in _ticks(y_range)],
        [_drawn(line, x_range, y_range) for line in lines],
        note,
    )


def training_plots(curves: Mapping[str, Curve]) -> list[Plot]:
    """Losses, AP on VAL and learning rate over the iterations, as far as there are any."""
    over_iterations = partial(plotted, x="iteration", whole_x=True)
    totals = {"total_loss": "training", "validation/total_loss": "VAL"}
    lines = [_loss(curves, name, label, i) for i, (name, label) in enumerate(totals.items(), 1) if name in curves]
    plots = [over_iterations("Loss", lines, y="loss")] if lines else []
    parts = [name for name in curves if name.startswith("loss")]
    lines = [_loss(curves, name, name, i) for i, name in enumerate(parts, 1)]
    on_val = [(i, f"validation/{name}") for i, name in enumerate(parts, 1) if f"validation/{name}" in curves]
    lines += [_loss(curves, name, "", i) for i, name in on_val]
    if lines:
        note = "Solid: training. Dashed: VAL." if on_val else ""
        plots.append(over_iterations("Parts of the loss", lines, y="loss", note=note))
    tasks = {"segm": "masks", "bbox": "boxes"}
    aps = [(name, curves[f"validation/{task}/AP"]) for task, name in tasks.items() if f"validation/{task}/AP" in curves]
    if aps:
        lines = [Line(name, curve, i, marked=True) for i, (name, curve) in enumerate(aps, 1)]
        plots.append(over_iterations("AP on VAL", lines, y="AP"))
    if "lr" in curves:
        lines = [Line("learning rate", thinned(curves["lr"]), 1)]
        plots.append(over_iterations("Learning rate", lines, y="learning rate"))
    return plots


def class_plots(classes: Sequence[ClassAnalysis]) -> list[Plot]:
    """Precision against recall at two IoUs, and F1 against confidence, of the classes with the most instances."""
    shown = sorted(classes, key=lambda c: -c.instances)[:MOST_CLASSES]
    note = f"The {MOST_CLASSES} classes with the most instances." if len(classes) > MOST_CLASSES else ""
    unit_square = partial(plotted, x_range=(0.0, 1.0), y_range=(0.0, 1.02), note=note)
    plots = []
    for iou in ("0.50", "0.75"):
        lines = [
            Line(c.name, thinned(c.precision_recall[iou]), i)
            for i, c in enumerate(shown, 1)
            if c.precision_recall.get(iou)
        ]
        if lines:
            title = f"Precision and recall, IoU {iou[1:]}"
            plots.append(unit_square(title, lines, x="recall", y="precision"))
    lines = [Line(c.name, thinned(c.f1), i) for i, c in enumerate(shown, 1) if c.f1]
    if lines:
        plots.append(unit_square("F1 and confidence, IoU .50", lines, x="confidence", y="F1"))
    return plots


def smoothed(curve: Curve) -> Points:
    """A curve of single iterations as means over a share of the training, and no more points than can be seen."""
    return thinned(np.stack(loss_curve.smoothed(*np.array(curve).T), axis=1).tolist())


def thinned(points: Points) -> Points:
    """No more points of a line than can be seen, first and last among them."""
    if len(points) <= MOST_POINTS:
        return points
    chosen = np.linspace(0, len(points) - 1, MOST_POINTS).round().astype(int)
    return [points[index] for index in chosen]


def _loss(curves: Mapping[str, Curve], name: str, label: str, colour: int) -> Line:
    on_val = name.startswith("validation/")
    return Line(label, curves[name] if on_val else smoothed(curves[name]), colour, dashed=on_val, marked=on_val)


def _with_an_extent(limits: tuple[float, float], below: float = 0.0) -> tuple[float, float]:
    """An axis of one value, or too short to be divided by, reaches 1 further up and ``below`` further down."""
    low, high = limits
    return (low, high) if high - low > LEAST_EXTENT else (low - below, low + 1.0)


def _ticks(limits: tuple[float, float], whole: bool = False) -> list[tuple[float, str]]:
    locator = MaxNLocator(_MOST_TICKS, integer=whole)
    values = [value for value in locator.tick_values(*limits) if limits[0] <= value <= limits[1]]
    return [(value, _label(value)) for value in values]


def _label(value: float) -> str:
    if value == 0 or abs(value) >= 1e-3:
        return f"{value:.10g}"
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa.removesuffix('.0')}e{int(exponent)}"


def _across(x: float, limits: tuple[float, float]) -> float:
    return round(LEFT + (x - limits[0]) / (limits[1] - limits[0]) * (WIDTH - LEFT - RIGHT), 1)


def _down(y: float, limits: tuple[float, float]) -> float:
    share = min(max((y - limits[0]) / (limits[1] - limits[0]), 0.0), 1.0)
    return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 1)


def _drawn(line: Line, x_range: tuple[float, float], y_range: tuple[float, float]) -> DrawnLine:
    places = [(_across(x, x_range), _down(y, y_range)) for x, y in line.points]
    path = "M" + "L".join(f"{x:g},{y:g}" for x, y in places)
    dots = places if line.marked or len(places) == 1 else []
    return DrawnLine(line.label, path, dots, (line.colour - 1) % COLOURS + 1, line.dashed or line.colour > COLOURS)
