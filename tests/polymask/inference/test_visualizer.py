import numpy as np
import pytest
import torch
from detectron2.structures import BitMasks, Boxes, BoxMode, Instances, PolygonMasks

from dataset_tools.view.palette import class_colour
from polymask.inference.detections import place
from polymask.inference.visualizer import (
    DRAWN_WIDTH,
    GAP,
    arrange,
    draw_annotations,
    draw_instances,
    draw_training_item,
    metadata_of,
)

BLUE = (200, 40, 20)  # BGR
METADATA = metadata_of(["bar", "disc"])


@pytest.fixture
def photo():
    return np.full((60, 120, 3), BLUE, dtype=np.uint8)


def draw_discs(photo, *boxes):
    """Instances of the class 'disc' whose masks fill their boxes."""
    masks = [place(np.ones((y1 - y0, x1 - x0), dtype=bool), x0, y0) for x0, y0, x1, y1 in boxes]
    count = len(boxes)
    return draw_instances(photo, np.reshape(boxes, (-1, 4)), masks, [1] * count, [0.9] * count, METADATA)


def changed(drawn):
    """Where a picture differs from the photo by more than its enlargement does, in pixels of the photo."""
    difference = np.abs(drawn.astype(int) - BLUE).max(axis=2) > 30
    scale = DRAWN_WIDTH // 120
    return difference.reshape(60, scale, 120, scale).mean(axis=(1, 3)) > 0.5


def test_no_instance_leaves_the_photo_in_its_colours(photo):
    drawn = draw_discs(photo)
    assert drawn.shape == (DRAWN_WIDTH // 2, DRAWN_WIDTH, 3)
    assert np.abs(drawn.astype(int) - BLUE).max() <= 2


def test_a_mask_is_drawn_where_it_is(photo):
    drawn = changed(draw_discs(photo, (70, 20, 110, 50)))
    assert drawn[30:48, 75:108].all(), "the lower part of the mask, clear of the label"
    assert not drawn[:, :55].any()


def test_an_annotation_is_drawn_where_it_is(photo):
    polygon = [70.0, 20.0, 110.0, 20.0, 110.0, 50.0, 70.0, 50.0]
    annotation = {"bbox": [70, 20, 40, 30], "bbox_mode": BoxMode.XYWH_ABS, "category_id": 1, "segmentation": [polygon]}
    drawn = changed(draw_annotations(photo, {"annotations": [annotation]}, METADATA))
    assert drawn[30:48, 75:108].all()
    assert not drawn[:, :55].any()


def test_the_same_is_drawn_each_time(photo):
    first, second = (draw_discs(photo, (70, 20, 110, 50), (10, 10, 40, 40)) for _ in range(2))
    assert np.array_equal(first, second)


CELL = (DRAWN_WIDTH, DRAWN_WIDTH // 2)  # as large as the pictures of `changed`


def training_item(photo, masks, box=(50, 10, 110, 50)):
    """An item of one disc as a data loader yields it, in RGB; without ``masks`` a photo without objects."""
    instances = Instances(photo.shape[:2])
    instances.gt_boxes = Boxes(torch.tensor([box] if masks else [], dtype=torch.float32).reshape(-1, 4))
    instances.gt_classes = torch.ones(len(instances.gt_boxes), dtype=torch.int64)
    if masks:
        instances.gt_masks = masks
    image = torch.from_numpy(photo[:, :, ::-1].transpose(2, 0, 1).copy())
    return {"image": image, "instances": instances, "file_name": "photos/street.jpg"}


def ring():
    """A mask inside the box of ``training_item``, with a hole."""
    mask = np.zeros((60, 120), dtype=bool)
    mask[10:50, 50:110] = True
    mask[20:40, 65:95] = False
    return mask


def test_a_training_item_is_drawn_in_its_colours_and_named(photo):
    drawn = draw_training_item(training_item(photo, None), "RGB", METADATA, CELL)
    assert drawn.shape == (CELL[1], CELL[0], 3)
    assert not changed(drawn)[10:].any(), "the name is in the first rows"
    assert changed(drawn)[:10, :40].any() and not changed(drawn)[:, 60:].any()
    other_order = draw_training_item(training_item(photo, None), "BGR", METADATA, CELL)
    assert np.abs(other_order[200, 200].astype(int) - BLUE[::-1]).max() <= 2


@pytest.mark.parametrize("kind", ["bitmask", "polygon"])
def test_the_mask_of_a_training_item_is_drawn_where_it_is(photo, kind):
    outer = np.array([50.0, 10.0, 110.0, 10.0, 110.0, 50.0, 50.0, 50.0])
    masks = BitMasks(torch.from_numpy(ring())[None]) if kind == "bitmask" else PolygonMasks([[outer]])
    drawn = draw_training_item(training_item(photo, masks), "RGB", METADATA, CELL)
    filled = changed(drawn)
    assert filled[42:48, 68:108].all() and filled[22:38, 97:108].all()
    assert filled[25:35, 70:90].all() == (kind == "polygon"), "a hole stays free"
    assert not filled[:, 112:].any() and not filled[52:].any()
    mixed = (np.array(class_colour(1))[::-1] + BLUE) / 2
    assert np.abs(drawn[360:370, 700:800].mean(axis=(0, 1)) - mixed).max() < 2, "half its class's colour"


def test_a_high_photo_fits_its_cell():
    item = training_item(np.full((120, 60, 3), BLUE, dtype=np.uint8), None)
    assert draw_training_item(item, "RGB", METADATA, (400, 300)).shape == (300, 150, 3)


def test_pictures_are_arranged_in_rows():
    pictures = [np.full((20, 40, 3), shade, dtype=np.uint8) for shade in (10, 60, 110)]
    sheet = arrange(pictures, 2, (80, 60))
    assert sheet.shape == (60 + GAP + 60, 80 + GAP + 80, 3)
    first, second, third, empty = (sheet[y : y + 60, x : x + 80, 0] for y in (0, 60 + GAP) for x in (0, 80 + GAP))
    for cell, shade in ((first, 10), (second, 60), (third, 110)):
        assert (cell[10:50] == shade).all(), "twice as large, in the middle"
        assert (cell[:10] == 255).all() and (cell[50:] == 255).all()
    assert (empty == 255).all()
    assert arrange(pictures[:1], 2, (80, 60)).shape == (60, 80, 3)
    high = arrange([np.zeros((30, 10, 3), dtype=np.uint8)], 2, (80, 60))
    assert (high[:, 30:50] == 0).all() and (high[:, :30] == 255).all() and (high[:, 50:] == 255).all()


def test_dollar_signs_in_a_name_make_no_formula(photo):
    record = {"bbox": [10, 10, 40, 20], "bbox_mode": BoxMode.XYWH_ABS, "category_id": 0}
    record["segmentation"] = [[10.0, 10, 50, 10, 50, 30]]
    for name in (r"a $\x$", "$$"):
        drawn = draw_annotations(photo, {"annotations": [record]}, metadata_of([name]))
        assert drawn.shape == (DRAWN_WIDTH // 2, DRAWN_WIDTH, 3)
