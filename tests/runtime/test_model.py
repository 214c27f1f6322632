"""Before and after the network: beside Detectron2, and beside the project's own pasting."""

import random

import detectron2.data.transforms as T
import numpy as np
import onnx
import pytest
import torch
from detectron2.structures import Boxes, Instances

from polymask.inference.pasting import detections_of
from runtime import Model, RuntimeProblem
from runtime.model import resized_size


def test_instances_are_those_of_the_project(found, blobs):
    boxes, classes, masks, scores = map(torch.from_numpy, map(np.ascontiguousarray, blobs))
    raw = Instances((96, 120), pred_boxes=Boxes(boxes), pred_classes=classes, scores=scores)
    raw.pred_masks = masks[:, None]
    expected = detections_of(raw, (96, 120))
    assert 20 < len(expected) == len(found.instances) < 40, "some are beyond the photo"
    for own, other in zip(found.instances, expected, strict=True):
        assert (own.category, own.score) == (other.category, pytest.approx(other.score))
        assert own.name == ("bar", "disc")[own.category]
        assert own.box == pytest.approx(other.box, abs=1e-3)
        height, width = own.pixels.shape
        pixels = other.mask.pixels_in((own.left, own.top, own.left + width, own.top + height))
        assert np.count_nonzero(pixels) == other.mask.area
        assert np.count_nonzero(own.pixels != pixels) <= 1


def test_only_what_scores_enough(found):
    assert [i.score for i in found.scoring(0.5).instances] == [i.score for i in found.instances if i.score >= 0.5]


@pytest.mark.parametrize("shortest, longest", [(240, 426), (800, 1333), (1024, 1024), (0, 500)])
def test_sizes_are_detectron2s(shortest, longest):
    numbers = random.Random(0)
    for _ in range(300):
        size = numbers.randint(1, 3000), numbers.randint(1, 3000)
        resize = T.ResizeShortestEdge([shortest, shortest], longest).get_transform(np.empty((*size, 1), dtype=np.uint8))
        expected = (max(1, resize.new_h), max(1, resize.new_w)) if shortest else size
        assert resized_size(size, shortest, longest) == expected


@pytest.mark.parametrize("order", ["RGB", "BGR"])
def test_the_network_gets_detectron2s_pixels(model_file, order):
    photo = np.random.default_rng(0).integers(0, 255, (203, 301, 3), dtype=np.uint8)
    resized = T.ResizeShortestEdge([64, 64], 128).get_transform(photo).apply_image(photo)
    expected = resized if order == "RGB" else resized[:, :, ::-1]
    image = Model(model_file(channels=order)).input_for(photo)
    assert image.dtype == np.float32 and np.array_equal(image, expected.transpose(2, 0, 1))


def test_a_photo_without_objects(model_file):
    assert Model(model_file()).predict(np.zeros((5, 700, 3), dtype=np.uint8)).instances == ()


def test_what_is_no_such_file_is_refused_in_words(model_file, tmp_path):
    (tmp_path / "text.onnx").write_text("no model")
    other = onnx.load(model_file())
    del other.metadata_props[:]
    onnx.save(other, tmp_path / "other.onnx")
    refused = {
        tmp_path / "gone.onnx": "no such file",
        tmp_path: "no such file",
        tmp_path / "text.onnx": "cannot be used",
        tmp_path / "other.onnx": "polymask",
        model_file(format_version=2): "version 2",
        model_file(channels="of another time", format_version=99): "version 99",
        model_file(resize={"filter": "of another time"}): "OF ANOTHER TIME",
    }
    for path, word in refused.items():
        with pytest.raises(RuntimeProblem, match=f"{path.name}.*{word}") as caught:
            Model(path)
        assert "\n" not in str(caught.value)
