import numpy as np
import pytest
import torch
from detectron2.structures import Boxes, BoxMode, Instances

from polymask.pictures import DRAWN_WIDTH, draw_annotations, draw_predictions, metadata_of

BLUE = (200, 40, 20)  # BGR
METADATA = metadata_of(["bar", "disc"])


@pytest.fixture
def photo():
    return np.full((60, 120, 3), BLUE, dtype=np.uint8)


def predictions(*boxes):
    """Instances of the class 'disc' whose masks fill their boxes."""
    instances = Instances((60, 120))
    instances.pred_boxes = Boxes(torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4))
    instances.scores = torch.full((len(boxes),), 0.9)
    instances.pred_classes = torch.ones(len(boxes), dtype=torch.int64)
    instances.pred_masks = torch.zeros((len(boxes), 60, 120), dtype=torch.bool)
    for mask, (x0, y0, x1, y1) in zip(instances.pred_masks, boxes, strict=True):
        mask[y0:y1, x0:x1] = True
    return instances


def changed(drawn):
    """Where a picture differs from the photo by more than its enlargement does, in pixels of the photo."""
    difference = np.abs(drawn.astype(int) - BLUE).max(axis=2) > 30
    scale = DRAWN_WIDTH // 120
    return difference.reshape(60, scale, 120, scale).mean(axis=(1, 3)) > 0.5


def test_no_instance_leaves_the_photo_in_its_colours(photo):
    drawn = draw_predictions(photo, predictions(), METADATA)
    assert drawn.shape == (DRAWN_WIDTH // 2, DRAWN_WIDTH, 3)
    assert np.abs(drawn.astype(int) - BLUE).max() <= 2


def test_a_mask_is_drawn_where_it_is(photo):
    drawn = changed(draw_predictions(photo, predictions((70, 20, 110, 50)), METADATA))
    assert drawn[30:48, 75:108].all(), "the lower part of the mask, clear of the label"
    assert not drawn[:, :55].any()


def test_an_annotation_is_drawn_where_it_is(photo):
    polygon = [70.0, 20.0, 110.0, 20.0, 110.0, 50.0, 70.0, 50.0]
    annotation = {"bbox": [70, 20, 40, 30], "bbox_mode": BoxMode.XYWH_ABS, "category_id": 1, "segmentation": [polygon]}
    drawn = changed(draw_annotations(photo, {"annotations": [annotation]}, METADATA))
    assert drawn[30:48, 75:108].all()
    assert not drawn[:, :55].any()


def test_the_same_is_drawn_each_time(photo):
    first, second = (
        draw_predictions(photo, predictions((70, 20, 110, 50), (10, 10, 40, 40)), METADATA) for _ in range(2)
    )
    assert np.array_equal(first, second)
