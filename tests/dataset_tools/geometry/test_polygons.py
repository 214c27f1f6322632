"""Shapes to pixels, against the rule that a pixel belongs where its centre does, and against labelme's rasteriser."""

import math

import numpy as np
import pytest
import shapely
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from labelme.utils import shape_to_mask

from dataset_tools.geometry.masks import (
    decode_mask,
    measure_masks,
    rasterise_polygons,
    union_masks,
)
from dataset_tools.geometry.polygons import (
    CIRCLE_TOLERANCE,
    are_fillable,
    circle_outline,
    clip_polygon,
    describe_crossing,
    has_area,
    is_sane,
    outlines_length,
    rectangle_outline,
    repair_polygon,
    round_polygon,
    simple_outlines,
    stroke_outlines,
    without_repeats,
)

SIZE = (96, 80)


def centres(size=SIZE):
    """(height, width, 2): the centre of every pixel."""
    return np.stack(np.meshgrid(np.arange(size[0]) + 0.5, np.arange(size[1]) + 0.5), axis=-1)


def in_polygon(points, polygon):
    """Even-odd rule: an upward ray from the point crosses the outline an odd number of times."""
    x, y = points[..., 0], points[..., 1]
    inside = np.zeros(x.shape, dtype=bool)
    for (x1, y1), (x2, y2) in zip(polygon, np.roll(polygon, -1, axis=0)):
        if x1 == x2:
            continue
        between = (x >= min(x1, x2)) & (x < max(x1, x2))
        inside ^= between & (y > y1 + (x - x1) * (y2 - y1) / (x2 - x1))
    return inside


def distance_to_outline(points, polygon):
    nearest = np.full(points.shape[:-1], np.inf)
    for start, end in zip(polygon, np.roll(polygon, -1, axis=0)):
        along = end - start
        length = max(along @ along, 1e-12)
        share = np.clip((points - start) @ along / length, 0, 1)
        nearest = np.minimum(nearest, np.linalg.norm(points - (start + share[..., None] * along), axis=-1))
    return nearest


def from_the_pixel(distance_of):
    """The distance from each pixel's nearest point (of its corners and its centre) instead of from its centre."""
    offsets = [(0, 0), (-0.5, -0.5), (-0.5, 0.5), (0.5, -0.5), (0.5, 0.5)]
    return np.min([distance_of(centres() + np.array(offset)) for offset in offsets], axis=0)


def pixels(polygons, size=SIZE):
    if not polygons:
        return np.zeros(size[::-1], dtype=bool)
    return decode_mask(union_masks(rasterise_polygons(polygons, size)))


def assert_same_but_for_the_edge(mask, expected, distance, tolerance):
    wrong = (mask != expected) & (distance > tolerance)
    assert not wrong.any(), f"{wrong.sum()} pixels differ, up to {distance[wrong].max():.2f} px from the outline"


coordinates = st.floats(-30, 120, allow_nan=False).map(lambda value: round(value, 3))
points = st.tuples(coordinates, coordinates)


def labelmes_mask(points, kind, margin=400):
    """labelme's own mask, drawn in the middle of a larger canvas: see test_polygon_agrees_with_labelme."""
    canvas = (SIZE[1] + 2 * margin, SIZE[0] + 2 * margin)
    return shape_to_mask(canvas, (np.array(points) + margin).tolist(), kind)[margin:-margin, margin:-margin]


@st.composite
def simple_polygons(draw):
    """Polygons that do not cross themselves: vertices around a centre, at rising angles."""
    count = draw(st.integers(3, 12))
    centre = np.array(draw(st.tuples(st.floats(0, SIZE[0]), st.floats(0, SIZE[1]))))
    radii = np.array(draw(st.lists(st.floats(3, 70), min_size=count, max_size=count)))
    angles = (np.arange(count) + draw(st.floats(0, 1))) * 2 * math.pi / count
    return centre + radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)


@settings(deadline=None, max_examples=80)
@given(simple_polygons())
def test_polygon_covers_the_pixels_whose_centres_it_holds(polygon):
    mask = pixels(clip_polygon(polygon, SIZE))
    assert_same_but_for_the_edge(mask, in_polygon(centres(), polygon), distance_to_outline(centres(), polygon), 0.5)


