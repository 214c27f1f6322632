"""Photos by the names that tables and COCO files call them by."""

import pytest

from dataset_tools.findings import Rule
from dataset_tools.images.header import ImageError
from dataset_tools.images.named_photos import NamedPhotos, PhotoMatch


@pytest.fixture
def photos(tmp_path):
    for name in ("a.jpg", "one/b.jpg", "one/c.jpg", "two/c.jpg", "two/deep/d.jpg", "out/a.jpg"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return NamedPhotos(tmp_path / "photos", exclude=tmp_path / "photos" / "out")


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("a.jpg", PhotoMatch("a.jpg")),
        ("./one/../a.jpg", PhotoMatch("a.jpg")),
        ("one\\b.jpg", PhotoMatch("one/b.jpg")),
        ("b.jpg", PhotoMatch("one/b.jpg")),
        ("deep/d.jpg", PhotoMatch("two/deep/d.jpg")),
        ("two/c.jpg", PhotoMatch("two/c.jpg")),
        ("elsewhere/d.jpg", PhotoMatch("two/deep/d.jpg", is_guess=True)),
        ("/elsewhere/a.jpg", PhotoMatch("a.jpg", is_guess=True)),
        ("https://elsewhere/x/a.jpg", PhotoMatch("a.jpg", is_guess=True)),
        ("c.jpg", Rule.PHOTO_AMBIGUOUS),
        ("elsewhere/c.jpg", Rule.PHOTO_AMBIGUOUS),
        ("e.jpg", Rule.PHOTO_MISSING),
        ("", Rule.PHOTO_MISSING),
        ("one", Rule.PHOTO_MISSING),
        ("A.jpg", Rule.PHOTO_MISSING),
        ("../photos/a.jpg", Rule.PHOTO_LEAVES_ROOT),
        ("x" * 1000, Rule.PHOTO_MISSING),
    ],
)
def test_names(photos, name, found):
    if isinstance(found, PhotoMatch):
        assert photos.find(name) == found
    else:
        with pytest.raises(ImageError) as caught:
            photos.find(name)
        assert caught.value.rule is found


def test_absolute_name_inside(photos):
    assert photos.find(f"{photos.root}/one/b.jpg") == PhotoMatch("one/b.jpg")


def test_folders_to_look_into_first(photos):
    assert photos.find("c.jpg", ["none", "two", "one"]) == PhotoMatch("two/c.jpg")


def test_exact_names(photos):
    exact = NamedPhotos(photos.root, is_exact=True)
    assert exact.find("../photos/a.jpg") == PhotoMatch("../photos/a.jpg")
    for name in ("b.jpg", "one\\b.jpg"):
        with pytest.raises(ImageError) as caught:
            exact.find(name)
        assert caught.value.rule is Rule.PHOTO_MISSING
