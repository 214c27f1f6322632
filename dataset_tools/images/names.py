"""Names of photo files: how they end, and paths as any system wrote them."""

from __future__ import annotations

import os
import posixpath
import re
import unicodedata
from pathlib import Path
from urllib.parse import unquote

# What a photo's name may end with, in the order in which they are tried (in lower and in upper case). Photos of the
# last two are refused by name, where they would be passed over in silence.
SUFFIXES = (
    *(".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif"),
    *(".ppm", ".pgm", ".jp2", ".avif", ".heic", ".heif"),
)

_ABSOLUTE = re.compile(r"/|[A-Za-z]:|[A-Za-z][\w+.-]*://")

# What programs put before the names of files that are uploaded, a part of a hash or of the time (a date is not one),
# and what Roboflow puts behind them, in place of their suffix.
_PREFIX = re.compile(r"(?!(19|20)\d{6})([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{8,64})[-_](?=.)")
_ROBOFLOW = re.compile(r"_(jpe?g|png|bmp|webp|tiff?|gif)\.rf\.\w+$")


def is_photo_name(name: str) -> bool:
    """Whether a file name ends as a photo's does."""
    return posixpath.splitext(name)[1].lower() in SUFFIXES


def with_slashes(image_path: str | None) -> str:
    """A path as any system wrote it, with POSIX slashes."""
    return (image_path or "").replace("\\", "/").replace("\0", "")


def absolute(path: Path | str) -> str:
    """An absolute path of this system, with POSIX slashes; a backslash in a name stays where it separates nothing."""
    return os.path.abspath(path).replace(os.sep, "/")


def names_in(path: str) -> list[str]:
    """The folders and the file that a path leads through, without those that only say where it starts."""
    return [part for part in with_slashes(path).split("/") if part not in ("", ".", "..")]


def is_absolute(image_path: str | None) -> bool:
    """Whether a path is absolute on some system."""
    return _ABSOLUTE.match(with_slashes(image_path)) is not None


def without_query(name: str | None) -> str:
    """A path with POSIX slashes, or an address in the web without what does not name its file."""
    path = with_slashes(name)
    return re.split("[?#]", path)[0] if "://" in path else path


def taken_instead(key: str, name: str | None, photo: str) -> str:
    """That a photo was taken for a name, as text; it says so where the two look the same."""
    parts = [posixpath.basename(with_slashes(path)) for path in (name, photo)]
    is_alike = len(set(parts)) > len({unicodedata.normalize("NFC", part) for part in parts})
    hint = " (its accents are written in another form of Unicode)" if is_alike else ""
    return f"{key} is {name!r}, '{photo}' was taken{hint}"


def folded(name: str) -> str:
    """A name without what systems change in it: case, accents as a character by themselves, percent for other signs."""
    return unicodedata.normalize("NFC", unquote(name)).casefold()


def stem_of(name: str) -> str:
    """A file's name without a photo's suffix."""
    return posixpath.splitext(name)[0] if is_photo_name(name) else name


def without_hash(stem: str) -> str:
    """A folded stem without the part of a hash that a program has put before or behind it; the same, if there is none."""
    return _ROBOFLOW.sub("", _PREFIX.sub("", stem, count=1))
