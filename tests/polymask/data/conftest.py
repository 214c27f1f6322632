"""Photos whose objects are painted in a colour each, so that a mask can be read off the pixels."""

import numpy as np
import pycocotools.mask
import pytest
from detectron2.structures import BoxMode
from PIL import Image

from polymask.config.load import load_config

# RGB of the objects, in their order; the background is black.
COLOURS = np.array([(250, 0, 0), (0, 250, 0), (0, 0, 250), (250, 250, 0)], dtype=np.uint8)


def paint(folder, name, size, rectangles, rle=False):
    """A photo with a rectangle (x, y, w, h; whole pixels) for each colour, drawn in their order; and its record."""
    width, height = size
    photo = np.zeros((height, width, 3), dtype=np.uint8)
    owner = np.full((height, width), -1)
    for index, (x, y, w, h) in enumerate(rectangles):
        photo[y : y + h, x : x + w] = COLOURS[index]
        owner[y : y + h, x : x + w] = index
    path = folder / f"{name}.png"
    Image.fromarray(photo).save(path)
    annotations = []
    for index, (x, y, w, h) in enumerate(rectangles):
        outline = [x, y, x + w, y, x + w, y + h, x, y + h]
        mask = np.asfortranarray(owner == index, dtype=np.uint8)
        annotations.append(
            {
                "bbox": [x, y, w, h],
                "bbox_mode": BoxMode.XYWH_ABS,
                "category_id": index % 2,
                "segmentation": pycocotools.mask.encode(mask) if rle else [[float(v) for v in outline]],
                "iscrowd": 0,
            }
        )
    return {"file_name": str(path), "image_id": 1, "width": width, "height": height, "annotations": annotations}


def pixels_of(image, index):
    """Where a photo as the model gets it ((3, H, W), RGB) surely shows a colour, and where it may."""
    near = np.abs(image.numpy().astype(int) - COLOURS[index].astype(int)[:, None, None]).max(axis=0)
    return near < 40, near < 200


@pytest.fixture(scope="session")
def make_photo(tmp_path_factory):
    """See :func:`paint`."""
    folder = tmp_path_factory.mktemp("painted")
    return lambda *args, **options: paint(folder, *args, **options)


@pytest.fixture(scope="session")
def shown():
    """See :func:`pixels_of`."""
    return pixels_of


@pytest.fixture
def configuration():
    """The mini configuration, without what it does to the photos, with further KEY VALUE pairs."""
    plain = ["INPUT.COPY_PASTE.PROBABILITY", "0.0", "INPUT.COLOR_JITTER", "0.0"]
    return lambda *overrides: load_config(
        "configs/mini_scratch.yaml", ["MODEL.DEVICE", "cpu", "DATALOADER.NUM_WORKERS", "0", *plain, *overrides]
    )
