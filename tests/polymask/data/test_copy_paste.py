import numpy as np
import pytest
import torch
from detectron2.structures import BitMasks, Boxes, Instances
from hypothesis import given
from hypothesis import strategies as st

from polymask.data.copy_paste import LEAST_VISIBLE, CopyPasteMapper, paste
from polymask.data.mapper import TrainMapper
from polymask.data.seeding import seeded

sizes = st.tuples(st.integers(4, 24), st.integers(4, 24))


def make_item(draw_seed, size, count):
    """A photo of random pixels with some random rectangles as objects, which may cover each other."""
    rng = np.random.default_rng(draw_seed)
    height, width = size
    masks = np.zeros((count, height, width), dtype=bool)
    for mask in masks:
        top, left = rng.integers(0, height), rng.integers(0, width)
        mask[top : rng.integers(top + 1, height + 1), left : rng.integers(left + 1, width + 1)] = True
    instances = Instances(size)
    if count:
        instances.gt_masks = BitMasks(torch.from_numpy(masks))
    instances.gt_boxes = instances.gt_masks.get_bounding_boxes() if count else Boxes(torch.zeros(0, 4))
    instances.gt_classes = torch.from_numpy(rng.integers(0, 3, count))
    image = torch.from_numpy(rng.integers(0, 255, (3, height, width), dtype=np.uint8))
    return {"image": image, "instances": instances, "file_name": "a.png"}


@given(st.integers(0, 10**6), sizes, sizes, st.integers(0, 4), st.integers(1, 4))
def test_pixels_masks_and_boxes_agree_pixel_by_pixel(seed, size, other_size, count, pasted_count):
    item, other = make_item(seed, size, count), make_item(seed + 1, other_size, pasted_count)
    before = item["image"].clone(), [m.clone() for m in item["instances"].get("gt_masks").tensor] if count else []
    result = paste(item, other["image"], other["instances"])
    height, width = size
    owners = other["instances"].gt_masks.tensor
    expected_masks, expected_classes = [], []
    covered = np.zeros(size, dtype=bool)
    for y in range(height):
        for x in range(width):
            covered[y, x] = y < other_size[0] and x < other_size[1] and bool(owners[:, y, x].any())
            source = other["image"] if covered[y, x] else before[0]
            assert torch.equal(result["image"][:, y, x], source[:, y, x])
    for mask, label in zip(before[1], item["instances"].gt_classes, strict=True):
        visible = mask.numpy() & ~covered
        if visible.sum() >= LEAST_VISIBLE * mask.sum().item():
            expected_masks.append(visible)
            expected_classes.append(int(label))
    for mask, label in zip(owners.numpy(), other["instances"].gt_classes, strict=True):
        here = np.zeros(size, dtype=bool)
        part = mask[:height, :width]
        here[: part.shape[0], : part.shape[1]] = part
        if here.any():
            expected_masks.append(here)
            expected_classes.append(int(label))
    instances = result["instances"]
    assert len(instances) == len(expected_masks)
    assert instances.gt_classes.tolist() == expected_classes
    for mask, expected, box in zip(
        instances.gt_masks.tensor.numpy() if len(instances) else [],
        expected_masks,
        instances.gt_boxes.tensor.tolist(),
        strict=True,
    ):
        assert (mask == expected).all()
        ys, xs = np.nonzero(expected)
        assert box == [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
    assert torch.equal(item["image"], before[0]), "the photo itself stays as it was"


@pytest.fixture
def mapper(make_photo, configuration):
    """Two photos of one object each, in the same place and of other classes and colours."""
    records = [
        make_photo("left", (60, 40), [(5, 5, 20, 20)]),
        make_photo("right", (60, 40), [(0, 0, 1, 1), (35, 10, 20, 20)]),
    ]
    records[1]["annotations"] = records[1]["annotations"][1:]
    cfg = configuration("INPUT.MASK_FORMAT", "bitmask", "INPUT.RANDOM_FLIP", "none", "INPUT.MIN_SIZE_TRAIN", "(40,)")
    return lambda probability: CopyPasteMapper(TrainMapper.for_training(cfg), records, probability), records


def test_it_happens_as_often_as_it_should(mapper):
    make, records = mapper
    pasted = {0.0: 0, 0.3: 0, 1.0: 0}
    for probability in pasted:
        copy_paste = make(probability)
        for seed in range(60):
            with seeded(seed):
                item = copy_paste(records[0])
            # The first photo pasted onto itself changes nothing but the number: its object covers itself.
            pasted[probability] += len(item["instances"]) == 2
    assert pasted[0.0] == 0
    assert 3 <= pasted[0.3] <= 18  # 60 * 0.3 * 1/2 is 9
    assert 15 <= pasted[1.0] <= 45


def test_objects_come_with_their_colour(mapper, shown):
    make, records = mapper
    copy_paste = make(1.0)
    seen = False
    for seed in range(20):
        with seeded(seed):
            item = copy_paste(records[0])
        if len(item["instances"]) == 2:
            seen = True
            for index, mask in enumerate(item["instances"].gt_masks.tensor.numpy()):
                surely, _ = shown(item["image"], index)
                assert (surely == mask).all()
    assert seen


def test_a_second_photo_without_objects_changes_nothing(make_photo, configuration):
    cfg = configuration("INPUT.MASK_FORMAT", "bitmask")
    empty, full = make_photo("nothing", (60, 40), []), make_photo("full", (60, 40), [(5, 5, 20, 20)])
    mapper = TrainMapper.for_training(cfg)
    with seeded(3):
        item = CopyPasteMapper(mapper, [empty], 1.0)(full)
    with seeded(3):
        plain = mapper(full)
    assert torch.equal(item["image"], plain["image"]) and len(item["instances"]) == 1
    with seeded(3):  # and onto an empty photo something can be pasted
        assert len(CopyPasteMapper(mapper, [full], 1.0)(empty)["instances"]) == 1
