"""A folder appears whole or not at all, and replaces nothing but what a block like it has written."""

import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from dataset_tools import output_folder
from dataset_tools.errors import UserError
from dataset_tools.output_folder import MANIFEST_NAME, replaced_folder

PROJECT = Path(__file__).resolve().parents[2]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def contents(folder):
    """All that is in a folder: the bytes of files, the targets of links, and None for folders."""
    paths = sorted(folder.rglob("*"))
    return {
        path.relative_to(folder).as_posix(): os.readlink(path)
        if path.is_symlink()
        else path.read_bytes()
        if path.is_file()
        else None
        for path in paths
    }


def write(folder, text="1", kind="notes", **options):
    with replaced_folder(folder, kind, **options) as part:
        (part / "sub").mkdir()
        (part / "sub" / "file").write_text(text)


def refusal(folder, **options):
    """Why the folder is not replaced; nothing has changed then."""
    before = contents(folder.parent)
    with pytest.raises(UserError) as caught:
        write(folder, text="2", **options)
    assert contents(folder.parent) == before
    assert caught.value.exit_code == 2
    return caught.value


@pytest.fixture
def data(tmp_path):
    """A folder that a block has written."""
    write(tmp_path / "data")
    return tmp_path / "data"


def test_new_folder(tmp_path):
    with replaced_folder(tmp_path / "a" / "new", "notes") as part:
        (part / "file").write_text("1")
        assert not (tmp_path / "a" / "new").exists()
    assert names(tmp_path / "a") == ["new"]
    assert (tmp_path / "a" / "new" / "file").read_text() == "1"