@settings(deadline=None, max_examples=80)
@given(simple_polygons())
def test_polygon_agrees_with_labelme(polygon):
    """labelme takes a pixel's corner for the pixel and draws the outline, too: they differ within half a pixel of it.

    Of a vertex left of the photo or above it they may differ by more: Pillow cuts coordinates to whole numbers towards
    zero, -1.9 to -1 but 1.9 to 1. So labelme gets a canvas on which no coordinate is negative.
    """
    expected = labelmes_mask(polygon, "polygon")
    mask = pixels(clip_polygon(polygon, SIZE))
    distance = from_the_pixel(lambda points: distance_to_outline(points, polygon))
    assert_same_but_for_the_edge(mask, expected, distance, 0.5)


@settings(deadline=None, max_examples=80)
@given(points, points)
def test_rectangle_covers_what_lies_between_its_corners_in_any_order(first, second):
    corners = np.array([first, second])
    (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
    x, y = centres()[..., 0], centres()[..., 1]
    expected = (x > left) & (x < right) & (y > top) & (y < bottom)
    outline = rectangle_outline(corners)
    assert np.array_equal(outline, rectangle_outline(corners[::-1]))
    mask = pixels(clip_polygon(outline, SIZE)) if has_area(outline) else np.zeros(SIZE[::-1], dtype=bool)
    assert_same_but_for_the_edge(mask, expected, distance_to_outline(centres(), outline), 0.5)


@settings(deadline=None, max_examples=80)
@given(points, st.floats(0.5, 150), st.floats(0, 2 * math.pi))
def test_circle_covers_the_pixels_nearer_to_its_centre_than_its_edge(centre, radius, angle):
    edge = (centre[0] + radius * math.cos(angle), centre[1] + radius * math.sin(angle))
    outline = circle_outline(np.array([centre, edge]))
    distance = np.linalg.norm(centres() - np.array(centre), axis=-1)
    mask = pixels(clip_polygon(outline, SIZE))
    assert_same_but_for_the_edge(mask, distance < radius, np.abs(distance - radius), 0.5)
    labelmes = labelmes_mask([centre, edge], "circle")
    distance = from_the_pixel(lambda points: np.abs(np.linalg.norm(points - np.array(centre), axis=-1) - radius))
    assert_same_but_for_the_edge(mask, labelmes, distance, 0.5 + CIRCLE_TOLERANCE)


@given(st.floats(0.01, 5e5))
def test_circle_polygon_stays_within_its_tolerance(radius):
    outline = circle_outline(np.array([(0.0, 0.0), (radius, 0.0)]))
    middles = (outline + np.roll(outline, 1, axis=0)) / 2
    assert np.allclose(np.linalg.norm(outline, axis=1), radius)
    assert np.linalg.norm(middles, axis=1).min() > radius - CIRCLE_TOLERANCE - 1e-9 * radius


def test_a_triangle_over_the_edge_is_cut_not_clamped():
    """By hand: x >= 0 leaves the corners (0, 0), (64, 0), (64, 64), (0, 32), which is 64 * (32 + 64) / 2. Moving the
    outer vertex to the edge instead would leave 2048."""
    inside = clip_polygon(np.array([(-64.0, 0), (64, 0), (64, 64)]), SIZE)
    (area,), (box,) = measure_masks(rasterise_polygons(inside, SIZE))
    assert area == pytest.approx(3072, abs=64)  # one pixel along the slanted side
    assert box == (0, 0, 64, 64)


def test_what_is_cut_in_two_stays_two():
    """A U whose base is above the photo: its legs are apart."""
    u = np.array([(10.0, 20), (10, -10), (60, -10), (60, 20), (50, 20), (50, -5), (20, -5), (20, 20)])
    inside = clip_polygon(u, SIZE)
    assert len(inside) == 2
    assert sum(measure_masks(rasterise_polygons(inside, SIZE))[0]) == 2 * 10 * 20


@pytest.mark.parametrize("shift", [(0, 0), (-40, 0), (0, -40), (30, 30)])
def test_a_pentagram_keeps_its_hollow_middle_wherever_it_is_cut(shift):
    angles = np.arange(5) * 4 * math.pi / 5
    star = np.array([48.0, 40.0]) + 38 * np.stack([np.sin(angles), -np.cos(angles)], axis=1) + np.array(shift)
    assert describe_crossing(star)
    mask = pixels(clip_polygon(star, SIZE))
    assert_same_but_for_the_edge(mask, in_polygon(centres(), star), distance_to_outline(centres(), star), 0.5)


@settings(deadline=None, max_examples=80)
@given(st.lists(points, min_size=3, max_size=12).map(np.array))
def test_any_outline_covers_inside_what_it_covers(outline):
    """Scribbles that cross themselves and the border, by the even-odd rule."""
    mask = pixels([polygon for polygon in clip_polygon(outline, SIZE) if len(polygon) >= 3])
    assert_same_but_for_the_edge(mask, in_polygon(centres(), outline), distance_to_outline(centres(), outline), 0.5)


@pytest.mark.parametrize("count", [12, 100])
def test_a_repaired_outline_covers_what_it_covered(count):
    outline = np.random.default_rng(count).uniform(5, 75, (count, 2))
    repaired = repair_polygon(outline)
    if count == 100:
        assert repaired is None  # more than a thousand crossings: not a slip of the hand
        return
    assert all(shapely.is_valid(shapely.Polygon(polygon)) for polygon in repaired)
    masks = [decode_mask(encoded) for encoded in rasterise_polygons(repaired, SIZE)]
    mask = np.any(masks, axis=0)
    assert_same_but_for_the_edge(mask, in_polygon(centres(), outline), distance_to_outline(centres(), outline), 0.5)


def test_hole_is_cut_through():
    """A figure that winds around a hole, which COCO polygons cannot have."""
    ring = np.array(
        [(-20.0, 10), (50, 10), (50, 60), (-20, 60), (-20, 10), (10, 20), (40, 20), (40, 50), (10, 50), (10, 20)]
    )
    mask = pixels(clip_polygon(ring, SIZE))
    assert mask[15, 25] and mask[55, 25] and mask[35, 45] and mask[35, 5]
    assert not mask[35, 25]


@pytest.mark.parametrize(
    ("polygon", "expected"),
    [
        ([(0, 0), (10, 10), (10, 0), (0, 10)], True),  # a bow-tie, whose signed area is 0
        ([(0, 0), (5, 5), (10, 10)], False),
        ([(3, 3), (3, 3), (3, 3)], False),
        ([(0, 0), (10, 0)], False),
    ],
)
def test_has_area(polygon, expected):
    assert has_area(np.array(polygon, dtype=float)) is expected


@settings(deadline=None, max_examples=300)
@given(
    st.tuples(*[st.floats(0, 40)] * 4),
    st.lists(st.floats(0, 1), min_size=3, max_size=6),
    st.sampled_from([2, 3, 15]),
)
def test_points_on_a_line_have_no_area(ends, shares, decimals):
    """In decimals no three points lie on one slanted line exactly: as near as the file's digits put them."""
    start, end = np.reshape(ends, (2, 2))
    outline = np.round(start + np.array(shares)[:, None] * (end - start), decimals)
    if decimals == 2:  # then only a line through whole hundredths is one
        start, end = np.round(start), np.round(end)
        outline = np.round(start + np.round(shares, 2)[:, None] * (end - start), 2)
    assert not has_area(outline)
    assert simple(outline) == [None]


@settings(deadline=None, max_examples=100)
@given(st.floats(0, 2 * math.pi), st.floats(0.5, 25), st.floats(0.5, 25))
def test_small_and_thin_shapes_have_area(angle, width, height):
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height)])
    turn = np.array([(math.cos(angle), math.sin(angle)), (-math.sin(angle), math.cos(angle))])
    outline = np.array([45.0, 42.0]) + corners @ turn
    assert has_area(outline) and has_area(outline[:3])
    assert simple(outline)[0] is not None and simple(outline[:3])[0] is not None


