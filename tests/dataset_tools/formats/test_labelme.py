"""The codec: what files of every age say, and what is wrong with a file that says nothing."""

import base64
import json
import math
from contextlib import contextmanager

import pytest

from dataset_tools.findings import Rule
from dataset_tools.formats import labelme


def encode(shapes, **keys):
    return json.dumps({"shapes": shapes, "imagePath": "a.jpg", **keys}).encode()


@contextmanager
def refused(rule):
    with pytest.raises(labelme.LabelmeError) as caught:
        yield caught
    assert caught.value.rule is rule


def test_a_file_of_labelme_3():
    content = {
        "flags": {},
        "shapes": [{"label": "fig", "line_color": None, "fill_color": None, "points": [[1, 2.5], [3, 4], [5, 6]]}],
        "lineColor": [0, 255, 0, 128],
        "fillColor": [255, 0, 0, 128],
        "imagePath": "0.jpg",
        "imageData": "QUJD",
    }
    record = labelme.decode(json.dumps(content).encode())
    assert record.shapes == (labelme.Shape("fig", ((1.0, 2.5), (3.0, 4.0), (5.0, 6.0))),)
    assert record.shapes[0].kind == "polygon"
    assert (record.image_path, record.picture(), record.image_height, record.image_width) == (
        "0.jpg",
        b"ABC",
        None,
        None,
    )


def test_a_file_of_labelme_7_with_keys_that_nobody_knows():
    shape = {
        "label": "car", "points": [[1, 2], [3, 4]], "group_id": 0, "description": "", "shape_type": "rectangle",
        "flags": {"late": True}, "mask": None, "locked": True, "score": 0.5,
    }  # fmt: skip
    record = labelme.decode(encode([shape], version="7.9.1", imageHeight=4, imageWidth=5, chatHistory=[{}]))
    assert record.shapes[0] == labelme.Shape("car", ((1.0, 2.0), (3.0, 4.0)), "rectangle", 0)
    assert (record.image_width, record.image_height) == (5, 4)


@pytest.mark.parametrize(
    ("text", "picture"),
    [
        ("null", None),
        ('""', None),
        ('"QUJD"', b"ABC"),
        ('"/+8="', b"\xff\xef"),
        ('"\\/+8="', b"\xff\xef"),  # some writers escape a slash
        ('"QU\\nJD"', b"ABC"),
        ('"Q"', b""),
        ('"\u00e4"', b""),
    ],
)
def test_imagedata(text, picture):
    content = f'{{"shapes": [], "imageData": {text}, "version": "5.0.1"}}'.encode()
    assert labelme.decode(content).picture() == picture
    with_nan = content.replace(b"[]", b'[{"label": "a", "points": [[NaN, 1]]}]')  # read in another way
    assert labelme.decode(with_nan).picture() == picture


@pytest.mark.parametrize(
    "content",
    [
        '{"shapes": [], "imageData": "QUJD", "imageHeight": 3}',
        '{"shapes":[],"imageData":"QUJD"}',
        '{"shapes": [], "otherData": {"imageData": "QUJD"}}',
        '{"shapes": [], "otherData": {"imageData": "QUJD"}, "imageData": ""}',
        '{"shapes": [], "otherData": {"imageData": "QUJD"}, "imageData": "REVG"}',
        '{"shapes": [], "imageData": "QUJD", "imageData": null}',
        '{"shapes": [], "imageData": null, "caption1": "QUJD"}',
        '{"shapes": [], "words": ["imageData", "QUJD"], "imageData": "REVG"}',
        '{"shapes": [], "words": ["imageData", "QUJD"], "imageData": ""}',
        '{"shapes": [], "the \\"imageData": "QUJD", "imageHeight": 3}',
        '{"shapes": [{"label": "imageData", "points": []}], "imageData": "QUJD"}',
        '{"shapes": [{"label": "\\"imageData\\": \\"QUJD\\"", "points": []}], "imageData": "REVG"}',
    ],
)
def test_the_photo_is_told_from_other_texts(content):
    tree = json.loads(content)
    record = labelme.decode(content.encode())
    assert record.picture() == (base64.b64decode(tree["imageData"]) if tree.get("imageData") else None)
    assert record.image_height == tree.get("imageHeight")
    assert [shape.label for shape in record.shapes] == [shape["label"] for shape in tree["shapes"]]


