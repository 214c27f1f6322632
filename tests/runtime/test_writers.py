"""One result, written by the project and by the runtime."""

import io
import json

import msgspec
import numpy as np
import pytest
from PIL import Image

from dataset_tools.formats import labelme
from dataset_tools.geometry.masks import fill_polygons
from polymask.inference.detections import Detection, Detections, place
from runtime.writers import draw, to_coco, to_labelme

COLOURS = [(230, 159, 0), (86, 180, 233)]


@pytest.fixture(scope="module")
def as_detections(found):
    """The same result as the project holds it."""
    objects = [Detection(i.category, i.score, i.box, place(i.pixels, i.left, i.top)) for i in found.instances]
    return Detections(found.size, ("bar", "disc"), tuple(objects))


def test_coco_is_the_projects(found, as_detections):
    assert to_coco(found, 7, 3) == json.loads(msgspec.json.encode(as_detections.to_coco(7, 3)))


def test_labelme_is_the_projects_up_to_where_corners_are(found, as_detections):
    own = json.loads(to_labelme(found, "../a.jpg"))
    other = json.loads(as_detections.to_labelme("../a.jpg"))
    assert list(own) == list(other) and own | {"shapes": []} == other | {"shapes": []}
    assert labelme.decode(json.dumps(own).encode()).image_path == "../a.jpg"
    per_object = []
    for shapes in (own["shapes"], other["shapes"]):
        assert all(list(shape) == list(other["shapes"][0]) for shape in shapes)
        groups = {}
        for number, shape in enumerate(shapes):
            key = ("group", shape["group_id"]) if shape["group_id"] is not None else ("alone", number)
            groups.setdefault(key, []).append(shape)
        per_object.append(list(groups.values()))
    assert len(per_object[0]) == len(per_object[1]) > 20
    for ours, theirs in zip(*per_object, strict=True):
        about = {(shape["label"], shape["description"], shape["shape_type"]) for shape in ours + theirs}
        assert len(about) == 1
        filled = [fill_polygons([np.array(s["points"]) for s in shapes], found.size) for shapes in (ours, theirs)]
        shared, either = np.count_nonzero(filled[0] & filled[1]), np.count_nonzero(filled[0] | filled[1])
        assert shared / either > 0.8 or either - shared <= 4


def test_a_picture_shows_what_was_found(found):
    photo = np.full((96, 120, 3), 100, dtype=np.uint8)
    before = photo.copy()
    picture = np.asarray(Image.open(io.BytesIO(draw(photo, found.scoring(0.9), COLOURS))))
    assert picture.shape == photo.shape and np.array_equal(photo, before)
    best = found.instances[0]
    inside = picture[best.top :, best.left :][: best.pixels.shape[0], : best.pixels.shape[1]][best.pixels]
    assert (inside != 100).any(axis=1).mean() > 0.9
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(draw(photo, found.scoring(2), COLOURS)))), photo)
