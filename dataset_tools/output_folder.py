"""The folder that a command makes: it appears as a whole, and replaces only what the same command has written."""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

import msgspec
from tqdm import tqdm

from dataset_tools.errors import UserError
from dataset_tools.files import is_locked, read_file, to_the_disk

try:
    import fcntl
except ImportError:  # Windows, where nothing keeps two commands from writing one folder
    fcntl = None  # type: ignore[assignment]

# Lists what a command has written into a folder. It is hidden, so that nobody takes it for a part of a dataset.
MANIFEST_NAME = ".manifest"

# Bytes of the largest manifest that is read: that of a million files has 150 MB.
_MAX_BYTES = 512_000_000

# Of Linux: stands for the current folder, and the flag that makes renameat2 swap two paths.
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2

_OTHER = "Choose another --output"


class _Manifest(msgspec.Struct, frozen=True):
    """What a command has written into a folder.

    Attributes:
        kind: such as ``previews``: what was made by one command is not replaced by another.
        paths: the ``_fingerprint`` of all files and folders in it, by their paths relative to it with POSIX slashes.
    """

    kind: str
    paths: dict[str, str]


@contextmanager
def replaced_folder(folder: Path, kind: str | None, overwrite: bool = True) -> Iterator[Path]:
    """A new empty folder to fill, which takes the place of ``folder`` when the block ends well.

    It is built beside its place, on the same disk, so that moving it there is one step, and takes over the modes of what
    it replaces. If the block raises, or is interrupted, the new folder is removed and an old one stays as it was. So
    does one that somebody has changed during the block, which is why a command does all its work in it. One process at
    a time writes a folder. What one leaves that is killed is hidden beside the folder, and the next one removes it.

    Args:
        folder: it does not exist, or is empty; or, with ``overwrite``, holds nothing but what an earlier block has
            written for the same ``kind``, unchanged.
        kind: what the folder will hold, such as ``previews``; None for files that people correct, which are
            never replaced.
        overwrite: whether an old folder may be replaced that is not empty.

    Raises:
        UserError: there is something else in the place of the folder, or in it, at the start or at the end;
            or another process is writing it.
    """
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise UserError("this exists already and is not a folder, so it is kept", file=folder, remedy=_OTHER)
    folder = folder.resolve()
    missing = [parent for parent in folder.parents if not parent.exists()]
    work = folder.parent / f".{folder.name}.part"
    new, old = work / "new", work / "old"
    try:
        work.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(work, folder):
            _tidy(folder, new, old)  # what a process has left that was killed
            before = _checked_state(folder, kind, overwrite)
            new.mkdir()
            try:
                yield new
                if kind is not None:
                    _write_manifest(new, kind)
                _swap(folder, before, new, old)
            finally:
                _tidy(folder, new, old)
    finally:
        for parent in (work, *missing):
            with suppress(OSError):  # it is not empty
                parent.rmdir()


@contextmanager
def _locked(work: Path, folder: Path) -> Iterator[None]:
    """Keeps other processes out of the folder where ``folder`` is built, until the block or this process ends."""
    if work.is_symlink():
        raise UserError("this is a link, where a folder would be built", file=work, remedy="Remove it")
    if fcntl is None:
        yield
        return
    lock = work / "lock"
    handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        if not _takes_lock(handle, lock):
            remedy = "Wait until it has ended, or choose another --output"
            raise UserError("another process is writing this folder", file=folder, remedy=remedy)
        try:
            yield
        finally:
            os.unlink(lock)
    finally:
        os.close(handle)


def _takes_lock(handle: int, lock: Path) -> bool:
    """Locks an open file; False if another process has, or had and has removed it since it was opened."""
    try:
        return not is_locked(handle) and os.path.samestat(os.fstat(handle), os.stat(lock))
    except FileNotFoundError:
        return False


def _swap(folder: Path, before: dict[str, tuple[int, ...]], new: Path, old: Path) -> None:
    """Puts a new folder into its place, with the modes of what it replaces. An old one is at ``new`` or ``old`` then.

    A loss of power at any moment leaves the old one or the new one whole.

    Raises:
        UserError: the ``_state`` of the folder is not what it was before.
    """
    if before:
        for path in _shown([new, *_inside(new)], "Waiting for the disk"):
            to_the_disk(path)
        for name in before:  # not earlier: a file that nobody may write cannot be waited for
            if (folder / name).exists() and (new / name).exists():
                shutil.copymode(folder / name, new / name)
    if _state(folder) != before:
        raise UserError("somebody has changed this meanwhile, so it is kept", file=folder, remedy=_OTHER)
    if not before:
        if os.name == "nt" and folder.is_dir():
            folder.rmdir()  # Windows renames no folder onto another, not even onto an empty one
        os.rename(new, folder)  # fails if something has come there at the last moment
        return
    if not _exchange(new, folder):
        os.rename(folder, old)
        os.rename(new, folder)
    to_the_disk(folder.parent)