def test_old_content_goes_as_a_whole(data):
    with replaced_folder(data, "notes") as part:
        (part / "after").write_text("2")
    assert names(data.parent) == ["data"]
    assert names(data) == [MANIFEST_NAME, "after"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("existing", [False, True])
def test_whatever_ends_the_block_leaves_everything_as_it_was(tmp_path, error, existing):
    folder = tmp_path / "parent" / "data"
    if existing:
        write(folder)
    before = contents(tmp_path)
    with pytest.raises(error), replaced_folder(folder, "notes") as part:
        (part / "half").write_text("1")
        raise error
    assert contents(tmp_path) == before


def test_a_new_folder_that_is_gone_at_the_end_keeps_the_old_one(data):
    before = contents(data)
    with pytest.raises(FileNotFoundError), replaced_folder(data, "notes") as part:
        part.rmdir()
    assert names(data.parent) == ["data"] and contents(data) == before


def test_it_has_the_permissions_of_any_new_folder(tmp_path):
    (tmp_path / "ordinary").mkdir()
    with replaced_folder(tmp_path / "new", "notes"):
        pass
    assert os.stat(tmp_path / "new").st_mode == os.stat(tmp_path / "ordinary").st_mode


def test_what_is_replaced_keeps_its_mode(data):
    modes = {".": 0o750, "sub": 0o700, "sub/file": 0o600, MANIFEST_NAME: 0o440}
    for name, mode in modes.items():
        (data / name).chmod(mode)
    with replaced_folder(data, "notes") as part:
        (part / "sub").mkdir()
        (part / "sub" / "file").write_text("2")
        (part / "new").touch()
        ordinary = (part / "new").stat().st_mode
    assert {name: stat.S_IMODE((data / name).stat().st_mode) for name in modes} == modes
    assert (data / "new").stat().st_mode == ordinary and (data / "sub" / "file").read_text() == "2"


# What is never replaced


def change(path):
    path.write_text("corrected")


def same_size(path):
    path.write_text("7")


def link(path):
    path.rename(path.parent.parent.parent / "elsewhere")
    path.symlink_to(path.parent.parent.parent / "elsewhere")


def pipe(path):
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize("damage", [change, same_size, link, pipe])
def test_what_has_changed_is_kept(data, damage):
    damage(data / "sub" / "file")
    assert refusal(data).file == data / "sub" / "file"


@pytest.mark.parametrize("name", ["thesis.docx", ".notes.txt", ".DS_Store", "sub/file2", "sub/.hidden"])
def test_what_is_not_listed_is_kept(data, name):
    (data / name).write_text("precious")
    assert refusal(data).file == data / name


def test_a_folder_and_a_link_that_are_not_listed_are_kept(data):
    (data / "link").symlink_to(data)
    assert refusal(data).file == data / "link"
    (data / "link").unlink()
    (data / "empty").mkdir()
    assert refusal(data).file == data / "empty"


def test_what_somebody_has_removed_is_not_missed(data):
    (data / "sub" / "file").unlink()
    write(data, text="2")
    assert (data / "sub" / "file").read_text() == "2"


@pytest.mark.parametrize("manifest", [None, b"", b"{}", b"\xff", b"[" * 100_000, "link"])
def test_a_folder_without_a_manifest_is_kept(data, manifest):
    path = data / MANIFEST_NAME
    content = path.read_bytes()
    path.unlink()
    if manifest == "link":
        (data.parent / "other").write_bytes(content)
        path.symlink_to(data.parent / "other")
    elif manifest is not None:
        path.write_bytes(manifest)
    error = refusal(data)
    assert error.file == data and MANIFEST_NAME in error.reason and "delete" in error.remedy


def test_a_manifest_that_is_too_large_is_not_read(data):
    os.truncate(data / MANIFEST_NAME, 1 << 40)  # of which the disk holds nothing
    with pytest.raises(UserError, match="no .manifest"):
        write(data, text="2")
    assert (data / "sub" / "file").read_text() == "1"


def test_a_manifest_leads_out_of_no_folder(data):
    """It says what may go of what is in the folder; nothing is looked for by its paths."""
    (data.parent / "outside").write_text("1")
    path = data / MANIFEST_NAME
    manifest = json.loads(path.read_bytes())
    manifest["paths"]["../outside"] = manifest["paths"]["sub/file"]
    path.write_text(json.dumps(manifest))
    write(data, text="2")
    assert (data.parent / "outside").read_text() == "1"


def test_what_another_command_has_written_is_kept(data):
    assert "pictures" in refusal(data, kind="pictures").reason


def test_what_may_not_be_overwritten_is_kept(data):
    assert "--overwrite" in refusal(data, overwrite=False).remedy


def test_what_people_correct_is_kept(tmp_path):
    """Also if nobody has corrected it yet; and it needs no manifest."""
    folder = tmp_path / "labels"
    folder.mkdir()
    write(folder, kind=None)
    assert names(folder) == ["sub"]
    assert "corrected" in refusal(folder, kind=None).reason


@pytest.mark.parametrize("kind", ["notes", None])
def test_links_and_files_are_kept(tmp_path, kind):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    (tmp_path / "broken").symlink_to(tmp_path / "nowhere")
    for name in ("file", "link", "broken"):
        assert refusal(tmp_path / name, kind=kind).file == tmp_path / name


def test_an_empty_folder_is_filled(tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    write(tmp_path / "empty", overwrite=False)
    assert (tmp_path / "empty" / "sub" / "file").is_file()


# What somebody saves while a command works


def save(folder):
    folder.mkdir(exist_ok=True)
    (folder / "saved").write_text("work of minutes")


def save_over(folder):
    (folder / "sub" / "file").write_text("7")  # as long as it was


def replace_by_a_link(folder):
    folder.rename(folder.with_name("moved"))
    folder.symlink_to(folder.with_name("moved"))


def replace_by_a_file(folder):
    folder.rename(folder.with_name("moved"))
    folder.write_text("mine")


def remove(folder):
    (folder / "sub" / "file").unlink()


@pytest.mark.parametrize("act", [save, save_over, replace_by_a_link, replace_by_a_file, remove])
def test_what_has_changed_meanwhile_is_kept(data, act):
    with pytest.raises(UserError, match="meanwhile") as caught, replaced_folder(data, "notes"):
        act(data)
        before = contents(data.parent)
        assert [name for name in before if name.startswith(".")]  # the new folder
    assert caught.value.file == data and caught.value.exit_code == 2
    assert contents(data.parent) == {name: value for name, value in before.items() if not name.startswith(".")}


@pytest.mark.parametrize("kind", ["notes", None])
@pytest.mark.parametrize("is_there", [False, True])
def test_what_comes_to_a_new_or_empty_folder_is_kept(tmp_path, kind, is_there):
    if is_there:
        (tmp_path / "data").mkdir()
    with pytest.raises(UserError, match="meanwhile"), replaced_folder(tmp_path / "data", kind):
        save(tmp_path / "data")
    assert contents(tmp_path) == {"data": None, "data/saved": b"work of minutes"}


def test_what_is_only_read_meanwhile_is_replaced(data):
    with replaced_folder(data, "notes") as part:
        (data / "sub" / "file").read_text()
        (data / "temporary").write_text("of an editor")
        (data / "temporary").unlink()
        (part / "after").write_text("2")
    assert names(data) == [MANIFEST_NAME, "after"]


# The swap


@pytest.mark.skipif(sys.platform != "linux", reason="other systems need two renames")
def test_whoever_looks_finds_the_old_folder_or_the_new_one(data, monkeypatch):
    monkeypatch.setattr(os, "rename", None)  # between two renames there would be no folder
    write(data, text="2")
    assert (data / "sub" / "file").read_text() == "2"


def test_a_system_that_cannot_swap_renames_twice(data, monkeypatch):
    monkeypatch.setattr(output_folder, "_exchange", lambda one, other: False)
    write(data, text="2")
    assert (data / "sub" / "file").read_text() == "2" and names(data.parent) == ["data"]


def test_an_old_folder_comes_back_where_the_second_rename_fails(data, monkeypatch):
    def fail_with_the_new_one(source, target):
        if source.name == "new":
            raise OSError("no")
        rename(source, target)

    rename = os.rename
    monkeypatch.setattr(output_folder, "_exchange", lambda one, other: False)
    monkeypatch.setattr(os, "rename", fail_with_the_new_one)
    before = contents(data.parent)
    with pytest.raises(OSError):
        write(data, text="2")
    assert contents(data.parent) == before


def test_the_new_folder_is_on_the_disk_before_the_old_one_goes(data, monkeypatch):
    def fsync(handle):
        assert "1" in [path.read_text() for path in data.parent.rglob("file")]
        on_disk.add(os.fstat(handle).st_ino)
        to_disk(handle)

    on_disk, to_disk = set(), os.fsync
    monkeypatch.setattr(os, "fsync", fsync)
    write(data, text="2")
    assert on_disk >= {path.stat().st_ino for path in (data.parent, data, *data.rglob("*"))}


# Two processes, and one that is killed


def test_one_process_at_a_time_writes_a_folder(data):
    with replaced_folder(data, "notes") as part:
        (part / "after").write_text("2")
        with pytest.raises(UserError, match="another process"):
            write(data)
        write(data.with_name("other"))
    assert names(data.parent) == ["data", "other"] and names(data) == [MANIFEST_NAME, "after"]


KILL = "os.kill(os.getpid(), signal.SIGKILL)"
MOMENTS = {
    "while it writes": f"(part / 'half').write_text('2'); {KILL}",
    "between two renames": "output_folder._exchange = lambda *paths: False; "
    f"os.rename = lambda source, target: [rename(source, target), {KILL}]",
    "before the old one is gone": f"output_folder._tidy = lambda *paths: {KILL}",
}


def kill(folder, moment):
    """Starts a process that replaces a folder and is killed on the way."""
    lines = [
        "import os, pathlib, signal, sys",
        "from dataset_tools import output_folder",
        "rename = os.rename",
        "with output_folder.replaced_folder(pathlib.Path(sys.argv[1]), 'notes') as part:",
        f"    {MOMENTS[moment]}",
    ]
    done = subprocess.run([sys.executable, "-c", "\n".join(lines), folder], cwd=PROJECT)
    assert done.returncode == -signal.SIGKILL


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("is_there", [False, True])
def test_what_a_killed_process_leaves_is_removed_by_the_next(tmp_path, moment, is_there):
    if is_there:
        write(tmp_path / "data")
    kill(tmp_path / "data", moment)
    assert ".data.part" in names(tmp_path)
    write(tmp_path / "data", text="2")
    assert names(tmp_path) == ["data"] and (tmp_path / "data" / "sub" / "file").read_text() == "2"


def test_an_old_folder_that_a_killed_process_has_moved_away_comes_back(data):
    before = contents(data)
    data.with_name(".data.part").mkdir()
    data.rename(data.with_name(".data.part") / "old")
    with pytest.raises(KeyboardInterrupt), replaced_folder(data, "notes"):
        raise KeyboardInterrupt
    assert contents(data) == before and names(data.parent) == ["data"]


def test_a_link_is_not_taken_for_what_a_killed_process_has_left(data):
    stranger = data.with_name("stranger")
    (stranger / "new").mkdir(parents=True)
    (stranger / "new" / "thesis.docx").write_text("precious")
    data.with_name(".data.part").symlink_to(stranger)
    assert refusal(data).file == data.with_name(".data.part")
