import numpy as np
import pytest
from detectron2.data import transforms as T
from detectron2.data.detection_utils import read_image
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dataset_tools.images.header import ImageError
from dataset_tools.images.pixels import read_pixels
from polymask.data.photos import read_resized

ORIENTATION = 0x0112
SIZE = (128, 96)
# Of the full decode, in levels of 255; on photos with as much fine noise as those of a camera at ISO 800.
MEAN_DIFFERENCE = 1.0


def camera_photo(size, seed=0):
    """Smooth shapes of several sizes, and noise."""
    random = np.random.default_rng(seed)
    levels = np.full((size[1], size[0], 3), 127.0)
    for cells, contrast in ((4, 60), (16, 30), (size[0] // 8, 15)):
        small = Image.fromarray(random.integers(0, 255, (cells, cells, 3), dtype=np.uint8))
        levels += (np.asarray(small.resize(size, Image.Resampling.BICUBIC), dtype=float) - 127) * contrast / 127
    levels += random.normal(0, 4, levels.shape)
    return Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8))


def exif(orientation):
    data = Image.Exif()
    data[ORIENTATION] = orientation
    return data


KINDS = {
    "jpeg": (".jpg", lambda photo: photo, {"quality": 90}),
    "turned jpeg": (".jpg", lambda photo: photo, {"quality": 90, "exif": exif(6)}),
    "grey jpeg": (".jpg", lambda photo: photo.convert("L"), {}),
    "cmyk jpeg": (".jpg", lambda photo: photo.convert("CMYK"), {}),
    "progressive jpeg": (".jpg", lambda photo: photo, {"progressive": True, "subsampling": 0}),
    "mpo": (".mpo", lambda photo: photo, {"save_all": True, "append_images": [camera_photo(SIZE, 1)]}),
    "png": (".png", lambda photo: photo, {}),
    "turned png": (".png", lambda photo: photo, {"exif": exif(5)}),
    "grey png": (".png", lambda photo: photo.convert("L"), {}),
    "deep png": (".png", lambda photo: photo.convert("L").convert("I;16"), {}),
    "transparent png": (".png", lambda photo: photo.convert("RGBA"), {}),
    "palette png": (".png", lambda photo: photo.convert("P", palette=Image.Palette.ADAPTIVE), {"transparency": 0}),
    "gif": (".gif", lambda photo: photo, {}),
    "tiff": (".tif", lambda photo: photo, {}),
    "bitmap": (".bmp", lambda photo: photo, {}),
}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kinds")
    photo = camera_photo(SIZE)
    for kind, (suffix, convert, options) in KINDS.items():
        convert(photo).save(folder / f"{kind}{suffix}", **options)
    return lambda kind: folder / f"{kind}{KINDS[kind][0]}"


