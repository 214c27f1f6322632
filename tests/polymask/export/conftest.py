"""A model that knows bars and discs, and its ONNX file."""

import numpy as np
import pytest
import torch

from polymask.data.augmentation import ResizeShortestEdge
from polymask.export.onnx_format import write_onnx
from polymask.inference.predictor import Predictor, predictor_config, read_photo


@pytest.fixture(scope="session")
def predictor(overfitted):
    weights = ["MODEL.WEIGHTS", str(overfitted / "model_final.pth"), "MODEL.DEVICE", "cpu"]
    return Predictor(predictor_config(overfitted / "config.yaml", weights, confidence_threshold=0.05))


@pytest.fixture(scope="session")
def onnx_content(predictor):
    return write_onnx(predictor.model, "what is in it")


@pytest.fixture(scope="session")
def inputs(predictor, tiny_dataset):
    """(3, H, W) float32: photos in several sizes and aspects, and one without objects."""
    photos = [read_photo(path) for path in sorted((tiny_dataset.parent / "labelme").rglob("*.png"))]
    photos = [photos[0], photos[1][:, :100], photos[2][20:], np.full_like(photos[0], 120)]
    sizes = [(128, 256), (90, 250), (200, 500)]
    return [predictor.input_for(photo, ResizeShortestEdge(*size))["image"] for photo in photos for size in sizes]


@pytest.fixture(scope="session")
def assert_agrees(predictor, inputs):
    """That a network returns what the model does, as numbers, for all inputs."""

    def check(network):
        instances = 0
        for image in inputs:
            with torch.no_grad():
                (found,) = predictor.model.inference([{"image": image}], do_postprocess=False)
            boxes, classes, masks, scores = network(image.numpy())
            assert classes.tolist() == found.pred_classes.tolist()
            assert np.allclose(boxes, found.pred_boxes.tensor, rtol=0, atol=1e-3)
            assert np.allclose(masks, found.pred_masks, rtol=0, atol=1e-3)
            assert np.allclose(scores, found.scores, rtol=0, atol=1e-4)
            instances += len(found)
        assert instances >= 12

    return check
