import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polymask.report.plots import (
    BOTTOM,
    COLOURS,
    HEIGHT,
    LEFT,
    MOST_CLASSES,
    MOST_POINTS,
    RIGHT,
    TOP,
    WIDTH,
    Line,
    class_plots,
    plotted,
    smoothed,
    thinned,
    training_plots,
)

VALUES = st.floats(-1e6, 1e6, allow_nan=False)


def places(path):
    return [tuple(map(float, place.split(","))) for place in path.removeprefix("M").split("L")]


@given(st.lists(st.tuples(st.floats(0, 1e6), VALUES), min_size=1, max_size=30))
def test_every_point_and_mark_is_inside_the_picture(points):
    plot = plotted("", [Line("a", points, 1)], x="", y="")
    for x, y in places(plot.lines[0].path):
        assert LEFT <= x <= WIDTH - RIGHT and TOP <= y <= HEIGHT - BOTTOM
    assert all(LEFT <= tick.at <= WIDTH - RIGHT for tick in plot.x_ticks)
    assert all(TOP <= tick.at <= HEIGHT - BOTTOM for tick in plot.y_ticks)


def test_points_are_where_their_values_are():
    plot = plotted("", [Line("a", [(0, 0), (50, 10), (100, 5)], 1)], x="", y="", y_range=(0, 10))
    middle = LEFT + (WIDTH - LEFT - RIGHT) / 2
    assert places(plot.lines[0].path) == [
        (LEFT, HEIGHT - BOTTOM),
        (middle, TOP),
        (WIDTH - RIGHT, TOP + (HEIGHT - TOP - BOTTOM) / 2),
    ]
    assert [(tick.label, tick.at) for tick in plot.x_ticks if tick.label in ("0", "100")] == [
        ("0", LEFT),
        ("100", WIDTH - RIGHT),
    ]


def test_small_numbers_fit_the_margin():
    plot = plotted("", [Line("a", [(0, 0.0), (1, 2.5e-5)], 1)], x="", y="")
    assert {"1e-5", "2e-5"} <= {tick.label for tick in plot.y_ticks}
    assert all(len(tick.label) <= 7 for tick in plot.y_ticks)


def test_a_single_point_is_a_dot():
    (line,) = plotted("", [Line("a", [(3, 4)], COLOURS + 2)], x="", y="").lines
    assert len(line.dots) == 1 and line.colour == 2 and line.dashed, "the second time round"


def test_smoothing_keeps_the_mean_and_few_points():
    curve = tuple((i, 5.0 + (-1) ** i) for i in range(10_000))
    points = np.array(smoothed(curve))
    assert len(points) <= MOST_POINTS and np.abs(points[:, 1] - 5).max() < 0.02
    assert np.array_equal(smoothed(((0, 2.0), (1, 3.0))), [(0, 2.0), (1, 3.0)]), "a short one stays as it is"


def test_thinning_keeps_both_ends():
    points = [(i, i) for i in range(12_345)]
    assert thinned(points)[0] == points[0] and thinned(points)[-1] == points[-1] and len(thinned(points)) == MOST_POINTS


def test_one_evaluation_is_in_the_middle_of_whole_iterations():
    (plot,) = training_plots({"validation/segm/AP": ((199, 40.0),)})
    assert [tick.label for tick in plot.x_ticks] == ["198", "199", "200"]
    assert [x for x, _ in plot.lines[0].dots] == [plot.x_ticks[1].at]


def test_the_plots_of_a_training():
    curves = {
        "lr": ((0, 0.1), (1, 0.2)),
        "total_loss": ((0, 2.0), (1, 1.0)),
        "loss_mask": ((0, 1.0), (1, 0.5)),
        "validation/segm/AP": ((1, 40.0),),
        "validation/total_loss": ((1, 1.5),),
        "validation/loss_mask": ((1, 0.7),),
    }
    plots = {plot.title: plot for plot in training_plots(curves)}
    assert list(plots) == ["Loss", "Parts of the loss", "AP on VAL", "Learning rate"]
    assert [line.label for line in plots["Loss"].lines] == ["training", "VAL"]
    part, on_val = plots["Parts of the loss"].lines
    assert part.colour == on_val.colour and not part.dashed and on_val.dashed
    assert training_plots({}) == []


def test_the_plots_of_the_classes(of_class):
    shown = class_plots([of_class("Car"), of_class("Bus", instances=0)])
    assert [[line.label for line in plot.lines] for plot in shown] == [["Car"]] * 3
    assert class_plots([of_class("Bus", instances=0)]) == []
    many = class_plots([of_class(str(index), instances=index + 1) for index in range(MOST_CLASSES + 1)])
    assert all(len(plot.lines) == MOST_CLASSES and plot.note for plot in many)
    assert "0" not in [line.label for line in many[0].lines], "the one with the fewest instances"


@pytest.mark.parametrize("number", [1, 3])
def test_lines_keep_their_order(number):
    lines = [Line(str(index), [(0, index)], index + 1) for index in range(number)]
    assert [line.label for line in plotted("", lines, x="", y="").lines] == [str(index) for index in range(number)]
