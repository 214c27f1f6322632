"""Only regular files are read; a file appears whole or not at all."""

import errno
import os
import stat
import subprocess
import sys

import pytest

from dataset_tools.files import TEMPORARY, opened_for_reading, read_file, temporary_file, write_atomically

# Writes until its standard input ends.
WRITE = """
import pathlib, sys
from dataset_tools.files import temporary_file
with temporary_file(pathlib.Path(sys.argv[1])):
    print(flush=True)
    sys.stdin.read()
"""


def names(folder):
    return sorted(path.name for path in folder.iterdir())


READERS = [read_file, opened_for_reading]


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("kind", ["pipe", "link to an endless device", "folder"])
def test_only_regular_files_are_read(tmp_path, read, kind):
    path = tmp_path / "file"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero")
    with pytest.raises(OSError, match="regular file"):
        read(path)


@pytest.mark.parametrize("read", READERS)
def test_huge_files_are_not_read(tmp_path, read):
    with open(tmp_path / "file", "wb") as file:
        file.truncate(40 << 30)
    with pytest.raises(OSError, match="42,949") as caught:
        read(tmp_path / "file")
    assert caught.value.errno == errno.EFBIG


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("name", ["a\0b", "a\ud800"])
def test_names_that_no_file_can_have(tmp_path, read, name):
    with pytest.raises(OSError, match="name"):
        read(tmp_path / name)


def test_a_file_is_read_up_to_the_limit(tmp_path):
    (tmp_path / "file").write_bytes(b"12345")
    (tmp_path / "link").symlink_to("file")
    assert read_file(tmp_path / "file", most=5) == read_file(tmp_path / "link", most=5) == b"12345"
    with pytest.raises(OSError, match="at most 4"):
        read_file(tmp_path / "file", most=4)


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


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444])
def test_a_file_that_is_replaced_keeps_its_mode(tmp_path, mode):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(mode)
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new" and stat.S_IMODE(path.stat().st_mode) == mode


def test_file_that_cannot_take_its_place(tmp_path):
    (tmp_path / "file").mkdir()
    with pytest.raises(OSError):
        write_atomically(tmp_path / "file", b"new")
    assert names(tmp_path) == ["file"]


def test_a_link_is_replaced_and_not_followed(tmp_path):
    path, target, ordinary = tmp_path / "file", tmp_path / "target", tmp_path / "ordinary"
    for file in (target, ordinary):
        file.write_bytes(b"theirs")
    target.chmod(0o4700)
    path.symlink_to(target)
    write_atomically(path, b"new")
    assert (path.read_bytes(), target.read_bytes()) == (b"new", b"theirs") and not path.is_symlink()
    assert os.stat(path).st_mode == os.stat(ordinary).st_mode, "the mode is not the target's either"


def test_a_temporary_file_is_private_and_goes_in_the_end(tmp_path):
    with pytest.raises(KeyboardInterrupt), temporary_file(tmp_path) as file:
        assert names(tmp_path) == [os.path.basename(file.name)] and file.name.endswith(TEMPORARY)
        assert stat.S_IMODE(os.stat(file.name).st_mode) == 0o600
        raise KeyboardInterrupt
    assert names(tmp_path) == []


@pytest.mark.parametrize("is_killed", [True, False])
def test_what_a_killed_process_has_left_is_removed_and_what_others_write_is_not(tmp_path, is_killed):
    ours = tmp_path / ".notes.polymask.txt"
    ours.write_text("precious")
    with subprocess.Popen(
        [sys.executable, "-c", WRITE, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as writer:
        writer.stdout.readline()
        [left] = tmp_path.glob(f".*{TEMPORARY}")
        if is_killed:
            writer.kill()
            writer.wait()
        write_atomically(tmp_path / "other", b"new")
        assert left.exists() != is_killed
        assert {ours.name, "other"} <= set(names(tmp_path))
        writer.kill()


def test_a_full_disk_leaves_nothing(tmp_path):
    with pytest.raises(OSError, match="No space"), open("/dev/full", "wb") as full:
        with temporary_file(tmp_path) as file:
            os.dup2(full.fileno(), file.fileno())  # what was written so far is refused when the file is closed
            file.write(b"new")
    assert names(tmp_path) == []
