"""Sizes as shown, against Detectron2's own reader; embedded pictures in the points' frame."""

import io
import os
import struct
import zlib

import numpy as np
import pytest
from detectron2.data.detection_utils import read_image
from PIL import Image

from dataset_tools.findings import Rule
from dataset_tools.images.header import ImageError, read_header
from dataset_tools.images.pixels import load_photo
from tests.dataset_tools.pictures import ORIENTATIONS, SIZE, exif, marked, noise


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_with_late_exif(orientation):
    """A PNG whose EXIF stands behind the pixels, which the format allows."""
    stream = io.BytesIO()
    marked().save(stream, "PNG")
    end = chunk(b"IEND", b"")
    content = stream.getvalue()
    assert content.endswith(end)
    return content.removesuffix(end) + chunk(b"eXIf", exif(orientation).tobytes().removeprefix(b"Exif\0\0")) + end


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_size_and_pixels_are_those_that_detectron2_reads(tmp_path, suffix, orientation):
    path = tmp_path / f"a.{suffix}"
    marked().save(path, exif=exif(orientation))
    expected = read_image(str(path), "RGB")
    assert read_header(path).size == expected.shape[1::-1]
    assert np.array_equal(np.asarray(load_photo(path)), expected)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_exif_behind_the_pixels_of_a_png(tmp_path, orientation):
    path = tmp_path / "a.png"
    path.write_bytes(png_with_late_exif(orientation))
    assert read_header(path).size == read_image(str(path), "RGB").shape[1::-1]


def test_no_pixel_of_a_png_is_decoded_for_its_size(tmp_path):
    """A PNG that ends within its pixels has a size all the same."""
    path = tmp_path / "a.png"
    noise((640, 480)).save(path)
    path.write_bytes(path.read_bytes()[:5000])
    assert read_header(path).size == (640, 480)
    with pytest.raises(ImageError):
        load_photo(path)


@pytest.mark.parametrize("mode", ["RGBA", "P", "L", "1"])
def test_pictures_of_any_mode_and_name(tmp_path, mode):
    path = tmp_path / "a.jpg"  # that it is a PNG is seen inside
    Image.new(mode, SIZE).save(path, "PNG")
    assert read_header(path).size == SIZE


def test_a_picture_that_detectron2_sees_white_is_refused(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(np.full((48, 64), 3000, dtype=np.uint16)).save(path)
    assert (read_image(str(path), "BGR") == 255).all()
    with pytest.raises(ImageError, match="8 bits"):
        read_header(path)


def test_nobody_waits_for_the_writer_of_a_named_pipe(tmp_path):
    os.mkfifo(tmp_path / "a.jpg")
    with pytest.raises(OSError, match="regular file"):
        read_header(tmp_path / "a.jpg")


@pytest.mark.parametrize("orientation", [2, 6])
def test_flags_that_detectron2_and_labelme_read_differently_are_refused(tmp_path, orientation):
    tiff, xmp = tmp_path / "a.tif", tmp_path / "a.jpg"
    marked().save(tiff, tiffinfo={0x0112: orientation})
    packet = f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf tiff:Orientation="{orientation}"/></x:xmpmeta>'
    marked().save(xmp, xmp=packet.encode())
    for path in (tiff, xmp):
        with pytest.raises(ImageError) as caught:
            read_header(path)
        assert caught.value.rule is Rule.ORIENTATION_UNSAFE


def test_decompression_bomb_is_refused_by_its_header(tmp_path):
    """A kilobyte that claims ten gigapixels, whatever Pillow's own limit is set to (labelme takes it away)."""
    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    content = (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )
    path = tmp_path / "bomb.png"
    path.write_bytes(content)
    limit = Image.MAX_IMAGE_PIXELS
    try:
        for Image.MAX_IMAGE_PIXELS in (limit, None):
            with pytest.raises(ImageError) as caught:
                read_header(path)
            assert caught.value.rule is Rule.PHOTO_TOO_LARGE
    finally:
        Image.MAX_IMAGE_PIXELS = limit


@pytest.mark.parametrize(
    "content", [b"", b"no picture", b"\xff\xd8\xff", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"]
)
def test_what_is_no_picture_is_refused(content):
    with pytest.raises(ImageError) as caught:
        read_header(content)
    assert caught.value.rule is Rule.PHOTO_UNREADABLE
