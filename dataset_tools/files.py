"""Reading of regular files within a limit, and writing that leaves nothing half-written behind."""

from __future__ import annotations

import errno
import io
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

# Bytes of the largest file that is read. LVIS' annotations have 1.2 GB, a photo of the most pixels has 0.7 GB as a BMP.
MAX_BYTES = 2_000_000_000


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
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            if to_disk:
                file.flush()
                os.fsync(file.fileno())
        os.chmod(temporary, _mode(path))  # mkstemp's files are private
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
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


def leftovers(path_pattern: Path) -> Iterator[Path]:
    """What ``write_atomically`` has left where it was killed, of files with names of a pattern, such as ``*.pth``."""
    return path_pattern.parent.glob(f".{path_pattern.name}.*")


def _mode(path: Path) -> int:
    """The mode of a file, or the one that a new file gets; a link, which may lead anywhere, has none to keep."""
    if path.is_file() and not path.is_symlink():
        return stat.S_IMODE(path.stat().st_mode)
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
