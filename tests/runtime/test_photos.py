"""Every kind of photo, read by both of the project's readers."""

import io
import os

import numpy as np
import pytest
from PIL import Image

from dataset_tools.images import names
from polymask.inference.predictor import read_photo as read_with_polymask
from runtime.photos import SUFFIXES, RuntimeProblem, read_photo
from tests.photo_kinds import KINDS

PIXELS = np.random.default_rng(0).integers(0, 255, (20, 30, 3), dtype=np.uint8)


@pytest.mark.parametrize("row", KINDS)
def test_both_readers_give_one_verdict(row, tmp_path):
    for number, kind in enumerate(KINDS[row]):
        path = tmp_path / f"{number}{kind.suffix}"
        path.write_bytes(kind.content)
        for source in (path, str(path), kind.content):
            if kind.refused:
                with pytest.raises(RuntimeProblem, match=kind.refused):
                    read_photo(source)
            else:
                pixels = read_photo(source)
                assert pixels.dtype == np.uint8 and np.array_equal(pixels, read_with_polymask(path)[:, :, ::-1])
                assert read_photo(pixels) is pixels


def test_both_find_the_same_files():
    assert set(SUFFIXES) == set(names.SUFFIXES)


@pytest.mark.parametrize("orientation", range(10))
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp"])
def test_both_turn_it_as_its_exif_says(tmp_path, name, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(PIXELS).save(tmp_path / name, exif=exif)
    assert np.array_equal(read_photo(tmp_path / name), read_with_polymask(tmp_path / name)[:, :, ::-1])


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
