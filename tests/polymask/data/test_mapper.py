import detectron2.data.transforms as T
import numpy as np
import pytest
import torch
from detectron2.data import DatasetMapper
from detectron2.structures import BitMasks
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from polymask.data.augmentation import build_train_augmentations
from polymask.data.mapper import EvaluationMapper, TrainMapper
from polymask.data.seeding import seeded

SIZE = (120, 90)  # px, width and height
# Rectangles that do not touch: each colour is wholly visible.
APART = [(5, 8, 40, 30), (70, 10, 45, 35), (8, 50, 30, 35), (60, 55, 50, 28)]
AUGMENTATIONS = {
    "resize": ("INPUT.MIN_SIZE_TRAIN", "(60, 90, 150)"),
    "crop": ("INPUT.CROP.ENABLED", "True", "INPUT.CROP.TYPE", "relative_range", "INPUT.CROP.SIZE", "[0.4, 0.4]"),
    "crop anywhere": ("INPUT.CROP.ENABLED", "True", "INPUT.CROP.KEEP_OBJECT", "False", "INPUT.CROP.SIZE", "[0.5, 0.5]"),
    "scale jitter": ("INPUT.SCALE_JITTER.ENABLED", "True", "INPUT.SCALE_JITTER.RANGE", "(0.3, 2.0)",
                     "INPUT.SCALE_JITTER.SIZE", "128"),
}  # fmt: skip


def masks_of(instances, image):
    """(N, H, W) bool, whatever the format; a polygon covers the pixels whose centre it holds, as pycocotools says."""
    masks = instances.gt_masks
    if not isinstance(masks, BitMasks):
        masks = BitMasks.from_polygon_masks(masks, *image.shape[1:])
    return masks.tensor.numpy()


@pytest.mark.parametrize(("mask_format", "rle"), [("polygon", False), ("bitmask", False), ("bitmask", True)])
@pytest.mark.parametrize("augmentation", AUGMENTATIONS)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**6), objects=st.integers(1, 4))
def test_masks_and_boxes_follow_the_pixels(
    make_photo, shown, configuration, augmentation, mask_format, rle, seed, objects
):
    record = make_photo(f"apart{rle}", SIZE, APART[:objects], rle=rle)
    cfg = configuration(*AUGMENTATIONS[augmentation], "INPUT.MASK_FORMAT", mask_format)
    with seeded(seed):
        item = TrainMapper.for_training(cfg)(record)
    image, instances = item["image"], item["instances"]
    height, width = image.shape[1:]
    assert instances.image_size == (height, width)
    # The mini photos hold one object of each colour; a class has two of them, distinguished by where they are.
    left = dict(enumerate(masks_of(instances, image))) if len(instances) else {}
    for index in range(objects):
        surely, perhaps = shown(image, index)
        if surely.sum() < 30:
            continue  # cut away, or a sliver that the resize has blurred
        best = max(left, key=lambda k: (left[k] & surely).sum())
        mask = left.pop(best)
        assert (surely & ~mask).sum() <= 0.02 * surely.sum() + 4, "pixels of the object outside of its mask"
        assert (mask & ~perhaps).sum() <= 0.02 * mask.sum() + 4, "pixels of something else in its mask"
        ys, xs = np.nonzero(mask)
        tight = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
        np.testing.assert_allclose(instances.gt_boxes.tensor[best].numpy(), tight, atol=1.01)
        assert int(instances.gt_classes[best]) == index % 2
    boxes = instances.gt_boxes.tensor.numpy()
    assert (boxes >= 0).all() and (boxes <= [width, height, width, height]).all()


@pytest.mark.parametrize("image_format", ["RGB", "BGR"])
@pytest.mark.parametrize(("mask_format", "rle"), [("polygon", False), ("bitmask", False), ("bitmask", True)])
@pytest.mark.parametrize("augmentation", ["resize", "crop anywhere", "scale jitter"])
def test_items_are_those_of_detectron2_to_the_bit(
    make_photo, configuration, augmentation, mask_format, rle, image_format
):
    keys = ("INPUT.FORMAT", image_format, "INPUT.MASK_FORMAT", mask_format, "INPUT.COLOR_JITTER", "0.3")
    keys += AUGMENTATIONS[augmentation]
    cfg = configuration(*keys)
    record = make_photo(f"apart{rle}", SIZE, APART, rle=rle)
    theirs = DatasetMapper(
        is_train=True, augmentations=build_train_augmentations(cfg), image_format=image_format, use_instance_mask=True,
        instance_mask_format=mask_format,
    )  # fmt: skip
    ours = TrainMapper.for_training(cfg)
    ours.tighten = False
    for seed in range(6):
        with seeded(seed):
            expected = theirs(record)
        with seeded(seed):
            item = ours(record)
        assert torch.equal(item["image"], expected["image"]) and item["image"].is_contiguous()
        one, other = item["instances"], expected["instances"]
        assert torch.equal(one.gt_boxes.tensor, other.gt_boxes.tensor)
        assert torch.equal(one.gt_classes, other.gt_classes)
        np.testing.assert_array_equal(masks_of(one, item["image"]), masks_of(other, item["image"]))


