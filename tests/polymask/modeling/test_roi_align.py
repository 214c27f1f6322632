import math

import pytest
import torch
import torchvision
from detectron2.modeling.poolers import ROIPooler
from detectron2.structures import Boxes
from hypothesis import given, settings
from hypothesis import strategies as st

from polymask.modeling.roi_align import Bins, RowPooler, roi_align

SCALES = [1 / 4, 1 / 8, 1 / 16]
TOLERANCE = 1e-4


def pyramid(images=2, channels=5, height=96, width=144, requires_grad=True):
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randn(
            images, channels, round(height * s), round(width * s), generator=generator, requires_grad=requires_grad
        )
        for s in SCALES
    ]


def torchvisions(features, regions, levels, output_size, ratio, aligned):
    pooled = torch.zeros(len(regions), features[0].shape[1], *output_size)
    for level, feature in enumerate(features):
        here = torch.nonzero(levels == level)[:, 0]
        aligner = torchvision.ops.roi_align(feature, regions[here], output_size, SCALES[level], ratio, aligned)
        pooled = pooled.index_put((here,), aligner)
    return pooled


def gradients(pooled, features):
    generator = torch.Generator().manual_seed(1)
    weights = torch.randn(pooled.shape, generator=generator)
    return torch.autograd.grad((pooled * weights).sum(), features)


@st.composite
def regions_and_levels(draw):
    """Boxes inside, across the border and outside the photo, empty ones and such as are far larger than it."""
    count = draw(st.integers(1, 12))
    corner = st.floats(-80, 200, width=32)
    side = st.one_of(st.just(0.0), st.floats(0, 5, width=32), st.floats(5, 400, width=32))
    rows, levels = [], []
    for _ in range(count):
        x, y, w, h = draw(corner), draw(corner), draw(side), draw(side)
        rows.append([draw(st.integers(0, 1)), x, y, x + w, y + h])
        levels.append(draw(st.integers(0, 2)))
    return torch.tensor(rows, dtype=torch.float32), torch.tensor(levels)


@given(
    chosen=regions_and_levels(),
    output_size=st.sampled_from([(1, 1), (2, 3), (7, 7), (14, 14)]),
    ratio=st.integers(1, 3),
    aligned=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_values_and_gradients_are_those_of_torchvision(chosen, output_size, ratio, aligned):
    regions, levels = chosen
    features = pyramid()
    ours = roi_align(features, regions, levels, Bins(tuple(SCALES), output_size, ratio, aligned))
    theirs = torchvisions(features, regions, levels, output_size, ratio, aligned)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=TOLERANCE)
    for mine, other in zip(gradients(ours, features), gradients(theirs, features), strict=True):
        torch.testing.assert_close(mine, other, rtol=TOLERANCE, atol=TOLERANCE)


def poolers(ratio=2, kind="ROIAlignV2", scales=SCALES):
    return [
        kind_of(7, scales, ratio, kind, canonical_box_size=56, canonical_level=3) for kind_of in (ROIPooler, RowPooler)
    ]


def boxes_of(*counts):
    generator = torch.Generator().manual_seed(2)
    boxes = []
    for count in counts:
        corners = torch.rand(count, 2, generator=generator) * torch.tensor([140.0, 90.0])
        boxes.append(Boxes(torch.cat([corners, corners + 1 + torch.rand(count, 2, generator=generator) * 90], dim=1)))
    return boxes


@pytest.mark.parametrize("kind", ["ROIAlign", "ROIAlignV2"])
@pytest.mark.parametrize("counts", [(9, 4), (0, 5), (0, 0)])
def test_a_pooler_gives_what_detectron2s_gives(kind, counts):
    detectron2s, ours = poolers(kind=kind)
    features, boxes = pyramid(requires_grad=False), boxes_of(*counts)
    torch.testing.assert_close(ours(features, boxes), detectron2s(features, boxes), rtol=0, atol=TOLERANCE)


def test_a_single_level():
    detectron2s, ours = poolers(scales=SCALES[:1])
    features, boxes = pyramid(requires_grad=False)[:1], boxes_of(6, 3)
    torch.testing.assert_close(ours(features, boxes), detectron2s(features, boxes), rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize(("ratio", "kind"), [(0, "ROIAlignV2"), (0, "ROIPool")])
def test_what_it_does_not_know_is_left_to_detectron2(ratio, kind):
    detectron2s, ours = poolers(ratio, kind)
    features, boxes = pyramid(requires_grad=False), boxes_of(4, 4)
    assert torch.equal(ours(features, boxes), detectron2s(features, boxes))


def test_too_many_weights_are_left_to_torchvision(monkeypatch):
    detectron2s, ours = poolers()
    features, boxes = pyramid(requires_grad=False), boxes_of(9, 4)
    monkeypatch.setattr("polymask.modeling.roi_align._MOST_BYTES", 13 * 49 * 16 * 12 - 1)
    assert torch.equal(ours(features, boxes), detectron2s(features, boxes))


def test_the_same_bits_whenever_and_with_however_many_threads():
    features, boxes = pyramid(channels=64), boxes_of(60, 50)
    before, seen = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 2):
            torch.set_num_threads(threads)
            pooled = poolers()[1](features, boxes)
            seen.append((pooled, *gradients(pooled, features)))
    finally:
        torch.set_num_threads(before)
    for other in seen[1:]:
        assert all(torch.equal(a, b) for a, b in zip(seen[0], other, strict=True))


def test_under_autocast_it_computes_in_float32():
    features, boxes = pyramid(requires_grad=False), boxes_of(9, 4)
    expected = poolers()[1](features, boxes)
    with torch.autocast("cpu", torch.bfloat16):
        pooled = poolers()[1](features, boxes)
    assert pooled.dtype == torch.float32 and torch.equal(pooled, expected)


def test_one_region_by_hand():
    """A region of 2 x 2 px on a ramp: each bin has the ramp's value in its middle."""
    ramp = torch.arange(16.0).reshape(1, 1, 1, 16).expand(1, 1, 16, 16)
    region = torch.tensor([[0, 4.0, 4.0, 6.0, 6.0]])
    pooled = roi_align([ramp], region, torch.tensor([0]), Bins((1.0,), (2, 2), 2, True))
    # Pixel i has its centre at i + .5: the bins' middles, 4.5 and 5.5, are the centres of pixels 4 and 5.
    assert pooled[0, 0].tolist() == [[4.0, 5.0], [4.0, 5.0]]
    assert math.isclose(float(pooled.sum()), 18.0)
