"""A model whose network finds the same in every photo, and a photo."""

import numpy as np
import pytest
from PIL import Image

from runtime import Model
from tests.runtime.conftest import model_file  # noqa: F401


@pytest.fixture(scope="session")
def photo_file(tmp_path_factory):
    """A photo of 120 x 90 px."""
    path = tmp_path_factory.mktemp("photos") / "photo.png"
    noise = np.random.default_rng(1).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    return path


def found_things(model_file):  # noqa: F811
    """A file whose network finds a bar of two pieces, a disc, and, less sure, another bar."""
    whole = np.ones((28, 28), dtype=np.float32)
    pieces = whole.copy()
    pieces[10:18] = 0
    boxes = [(10, 10, 40, 30), (45, 5, 75, 40), (20, 40, 60, 60)]  # in px of the network's input, 85 x 64
    return model_file(boxes, [0, 1, 0], [pieces, whole, whole], [0.9, 0.7, 0.3], score_threshold=0.05)


@pytest.fixture(scope="session")
def model(model_file):  # noqa: F811
    return Model(found_things(model_file))
