"""Shapes to instances: what an instance covers, and where a finding points."""

import base64
import io
import math
import tracemalloc

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from labelme.utils import shape_to_mask
from PIL import Image
from pycocotools import mask as coco_mask

from dataset_tools.findings import Rule
from dataset_tools.formats.labelme import Shape
from dataset_tools.geometry import masks
from dataset_tools.geometry.masks import rasterise_polygons, union_masks
from dataset_tools.geometry.rle import Rle
from dataset_tools.instances.grouping import build_instances
from dataset_tools.instances.shapes import ShapeOptions
from dataset_tools.records import Canvas

SIZE = (96, 80)
SQUARE = ((8.0, 8.0), (24.0, 8.0), (24.0, 24.0), (8.0, 24.0))


def build(*shapes, classes=None, frame=None, **options):
    canvas = Canvas("a.json", SIZE, frame or SIZE)
    return next(build_instances([(canvas, shapes)], ShapeOptions(classes, **options)))


def pixels(instance, size=SIZE):
    if isinstance(instance.segmentation, Rle):
        encoded = {"size": list(instance.segmentation.size), "counts": instance.segmentation.counts}
    else:
        polygons = [np.reshape(polygon, (-1, 2)) for polygon in instance.segmentation]
        encoded = union_masks(rasterise_polygons(polygons, size))
    return coco_mask.decode(encoded).astype(bool)


def around_the_edge(mask):
    """The pixels within 2 px of where a mask begins or ends, the rim of the photo included."""
    edge = np.zeros(mask.shape, dtype=bool)
    padded = np.pad(mask, 2)
    for dy in range(5):
        for dx in range(5):
            edge |= padded[dy : dy + mask.shape[0], dx : dx + mask.shape[1]] != mask
    return edge


@st.composite
def shapes(draw):
    """A shape of any type with a surface, at least partly on the photo, and labelme's own mask of it."""
    x, y = draw(st.floats(0, SIZE[0])), draw(st.floats(0, SIZE[1]))
    width, height, angle = draw(st.floats(4, 60)), draw(st.floats(4, 60)), draw(st.floats(0, math.pi))
    kind = draw(st.sampled_from(["polygon", "rectangle", "circle", "oriented_rectangle"]))
    if kind == "rectangle":
        points = [(x + width, y), (x, y + height)]
    elif kind == "circle":
        points = [(x, y), (x + width / 2, y)]
    else:
        along = np.array([math.cos(angle), math.sin(angle)])
        across = np.array([-along[1], along[0]])
        corner = np.array([x, y])
        corners = [corner, corner + width * along, corner + width * along + height * across, corner + height * across]
        points = [tuple(map(float, point)) for point in corners]
    shape = Shape("car", tuple(points), kind)
    return shape, shape_to_mask(SIZE[::-1], [list(point) for point in points], kind)


@settings(deadline=None, max_examples=150)
@given(shapes())
def test_every_type_agrees_with_labelme_but_for_its_edge(drawn):
    shape, expected = drawn
    found, _ = build(shape)
    mask = pixels(found[0]) if found else np.zeros(expected.shape, dtype=bool)
    assert not ((mask != expected) & ~around_the_edge(expected)).any()


@settings(deadline=None, max_examples=100)
@given(st.lists(shapes(), min_size=1, max_size=4))
def test_a_group_covers_what_its_parts_cover(drawn):
    apart, _ = build(*(shape for shape, _ in drawn))
    together, _ = build(*(Shape("car", shape.points, shape.kind, group_id=5) for shape, _ in drawn))
    assert len(together) == bool(apart)
    if apart:
        expected = np.any([pixels(instance) for instance in apart], axis=0)
        assert np.array_equal(pixels(together[0]), expected)
        assert together[0].area == expected.sum()


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from([None, 0, 1])), max_size=8))
def test_instances_are_labels_and_groups(keys):
    found, _ = build(*(Shape(label, SQUARE, group_id=group) for label, group in keys))
    alone = [label for label, group in keys if group is None]
    groups = {key for key in keys if key[1] is not None}
    assert sorted(instance.label for instance in found) == sorted(alone + [label for label, _ in groups])


