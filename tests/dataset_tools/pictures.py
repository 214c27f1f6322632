"""Pictures that tests are made with."""

import io

import numpy as np
from PIL import Image

SIZE = (64, 48)
ORIENTATIONS = range(1, 9)


def exif(orientation):
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


def marked(size=SIZE):
    """A dark picture with a bright corner at the top left, wider than it is high."""
    pixels = np.zeros((size[1], size[0], 3), dtype=np.uint8)
    pixels[:12, :24] = 255
    return Image.fromarray(pixels)


def bytes_of(picture, format, **options):
    stream = io.BytesIO()
    picture.save(stream, format, **options)
    return stream.getvalue()


def noise(size=SIZE):
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))
