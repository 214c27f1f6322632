import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from dataset_tools.geometry import polygons as geometry
from dataset_tools.geometry.masks import fill_polygons
from dataset_tools.to_labelme import outlines
from dataset_tools.to_labelme.outlines import mask_outlines

masks = arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=12)).filter(np.any)


def disc(centre=(30, 24), radius=15.0):
    y, x = np.mgrid[:48, :64]
    return (x - centre[0]) ** 2 + (y - centre[1]) ** 2 < radius**2


def pixels(polygons, mask):
    """The pixels of polygons by pycocotools' rule, on a canvas as large as a mask."""
    return fill_polygons(polygons, mask.shape[::-1])


@given(masks)
def test_at_tolerance_0_they_are_the_mask(mask):
    assert np.array_equal(pixels(mask_outlines(mask, 0), mask), mask)


@given(masks, st.sampled_from([0.5, 1.0, 2.0, 1e300]))
def test_no_mask_is_lost(mask, tolerance):
    polygons = mask_outlines(mask, tolerance)
    assert all(len(polygon) >= 3 for polygon in polygons)
    found = pixels(polygons, mask)
    assert (found & mask).sum() > (found & ~mask).sum()


@given(
    st.lists(st.tuples(st.integers(5, 58), st.integers(5, 42), st.floats(4, 20)), min_size=1, max_size=2),
    st.sampled_from([0.5, 1.0, 3.0]),
)
@settings(max_examples=50, deadline=None)
def test_outlines_stay_within_the_tolerance(discs, tolerance):
    mask = np.any([disc((x, y), radius) for x, y, radius in discs], axis=0)
    exact, simple = (
        shapely.union_all([shapely.LinearRing(polygon) for polygon in mask_outlines(mask, distance)])
        for distance in (0, tolerance)
    )
    distance = shapely.hausdorff_distance(exact, simple, densify=0.05)  # both ways, twenty points an edge
    assert distance <= tolerance + 0.05


def test_simplification_saves_vertices():
    (exact,), (simple,) = mask_outlines(disc(), 0), mask_outlines(disc(), 1)
    assert (len(exact), len(simple) <= 16) == (60, True)


@pytest.mark.parametrize("tolerance", [0, 1])
def test_a_hole_is_cut_through(tolerance):
    mask = np.ones((20, 20), dtype=bool)
    mask[8:11, 8:11] = False
    polygons = mask_outlines(mask, tolerance)
    assert len(polygons) == 2
    assert np.array_equal(pixels(polygons, mask), mask)


def test_what_is_too_thin_keeps_its_pixels():
    """A staircase, one pixel wide, would become a straight sliver."""
    mask = np.zeros((40, 40), dtype=bool)
    mask[np.arange(40), np.arange(40)] = mask[np.arange(39), np.arange(1, 40)] = True
    assert np.array_equal(pixels(mask_outlines(mask, 2), mask), mask)


def test_pixels_that_touch_at_a_corner():
    assert len(mask_outlines(np.eye(2, dtype=bool), 1)) == 2


def test_each_of_many_pieces_is_filled_in_its_place_only(monkeypatch):
    filled = []
    monkeypatch.setattr(outlines, "fill_polygons", lambda p, size: filled.append(size) or fill_polygons(p, size))
    mask = np.zeros((60, 60), dtype=bool)
    mask[::3, ::3] = True
    assert len(mask_outlines(mask, 1.0)) == 400
    assert len(filled) == 800 and sum(width * height for width, height in filled) <= 2 * mask.sum()


def test_a_thousand_holes_are_cut_through_in_few_steps(monkeypatch):
    """The first hole of all, again and again, would be more cuts in a row than Python calls functions in each other."""
    looked_at = []
    without_holes = geometry._without_holes

    def counted(piece):
        looked_at.append(shapely.get_num_coordinates(piece))
        return without_holes(piece)

    monkeypatch.setattr(geometry, "_without_holes", counted)
    mask = np.ones((3, 2401), dtype=bool)
    mask[1, 1::2] = False
    assert np.array_equal(pixels(mask_outlines(mask, 0), mask), mask)
    assert sum(looked_at) < 6 * 4 * 1200 * np.log2(1200)
