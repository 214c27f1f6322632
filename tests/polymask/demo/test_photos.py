"""Which photos are meant, and where their results go."""

import os

import pytest

from dataset_tools.errors import UserError
from polymask.demo.photos import find_photos


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Names only: nothing is opened here."""
    for name in (
        "a/x.jpg",
        "a/y.PNG",
        "a/notes.txt",
        "a/.hidden.jpg",
        "a/deep/x.jpg",
        "b/x.jpg",
        "b/z[1].jpg",
        "empty/x.json",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def places(*inputs, output=None):
    photos = find_photos(inputs, output)
    assert all(photo.path.is_file() for photo in photos)
    return [photo.place.as_posix() for photo in photos]


def test_a_folder_and_the_folders_in_it(folder):
    assert places("a") == ["deep/x.jpg", "x.jpg", "y.PNG"]
    assert places(str(folder / "a")) == ["deep/x.jpg", "x.jpg", "y.PNG"]


def test_links_are_followed_and_hidden_folders_are_not(folder):
    (folder / "a/.trash").mkdir()
    (folder / "a/.trash/z.jpg").touch()
    (folder / "a/elsewhere").symlink_to(folder / "b")
    (folder / "a/around").symlink_to(folder / "a")
    assert places("a") == ["deep/x.jpg", "elsewhere/x.jpg", "elsewhere/z[1].jpg", "x.jpg", "y.PNG"]


def test_photos_by_their_names(folder):
    assert places("a/y.PNG", "b/z[1].jpg") == ["y.PNG", "z[1].jpg"]
    assert places("a/notes.txt") == ["notes.txt"], "whoever names a file means it"


def test_patterns(folder):
    assert places("a/*") == ["x.jpg", "y.PNG"]
    assert places("*/x.jpg") == ["a/x.jpg", "b/x.jpg"]
    assert places("a/**/*.jpg") == ["deep/x.jpg", "x.jpg"]
    assert places(f"{folder}/?/x.jpg") == ["a/x.jpg", "b/x.jpg"]


def test_no_two_photos_share_a_place(folder):
    assert places("a/x.jpg", "b/x.jpg") == ["a/x.jpg", "b/x.jpg"]
    assert places("a/deep/x.jpg", "a/x.jpg") == ["deep/x.jpg", "x.jpg"]
    assert places("a", "b") == ["a/deep/x.jpg", "a/x.jpg", "a/y.PNG", "b/x.jpg", "b/z[1].jpg"]
    assert places("a", "../" + folder.name + "/b/x.jpg")[-1] == "b/x.jpg"


def test_a_photo_that_is_named_twice_is_one(folder):
    assert places("a/x.jpg", "a/x.jpg", "./a/x.jpg", str(folder / "a/x.jpg")) == ["x.jpg"]
    assert places("a", "a/x.jpg") == ["deep/x.jpg", "x.jpg", "y.PNG"]


def test_names_that_differ_in_capital_letters_only(folder):
    (folder / "a/X.jpg").touch()
    if len(os.listdir(folder / "a")) < 6:
        pytest.skip("they are one file here")
    with pytest.raises(UserError, match="capital letters"):
        find_photos(["a"], None)


def test_results_are_not_taken_for_photos(folder):
    assert places("a", output=folder / "a/deep") == ["x.jpg", "y.PNG"]
    assert places("a/**/*", output=folder / "a/deep") == ["x.jpg", "y.PNG"]
    assert places("a/x.jpg", output=folder / "a") == ["x.jpg"]
    with pytest.raises(UserError, match="among the photos"):
        find_photos(["a"], folder / "b/../a")


@pytest.mark.parametrize("wrong", ["nowhere.jpg", "empty", "a/*.tif", "nowhere/*"])
def test_what_is_not_there(folder, wrong):
    with pytest.raises(UserError, match="--input") as caught:
        find_photos(["a", wrong], None)
    assert str(caught.value).startswith(wrong)
