"""One result, written by the project and by the runtime."""

import io
import json
from dataclasses import replace
from importlib.metadata import distribution
from pathlib import Path, PurePosixPath

import msgspec
import numpy as np
import pytest
from PIL import Image

from dataset_tools.formats import labelme
from dataset_tools.geometry.masks import fill_polygons
from dataset_tools.to_labelme.annotation_files import annotation_names
from polymask.inference.detections import Detection, Detections, place
from runtime import writers
from runtime.writers import caption, draw, labelme_files, to_coco, to_labelme

COLOURS = [(230, 159, 0), (86, 180, 233)]
DEJAVU = str(distribution("matplotlib").locate_file("matplotlib/mpl-data/fonts/ttf/DejaVuSans.ttf"))


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


@pytest.mark.parametrize(
    "photos", ["a.jpg deep/a.jpg b.png", "a.jpg a.png", "a.jpg A.png", "a.jpg a.jpg.png a.jpg.jpg", "a a.jpg"]
)
def test_labelme_files_are_named_as_the_project_names_them(photos):
    own = labelme_files([Path(photo) for photo in photos.split()], Path("out"))
    assert own == [Path("out", name) for name in annotation_names([PurePosixPath(photo) for photo in photos.split()])]


@pytest.fixture(params=[(), ("gone.ttf", DEJAVU)], ids=["no fonts", "DejaVu"])
def fonts(request, monkeypatch):
    """What the system has beside Pillow's own font."""
    monkeypatch.setattr(writers, "_FONTS", request.param)
    caption.cache_clear()
    yield request.param
    caption.cache_clear()


def test_classes_stay_apart_whatever_their_letters(found, fonts):
    names, best = ("Öl", "Äl", "бок", "бот", "中文", "日本"), found.instances[0]
    pictures = set()
    for category, name in enumerate(names):
        one = replace(found, instances=(replace(best, category=category, name=name, box=(5, 50, 90, 90)),))
        pictures.add(draw(np.zeros((96, 120, 3), dtype=np.uint8), one, [(200, 200, 200)] * len(names)))
    assert len(pictures) == len(names)
    expected = ["#1", "#2", "#3", "#4", "#5", "#6"] if not fonts else [*names[:4], "#5", "#6"]
    assert [caption(name, number)[0] for number, name in enumerate(names, start=1)] == expected
    assert [caption(name, 7)[0] for name in ("bar 2", "two\nlines", "\ud800")] == ["bar 2", "#7", "#7"]