def test_findings_name_their_shapes():
    _, findings = build(
        Shape("car", SQUARE), Shape(" bus\n", SQUARE), Shape("dog", ((1.0, 1.0),)), classes=("car", "bus", "dog")
    )
    assert [(finding.file, finding.place, finding.rule) for finding in findings] == [
        ("a.json", "shapes[1]", Rule.SPACE_AROUND_LABEL),
        ("a.json", "shapes[1]", Rule.UNKNOWN_LABEL),
        ("a.json", "shapes[2]", Rule.TOO_FEW_POINTS),
    ]


def test_a_part_without_pixels_does_not_take_its_group_with_it():
    dot = tuple((50 + 0.1 * x, 50 + 0.1 * y) for x, y in ((0, 0), (1, 0), (1, 1)))
    found, findings = build(Shape("car", SQUARE, group_id=1), Shape("car", dot, group_id=1), Shape("car", dot))
    assert [instance.area for instance in found] == [256]
    assert [(finding.rule, finding.place) for finding in findings if finding.rule is Rule.NO_PIXELS] == [
        (Rule.NO_PIXELS, "shapes[2]")
    ]


def test_parts_without_pixels_are_neither_holes_nor_repeated():
    specks = [tuple((x + 0.1 * dx, 50 + 0.1 * dy) for dx, dy in ((0, 0), (1, 0), (1, 1))) for x in (50, 60)]
    shapes = [Shape("car", SQUARE, group_id=1), *(Shape("car", speck, group_id=1) for speck in specks)]
    for options in ({}, {"holes": True}, {"drop_duplicates": True}):
        found, findings = build(*shapes, training_size=10_000, **options)
        assert findings == []
        assert [(one.area, len(one.segmentation)) for one in found] == [(256, 3)], "polygons still"
    found, findings = build(*shapes[1:])
    assert (found, [(f.rule, f.place) for f in findings]) == ([], [(Rule.NO_PIXELS, "shapes[0], shapes[1]")])


def rectangle(left, top, width, height, **keys):
    return Shape("car", ((left, top), (left + width, top + height)), "rectangle", **keys)


@pytest.mark.parametrize(
    "again",
    [
        Shape("car", SQUARE[1:] + SQUARE[:1]),
        Shape("car", SQUARE[::-1]),
        rectangle(8, 8, 16, 16),
        Shape("car", ((24.0, 8.0), (8.0, 24.0)), "rectangle", group_id=4),
    ],
)
def test_a_shape_is_repeated_by_what_covers_the_same_pixels(again):
    square, farther = Shape("car", SQUARE), rectangle(50, 8, 16, 16)
    other_label = Shape("bus", SQUARE)
    found, findings = build(square, other_label, farther, again, training_size=10_000)
    assert [(f.rule, f.place, f.message) for f in findings] == [
        (Rule.DUPLICATE_SHAPE, "shapes[3]", "'car', as shapes[0]")
    ]
    assert len(found) == 4
    kept, findings = build(square, other_label, farther, again, training_size=10_000, drop_duplicates=True)
    assert [(f.rule, f.place) for f in findings] == [(Rule.DUPLICATE_DROPPED, "shapes[3]")]
    assert [(one.label, one.bbox[0]) for one in kept] == [("car", 8), ("bus", 8), ("car", 50)]


def test_what_is_dropped_is_never_a_part_of_another_object():
    alone, same = rectangle(8, 8, 16, 16), rectangle(8, 8, 16, 16, group_id=1)
    farther = rectangle(50, 8, 20, 20, group_id=1)
    found, findings = build(alone, same, farther, training_size=10_000, drop_duplicates=True)
    assert (findings, [one.area for one in found]) == ([], [256, 256 + 400])
    found, findings = build(same, farther, same, training_size=10_000, drop_duplicates=True)
    assert [(f.rule, f.place) for f in findings] == [(Rule.DUPLICATE_DROPPED, "shapes[2]")]
    assert [(one.area, len(one.segmentation)) for one in found] == [(256 + 400, 2)]


