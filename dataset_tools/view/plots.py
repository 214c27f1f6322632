"""Statistics as files: the numbers as JSON, and plots of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from dataset_tools.view import fonts
from dataset_tools.view.stats import LARGE, SMALL, DatasetCounts, Stats

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TABLE_NAME = "stats.json"

# All plots that there may be, in the order in which they are drawn; without instances, the last two are missing.
_PLOTS = ("classes", "instances_per_photo", "photo_sizes", "instance_sizes", "centres")

# Bars that one can read on one picture.
_MOST_BARS = 50

# A factor between the smallest and the largest instance up to which there is room for 1, 2, 5, 10, 20, 50 below them;
# beyond it, for the powers of ten only.
_FEW_DECADES = 1000


def write(counted: DatasetCounts, folder: Path) -> None:
    """Write the numbers as JSON, and plots of them as PNG files, into a folder."""
    (folder / TABLE_NAME).write_bytes(msgspec.json.format(msgspec.json.encode(counted.stats), indent=2) + b"\n")
    _plot(counted, folder)


def _plot(counted: DatasetCounts, folder: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    stats = counted.stats
    classes = _most_frequent(stats)
    captions = fonts.captions(list(classes))
    plots: list[tuple[tuple[float, float], Callable[[Axes], None]]] = [
        ((8, 1.5 + 0.35 * sum(classes.values())), lambda axes: _plot_classes(axes, stats, classes, captions)),
        ((8, 4), lambda axes: _plot_instances_per_photo(axes, counted.instances_per_photo)),
        ((6, 5), lambda axes: _plot_photo_sizes(axes, stats)),
    ]
    if len(counted.sides):
        plots.append(((8, 4), lambda axes: _plot_instance_sizes(axes, counted.sides)))
        plots.append(((6, 5), lambda axes: _plot_centres(axes, counted.centres)))
    families = [*matplotlib.rcParams["font.family"], *fonts.families_for(captions.values())]
    with matplotlib.rc_context({"font.family": families}):
        for name, (size, draw) in zip(_PLOTS, plots):
            figure, axes = pyplot.subplots(figsize=size, layout="constrained")
            draw(axes)
            figure.savefig(folder / f"{name}.png", dpi=100)
            pyplot.close(figure)


def _most_frequent(stats: Stats) -> dict[str, bool]:
    """All classes in order, and whether each is one of those that are drawn."""
    totals: Counter[str] = Counter()
    for numbers in stats.splits.values():
        totals.update(numbers.instances)
    frequent = {name for name, _ in totals.most_common(_MOST_BARS)}
    return {name: name in frequent for name in totals}


def _plot_classes(axes: Axes, stats: Stats, classes: dict[str, bool], captions: dict[str, str]) -> None:
    drawn = [name for name, is_drawn in classes.items() if is_drawn]
    left = np.zeros(len(drawn))
    for split, numbers in stats.splits.items():
        values = np.array([numbers.instances[name] for name in drawn])
        axes.barh(range(len(drawn)), values, left=left, label=split)
        left += values
    # The dollar sign would begin a formula.
    axes.set_yticks(range(len(drawn)), [captions[name].replace("$", r"\$") for name in drawn])
    axes.invert_yaxis()
    title = "Instances of each class" + (f", the {_MOST_BARS} largest" if len(drawn) < len(classes) else "")
    axes.set(xlabel="instances", title=title)
    axes.legend()


def _plot_instances_per_photo(axes: Axes, instances: np.ndarray) -> None:
    most = int(instances.max(initial=0))
    axes.hist(instances, bins=np.linspace(-0.5, most + 0.5, min(most + 2, 41)).tolist(), edgecolor="white")
    axes.set(xlabel="instances in a photo", ylabel="photos", title="Instances in a photo")


def _plot_instance_sizes(axes: Axes, sides: np.ndarray) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

    least, most = sides.min() * 0.95, sides.max() * 1.05
    axes.hist(sides, bins=np.geomspace(least, most, 40).tolist())
    for side in (SMALL, LARGE):
        axes.axvline(side, color="black", linestyle=":")
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if most < _FEW_DECADES * least else (1,)))
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set(xlabel="square root of the area in pixels; dotted: COCO's small and large")
    axes.set(ylabel="instances", title="Size of the instances")


def _plot_centres(axes: Axes, centres: np.ndarray) -> None:
    x, y = centres.T
    heat = axes.hist2d(x, y, bins=24, range=[(0, 1), (0, 1)], cmap="viridis")
    axes.figure.colorbar(heat[3], label="instances")
    axes.invert_yaxis()
    axes.set(xlabel="share of the width", ylabel="share of the height", title="Centres of the instances")


def _plot_photo_sizes(axes: Axes, stats: Stats) -> None:
    widths, heights = np.array([size for size, _ in stats.photo_sizes]).T
    dots = [20 + 200 * many / stats.photo_sizes[0][1] for _, many in stats.photo_sizes]
    axes.scatter(widths, heights, s=dots, alpha=0.6)
    axes.set(xlabel="width in pixels", ylabel="height in pixels", title="Size of the photos; larger dots, more photos")
    axes.set(xlim=(0, widths.max() * 1.1), ylim=(0, heights.max() * 1.1))
