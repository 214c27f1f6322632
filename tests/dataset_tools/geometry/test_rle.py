"""The codec inside windows, against pycocotools' codes of the whole photo, bit for bit."""

import numpy as np
import pycocotools.mask
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from dataset_tools.geometry import rle
from dataset_tools.geometry.masks import decode_mask
from dataset_tools.geometry.rle import BadRle, Rle, bounds, checked_runs, decode, encode


def coco_code(mask):
    encoded = pycocotools.mask.encode(np.asfortranarray(mask, dtype=np.uint8))
    return Rle(tuple(encoded["size"]), encoded["counts"].decode("ascii"))


@st.composite
def masks_in_windows(draw):
    """A mask of a photo that is empty outside a window, and the window: anywhere, of any size, the photo's too."""
    height, width = draw(st.tuples(st.integers(1, 40), st.integers(1, 40)))
    left, right = sorted(draw(st.tuples(st.integers(0, width), st.integers(0, width))))
    top, bottom = sorted(draw(st.tuples(st.integers(0, height), st.integers(0, height))))
    if draw(st.booleans()):
        top, bottom = 0, height  # where runs go on from the bottom of a column to the top of the next
    kind = draw(st.sampled_from(("full", "one pixel", "any")))
    photo = np.zeros((height, width), dtype=bool)
    part = photo[top:bottom, left:right]
    if kind == "full":
        part[:] = True
    elif kind == "any":
        part[:] = draw(arrays(bool, part.shape))
    elif part.size:
        part.flat[0] = part.flat[draw(st.integers(0, part.size - 1))] = True
    return photo, (left, top, right, bottom)


def framed(height, width, *window):
    left, top, right, bottom = window
    photo = np.zeros((height, width), dtype=bool)
    photo[top:bottom, left:right] = True
    return photo, window


@given(masks_in_windows(), st.integers(1, 50), st.integers(1, 50))
def test_a_mask_is_resized_as_pillow_does_it(case, width, height):
    photo, _ = case
    resized = Image.fromarray(photo).resize((width, height), Image.Resampling.NEAREST)
    assert rle.resize(coco_code(photo), (width, height)) == coco_code(np.asarray(resized))


@given(masks_in_windows())
@example(framed(5, 4, 0, 0, 4, 5))  # all of the photo
@example(framed(5, 4, 2, 2, 2, 2))  # nothing of it
@example(framed(5, 4, 0, 1, 1, 2))  # at each border
@example(framed(5, 4, 3, 1, 4, 2))
@example(framed(5, 4, 1, 0, 2, 1))
@example(framed(5, 4, 1, 4, 2, 5))
@example(framed(5, 4, 1, 0, 3, 5))  # from the bottom of a column to the top of the next
@example(framed(1, 9, 2, 0, 6, 1))
def test_a_mask_in_a_window_has_the_code_of_the_whole_photo(case):
    photo, (left, top, right, bottom) = case
    assert encode(photo[top:bottom, left:right], photo.shape, left, top) == coco_code(photo)
    assert encode(photo) == coco_code(photo)


@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=40)), st.data())
def test_a_code_is_decoded_inside_any_window(mask, data):
    height, width = mask.shape
    left, right = sorted(data.draw(st.tuples(st.integers(0, width), st.integers(0, width))))
    top, bottom = sorted(data.draw(st.tuples(st.integers(0, height), st.integers(0, height))))
    code = coco_code(mask)
    assert np.array_equal(decode(code), mask)
    assert np.array_equal(decode(code, (left, top, right, bottom)), mask[top:bottom, left:right])


@given(masks_in_windows())
def test_bounds_hold_all_pixels_and_no_smaller_window_does(case):
    photo, _ = case
    left, top, right, bottom = window = bounds(coco_code(photo))
    if photo.any():
        rows, columns = np.nonzero(photo)
        assert window == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    else:
        assert window == (0, 0, 0, 0)
    assert np.array_equal(encode(photo[top:bottom, left:right], photo.shape, left, top), coco_code(photo))


def test_bounds_pass_over_runs_without_pixels():
    """pycocotools never writes them, other programs do: 3 outside, 0 inside, 4 outside, 2 inside, 3 outside."""
    encoded = pycocotools.mask.frPyObjects({"size": [4, 3], "counts": [3, 0, 4, 2, 3]}, 4, 3)
    code = Rle((4, 3), encoded["counts"].decode())
    assert bounds(code) == (1, 0, 3, 4)
    assert np.array_equal(decode(code), pycocotools.mask.decode(encoded))


def test_long_runs():
    """Runs of a large photo take several characters, and differences of both signs."""
    mask = np.zeros((3000, 4000), dtype=bool)
    mask[10:2000, 300:3100] = True
    mask[::3, 3300:3400] = True
    mask[5, 3999] = True
    code = coco_code(mask)
    assert np.array_equal(decode(code), mask)
    assert encode(mask[:, 299:], mask.shape, 299) == code


def polygons(size):
    coordinates = st.tuples(st.floats(0, size[0]), st.floats(0, size[1]))
    return st.lists(coordinates, min_size=3, max_size=8).map(np.array)


@given(st.lists(polygons((30, 20)), max_size=3))
def test_polygons_cover_what_pycocotools_fills(outlines):
    expected = np.zeros((20, 30), dtype=bool)
    for outline in outlines:
        (encoded,) = pycocotools.mask.frPyObjects([outline.ravel().tolist()], 20, 30)
        expected |= pycocotools.mask.decode(encoded).astype(bool)
    assert rle.rasterise(outlines, (30, 20)) == coco_code(expected)


@pytest.mark.parametrize(
    "counts", ["", "5", "55", "04P", "P1", "zzzz", "~~~", " ", "é", "\0", "oooooooooooo1", "0O0i0", "O", "55\n"]
)
def test_refuses_runs_that_are_no_mask(counts):
    """pycocotools decodes the first three to whatever is in memory."""
    for refuse in (decode, bounds):
        with pytest.raises(BadRle):
            refuse(Rle((5, 5), counts))


@given(arrays(bool, (17, 23)), st.data())
def test_refuses_codes_that_are_cut_off_or_of_another_size(mask, data):
    counts = coco_code(mask).counts
    assert checked_runs((17, 23), counts).sum() == mask.size
    with pytest.raises(BadRle):
        checked_runs((17, 24), counts)
    with pytest.raises(BadRle):
        checked_runs((17, 23), counts[: data.draw(st.integers(0, len(counts) - 1))])


@given(st.text(st.characters(min_codepoint=48, max_codepoint=111), max_size=12))
def test_is_a_mask_or_refused(counts):
    try:
        mask = decode(Rle((6, 4), counts))
    except BadRle:
        return
    assert mask.shape == (6, 4)
    assert np.array_equal(decode_mask({"size": [6, 4], "counts": counts}), mask)
