"""Photos by the names that tables and COCO files call them by; dataset/test_doors.py has more of them."""

import pytest

from dataset_tools.findings import Rule
from dataset_tools.images.photo_finder import NameIndex, PhotoFinder, PhotoName


@pytest.fixture
def photos(tmp_path):
    for name in ("a.jpg", "one/b.jpg", "one/c.jpg", "two/c.jpg", "two/deep/d.jpg", "out/a.jpg", "ann/e.jpg"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return PhotoFinder(tmp_path / "photos", exclude=tmp_path / "photos" / "out")


def locate(photos, *names, home=None, **keys):
    home = photos.root if home is None else photos.root / home
    found = photos.locate([PhotoName(name, "file_name", "", home, **keys) for name in names])
    return [(path, finding and finding.rule) for path, finding in found]


@pytest.mark.parametrize(
    ("name", "photo", "rule"),
    [
        ("a.jpg", "a.jpg", None),
        ("./one/../a.jpg", "a.jpg", None),
        ("one\\b.jpg", "one/b.jpg", None),
        ("b.jpg", "one/b.jpg", None),
        ("deep/d.jpg", "two/deep/d.jpg", None),
        ("two/c.jpg", "two/c.jpg", None),
        ("elsewhere/d.jpg", "two/deep/d.jpg", Rule.PHOTO_ELSEWHERE),
        ("/elsewhere/a.jpg", "a.jpg", Rule.PHOTO_ELSEWHERE),
        ("https://elsewhere/x/a.jpg", "a.jpg", Rule.PHOTO_ELSEWHERE),
        ("A.jpg", "a.jpg", Rule.PHOTO_ELSEWHERE),
        ("../photos/a.jpg", "a.jpg", None),
        ("../elsewhere/a.jpg", "a.jpg", Rule.PHOTO_ELSEWHERE),
        ("c.jpg", None, Rule.PHOTO_AMBIGUOUS),
        ("elsewhere/c.jpg", None, Rule.PHOTO_AMBIGUOUS),
        ("f.jpg", None, Rule.PHOTO_MISSING),
        ("", None, Rule.PHOTO_MISSING),
        ("..", None, Rule.PHOTO_LEAVES_ROOT),
        ("one", None, Rule.PHOTO_MISSING),
        ("../f.jpg", None, Rule.PHOTO_LEAVES_ROOT),
        ("x" * 1000, None, Rule.PHOTO_MISSING),
        ("x/" * 100_000 + "a.jpg", "a.jpg", Rule.PHOTO_ELSEWHERE),
    ],
)
def test_names(photos, name, photo, rule):
    assert locate(photos, name) == [(name if photo is None else photo, rule)]


def test_absolute_name_inside(photos):
    assert locate(photos, f"{photos.root}/one/b.jpg") == [("one/b.jpg", None)]


def test_folders_to_look_into_first(photos):
    assert locate(photos, "e.jpg", home="ann") == [("ann/e.jpg", None)]
    assert locate(photos, "c.jpg", folders=["none", "two", "one"]) == [("two/c.jpg", None)]
    assert locate(photos, "d.jpg", folders=["two"]) == [("two/deep/d.jpg", None)]


def test_a_photo_of_another_name_is_not_a_likely_one(photos):
    assert locate(photos, "b.png") == [("one/b.jpg", Rule.PHOTO_ELSEWHERE)]
    assert locate(photos, "b.png", "one/b.jpg") == [("b.png", Rule.PHOTO_MISSING), ("one/b.jpg", None)]


def test_an_index_prefers_the_spelling_of_the_name():
    index = NameIndex(["x/A.jpg", "y/a.jpg"])
    assert [index.photos_of(name) for name in ("a.jpg", "A.jpg", "a.JPG")] == [
        ["y/a.jpg"],
        ["x/A.jpg"],
        ["x/A.jpg", "y/a.jpg"],
    ]


def test_of_many_photos_of_one_name_some_are_named(tmp_path):
    finder = PhotoFinder(tmp_path, photos=[f"{number}/a.jpg" for number in range(1000)])
    ((_, finding),) = finder.locate([PhotoName("a.jpg", "", "", tmp_path)])
    assert "'0/a.jpg'" in finding.message and "more" in finding.message and len(finding.message) < 500
