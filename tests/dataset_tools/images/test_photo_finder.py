"""Photos by the names that tables and COCO files call them by; dataset/test_doors.py has more of them."""

import ntpath
import os

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


@pytest.mark.parametrize(
    ("name", "photo"),
    [
        ("one/e.jpg", None),
        ("empty/e.jpg", None),
        ("gone/e.jpg", "ann/e.jpg"),
        ("two/d.jpg", "two/deep/d.jpg"),
        ("../one/e.jpg", None),
        ("../empty/e.jpg", None),
        ("../ann/gone/e.jpg", "ann/e.jpg"),
        ("D:\\set\\one\\e.jpg", None),
        ("D:\\set\\ann\\e.jpg", "ann/e.jpg"),
        ("/home/two/ann/e.jpg", "ann/e.jpg"),
        ("https://elsewhere/one/e.jpg?x=1", None),
        ("/one/a.jpg", "a.jpg"),
    ],
)
def test_a_photo_that_is_not_in_its_folder_is_missing(photos, name, photo):
    """Another folder has a photo of that name: of the same frame of another video."""
    (photos.root / "empty").mkdir()
    ((found, rule),) = locate(photos, name, home="two")
    assert (found, rule) == ((photo, Rule.PHOTO_ELSEWHERE) if photo else (name, Rule.PHOTO_MISSING))


def test_a_path_out_of_the_root_leads_to_no_other_folder(photos):
    assert locate(photos, "../../one/e.jpg", home="two") == [("../../one/e.jpg", Rule.PHOTO_LEAVES_ROOT)]


def test_a_photo_that_another_name_leads_to_is_taken(photos):
    assert locate(photos, "b.jpg", "one/b.jpg") == [("b.jpg", Rule.PHOTO_MISSING), ("one/b.jpg", None)]
    assert locate(photos, "/set/c.jpg", "two/c.jpg") == [("/set/c.jpg", Rule.PHOTO_AMBIGUOUS), ("two/c.jpg", None)]
    ((_, finding),) = photos.locate([PhotoName("b.jpg", "", "", photos.root)], taken=["one/b.jpg"])
    assert finding.rule is Rule.PHOTO_MISSING


@pytest.mark.parametrize("start", ["", "set/", "D:\\set\\"])
def test_of_two_names_that_one_photo_is_found_for_the_one_of_its_folders_has_it(tmp_path, start):
    """The folder of the other one is not there."""
    finder = PhotoFinder(tmp_path, photos=["videos/two/1.jpg"])
    (one, missing), (two, finding) = locate(finder, f"{start}one/1.jpg", f"{start}two/1.jpg")
    assert (one, missing, two) == (f"{start}one/1.jpg", Rule.PHOTO_MISSING, "videos/two/1.jpg")
    assert finding is (Rule.PHOTO_ELSEWHERE if start else None)


@pytest.mark.parametrize("name", ["5.jpg", "val2017/5.jpg", "D:\\val\\5.jpg"])
def test_a_photo_of_another_split_is_not_meant(tmp_path, name):
    """As in a folder with train.json, val.json and train/, but without val/."""
    for split in ("train2017", "more"):
        (tmp_path / split).mkdir()
        (tmp_path / split / "5.jpg").touch()
    words = ["val"] if name == "5.jpg" else []
    ((found, rule),) = locate(PhotoFinder(tmp_path, photos=["train2017/5.jpg"]), name, folders=words)
    assert (found, rule) == (name, Rule.PHOTO_MISSING)
    ((found, _),) = locate(PhotoFinder(tmp_path, photos=["train2017/5.jpg", "more/5.jpg"]), name, folders=words)
    assert found == "more/5.jpg"


def test_paths_of_windows(monkeypatch):
    """Its absolute paths have backslashes."""
    monkeypatch.setattr(os.path, "abspath", lambda path: ntpath.normpath(ntpath.join("C:\\work", path)))
    monkeypatch.setattr(os, "sep", "\\")
    finder = PhotoFinder("photos", photos=["sub/a.jpg"])
    assert finder.where("a.jpg", "photos/sub", "photos/sub") == "sub/a.jpg"
    assert finder.where("C:\\work\\photos\\sub\\a.jpg", "photos", "photos") == "sub/a.jpg"
    assert finder.where("..\\a.jpg", "photos", "photos") is None


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
