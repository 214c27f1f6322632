"""What is listed of a folder, and what is passed over."""

import pytest

from dataset_tools.errors import UserError
from dataset_tools.images.folders import check_folder, list_folder


def test_lists_json_files_and_photos_but_nothing_hidden_and_no_datasets(folder, square):
    folder.pair("sub/a", [square("car")])
    folder.pair("b", [square("car")])
    folder.photo(".thumbnails/b.jpg")
    (folder.root / "notes.txt").write_text("nothing")
    inside = folder.convert(output=folder.root / "inside", images="copy").card
    listing = list_folder(folder.root)
    assert inside.name == "inside" and listing.datasets == ["inside"]
    assert listing.files == ["b.json", "sub/a.json"]
    assert listing.photos == {"b.jpg", "sub/a.jpg"}
    assert list_folder(folder.root, exclude=folder.root / "sub").files == ["b.json"]


def test_a_link_back_is_followed_once(folder, square):
    folder.pair("sub/a", [square("car")])
    (folder.root / "sub" / "back").symlink_to(folder.root)
    assert list_folder(folder.root).files == ["sub/a.json"]


def test_what_is_no_folder_is_refused(tmp_path):
    check_folder(tmp_path)
    with pytest.raises(UserError, match="no such folder"):
        check_folder(tmp_path / "none")
