import copy

import detectron2.data.transforms as T
import numpy as np
import pycocotools.mask
import pytest
import torch
from detectron2.data import detection_utils
from detectron2.structures import BitMasks, BoxMode
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from polymask.data.annotations import instances_of, resized_mask

FULL = (90, 120)  # height, width
TRANSFORMS = {
    "nothing": [],
    "none": [T.NoOpTransform()],
    "smaller": [T.ResizeTransform(*FULL, 33, 41), T.HFlipTransform(41)],
    "larger": [T.ResizeTransform(*FULL, 200, 260), T.VFlipTransform(200)],
    "one side": [T.ResizeTransform(*FULL, 90, 77)],
    "cropped": [T.CropTransform(20, 30, 70, 40), T.ResizeTransform(40, 70, 60, 105), T.HFlipTransform(105)],
    "padded": [
        T.ResizeTransform(*FULL, 50, 60),
        T.CropTransform(5, 5, 50, 40),
        T.PadTransform(0, 0, 10, 20, 50, 40, 0),
    ],
}
SIZES = {"nothing": FULL, "none": FULL, "smaller": (33, 41), "larger": (200, 260), "one side": (90, 77),
         "cropped": (60, 105), "padded": (60, 60)}  # fmt: skip


def some_masks(count, seed, size=FULL):
    """Blobs, some of them in several pieces or with holes; and one that covers everything."""
    random = np.random.default_rng(seed)
    for number in range(count):
        small = Image.fromarray(random.integers(0, 255, (4 + number, 5), dtype=np.uint8))
        yield np.asarray(small.resize(size[::-1], Image.Resampling.BICUBIC)) > (0 if number == 3 else 150)


def annotation_of(mask, kind):
    code = pycocotools.mask.encode(np.asfortranarray(mask, dtype=np.uint8))
    ys, xs = np.nonzero(mask)
    box = [float(v) for v in (xs.min(), ys.min(), np.ptp(xs) + 1, np.ptp(ys) + 1)]
    x, y, w, h = box
    segmentation = {
        "rle": code,
        "text": code | {"counts": code["counts"].decode()},
        "polygon": [[x, y, x + w, y + h / 3, x + w / 2, y + h], [x + 0.1, y + h, x + w, y + h, x + w, y + h / 2 + 0.7]],
    }[kind]
    mode = BoxMode.XYWH_ABS
    return {"bbox": box, "bbox_mode": mode, "category_id": 1, "segmentation": segmentation, "iscrowd": 0}


def by_detectron2(annotations, transforms, size, mask_format):
    moved = [detection_utils.transform_instance_annotations(a, transforms, size) for a in copy.deepcopy(annotations)]
    instances = detection_utils.annotations_to_instances(moved, size, mask_format)
    return detection_utils.filter_empty_instances(instances)


@pytest.mark.filterwarnings("ignore:The given NumPy array is not writable")  # of Detectron2
@pytest.mark.parametrize(
    ("kinds", "mask_format"),
    [
        (("rle", "text"), "bitmask"),
        (("polygon",), "bitmask"),
        (("polygon", "rle"), "bitmask"),
        (("polygon",), "polygon"),
    ],
)
@pytest.mark.parametrize("name", TRANSFORMS)
def test_instances_are_those_of_detectron2_to_the_bit(name, kinds, mask_format):
    annotations = [annotation_of(mask, kinds[i % len(kinds)]) for i, mask in enumerate(some_masks(6, seed=len(name)))]
    annotations.append(
        annotation_of(np.indices(FULL).sum(axis=0) < 2, kinds[0])
    )  # of a corner of which nothing is left
    before = copy.deepcopy(annotations)
    transforms = T.TransformList(TRANSFORMS[name])
    ours = instances_of(annotations, transforms, SIZES[name], mask_format)
    theirs = by_detectron2(annotations, transforms, SIZES[name], mask_format)
    assert annotations == before, "an annotation was changed"
    assert len(ours) == len(theirs) and ours.image_size == theirs.image_size
    assert torch.equal(ours.gt_boxes.tensor, theirs.gt_boxes.tensor) and torch.equal(ours.gt_classes, theirs.gt_classes)
    if isinstance(theirs.gt_masks, BitMasks):
        assert torch.equal(ours.gt_masks.tensor, theirs.gt_masks.tensor)
    else:
        for mine, other in zip(ours.gt_masks.polygons, theirs.gt_masks.polygons, strict=True):
            assert all(np.array_equal(a, b) for a, b in zip(mine, other, strict=True))


def test_polygons_held_as_arrays_stay_as_they_are():
    annotation = annotation_of(next(some_masks(1, 0)), "polygon")
    annotation["segmentation"] = [np.array(polygon) for polygon in annotation["segmentation"]]
    before = copy.deepcopy(annotation["segmentation"])
    instances_of([annotation], T.TransformList(TRANSFORMS["smaller"]), SIZES["smaller"], "polygon")
    assert all(np.array_equal(a, b) for a, b in zip(annotation["segmentation"], before, strict=True))


@settings(deadline=None)
@given(st.data())
def test_a_mask_is_resized_as_by_pillow(data):
    side = st.integers(1, 40)
    size, new = data.draw(st.tuples(side, side)), data.draw(st.tuples(side, side))
    bits = data.draw(st.integers(0, 2 ** (size[0] * size[1]) - 1))
    mask = np.array([bits >> i & 1 for i in range(size[0] * size[1])], dtype=np.uint8).reshape(size)
    expected = np.asarray(Image.fromarray(mask).resize(new[::-1], Image.Resampling.NEAREST))
    resized = resized_mask(pycocotools.mask.encode(np.asfortranarray(mask)), new)
    assert resized.dtype == np.uint8 and np.array_equal(resized, expected)


def test_large_masks_are_resized_as_by_pillow():
    for seed, new in enumerate([(800, 1067), (240, 320), (1501, 2003), (3001, 4001)]):
        for mask in some_masks(2, seed, (1502, 2001)):
            expected = np.asarray(Image.fromarray(mask.astype(np.uint8)).resize(new[::-1], Image.Resampling.NEAREST))
            resized = resized_mask(pycocotools.mask.encode(np.asfortranarray(mask, dtype=np.uint8)), new)
            assert np.array_equal(resized, expected)
