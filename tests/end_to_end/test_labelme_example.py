"""labelme's own example of instance segmentation, beside the COCO file that labelme's script made of it.

The example is in labelme's source package, which a test does not download: ``pip download labelme==6.3.1 --no-deps
--no-binary :all:``, unpack it, and set LABELME_EXAMPLE to its folder examples/instance_segmentation.
"""

import contextlib
import io
import os
from pathlib import Path

import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from scipy.optimize import linear_sum_assignment

from dataset_tools.dataset.convert import ConvertOptions, convert
from dataset_tools.instances.labels import RESERVED_LABELS

EXAMPLE = Path(os.environ.get("LABELME_EXAMPLE", ""))


def masks_of(file):
    """The masks of each photo and category, as pycocotools draws the polygons: labelme's script also paints outlines."""
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(file))
    masks = {}
    for annotation in coco.anns.values():
        key = Path(coco.imgs[annotation["image_id"]]["file_name"]).name, coco.cats[annotation["category_id"]]["name"]
        masks.setdefault(key, []).append(coco.annToRLE(annotation))
    return masks


@pytest.mark.skipif("LABELME_EXAMPLE" not in os.environ, reason="needs labelme's example")
def test_the_example_gives_the_annotations_of_labelme(tmp_path):
    names = (EXAMPLE / "labels.txt").read_text().split("\n")
    classes = tuple(name.strip() for name in names if name.strip() and name.strip() not in RESERVED_LABELS)
    options = {"classes": classes, "fractions": (1.0, 0.0, 0.0)}
    convert(ConvertOptions(source=EXAMPLE / "data_annotated", output=tmp_path / "example", **options))
    golden = masks_of(EXAMPLE / "data_dataset_coco/annotations.json")
    ours = masks_of(tmp_path / "example/train.json")
    assert {key: len(masks) for key, masks in ours.items()} == {key: len(masks) for key, masks in golden.items()}
    for key, masks in golden.items():
        overlap = coco_mask.iou(masks, ours[key], [0] * len(masks))
        pairs = linear_sum_assignment(-overlap)
        assert overlap[pairs].min() > 0.9998, key
