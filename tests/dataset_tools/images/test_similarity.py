"""Look-alikes: copies are found, different photos are not, blank ones are nobody's copies."""

import io
import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from dataset_tools.images.pixels import grey_thumbnail, load_photo
from dataset_tools.images.similarity import ALIKE, THUMBNAIL, first_alike, perceptual_hash, similar_pairs

SCENES = sorted((Path(__file__).parents[3] / "data/sample/val").glob("*.jpg"))


def look_at(path):
    return perceptual_hash(grey_thumbnail(path))


def saved(picture: Image.Image, quality: int) -> Image.Image:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=quality)
    return Image.open(stream)


def scaled(picture: Image.Image, factor: float) -> Image.Image:
    return picture.resize((round(picture.width * factor), round(picture.height * factor)), Image.Resampling.BICUBIC)


def cut(picture: Image.Image, left: int, top: int, right: int, bottom: int) -> Image.Image:
    return picture.crop((left, top, picture.width - right, picture.height - bottom))


COPIES = {
    "saved at quality 30": lambda picture: saved(picture, 30),
    "saved at quality 75": lambda picture: saved(picture, 75),
    "half the size": lambda picture: scaled(picture, 0.5),
    "1.5 times the size": lambda picture: scaled(picture, 1.5),
    "brighter": lambda picture: ImageEnhance.Brightness(picture).enhance(1.1),
    "darker": lambda picture: ImageEnhance.Brightness(picture).enhance(0.9),
    "grey": lambda picture: picture.convert("L"),
    "cut by one pixel": lambda picture: cut(picture, 1, 1, 0, 0),
    "cut by 2 %": lambda picture: cut(picture, *(side // 100 for side in picture.size * 2)),
    "half the size, saved at quality 50": lambda picture: saved(scaled(picture, 0.5), 50),
}


@pytest.mark.parametrize("copy", COPIES.values(), ids=COPIES.keys())
def test_a_copy_looks_like_its_photo(copy):
    scenes = [load_photo(path) for path in SCENES]
    assert max((perceptual_hash(scene) ^ perceptual_hash(copy(scene))).bit_count() for scene in scenes) <= ALIKE


def test_different_scenes_do_not_look_alike():
    assert len(SCENES) == 20
    assert list(similar_pairs([look_at(path) for path in SCENES])) == []


def test_a_photo_decoded_at_a_fraction_of_its_size_looks_the_same():
    for path in SCENES:
        with Image.open(path) as picture:
            picture.draft("L", (2 * THUMBNAIL, 2 * THUMBNAIL))
            assert picture.width < 320
            assert (perceptual_hash(picture) ^ look_at(path)).bit_count() <= ALIKE


def test_a_photo_is_looked_at_upright(folder):
    upright = load_photo(SCENES[0])
    exif = Image.Exif()
    exif[0x0112] = 6  # stored turned to the left: shown turned to the right
    turned = folder.root / "turned.png"
    upright.transpose(Image.Transpose.ROTATE_90).save(turned, exif=exif)
    assert look_at(turned) == perceptual_hash(upright)


def gradient(low: int, high: int) -> Image.Image:
    return Image.fromarray(np.tile(np.linspace(low, high, 240).astype(np.uint8)[:, None], (1, 320)))


@pytest.mark.parametrize(
    "picture",
    [
        Image.new("RGB", (320, 240), "black"),
        Image.new("RGB", (320, 240), (200, 180, 90)),
        Image.new("L", (1, 1)),
        saved(Image.new("RGB", (320, 240), (91, 17, 203)), 30),
        gradient(30, 220),
        gradient(220, 30),
        Image.fromarray(np.random.default_rng(0).normal(128, 5, (600, 800)).astype(np.uint8)),
    ],
    ids=["black", "one colour", "one pixel", "saved as JPEG", "gradient", "gradient upwards", "blank wall with noise"],
)
def test_a_photo_with_nothing_in_it_has_no_look(picture):
    assert perceptual_hash(picture) is None


def test_no_look_is_like_nothing():
    assert list(similar_pairs([None, 0, None, 0])) == [(1, 3)]
    assert list(similar_pairs([None, None])) == []
    assert list(similar_pairs([])) == []


def test_the_threshold_is_inclusive():
    assert list(similar_pairs([0, (1 << ALIKE) - 1])) == [(0, 1)]
    assert list(similar_pairs([0, (1 << ALIKE + 1) - 1])) == []
    assert list(similar_pairs([0, 2**64 - 1], alike=64)) == [(0, 1)]


# Few bits, high and low ones, so that pairs are near; more photos than a block has rows.
looks = st.lists(st.none() | st.sampled_from([a << 60 | b for a in range(16) for b in range(8)]), max_size=150)


@given(looks, st.integers(0, 4))
def test_pairs_are_those_of_the_definition(looks, alike):
    def near(first, second):
        return None not in (first, second) and (first ^ second).bit_count() <= alike

    expected = [(i, j) for i, j in itertools.combinations(range(len(looks)), 2) if near(looks[i], looks[j])]
    assert list(similar_pairs(looks, alike=alike)) == expected
    splits = ["val" if index % 3 else "train" for index in range(len(looks))]
    assert list(similar_pairs(looks, splits, alike=alike)) == [(i, j) for i, j in expected if splits[i] != splits[j]]


def test_a_camera_that_stands_still_does_not_fill_the_memory():
    assert list(itertools.islice(similar_pairs([7] * 20_000), 3)) == [(0, 1), (0, 2), (0, 3)]


@given(looks)
def test_the_first_that_a_photo_is_like(looks):
    splits = ["val" if index % 3 else "train" for index in range(len(looks))]
    for given_splits in (None, splits):
        firsts = {}
        for first, second in similar_pairs(looks, given_splits):
            firsts.setdefault(second, first)
        assert list(first_alike(looks, given_splits)) == [(first, second) for second, first in firsts.items()]


def test_of_a_camera_that_stands_still_there_is_one_pair_a_photo():
    assert list(first_alike([7] * 5_000)) == [(0, index) for index in range(1, 5_000)]