def test_a_hole_in_two_parts_that_overlap_is_cut_out_of_both():
    parts = [(10, 10, 40, 40), (30, 10, 40, 40), (34, 20, 10, 10), (36, 22, 4, 4)]
    found, findings = build(*(rectangle(*part, group_id=1) for part in parts), holes=True, training_size=10_000)
    expected = np.zeros(SIZE[::-1], dtype=bool)
    expected[10:50, 10:70] = True
    expected[20:30, 34:44] = False
    expected[22:26, 36:40] = True  # an island in the hole
    assert np.array_equal(pixels(found[0]), expected)
    assert [(f.rule, f.place) for f in findings] == [(Rule.HOLE_CUT, "shapes[2]")]


def test_outlines_that_pycocotools_would_not_survive():
    size = (4000, 4000)
    zigzag = tuple((4000.0 * (index % 2), index / 10) for index in range(3000))  # 12 million pixels long
    canvas, square = Canvas("a.json", size, size), Shape("car", SQUARE)
    files = [(canvas, [square, Shape("car", line)]) for line in (zigzag, zigzag[:1000])]
    (left, findings), (both, others) = build_instances(files, ShapeOptions())
    assert len(left) == 1 and (Rule.OUTLINES_TOO_LONG, "shapes[1]") in [(f.rule, f.place) for f in findings]
    assert len(both) == 2 and Rule.OUTLINES_TOO_LONG not in {finding.rule for finding in others}


@pytest.mark.parametrize("group", [None, 1])
def test_more_pairs_than_can_be_compared(group, monkeypatch):
    """Where each shape lies in all that are larger, which are one instance or many."""
    monkeypatch.setattr(masks, "MAX_WORK", 50_000)
    nested = [rectangle(rim, rim, 90 - 2 * rim, 70 - 2 * rim, group_id=group) for rim in range(20)]
    found, findings = build(*nested[:2])
    assert len(found) == (1 if group else 2) and not any(finding.is_error for finding in findings)
    found, findings = build(*nested)
    assert (found, [finding.rule for finding in findings]) == ([], [Rule.TOO_MANY_PAIRS])


@pytest.mark.parametrize(
    ("label", "hint"),
    [("cra", "'car'"), ("Car", "'car'"), ("cars", "'car'"), ("aeroplane", "the classes are car, bus")],
)
def test_unknown_labels_are_helped(label, hint):
    _, (finding,) = build(Shape(label, SQUARE), classes=("car", "bus"))
    assert finding.rule is Rule.UNKNOWN_LABEL and hint in finding.message


LARGE = (800, 700)


