"""Embedded pictures as files of their own: what a reader shows is what LabelMe showed when the points were drawn."""

import io

import numpy as np
import pytest
from detectron2.data.detection_utils import read_image
from PIL import Image, PngImagePlugin

from dataset_tools.findings import Rule
from dataset_tools.images.embedded import extract_embedded
from dataset_tools.images.header import ImageError, read_header
from tests.dataset_tools.pictures import ORIENTATIONS, SIZE, bytes_of, exif, marked, noise


def corner_of(pixels):
    """The box (left, top, right, bottom) of what is bright."""
    rows, columns = np.nonzero(
        np.asarray(pixels.convert("L") if isinstance(pixels, Image.Image) else pixels[..., 0]) > 128
    )
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


@pytest.mark.parametrize("format", ["JPEG", "PNG"])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_embedded_bytes_are_shown_as_stored_whatever_flag_they_carry(tmp_path, format, orientation):
    """labelme shows imageData without regard to EXIF, so the points belong to the bytes as stored."""
    written = extract_embedded(bytes_of(marked(), format, exif=exif(orientation)), SIZE)
    path = tmp_path / f"a{written.suffix}"
    path.write_bytes(written.content)
    pixels = read_image(str(path), "RGB")
    assert written.size == SIZE == pixels.shape[1::-1]
    assert corner_of(pixels) == (0, 0, 24, 12)


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
@pytest.mark.parametrize("format", ["JPEG", "WEBP"])  # which stays as it is, and which becomes a PNG
def test_embedded_bytes_that_were_annotated_turned_stay_turned(tmp_path, format, orientation):
    """Only the sizes in the file can say so."""
    original = tmp_path / "original"
    original.write_bytes(bytes_of(marked(), format, exif=exif(orientation)))
    written = extract_embedded(original.read_bytes(), SIZE[::-1])
    path = tmp_path / f"a{written.suffix}"
    path.write_bytes(written.content)
    assert written.size == SIZE[::-1] == read_header(written.content).size
    assert np.array_equal(read_image(str(path), "RGB"), read_image(str(original), "RGB"))


def test_embedded_bytes_without_a_flag_are_copied():
    data = bytes_of(marked(), "JPEG")
    written = extract_embedded(data)
    assert (written.content, written.suffix) == (data, ".jpg")


def test_other_formats_become_png_without_loss():
    palette = marked().quantize(4)
    written = extract_embedded(bytes_of(palette, "BMP"))
    assert written.suffix == ".png"
    assert np.array_equal(
        np.asarray(Image.open(io.BytesIO(written.content)).convert("RGB")), np.asarray(palette.convert("RGB"))
    )


@pytest.mark.parametrize(
    ("data", "expected", "rule"),
    [
        (b"", (None, None), Rule.PHOTO_UNREADABLE),
        (None, (None, None), Rule.PHOTO_UNREADABLE),
        (b"no picture", (None, None), Rule.PHOTO_UNREADABLE),
        (bytes_of(marked(), "JPEG"), (640, 480), Rule.SIZE_MISMATCH),
        (bytes_of(noise(), "PNG")[:2000], (None, None), Rule.PHOTO_UNREADABLE),
    ],
)
def test_embedded_bytes_that_cannot_be_used(data, expected, rule):
    with pytest.raises(ImageError) as caught:
        extract_embedded(data, expected)
    assert caught.value.rule is rule


def test_text_in_an_embedded_png_is_no_flag():
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", "a")
    assert extract_embedded(bytes_of(marked(), "PNG", pnginfo=info)).suffix == ".png"
