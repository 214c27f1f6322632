"""Reading that waits for nobody, and writing that leaves nothing half-written behind."""

from __future__ import annotations

import errno
import io
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

# Windows reads text unless it is told otherwise; and whoever opens a named pipe waits for its writer.
_READ_BYTES = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)


def opened_for_reading(path: Path | str) -> io.FileIO:
    """A file opened for reading bytes, without a buffer; of a named pipe nobody is waited for."""
    handle = os.open(path, _READ_BYTES)
    try:
        return open(handle, "rb", buffering=0)
    except OSError:  # it is a folder
        os.close(handle)
        raise


def read_file(path: Path | str, most: int) -> bytes:
    """All bytes of a file.

    Raises:
        OSError: there is no such file, or it is not a regular file; with errno EFBIG: it has more bytes than ``most``.
    """
    with io.BufferedReader(opened_for_reading(path)) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file", str(path))
        content = file.read(most + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"it has more than {most:,} bytes", str(path))
    return content


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
