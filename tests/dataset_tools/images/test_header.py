"""Sizes as shown, against Detectron2's own reader; embedded pictures in the points' frame."""

import io
import os
import struct
import zlib

import numpy as np
import pytest
from detectron2.data.detection_utils import read_image
from PIL import Image, PngImagePlugin

from dataset_tools.findings import Rule
from dataset_tools.images import header as images
from tests.dataset_tools.pictures import ORIENTATIONS, SIZE, bytes_of, exif, marked


def noise(size=SIZE):
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))


def corner_of(pixels):
    """The box (left, top, right, bottom) of what is bright."""
    rows, columns = np.nonzero(
        np.asarray(pixels.convert("L") if isinstance(pixels, Image.Image) else pixels[..., 0]) > 128
    )
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


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
    assert images.read_header(path).size == expected.shape[1::-1]
    assert np.array_equal(np.asarray(images.load_photo(path)), expected)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_exif_behind_the_pixels_of_a_png(tmp_path, orientation):
    path = tmp_path / "a.png"
    path.write_bytes(png_with_late_exif(orientation))
    assert images.read_header(path).size == read_image(str(path), "RGB").shape[1::-1]


def test_no_pixel_of_a_png_is_decoded_for_its_size(tmp_path):
    """A PNG that ends within its pixels has a size all the same."""
    path = tmp_path / "a.png"
    noise((640, 480)).save(path)
    path.write_bytes(path.read_bytes()[:5000])
    assert images.read_header(path).size == (640, 480)
    with pytest.raises(images.ImageError):
        images.load_photo(path)


@pytest.mark.parametrize("mode", ["RGBA", "P", "L", "1"])
def test_pictures_of_any_mode_and_name(tmp_path, mode):
    path = tmp_path / "a.jpg"  # that it is a PNG is seen inside
    Image.new(mode, SIZE).save(path, "PNG")
    assert images.read_header(path).size == SIZE


def test_a_picture_that_detectron2_sees_white_is_refused(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(np.full((48, 64), 3000, dtype=np.uint16)).save(path)
    assert (read_image(str(path), "BGR") == 255).all()
    with pytest.raises(images.ImageError, match="8 bits"):
        images.read_header(path)


def test_nobody_waits_for_the_writer_of_a_named_pipe(tmp_path):
    os.mkfifo(tmp_path / "a.jpg")
    with pytest.raises(images.ImageError):
        images.read_header(tmp_path / "a.jpg")


@pytest.mark.parametrize("orientation", [2, 6])
def test_flags_that_detectron2_and_labelme_read_differently_are_refused(tmp_path, orientation):
    tiff, xmp = tmp_path / "a.tif", tmp_path / "a.jpg"
    marked().save(tiff, tiffinfo={0x0112: orientation})
    packet = f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf tiff:Orientation="{orientation}"/></x:xmpmeta>'
    marked().save(xmp, xmp=packet.encode())
    for path in (tiff, xmp):
        with pytest.raises(images.ImageError) as caught:
            images.read_header(path)
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
            with pytest.raises(images.ImageError) as caught:
                images.read_header(path)
            assert caught.value.rule is Rule.PHOTO_TOO_LARGE
    finally:
        Image.MAX_IMAGE_PIXELS = limit


@pytest.mark.parametrize(
    "content", [b"", b"no picture", b"\xff\xd8\xff", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"]
)
def test_what_is_no_picture_is_refused(content):
    with pytest.raises(images.ImageError) as caught:
        images.read_header(content)
    assert caught.value.rule is Rule.PHOTO_UNREADABLE


# Embedded pictures


@pytest.mark.parametrize("format", ["JPEG", "PNG"])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_embedded_bytes_are_shown_as_stored_whatever_flag_they_carry(tmp_path, format, orientation):
    """labelme shows imageData without regard to EXIF, so the points belong to the bytes as stored."""
    written = images.standalone(bytes_of(marked(), format, exif=exif(orientation)), SIZE)
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
    written = images.standalone(original.read_bytes(), SIZE[::-1])
    path = tmp_path / f"a{written.suffix}"
    path.write_bytes(written.content)
    assert written.size == SIZE[::-1] == images.read_header(written.content).size
    assert np.array_equal(read_image(str(path), "RGB"), read_image(str(original), "RGB"))


def test_embedded_bytes_without_a_flag_are_copied():
    data = bytes_of(marked(), "JPEG")
    written = images.standalone(data)
    assert (written.content, written.suffix) == (data, ".jpg")


def test_other_formats_become_png_without_loss():
    palette = marked().quantize(4)
    written = images.standalone(bytes_of(palette, "BMP"))
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
    with pytest.raises(images.ImageError) as caught:
        images.standalone(data, expected)
    assert caught.value.rule is rule


def test_text_in_an_embedded_png_is_no_flag():
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", "a")
    assert images.standalone(bytes_of(marked(), "PNG", pnginfo=info)).suffix == ".png"


PLAIN = {
    "baseline": {},
    "progressive": {"progressive": True},
    "grey": {},
    "comment": {"comment": b"made by nobody"},
    "long comment": {"comment": b"x" * 9000},
    "EXIF": {"exif": exif(6)},
    "ICC": {"icc_profile": b"profile" * 100},
    "XMP": {"xmp": b'<x:xmpmeta xmlns:x="adobe:ns:meta/" tiff:Orientation="1"/>'},
    "restarts": {"restart_marker_blocks": 4},
    "CMYK": {},
}


@pytest.mark.parametrize("name", PLAIN)
def test_the_quick_way_to_a_jpegs_header_is_pillows(name, tmp_path):
    picture = noise((97, 51)).convert({"grey": "L", "CMYK": "CMYK"}.get(name, "RGB"))
    content = bytes_of(picture, "JPEG", **PLAIN[name])
    (tmp_path / "a.jpg").write_bytes(content)
    with images._opened(content) as (image, stream):
        expected = images._header(image, stream)
    assert images.read_header(content) == images.read_header(tmp_path / "a.jpg") == expected
    plain = name not in ("long comment", "EXIF", "ICC", "XMP", "CMYK")
    assert images._plain_jpeg(content) == (expected if plain else None)


def test_a_spoiled_jpeg_is_left_to_pillow():
    content = bytes_of(noise(), "JPEG")
    scan = content.index(b"\xff\xda")
    for end in range(scan):
        assert images._plain_jpeg(content[:end]) is None
    frame = content.index(b"\xff\xc0")
    for change in (b"\x0c", b"\x08\xff\xff\xff\xff", b"\x08\0\0\0\x40"):  # 12 bits; too large; no height
        assert images._plain_jpeg(content[: frame + 4] + change + content[frame + 4 + len(change) :]) is None
