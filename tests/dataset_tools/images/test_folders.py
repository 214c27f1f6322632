"""What is listed of a folder, and what is passed over."""

import json

import pytest

from dataset_tools.errors import UserError
from dataset_tools.images.folders import annotated_in, check_folder, copy_photo, leads_out, list_folder


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


def test_a_copied_photo_that_is_elsewhere_is_named(tmp_path, caplog):
    root, target = tmp_path / "photos", tmp_path / "copy.jpg"
    root.mkdir()
    (tmp_path / "private").mkdir()
    (tmp_path / "private/a.jpg").write_bytes(b"a")
    (root / "a.jpg").write_bytes(b"own")
    (root / "inside.jpg").symlink_to(root / "a.jpg")
    (root / "out").symlink_to(tmp_path / "private")
    for path, content in (("a.jpg", b"own"), ("inside.jpg", b"own"), ("out/a.jpg", b"a")):
        assert leads_out(root, path) == (str(tmp_path / "private/a.jpg") if content == b"a" else None)
        copy_photo(root, path, target)
        assert target.read_bytes() == content
    (record,) = caplog.records
    assert "out/a.jpg" in record.message and str(tmp_path / "private/a.jpg") in record.message


def test_what_is_no_folder_is_refused(tmp_path):
    check_folder(tmp_path)
    with pytest.raises(UserError, match="no such folder"):
        check_folder(tmp_path / "none")


def test_photos_with_a_file_beside_them_are_annotated(tmp_path):
    for name in ("a.png", "b.png", "deep/c.jpg", "deep/d.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "deep/c.jpg.json").write_text("{")
    (tmp_path / "a.json").write_text("{")
    assert annotated_in(tmp_path) == {str(tmp_path / "a.png"), str(tmp_path / "deep/c.jpg")}, "damaged files, too"
    with pytest.raises(UserError, match="folder"):
        annotated_in(tmp_path / "none")


def test_a_file_in_another_folder_leads_to_its_photo(tmp_path):
    (tmp_path / "files").mkdir()
    content = {"shapes": [], "imagePath": "..\\photos\\a.png", "imageData": None, "imageHeight": 8, "imageWidth": 8}
    (tmp_path / "files/x.json").write_text(json.dumps(content))
    assert annotated_in(tmp_path / "files") == {str(tmp_path / "photos/a.png")}
