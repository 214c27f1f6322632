"""Masks pasted inside their boxes, against those that Detectron2 pastes into the whole photo: the same pixels."""

import copy

import numpy as np
import pytest
import torch
from detectron2.layers.mask_ops import paste_masks_in_image
from detectron2.modeling import detector_postprocess
from detectron2.structures import Boxes, Instances
from hypothesis import given, settings
from hypothesis import strategies as st

from polymask.inference.pasting import detections_of, paste_masks

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


def network_masks(count, seed, side=28):
    """(count, 1, side, side), 0 to 1, some of them saturated: all 1, all 0, or exactly one half."""
    generator = torch.Generator().manual_seed(seed)
    masks = torch.sigmoid(4 * torch.randn(count, 1, side, side, generator=generator))
    masks[0::5], masks[1::5], masks[2::5] = 1.0, 0.5, masks[2::5].round()
    return masks


def whole(found, size):
    height, width = size
    return np.array([mask.pixels_in((0, 0, width, height)) for mask in found], dtype=bool).reshape(-1, height, width)


@st.composite
def boxes_in(draw, size):
    """Boxes with area inside a photo: a fraction of a pixel or all of it, at its borders, on centres of pixels."""
    height, width = size
    boxes = []
    for _ in range(draw(st.integers(1, 6))):
        sides = []
        for length in (width, height):
            places = st.one_of(st.floats(0, length, width=32), st.integers(0, 2 * length).map(lambda half: half / 2))
            low, high = sorted((draw(places), draw(places)))
            sides.append((low, high) if low < high else (0.0, float(length)))
        (x0, x1), (y0, y1) = sides
        boxes.append((x0, y0, x1, y1))
    return torch.tensor(boxes, dtype=torch.float32)


@pytest.mark.parametrize("device", DEVICES)
@settings(deadline=None)
@given(boxes=boxes_in((37, 53)), seed=st.integers(0, 2**30))
def test_no_pixel_differs(device, boxes, seed):
    size, masks = (37, 53), network_masks(len(boxes), seed).to(device)
    expected = paste_masks_in_image(masks[:, 0], boxes.to(device), size).cpu().numpy()
    assert np.array_equal(whole(paste_masks(masks, boxes.to(device)), size), expected)


@pytest.mark.parametrize("device", DEVICES)
def test_no_pixel_differs_on_a_large_photo(device):
    size = (1500, 2000)
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(10, 2, 2, generator=generator) * torch.tensor([2000.0, 1500.0])
    boxes = torch.cat([corners.amin(dim=1), corners.amax(dim=1)], dim=1).to(device)
    masks = network_masks(10, seed=1).to(device)
    expected = paste_masks_in_image(masks[:, 0], boxes, size).cpu().numpy()
    assert np.array_equal(whole(paste_masks(masks, boxes), size), expected)


def test_a_pixel_whose_centre_is_on_the_edge_of_the_box_belongs_to_a_mask_that_is_sure():
    """There a mask of ones is interpolated to one half, and to a quarter at the corners."""
    (found,) = paste_masks(torch.ones(1, 1, 28, 28), torch.tensor([[2.5, 3.5, 7.5, 6.5]]))
    assert found.window == (2, 3, 8, 7) and found.area == 6 * 4 - 4


def test_boxes_are_scaled_cut_and_dropped_as_detectron2_does_it():
    boxes = [(10, 20, 50, 60), (-9, -9, 30, 30), (90, 70, 140, 90), (101, 5, 120, 9), (5, 5, 5, 9)]
    raw = Instances((80, 100))
    raw.pred_boxes, raw.scores = Boxes(torch.tensor(boxes, dtype=torch.float32)), torch.linspace(0.9, 0.1, 5)
    raw.pred_classes, raw.pred_masks = torch.arange(5), network_masks(5, seed=3)
    size = (163, 211)
    expected = detector_postprocess(copy.deepcopy(raw), *size)
    found = detections_of(raw, size)
    assert [d.category for d in found] == expected.pred_classes.tolist() == [0, 1, 2]
    assert [d.score for d in found] == expected.scores.tolist()
    assert [list(d.box) for d in found] == expected.pred_boxes.tensor.tolist()
    assert np.array_equal(whole([d.mask for d in found], size), expected.pred_masks.numpy())


def test_nothing_found():
    raw = Instances((80, 100))
    raw.pred_boxes, raw.scores = Boxes(torch.zeros(0, 4)), torch.zeros(0)
    raw.pred_classes, raw.pred_masks = torch.zeros(0, dtype=torch.int64), torch.zeros(0, 1, 28, 28)
    assert detections_of(raw, (163, 211)) == []