def test_repeats_and_the_closing_vertex_collapse():
    polygon = np.array([(0.0, 0), (0, 0), (5, 0), (5, 5), (5, 5), (0, 0)])
    assert sorted(map(tuple, without_repeats(polygon))) == [(0, 0), (5, 0), (5, 5)]


near = st.one_of(st.floats(-1, 81), st.integers(0, 4).map(float)).map(lambda value: round(value, 3))
near_points = st.tuples(near, near)


def simple(*polygons, size=SIZE):
    counts = np.array([len(polygon) for polygon in polygons])
    return simple_outlines(np.concatenate(polygons), counts, np.array([size] * len(polygons)))


@settings(deadline=None, max_examples=300)
@given(st.lists(st.lists(near_points, min_size=3, max_size=7).map(np.array), min_size=1, max_size=6))
def test_simple_outlines(polygons):
    """Against shapely, one by one. Few vertices, so that many outlines cross themselves and many do not."""
    for polygon, outline in zip(polygons, simple(*polygons)):
        rounded = np.round(polygon, 2)
        inside = (rounded >= 0).all() and (rounded <= SIZE).all()
        repeats = len(without_repeats(rounded)) < len(rounded)
        shape = shapely.Polygon(rounded)
        thinnest = 0.01 * np.ptp(rounded, axis=0).sum()
        assume(abs(shape.area - thinnest) > 1e-9)
        if inside and not repeats and shapely.is_valid(shape) and shape.area > thinnest:
            assert np.array_equal(outline.polygon, rounded)
            assert outline.length == pytest.approx(outlines_length([np.vstack([rounded, rounded[:1]])]))
        else:
            assert outline is None


