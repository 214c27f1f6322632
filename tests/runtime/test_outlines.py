"""Polygons around masks, filled again by pycocotools."""

import cv2
import numpy as np
import pytest

from dataset_tools.geometry.masks import fill_polygons
from runtime import outlines as module
from runtime.outlines import outlines

RANDOM = np.random.default_rng(0)
ROWS, COLUMNS = np.mgrid[:100, :120]
RING = (np.hypot(ROWS - 50, COLUMNS - 60) < 45) & (np.hypot(ROWS - 50, COLUMNS - 60) > 20)


def clouds(count):
    return [cv2.GaussianBlur(RANDOM.random((60, 80)), (0, 0), 4) > 0.5 for _ in range(count)]


@pytest.mark.parametrize("mask", [*(RANDOM.random((2, 12, 15)) > 0.4), *clouds(2), RING, np.ones((1, 1), dtype=bool)])
def test_without_simplification_they_are_the_mask(mask, monkeypatch):
    monkeypatch.setattr(module, "_simplified", lambda ring: ring)
    assert np.array_equal(fill_polygons(outlines(mask), mask.shape[::-1]), mask)


@pytest.mark.parametrize("mask", [*clouds(5), RING])
def test_they_are_near_the_mask_and_have_few_corners(mask):
    polygons = outlines(mask)
    filled = fill_polygons(polygons, mask.shape[::-1])
    near = cv2.dilate(mask.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool)
    assert not (filled & ~near).any()
    assert (filled & mask).sum() / (filled | mask).sum() > 0.94
    edges = np.count_nonzero(np.diff(mask, axis=0)) + np.count_nonzero(np.diff(mask, axis=1))
    assert sum(map(len, polygons)) < edges / 3


def test_an_empty_mask_has_none():
    assert outlines(np.zeros((4, 5), dtype=bool)) == []


def test_pieces_that_touch_at_a_corner_are_two():
    assert len(outlines(np.eye(2, dtype=bool))) == 2
