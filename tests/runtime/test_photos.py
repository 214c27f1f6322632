"""Every kind of photo, read by both of the project's readers."""

import io
import os

import numpy as np
import pytest
from PIL import Image

from polymask.inference.predictor import read_photo as read_with_polymask
from runtime.photos import RuntimeProblem, read_photo

PIXELS = np.random.default_rng(0).integers(0, 255, (20, 30, 3), dtype=np.uint8)
KINDS = {
    "rgb.jpg": ("RGB", {}),
    "grey.jpg": ("L", {}),
    "cmyk.jpg": ("CMYK", {}),
    "rgb.png": ("RGB", {}),
    "grey.png": ("L", {}),
    "palette.png": ("P", {}),
    "alpha.png": ("RGBA", {}),
    "grey_alpha.png": ("LA", {}),
    "two_levels.png": ("1", {}),
    "rgb.bmp": ("RGB", {}),
    "rgb.webp": ("RGB", {"lossless": True}),
    "palette.gif": ("P", {}),
    "rgb.tif": ("RGB", {}),
    "cmyk.tif": ("CMYK", {}),
    "few_deep_levels.tif": ("I", {}),
}


@pytest.fixture(params=KINDS)
def photo(request, tmp_path):
    mode, options = KINDS[request.param]
    picture = Image.fromarray(PIXELS)
    picture = picture.convert("L").convert("I") if mode == "I" else picture.convert(mode)
    picture.save(tmp_path / request.param, **options)
    return tmp_path / request.param


def test_both_readers_see_the_same(photo):
    expected = read_with_polymask(photo)[:, :, ::-1]
    for source in (photo, str(photo), photo.read_bytes()):
        pixels = read_photo(source)
        assert pixels.dtype == np.uint8 and np.array_equal(pixels, expected)
    assert read_photo(pixels) is pixels


@pytest.mark.parametrize("orientation", range(10))
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp"])
def test_both_turn_it_as_its_exif_says(tmp_path, name, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(PIXELS).save(tmp_path / name, exif=exif)
    assert np.array_equal(read_photo(tmp_path / name), read_with_polymask(tmp_path / name)[:, :, ::-1])


def test_what_can_be_seen_in_two_ways_is_refused(tmp_path):
    deep = Image.fromarray(PIXELS[:, :, 0].astype(np.uint16) * 257)
    deep.save(tmp_path / "deep.png")
    Image.fromarray(PIXELS[:, :, 0].astype(np.float32)).save(tmp_path / "float.tif")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(PIXELS).save(tmp_path / "turned.tif", exif=exif)
    for name, word in (("deep.png", "8 bits"), ("float.tif", "8 bits"), ("turned.tif", "TIFF")):
        with pytest.raises(RuntimeProblem, match=f"{name}.*{word}"):
            read_photo(tmp_path / name)


def test_what_is_no_photo_is_refused_in_words(tmp_path):
    content = io.BytesIO()
    Image.fromarray(PIXELS).save(content, "JPEG")
    (tmp_path / "cut.jpg").write_bytes(content.getvalue()[:300])
    (tmp_path / "text.jpg").write_text("no photo")
    Image.new("1", (30_000, 30_000)).save(tmp_path / "huge.png")
    Image.new("RGB", (8, 8)).save(tmp_path / "program.jpg", "EPS")
    os.mkfifo(tmp_path / "pipe.jpg")
    for name in ("cut.jpg", "text.jpg", "huge.png", "program.jpg", "pipe.jpg", "gone.jpg"):
        with pytest.raises(RuntimeProblem, match=f"{name}.*cannot be read") as caught:
            read_photo(tmp_path / name)
        assert "\n" not in str(caught.value)
    with pytest.raises(RuntimeProblem, match="cannot be read"):
        read_photo(b"no photo")
    for array in (PIXELS[:, :, 0], PIXELS.astype(float), PIXELS[:0]):
        with pytest.raises(RuntimeProblem, match="array"):
            read_photo(array)
