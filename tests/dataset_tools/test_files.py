"""A file or folder appears whole or not at all."""

import os

import pytest

from dataset_tools.files import replaced_folder, write_atomically


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_new_folder(tmp_path):
    with replaced_folder(tmp_path / "a" / "new") as part:
        (part / "file").write_text("1")
        assert not (tmp_path / "a" / "new").exists()
    assert names(tmp_path / "a") == ["new"]
    assert (tmp_path / "a" / "new" / "file").read_text() == "1"


def test_old_content_goes_as_a_whole(tmp_path):
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "before").write_text("0")
    with replaced_folder(tmp_path / "old") as part:
        (part / "after").write_text("1")
    assert names(tmp_path) == ["old"]
    assert names(tmp_path / "old") == ["after"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("existing", [False, True])
def test_whatever_ends_the_block_leaves_everything_as_it_was(tmp_path, error, existing):
    folder = tmp_path / "data"
    if existing:
        folder.mkdir()
        (folder / "before").write_text("0")
    with pytest.raises(error), replaced_folder(folder) as part:
        (part / "half").write_text("1")
        raise error
    assert names(tmp_path) == (["data"] if existing else [])
    assert not existing or names(folder) == ["before"]


def test_a_new_folder_that_is_gone_at_the_end_brings_the_old_one_back(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "before").write_text("0")
    with pytest.raises(FileNotFoundError), replaced_folder(tmp_path / "data") as part:
        part.rmdir()
    assert names(tmp_path) == ["data"]
    assert names(tmp_path / "data") == ["before"]


def test_it_has_the_permissions_of_any_new_folder(tmp_path):
    (tmp_path / "ordinary").mkdir()
    with replaced_folder(tmp_path / "new"):
        pass
    assert os.stat(tmp_path / "new").st_mode == os.stat(tmp_path / "ordinary").st_mode


@pytest.mark.parametrize("before", [None, b"old"])
def test_file_in_one_step(tmp_path, before):
    path, ordinary = tmp_path / "file", tmp_path / "ordinary"
    ordinary.write_bytes(b"")
    if before is not None:
        path.write_bytes(before)
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["file", "ordinary"]
    assert os.stat(path).st_mode == os.stat(ordinary).st_mode


def test_file_that_cannot_take_its_place(tmp_path):
    (tmp_path / "file").mkdir()
    with pytest.raises(OSError):
        write_atomically(tmp_path / "file", b"new")
    assert names(tmp_path) == ["file"]