def test_an_outline_lies_inside_its_own_photo():
    square = np.array([(1.0, 1), (9, 1), (9, 9), (1, 9)])
    sizes = np.array([(9, 9), (8, 9), (9, 8), (20, 20)])
    outlines = simple_outlines(np.concatenate([square] * 4), np.array([4] * 4), sizes)
    assert [outline is not None for outline in outlines] == [True, False, False, True]


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e300, 1.7e308])
@pytest.mark.parametrize("vertex", [0, 2, 3])
@pytest.mark.filterwarnings("error")
def test_an_outline_with_insane_coordinates_leaves_its_neighbours_alone(value, vertex):
    square = np.array([(1.0, 1), (9, 1), (9, 9), (1, 9)])
    insane = square.copy()
    insane[vertex, 0] = value
    first, second, third = simple(square, insane, square)
    assert first is not None and second is None and third is not None


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e9])
def test_insane_coordinates_are_seen(value):
    assert not is_sane(np.array([(0.0, 0), (1, value), (1, 1)]))


@pytest.mark.parametrize(
    ("polygons", "expected"),
    [
        ([], True),
        ([[]], True),
        ([[0.0, 0, 3_200_000, 0, 3_200_000, 3_200_000, 0, 3_200_000]], True),
        ([[0.0, 0, 3_400_000, 0, 3_400_000, 3_400_000, 0, 3_400_000]], False),
        ([[0.0, 0, 2_400_000, 0, 0, 0]] * 2, True),
        ([[0.0, 0, 2_400_000, 0, 0, 0]] * 3, False),
        ([[0.0, 0, 1e300, 0, 0, 0, 7]], False),
        ([[float(value) for value in range(40_000)]], True),
    ],
)
def test_polygons_that_are_too_long_to_be_filled(polygons, expected):
    assert are_fillable(polygons) is expected


def test_rounding_leaves_hundredths_and_no_negative_zero():
    polygon = round_polygon(np.array([(-0.001, 0.004), (10.123456, 0), (10.1249, 5), (0, 5)]))
    assert polygon.tolist() == [[0.0, 0.0], [10.12, 0.0], [10.12, 5.0], [0.0, 5.0]]
    assert not np.signbit(polygon).any()


def test_the_stroke_of_a_scribble_is_as_wide_as_the_pen():
    """Hundreds of lines that cross each other: more than could be joined into one outline."""
    line = np.random.default_rng(1).uniform(5, 75, (60, 2))
    distance = np.min([distance_to_outline(centres(), line[i : i + 2]) for i in range(59)], axis=0)
    mask = pixels([piece for outline in stroke_outlines(line, 3) for piece in clip_polygon(outline, SIZE)])
    assert_same_but_for_the_edge(mask, distance < 1.5, np.abs(distance - 1.5), 0.55)
    assert len(stroke_outlines(np.random.default_rng(1).uniform(5, 75, (400, 2)), 3)) == 399
