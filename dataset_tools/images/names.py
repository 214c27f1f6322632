"""Names of photo files: how they end, and paths as any system wrote them."""

from __future__ import annotations

import posixpath
import re

# What a photo's name may end with, in the order in which they are tried (in lower and in upper case).
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif")

_ABSOLUTE = re.compile(r"/|[A-Za-z]:")


def is_photo_name(name: str) -> bool:
    """Whether a file name ends as a photo's does."""
    return posixpath.splitext(name)[1].lower() in SUFFIXES


def with_slashes(image_path: str | None) -> str:
    """A path as any system wrote it, with POSIX slashes."""
    return (image_path or "").replace("\\", "/").replace("\0", "")


def is_absolute(image_path: str | None) -> bool:
    """Whether a path is absolute on some system."""
    return _ABSOLUTE.match(with_slashes(image_path)) is not None