def _exchange(one: Path, other: Path) -> bool:
    """Swaps two folders in one step; False where the system, or the file system, cannot."""
    if sys.platform != "linux" or not hasattr(libc := ctypes.CDLL(None), "renameat2"):
        return False
    return libc.renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0


def _tidy(folder: Path, new: Path, old: Path) -> None:
    """Removes what is beside a folder, and puts an old one back that was on its way out."""
    if old.exists() and not os.path.lexists(folder):
        os.rename(old, folder)
    for path in (new, old):
        shutil.rmtree(path, ignore_errors=True)


def _checked_state(folder: Path, kind: str | None, overwrite: bool) -> dict[str, tuple[int, ...]]:
    """The ``_state`` of a folder that ``replaced_folder`` may replace; any other is refused."""

    def refuse(reason: str, file: Path = folder, remedy: str = _OTHER) -> NoReturn:
        raise UserError(f"{reason}, so it is kept", file=file, remedy=remedy)

    if not folder.exists() or not any(folder.iterdir()):
        return _state(folder)
    if kind is None:
        refuse("this exists already, and files in it may have been corrected by hand")
    if not overwrite:
        refuse("this exists already", remedy=f"{_OTHER}, or pass --overwrite to replace what this command has written")
    manifest = _read_manifest(folder)
    if manifest is None or manifest.kind != kind:
        reason = f"this exists already, and it has no {MANIFEST_NAME} that lists {kind}"
        refuse(reason, remedy=f"{_OTHER}, or delete this folder if nobody needs it")
    state = _state(folder)  # before the files are read: a change during that shows in the end
    paths = _shown(_inside(folder), "Comparing what is there")
    foreign = [path for path in paths if not _is_listed(path, folder, manifest)]
    if foreign:
        reason = f"this is not in the {MANIFEST_NAME} of what would be replaced, or has changed since"
        refuse(reason, foreign[0], f"Move it elsewhere, or choose another --output ({len(foreign)} such files)")
    return state


def _state(folder: Path) -> dict[str, tuple[int, ...]]:
    """What shows whether anything in a folder has changed, without reading it; nothing if there is no folder."""
    if not os.path.lexists(folder):
        return {}
    state = {}
    for path in (folder, *(_inside(folder) if folder.is_dir() else ())):
        facts = path.lstat()
        content = () if stat.S_ISDIR(facts.st_mode) else (facts.st_size, facts.st_mtime_ns)
        state[path.relative_to(folder).as_posix()] = (facts.st_ino, *content)
    return state


def _inside(folder: Path) -> Iterator[Path]:
    """All files, folders and links in a folder; links are not followed."""
    for root, folders, files in os.walk(folder, onerror=_raise):
        yield from (Path(root, name) for name in (*folders, *files))


def _raise(error: OSError) -> NoReturn:
    """A folder that cannot be listed is not empty."""
    raise error


def _shown(paths: Iterable[Path], description: str) -> Iterator[Path]:
    """The paths in ascending order, with a progress bar where they take longer than a second."""
    yield from tqdm(sorted(paths), desc=description, unit="file", delay=1, disable=None)


def _is_listed(path: Path, folder: Path, manifest: _Manifest) -> bool:
    """Whether something in a folder is the manifest, or is as the manifest says."""
    name = path.relative_to(folder).as_posix()
    return name == MANIFEST_NAME or name in manifest.paths and manifest.paths[name] == _fingerprint(path)


def _fingerprint(path: Path) -> str:
    """The SHA-256 of a file; of anything else, what it is."""
    if path.is_symlink():
        return "link"
    if path.is_dir():
        return "folder"
    if not path.is_file():  # such as a pipe, of which reading would not end
        return "other"
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_manifest(folder: Path, kind: str) -> None:
    paths = _shown(_inside(folder), "Listing what was written")
    manifest = _Manifest(kind, {path.relative_to(folder).as_posix(): _fingerprint(path) for path in paths})
    (folder / MANIFEST_NAME).write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")


def _read_manifest(folder: Path) -> _Manifest | None:
    """The manifest of a folder; None if there is none, or it cannot be read."""
    path = folder / MANIFEST_NAME
    try:
        return None if path.is_symlink() else msgspec.json.decode(read_file(path, _MAX_BYTES), type=_Manifest)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
