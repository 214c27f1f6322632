"""Masks held as parts, against the same masks held whole."""

import json

import msgspec
import numpy as np
import pycocotools.mask
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dataset_tools.geometry.masks import fill_polygons
from polymask.inference.detections import EMPTY, Detection, Detections, area_in, common, place, shared_area, union

SIZE = (9, 13)
masks = arrays(bool, SIZE)


@st.composite
def windows(draw):
    left, right = sorted(draw(st.tuples(st.integers(0, SIZE[1]), st.integers(0, SIZE[1]))))
    top, bottom = sorted(draw(st.tuples(st.integers(0, SIZE[0]), st.integers(0, SIZE[0]))))
    return left, top, right, bottom


def coco(code):
    return {"size": list(code.size), "counts": code.counts.encode()}


def whole(mask):
    return mask.pixels_in((0, 0, SIZE[1], SIZE[0]))


@given(masks)
def test_a_placed_mask_is_the_mask(pixels):
    mask = place(pixels)
    assert np.array_equal(whole(mask), pixels)
    assert mask.area == pixels.sum()
    left, top, right, bottom = mask.window
    assert np.array_equal(mask.pixels(), pixels[top:bottom, left:right])
    if pixels.any():
        assert pixels[top].any() and pixels[bottom - 1].any() and pixels[:, left].any() and pixels[:, right - 1].any()
    else:
        assert mask == EMPTY


@given(masks)
def test_its_code_is_that_of_pycocotools(pixels):
    assert coco(place(pixels).rle(SIZE)) == pycocotools.mask.encode(np.asfortranarray(pixels, dtype=np.uint8))


@given(masks, st.integers(0, 5), st.integers(0, 5))
def test_moved(pixels, x, y):
    moved = place(pixels).moved(x, y)
    expected = np.pad(pixels, ((y, 0), (x, 0)))
    assert moved == place(expected) == place(pixels, x, y)
    assert coco(moved.rle(expected.shape)) == pycocotools.mask.encode(np.asfortranarray(expected, dtype=np.uint8))


def test_a_detection_moves_with_its_box():
    detection = Detection(1, 0.5, (1.5, 2.0, 4.0, 5.0), place(np.ones((3, 3), dtype=bool), 1, 2))
    moved = detection.moved(10, 20)
    assert moved.box == (11.5, 22.0, 14.0, 25.0) and moved.mask.window == (11, 22, 14, 25)


@given(masks, masks, windows())
def test_areas(first, second, window):
    a, b = place(first), place(second)
    left, top, right, bottom = window
    assert shared_area(a, b) == (first & second).sum()
    assert area_in(a, window) == first[top:bottom, left:right].sum()
    assert np.array_equal(a.pixels_in(window), first[top:bottom, left:right])


@given(windows(), windows())
def test_common(first, second):
    def filled(window):
        pixels = np.zeros(SIZE, dtype=bool)
        left, top, right, bottom = window
        if left < right and top < bottom:
            pixels[top:bottom, left:right] = True
        return pixels

    assert np.array_equal(filled(common(first, second)), filled(first) & filled(second))


@given(st.lists(masks, min_size=1, max_size=4))
def test_union(pixels):
    assert union([place(mask) for mask in pixels]) == place(np.logical_or.reduce(pixels))


def detections():
    """A block with a hole, and a disc that is cut off by the photo's right side, on a photo of 40 x 30 px."""
    block = np.zeros((30, 40), dtype=bool)
    block[5:15, 5:20], block[8:12, 10:15] = True, False
    y, x = np.mgrid[:30, :40]
    disc = (x - 37) ** 2 + (y - 20) ** 2 <= 36
    found = (
        Detection(1, 0.876, (5.0, 5.0, 20.0, 15.0), place(block)),
        Detection(0, 0.3, (31.0, 14.0, 40.0, 26.5), place(disc)),
    )
    return Detections((40, 30), ("bar", "disc"), found), [block, disc]


def test_detections_that_score_enough():
    found, _ = detections()
    assert [d.score for d in found.scoring(0.5)] == [0.876] and len(found.scoring(0.3)) == 2


def test_as_coco():
    """pycocotools reads the annotations as results of the photo."""
    found, masks = detections()
    written = json.loads(msgspec.json.encode(found.to_coco(image_id=7, first_id=3)))
    for number, (annotation, mask) in enumerate(zip(written, masks, strict=True)):
        assert (annotation["id"], annotation["image_id"], annotation["iscrowd"]) == (3 + number, 7, 0)
        assert annotation["area"] == mask.sum()
        assert np.array_equal(pycocotools.mask.decode(annotation["segmentation"]), mask)
    assert [annotation["category_id"] for annotation in written] == [2, 1]
    assert written[1]["bbox"] == [31, 14, 9, 12.5] and written[1]["score"] == 0.3


def test_as_a_labelme_file():
    found, masks = detections()
    record = json.loads(found.to_labelme("../a.jpg"))
    assert (record["imagePath"], record["imageWidth"], record["imageHeight"]) == ("../a.jpg", 40, 30)
    for detection, mask in zip(found, masks, strict=True):
        label, score = found.classes[detection.category], f"score {detection.score:.2f}"
        shapes = [shape for shape in record["shapes"] if shape["label"] == label]
        assert {shape["description"] for shape in shapes} == {score}
        drawn = fill_polygons([np.array(shape["points"]) for shape in shapes], found.size)
        assert (drawn & mask).sum() >= 0.9 * (drawn | mask).sum()


def test_nothing_found_is_an_empty_file():
    assert json.loads(Detections((40, 30), ("bar",), ()).to_labelme("a.jpg"))["shapes"] == []
    nothing = Detection(0, 0.9, (1.0, 1.0, 1.0, 1.0), EMPTY)
    assert json.loads(Detections((40, 30), ("bar",), (nothing,)).to_labelme("a.jpg"))["shapes"] == []
