"""Reading of regular files within a limit, and writing that leaves nothing half-written behind."""

from __future__ import annotations

import errno
import io
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from dataset_tools.errors import EXIT_DATA, UserError
from dataset_tools.text import UTF8_BOM

try:
    import fcntl
except ImportError:  # Windows, where nothing shows whether a temporary file is still needed
    fcntl = None  # type: ignore[assignment]

# Bytes of the largest file that is read. LVIS' annotations have 1.2 GB, a photo of the most pixels has 0.7 GB as a BMP.
MAX_BYTES = 2_000_000_000
# How the names of temporary files end: no other file can be taken for one.
TEMPORARY = ".polymask"


def opened_for_reading(path: Path | str) -> io.BufferedReader:
    """A file opened for reading bytes.

    Raises:
        OSError: as ``read_file``.
    """
    _checked_size(path, MAX_BYTES)
    return open(path, "rb")


def read_file(path: Path | str, most: int = MAX_BYTES) -> bytes:
    """All bytes of a file.

    Raises:
        OSError: there is no such file, or it is not a regular file; with errno EFBIG: it has more bytes than ``most``.
    """
    size = _checked_size(path, most)
    with open(path, "rb") as file:
        return file.read(size)  # and no more: some files of /proc have no end


def read_text(path: Path, encoding: str, remedy: str, most: int = MAX_BYTES) -> str:
    """The text of a file that a user has named.

    Args:
        path: of the file.
        encoding: of its text, unless a mark at its beginning says that it is UTF-8.
        remedy: where it cannot be read.
        most: bytes that are read.

    Raises:
        UserError: as ``read_file``, or it is not text in the encoding.
    """
    try:
        content = read_file(path, most)
    except OSError as error:
        raise UserError(f"the file cannot be read: {error.strerror}", file=path, remedy=remedy) from error
    if content.startswith(UTF8_BOM):
        content, encoding = content.removeprefix(UTF8_BOM), "utf-8"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        reason = f"this is not {encoding} text: {error.reason} at byte {error.start}"
        remedy = "Pass --encoding, for example --encoding gbk, or save the file as UTF-8"
        raise UserError(reason, file=path, remedy=remedy, exit_code=EXIT_DATA) from error


def _checked_size(path: Path | str, most: int) -> int:
    """The size of a file. Whoever opens another thing than a regular file may wait for ever, or steer a device."""
    try:
        status = os.stat(path)
    except ValueError as error:  # a null character, or half of a surrogate pair
        raise OSError(errno.EINVAL, "no file can have this name", str(path)) from error
    if not stat.S_ISREG(status.st_mode):
        number = errno.EISDIR if stat.S_ISDIR(status.st_mode) else errno.EINVAL
        raise OSError(number, "it is not a regular file", str(path))
    if status.st_size > most:
        raise OSError(errno.EFBIG, f"it has {status.st_size:,} bytes; at most {most:,} are read", str(path))
    return status.st_size


def write_atomically(path: Path, content: bytes | memoryview, to_disk: bool = False) -> None:
    """Writes a file in one step.

    Whoever reads ``path`` finds the old content or the new, also when this is interrupted; with ``to_disk`` also after
    a loss of power, for which it waits until the disk has the content. The mode of the old file is kept.
    """
    with replaced_file(path, to_disk) as file:
        file.write(content)


@contextmanager
def replaced_file(path: Path, to_disk: bool = False) -> Iterator[io.BufferedWriter]:
    """A file to write to that takes the place of ``path`` in one step at the end, as ``write_atomically`` says."""
    with temporary_file(path.parent) as file:
        yield file
        file.flush()
        if to_disk:
            os.fsync(file.fileno())
        file.close()  # Windows moves no open files
        os.chmod(file.name, _mode(path))
        os.replace(file.name, path)
    if to_disk:
        to_the_disk(path.parent)


def to_the_disk(path: Path) -> None:
    """Waits until the disk has what was written into a file, or what was named in a folder, where systems can that."""
    is_folder = path.is_dir()
    if is_folder and not hasattr(os, "O_DIRECTORY"):
        return  # Windows opens no folders
    handle = os.open(path, os.O_RDONLY if is_folder else os.O_RDWR)
    try:
        os.fsync(handle)
    except OSError as error:
        if not (is_folder and error.errno in (errno.EINVAL, errno.ENOTSUP)):  # some network file systems
            raise
    finally:
        os.close(handle)


@contextmanager
def temporary_file(folder: Path) -> Iterator[io.BufferedWriter]:
    """A new, hidden, private file in a folder to write to, which is removed in the end, unless it has been moved.

    Where its process is killed, the next one that makes such a file in the folder removes it.
    """
    _remove_leftovers(folder)
    handle, path = tempfile.mkstemp(dir=folder, prefix=".", suffix=TEMPORARY)
    try:
        with open(path, "wb", opener=lambda *_: handle) as file:
            lock(handle)
            yield file
    finally:
        if os.path.lexists(path):
            os.unlink(path)


@cache
def _remove_leftovers(folder: Path) -> None:
    """Removes the temporary files of processes that are gone; once for each folder, which may have many files."""
    if fcntl is None:
        return
    for path in folder.glob(f".*{TEMPORARY}"):
        with suppress(OSError):  # such as: another process has removed it
            handle = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
            try:
                if lock(handle):
                    os.unlink(path)
            finally:
                os.close(handle)


def lock(handle: int) -> bool:
    """Locks an open file until this process and those that it has forked are gone, or close it; False if it cannot."""
    try:
        if fcntl:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return fcntl is not None
    except OSError:  # another process has locked it, or it is on a file system without locks
        return False


def is_locked(handle: int) -> bool:
    """Whether another process has locked an open file, as far as the system tells; if not, this one has it now."""
    try:
        if fcntl:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks
        pass
    return False


def _mode(path: Path) -> int:
    """The mode of a file, or the one that a new file gets; a link, which may lead anywhere, has none to keep."""
    if path.is_file() and not path.is_symlink():
        return stat.S_IMODE(path.stat().st_mode)
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