@pytest.mark.parametrize("augmentation", AUGMENTATIONS)
def test_a_photo_of_reduced_scale_has_the_same_annotations(make_photo, configuration, tmp_path, augmentation):
    """And nearly the same pixels, although what is painted has no smooth border: 2 of 255 levels on average at most."""
    record = make_photo("large", (960, 720), [(8 * x, 8 * y, 8 * w, 8 * h) for x, y, w, h in APART])
    path = tmp_path / "large.jpg"
    Image.open(record["file_name"]).save(path, quality=95)
    cfg = configuration("INPUT.MASK_FORMAT", "bitmask", *AUGMENTATIONS[augmentation])
    ours, full = TrainMapper.for_training(cfg), TrainMapper.for_training(cfg)
    full._photos = None
    differs = False
    for seed in range(6):
        with seeded(seed):
            item = ours(record | {"file_name": str(path)})
        with seeded(seed):
            expected = full(record | {"file_name": str(path)})
        for name in ("gt_boxes", "gt_masks"):
            one, other = item["instances"].get(name), expected["instances"].get(name)
            assert torch.equal(one.tensor, other.tensor)
        difference = (item["image"].float() - expected["image"].float()).abs()
        assert difference.mean() < 2
        differs |= bool(difference.any())
    assert differs == (not augmentation.startswith("crop")), "only without a crop it is decoded at reduced scale"


@pytest.mark.parametrize("image_format", ["RGB", "BGR"])
def test_photos_of_an_evaluation_are_those_of_detectron2(make_photo, configuration, tmp_path, image_format):
    """At full scale, however large they are."""
    record = make_photo("evaluated", (960, 720), APART)
    path = tmp_path / "evaluated.jpg"
    Image.open(record["file_name"]).save(path)
    record |= {"file_name": str(path)}
    cfg = configuration("INPUT.FORMAT", image_format, "INPUT.MIN_SIZE_TEST", "100")
    expected = DatasetMapper(cfg, is_train=False)(record)
    item = EvaluationMapper(cfg)(record)
    assert item.keys() == expected.keys() and torch.equal(item["image"], expected["image"])
    whole = DatasetMapper(configuration("INPUT.FORMAT", image_format, "INPUT.MIN_SIZE_TEST", "0"), is_train=False)(
        record
    )
    assert torch.equal(EvaluationMapper(cfg, whole=True)(record)["image"], whole["image"])
    assert whole["image"].shape[1:] == (720, 960)
    validation = TrainMapper.for_validation(configuration("INPUT.FORMAT", image_format, "INPUT.MASK_FORMAT", "polygon",
                                                          "INPUT.MIN_SIZE_TEST", "100"))  # fmt: skip
    assert torch.equal(validation(record)["image"], expected["image"])


@pytest.mark.parametrize("size", [(4000, 4), (4, 4000)])
@pytest.mark.parametrize("augmentation", AUGMENTATIONS)
def test_something_is_left_of_a_photo_that_is_very_long_and_narrow(make_photo, configuration, augmentation, size):
    """Detectron2 rounds its short side down to nothing."""
    record = make_photo("narrow", size, [(0, 0, *size)])
    cfg = configuration(*AUGMENTATIONS[augmentation], "INPUT.MASK_FORMAT", "bitmask")
    for mapper in (TrainMapper.for_training(cfg), TrainMapper.for_validation(cfg), EvaluationMapper(cfg)):
        with seeded(1):
            assert min(mapper(record)["image"].shape) > 0


