"""A file in the format of an export whose network finds the same in every photo."""

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from runtime import Model

DESCRIPTION = {
    "format_version": 1,
    "classes": ["bar", "disc"],
    "colours": [[230, 159, 0], [86, 180, 233]],
    "channels": "RGB",
    "resize": {"shortest": 64, "longest": 128, "filter": "bilinear"},
    "score_threshold": 0.05,
    "confidence_threshold": 0.5,
    "mask_threshold": 0.5,
}


@pytest.fixture(scope="session")
def model_file(tmp_path_factory):
    """Writes such a file, given the outputs of its network, and what differs in its description."""

    def write(boxes=(), classes=(), masks=(), scores=(), **different):
        outputs = {
            "boxes": np.reshape(np.array(boxes, dtype=np.float32), (-1, 4)),
            "classes": np.array(classes, dtype=np.int64),
            "masks": np.array(masks, dtype=np.float32).reshape(-1, 1, 28, 28),
            "scores": np.array(scores, dtype=np.float32),
        }
        nodes = [
            helper.make_node("Constant", [], [name], value=numpy_helper.from_array(value, name))
            for name, value in outputs.items()
        ]
        image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [3, "height", "width"])
        results = [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), None)
            for name, value in outputs.items()
        ]
        graph = helper.make_graph(nodes, "network", [image], results)
        file = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        helper.set_model_props(file, {"polymask": json.dumps(DESCRIPTION | different)})
        path = tmp_path_factory.mktemp("model") / "model.onnx"
        onnx.save(file, path)
        return path

    return write


@pytest.fixture(scope="session")
def blobs():
    """Boxes in px of a photo, classes, small masks and scores: of all sizes, some beyond the edges."""
    rng = np.random.default_rng(5)
    corners = rng.uniform(-10, 110, (40, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(0.5, 60, (40, 2))], axis=1).astype(np.float32)
    cells = np.arange(28) - 13.5
    radii = rng.uniform(4, 20, (40, 1, 1)) * (1 + 0.03 * rng.standard_normal((40, 28, 28)))
    masks = 1 / (1 + np.exp(np.hypot(*np.meshgrid(cells, cells)) - radii))
    scores = np.sort(rng.uniform(0.05, 1, 40).astype(np.float32))[::-1]
    return boxes, rng.integers(0, 2, 40), masks.astype(np.float32), scores


@pytest.fixture(scope="session")
def found(model_file, blobs):
    """What such a network finds in a photo of 120 x 96 px, which it sees in two thirds of its size."""
    boxes, *others = blobs
    model = Model(model_file(boxes * np.float32(64 / 96), *others))
    return model.predict(np.zeros((96, 120, 3), dtype=np.uint8))