@pytest.mark.parametrize(
    "content",
    [
        b'{"shapes": [], "imageData": "QUJD',
        b'{"shapes": [], "imageData": "QUJD"',
        b'{"shapes": [], "imageData": "QUJ\\", "imageHeight": 3}',
        b'{"shapes": [], "imageData": "QU\nJD"}',
        b'{"shapes": [], "imageData" "QUJD"}',
        b'{"shapes": [], "imageData" QUJD"": 3}',
    ],
)
def test_broken_json_around_the_photo(content):
    with refused(Rule.NOT_JSON):
        labelme.decode(content)


def test_a_photo_in_json_of_another_kind():
    with refused(Rule.NOT_LABELME):
        labelme.decode(b'{"imageData": "QUJD"}')
    with refused(Rule.NOT_LABELME):
        labelme.decode(b'{"imageData": 3}')


@pytest.mark.parametrize("text", ["1", "[]", "{}", "true"])
def test_imagedata_that_is_no_text(text):
    for shapes in ("[]", '[{"label": "a", "points": [[NaN, 1]]}]'):
        with refused(Rule.WRONG_STRUCTURE) as caught:
            labelme.decode(f'{{"shapes": {shapes}, "imageData": {text}}}'.encode())
        assert [place for _, place in caught.value.faults] == ["imageData"]


def test_byte_order_mark():
    content = b"\xef\xbb\xbf" + json.dumps({"shapes": [{"label": "车"}]}, ensure_ascii=False).encode()
    assert labelme.decode(content).shapes[0].label == "车"
    assert labelme.decode(content, "gbk").shapes[0].label == "车"


def test_other_encoding():
    content = json.dumps({"shapes": [{"label": "车"}]}, ensure_ascii=False).encode("gbk")
    with refused(Rule.WRONG_ENCODING):
        labelme.decode(content)
    assert labelme.decode(content, "gbk").shapes[0].label == "车"


@pytest.mark.parametrize("encoding", ["gbk", "utf-16-le"])
def test_new_files_beside_those_of_another_encoding(encoding):
    text = json.dumps({"shapes": [{"label": "苹果"}]}, ensure_ascii=False)
    for content in (text.encode(), text.encode(encoding)):
        assert labelme.decode(content, encoding).shapes[0].label == "苹果"


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "9" * 400, "9" * 5000])
def test_numbers_that_json_does_not_know_come_through(number):
    content = b'{"shapes": [{"label": "a", "points": [[1, %s]], "group_id": 3}]}' % number.encode()
    shape = labelme.decode(content).shapes[0]
    assert not math.isfinite(shape.points[0][1])
    assert shape.group_id == 3


@pytest.mark.parametrize(
    ("shape", "place"),
    [
        ({"label": "a", "points": [[1, 2], [1, 2, 3]]}, "shapes[0].points[1]"),
        ({"label": "a", "points": [["left", 2]]}, "shapes[0].points[0][0]"),
        ({"label": "a", "points": [[True, 2]]}, "shapes[0].points[0][0]"),
        ({"label": "a", "points": None}, "shapes[0].points"),
        ({"label": "a", "points": [], "group_id": True}, "shapes[0].group_id"),
        ({"label": "a", "points": [], "group_id": [1]}, "shapes[0].group_id"),
        ({"label": "a", "points": [1, 2, 3]}, "shapes[0].points[0]"),
        ({"label": None, "points": []}, "shapes[0].label"),
        ({"points": []}, "shapes[0]"),
        ("car", "shapes[0]"),
    ],
)
def test_wrong_types_are_refused_with_their_place(shape, place):
    with refused(Rule.WRONG_STRUCTURE) as caught:
        labelme.decode(encode([shape]))
    assert [where for _, where in caught.value.faults] == [place]


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b'{"shapes": [}', b"\x00", b'{"shapes": ' + b"[" * 100_000, b'{"shapes": [{"label": "\\ud800"}]}'],
)
def test_broken_json(content):
    with refused(Rule.NOT_JSON):
        labelme.decode(content)


@pytest.mark.parametrize(
    "content", [b"[]", b"3", b"null", b"{}", b'{"images": [], "annotations": [], "categories": []}']
)
def test_json_of_another_kind(content):
    with refused(Rule.NOT_LABELME):
        labelme.decode(content)