@st.composite
def large_shapes(draw):
    """A shape of any type, 200 px wide or 128 px in radius at least and wholly on the photo, and labelme's mask."""
    kind = draw(st.sampled_from(["polygon", "rectangle", "circle", "oriented_rectangle", "mask"]))
    angle = draw(st.floats(0, 2 * math.pi))
    centre = np.array([draw(st.floats(310, LARGE[0] - 310)), draw(st.floats(310, LARGE[1] - 310))])
    mask = None
    if kind == "rectangle":
        half = np.array([draw(st.floats(100, 300)), draw(st.floats(100, 300))])
        points = [centre - half, centre + half]
    elif kind == "circle":
        points = [centre, centre + draw(st.floats(128, 300)) * np.array([math.cos(angle), math.sin(angle)])]
    elif kind == "mask":
        side = draw(st.integers(260, 300))
        rows, columns = np.mgrid[:side, :side]
        mask = (rows - side / 2) ** 2 + (columns - side / 2) ** 2 < draw(st.integers(128, 130)) ** 2
        points = [np.floor(centre - side / 2), np.floor(centre - side / 2) + side - 1]
    else:
        count = 4 if kind == "oriented_rectangle" else draw(st.integers(5, 40))
        angles = angle + np.arange(count) * 2 * math.pi / count
        radii = (
            300.0
            if kind == "oriented_rectangle"
            else np.array(draw(st.lists(st.floats(180, 300), min_size=count, max_size=count)))
        )
        points = centre + np.reshape(radii, (-1, 1)) * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    points = [tuple(map(float, point)) for point in points]
    encoded = base64_png(mask) if mask is not None else None
    expected = shape_to_mask(LARGE[::-1], [list(point) for point in points], kind) if mask is None else None
    if mask is not None:  # labelme pastes it
        expected = np.zeros(LARGE[::-1], dtype=bool)
        (x, y), _ = points
        expected[int(y) : int(y) + side, int(x) : int(x) + side] = mask
    return Shape("car", tuple(points), kind, mask=encoded), expected


def base64_png(mask):
    stream = io.BytesIO()
    Image.fromarray(mask.astype(np.uint8)).save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode()


def edge_of(shape):
    """The line that the user drew."""
    points = shape.points
    if shape.kind == "circle":
        return shapely.Point(points[0]).buffer(math.dist(*points), quad_segs=256).exterior
    if shape.kind == "rectangle":
        return shapely.box(*points[0], *points[1]).exterior
    return shapely.LinearRing(points)


@settings(deadline=None, max_examples=60)
@given(large_shapes())
def test_large_shapes_agree_with_labelme(drawn):
    """They differ in pixels that are within 1 px of the line only, and in few of them. A mask is the same."""
    shape, expected = drawn
    (((found,), _),) = build_instances([(Canvas("a.json", LARGE, LARGE), [shape])], ShapeOptions())
    mask = pixels(found, LARGE)
    rows, columns = np.nonzero(mask != expected)
    if shape.kind == "mask":
        assert len(rows) == 0
    else:
        assert shapely.distance(shapely.box(columns, rows, columns + 1, rows + 1), edge_of(shape)).max(initial=0) <= 1
    assert (mask & expected).sum() / (mask | expected).sum() > 0.97


HUGE = (12_000, 9_000)  # px: a mask of that size takes 108 MB


@pytest.mark.parametrize(
    ("frame", "options"), [(HUGE, {}), ((6_000, 4_500), {}), (HUGE, {"holes": True})], ids=["", "resized", "holes"]
)
@pytest.mark.parametrize("kind", ["mask", "polygon"])
def test_no_object_is_held_in_the_size_of_its_photo(kind, frame, options, mask_shape):
    """Memory stands for work: each object would take its share of a second."""
    x, y = 11_000, 8_000
    corners = [(x, y), (x + 40, y), (x + 40, y + 40), (x, y + 40)]
    outer = mask_shape("car", np.ones((40, 40)), (x, y), group_id=1)
    inner = mask_shape("car", np.ones((10, 10)), (x + 10, y + 10), group_id=1)
    shapes = [Shape("car", tuple(map(tuple, one["points"])), "mask", 1, mask=one["mask"]) for one in (outer, inner)]
    if kind == "polygon":
        hole = [(x + 10 + (px - x) / 4, y + 10 + (py - y) / 4) for px, py in corners]
        shapes = [Shape("car", tuple(map(tuple, points)), "polygon", 1) for points in (corners, hole)]
    tracemalloc.start()
    try:
        (instances, _) = next(build_instances([(Canvas("a.json", HUGE, frame), shapes)], ShapeOptions(**options)))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    scale = frame[0] / HUGE[0]
    assert instances[0].area == pytest.approx(scale**2 * (1600 - 100 * ("holes" in options)), rel=0.03)
    assert instances[0].bbox[:2] == (scale * x, scale * y)
    assert peak < 5e6
