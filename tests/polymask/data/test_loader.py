from itertools import islice

import pytest
import torch
from detectron2.data import DatasetCatalog

from polymask.data.loader import build_train_loader, build_validation_loader

EVERYTHING = (
    "DATASETS.TRAIN", "('painted',)", "INPUT.MASK_FORMAT", "bitmask", "SOLVER.IMS_PER_BATCH", "2", "SEED", "3",
    "INPUT.MIN_SIZE_TRAIN", "(60, 90)", "INPUT.COLOR_JITTER", "0.3", "INPUT.COPY_PASTE.PROBABILITY", "0.5",
    "INPUT.MIN_SIZE_TEST", "90",
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def painted(make_photo):
    """Seven photos, one of them without objects, two of them portraits."""
    objects = [[(5, 8, 40, 30)], [(9, 9, 30, 20), (60, 40, 30, 30)], [], [(70, 10, 40, 60)], [(20, 30, 50, 50)]]
    records = [make_photo(f"loader{i}", (120, 90), some) for i, some in enumerate(objects)]
    records += [make_photo(f"loader{i}", (90, 120), [(10, 10, 40 + i, 70)]) for i in (5, 6)]
    for number, record in enumerate(records):
        record["image_id"] = number
    DatasetCatalog.register("painted", lambda: records)
    yield
    DatasetCatalog.remove("painted")


def described(batch):
    return [
        (item["file_name"], item["image"], item["instances"].gt_boxes.tensor, item["instances"].gt_classes)
        for item in batch
    ]


def assert_same(ours, theirs):
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        for (name, *tensors), (other_name, *others) in zip(described(one), described(other), strict=True):
            assert name == other_name
            assert all(torch.equal(a, b) for a, b in zip(tensors, others, strict=True))


def batches(cfg, start, count):
    return list(islice(iter(build_train_loader(cfg, start)), count))


def test_a_batch_depends_on_its_number_alone(configuration):
    """Not on the workers, nor on where the training began, nor on what else was drawn at random."""
    cfg = configuration(*EVERYTHING)
    whole = batches(cfg, 0, 9)
    torch.rand(5)
    assert_same(batches(configuration(*EVERYTHING, "DATALOADER.NUM_WORKERS", "2"), 0, 9), whole)
    assert_same(batches(cfg, 5, 4), whole[5:])


def test_the_training_s_generators_are_left_alone(configuration):
    torch.manual_seed(0)
    expected = torch.rand(3)
    for workers in ("0", "2"):
        torch.manual_seed(0)
        batches(configuration(*EVERYTHING, "DATALOADER.NUM_WORKERS", workers), 0, 2)
        assert torch.equal(torch.rand(3), expected)


def test_the_same_photo_is_augmented_anew_each_time(configuration):
    cfg = configuration(*EVERYTHING, "SOLVER.IMS_PER_BATCH", "1")
    seen = {}
    for (item,) in batches(cfg, 0, 21):
        seen.setdefault(item["file_name"], []).append(item["image"])
    assert len(seen) == 7 and all(len(images) == 3 for images in seen.values())
    # A black photo has neither brightness nor contrast to change.
    different = [a.shape != b.shape or not torch.equal(a, b) for a, b, _ in seen.values() if a.any()]
    assert len(different) >= 6 and all(different)


def test_photos_without_annotations_can_be_left_out(configuration):
    for filtered, photos in (("True", 6), ("False", 7)):
        cfg = configuration(*EVERYTHING, "DATALOADER.FILTER_EMPTY_ANNOTATIONS", filtered, "SOLVER.IMS_PER_BATCH", "1")
        assert len({batch[0]["file_name"] for batch in batches(cfg, 0, photos)}) == photos


def test_validation_sees_each_photo_once(configuration):
    cfg = configuration(*EVERYTHING)
    items = [item for batch in build_validation_loader(cfg, "painted") for item in batch]
    assert [item["image_id"] for item in items] == list(range(7))
    assert [len(item["instances"]) for item in items] == [1, 2, 0, 1, 1, 1, 1]
    again = [item for batch in build_validation_loader(cfg, "painted") for item in batch]
    assert all(torch.equal(one["image"], other["image"]) for one, other in zip(items, again, strict=True))