@pytest.mark.parametrize("mode", ["RGB", "BGR", "L"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_pixels_are_those_of_detectron2(photos, kind, mode):
    expected = read_image(str(photos(kind)), mode)
    for needed in (None, expected.shape[1::-1], (expected.shape[1] // 2 + 1, 5)):
        pixels = read_pixels(photos(kind), mode, needed)
        assert pixels.scale == 1 and pixels.size == expected.shape[1::-1]
        assert pixels.array.dtype == np.uint8 and np.array_equal(pixels.array, expected)


@pytest.mark.parametrize("content", [b"", b"no photo", b"\xff\xd8\xff\xe0broken"])
def test_what_is_no_photo_is_refused(tmp_path, content):
    path = tmp_path / "photo.jpg"
    with pytest.raises(FileNotFoundError):
        read_pixels(path, "RGB")
    path.write_bytes(content)
    with pytest.raises(ImageError):
        read_pixels(path, "RGB", (4, 4))


def test_a_truncated_jpeg_is_refused_at_any_scale(photos, tmp_path):
    content = photos("jpeg").read_bytes()
    path = tmp_path / "half.jpg"
    path.write_bytes(content[: len(content) // 2])
    for needed in (None, (10, 10)):
        with pytest.raises(ImageError, match="truncated"):
            read_pixels(path, "RGB", needed)


@pytest.mark.parametrize("kind", ["jpeg", "turned jpeg", "grey jpeg", "cmyk jpeg", "progressive jpeg", "mpo"])
@given(share=st.floats(0.03, 1), other=st.floats(0.03, 1))
@settings(max_examples=15, deadline=None)
def test_a_reduced_photo_is_as_large_as_needed_and_no_larger_than_it_must(photos, kind, share, other):
    full = read_image(str(photos(kind)), "RGB")
    needed = tuple(max(1, round(side * part)) for side, part in zip(full.shape[1::-1], (share, other)))
    pixels = read_pixels(photos(kind), "RGB", needed)
    assert pixels.size == full.shape[1::-1]
    height, width = pixels.array.shape[:2]
    assert width >= needed[0] and height >= needed[1]
    # 128 and 96 px can be halved three times.
    assert pixels.scale == 8 or width // 2 < needed[0] or height // 2 < needed[1]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_reduced_photo_is_turned_like_the_full_one(tmp_path, orientation):
    path = tmp_path / "photo.jpg"
    camera_photo((320, 192)).save(path, quality=95, exif=exif(orientation))
    full = Image.fromarray(read_image(str(path), "RGB"))
    needed = tuple(side // 3 for side in full.size)
    pixels = read_pixels(path, "RGB", needed)
    assert pixels.scale == 2 and pixels.size == full.size
    expected = np.asarray(full.resize(pixels.array.shape[1::-1], Image.Resampling.BOX), dtype=int)
    assert np.abs(expected - pixels.array).mean() < MEAN_DIFFERENCE


@pytest.mark.parametrize("size", [(321, 200), (320, 201), (323, 201)])
def test_a_jpeg_whose_sides_cannot_be_halved_is_decoded_in_full(tmp_path, size):
    path = tmp_path / "photo.jpg"
    camera_photo(size).save(path)
    pixels = read_pixels(path, "RGB", (20, 20))
    assert pixels.scale == 1 and np.array_equal(pixels.array, read_image(str(path), "RGB"))


def record_of(path, size):
    return {"file_name": str(path), "width": size[0], "height": size[1], "annotations": []}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(70, 90), (96, 128), (150, 200), (64, 100)])
def test_a_photo_that_is_not_far_larger_is_resized_as_by_detectron2(photos, kind, size):
    for mode in ("RGB", "L"):
        full = read_image(str(photos(kind)), mode)
        expected = T.ResizeTransform(*full.shape[:2], *size).apply_image(full)
        resized = read_resized(record_of(photos(kind), full.shape[1::-1]), mode, size)
        assert np.array_equal(resized, expected)


@pytest.mark.parametrize("orientation", [1, 3, 6])
@pytest.mark.parametrize("height", [40, 80, 120, 170, 240])
def test_a_photo_that_is_far_larger_hardly_differs(tmp_path, height, orientation):
    path = tmp_path / "photo.jpg"
    camera_photo((800, 600)).save(path, quality=90, exif=exif(orientation))
    full = Image.fromarray(read_image(str(path), "RGB"))
    size = height, round(height * full.width / full.height)
    resized = read_resized(record_of(path, full.size), "RGB", size)
    expected = np.asarray(full.resize(size[::-1], Image.Resampling.BILINEAR), dtype=int)
    assert resized.shape == (*size, 3) and resized.dtype == np.uint8
    assert np.abs(expected - resized).mean() < MEAN_DIFFERENCE


def test_objects_stay_where_they_are_at_any_reduction(tmp_path):
    """The middle of a white square, to a twentieth of a pixel."""
    levels = np.zeros((480, 640), dtype=np.uint8)
    levels[96:192, 448:576] = 255
    path = tmp_path / "square.jpg"
    Image.fromarray(levels).convert("RGB").save(path, quality=95)
    for height in (30, 50, 60, 90, 110, 200, 240):
        size = height, height * 4 // 3
        light = read_resized(record_of(path, (640, 480)), "L", size)[:, :, 0].astype(float)
        for axis, middle, full, length in ((0, 144, 480, size[0]), (1, 512, 640, size[1])):
            profile = light.sum(axis=1 - axis)
            found = ((np.arange(length) + 0.5) * profile).sum() / profile.sum()
            assert abs(found - middle * length / full) < 0.05


def test_a_photo_of_half_the_size_is_not_taken_for_a_reduced_one(tmp_path):
    path = tmp_path / "photo.jpg"
    camera_photo((640, 480)).save(path)
    for size in ((60, 80), (400, 600)):
        with pytest.raises(ValueError, match="640"):
            read_resized(record_of(path, (1280, 960)), "RGB", size)