def test_an_rle_mask_moves_like_a_polygon(make_photo, configuration):
    cfg = configuration("INPUT.MASK_FORMAT", "bitmask", "INPUT.RANDOM_FLIP", "none", "INPUT.MIN_SIZE_TRAIN", "(180,)")
    mapper = TrainMapper.for_training(cfg)
    one, other = (mapper(make_photo(f"rle{rle}", SIZE, APART, rle=rle)) for rle in (False, True))
    ours, theirs = (item["instances"].gt_masks.tensor.numpy() for item in (one, other))
    union = (ours | theirs).sum(axis=(1, 2))
    assert ((ours & theirs).sum(axis=(1, 2)) / union > 0.97).all()


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("augmentation", AUGMENTATIONS)
def test_an_rle_mask_has_the_box_of_the_polygon(make_photo, configuration, augmentation, seed):
    """Under every augmentation: what is padded, too, belongs to no object."""
    cfg = configuration(*AUGMENTATIONS[augmentation], "INPUT.MASK_FORMAT", "bitmask")
    found = []
    for rle in (False, True):
        with seeded(seed):
            item = TrainMapper.for_training(cfg)(make_photo(f"box{rle}", SIZE, APART[:1], rle=rle))
        found.append(item["instances"].gt_boxes.tensor.numpy())
    np.testing.assert_allclose(*found, atol=2.01)


def test_a_photo_without_objects_and_a_crowd_are_fine(make_photo, configuration):
    mapper = TrainMapper.for_training(configuration("INPUT.MASK_FORMAT", "polygon", *AUGMENTATIONS["crop"]))
    assert len(mapper(make_photo("empty", SIZE, []))["instances"]) == 0
    record = make_photo("crowd", SIZE, APART[:2])
    record["annotations"][0]["iscrowd"] = 1
    classes = mapper(record)["instances"].gt_classes.tolist()
    assert 0 not in classes


def test_a_crop_holds_the_centre_of_an_object(make_photo, configuration):
    """A small object in a corner, which a crop that looks nowhere would mostly miss."""
    record = make_photo("corner", SIZE, [(100, 75, 14, 10)])
    keys = (
        "INPUT.CROP.ENABLED",
        "True",
        "INPUT.CROP.TYPE",
        "absolute",
        "INPUT.CROP.SIZE",
        "[30, 30]",
        "INPUT.MASK_FORMAT",
        "bitmask",
    )
    kept, missed = 0, 0
    for seed in range(40):
        with seeded(seed):
            kept += len(TrainMapper.for_training(configuration(*keys))(record)["instances"])
        with seeded(seed):
            anywhere = TrainMapper.for_training(configuration(*keys, "INPUT.CROP.KEEP_OBJECT", "False"))
            missed += not len(anywhere(record)["instances"])
    assert kept >= 39 and missed > 10  # one in many crops ends exactly at the centre


def test_a_crop_larger_than_the_photo_is_the_photo(make_photo, configuration):
    keys = (
        "INPUT.CROP.ENABLED",
        "True",
        "INPUT.CROP.TYPE",
        "absolute",
        "INPUT.CROP.SIZE",
        "[999, 999]",
        "INPUT.MASK_FORMAT",
        "bitmask",
    )
    cfg = configuration(*keys, "INPUT.MIN_SIZE_TRAIN", "(90,)")
    assert TrainMapper.for_training(cfg)(make_photo("apart", SIZE, APART))["image"].shape == (3, 90, 120)


def test_colour_moves_no_pixel_and_changes_brightness_contrast_and_saturation(make_photo, configuration):
    record = make_photo("apart", SIZE, APART)
    plain = ("INPUT.MASK_FORMAT", "bitmask", "INPUT.RANDOM_FLIP", "none", "INPUT.MIN_SIZE_TRAIN", "(90,)")
    cfg = configuration(*plain, "INPUT.COLOR_JITTER", "0.3")
    before = TrainMapper.for_training(configuration(*plain))(record)
    with seeded(1):
        after = TrainMapper.for_training(cfg)(record)
    assert (before["image"] != after["image"]).any()
    assert (before["instances"].gt_masks.tensor == after["instances"].gt_masks.tensor).all()
    kinds = [type(a) for a in build_train_augmentations(cfg)]
    assert kinds[-3:] == [T.RandomBrightness, T.RandomContrast, T.RandomSaturation]


def test_validation_photos_are_those_of_an_evaluation(make_photo, configuration):
    record = make_photo("apart", SIZE, APART)
    cfg = configuration("INPUT.MASK_FORMAT", "polygon", "INPUT.MIN_SIZE_TEST", "180", *AUGMENTATIONS["crop"])
    first, again = (TrainMapper.for_validation(cfg)(record) for _ in range(2))
    assert first["image"].shape == (3, 180, 240) and (first["image"] == again["image"]).all()
    expected = 2 * np.array([(x, y, x + w, y + h) for x, y, w, h in APART])
    np.testing.assert_allclose(first["instances"].gt_boxes.tensor.numpy(), expected)
