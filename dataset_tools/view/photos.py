"""The pixels of annotated photos."""

from __future__ import annotations

from PIL import Image

from dataset_tools.dataset.scan import Entry
from dataset_tools.findings import Finding, Rule
from dataset_tools.images.header import ImageError
from dataset_tools.images.pixels import load_photo
from dataset_tools.sources.source import Source


def load_entry_photo(source: Source, entry: Entry) -> Image.Image | Finding:
    """The photo in RGB as it is shown, of the size that the entry says.

    It is a finding if it cannot be read, though its header was fine, or has become another one meanwhile.
    """
    name = f"'{entry.photo.path}'"
    try:
        picture = load_photo(source.original(entry.file, entry.photo))
    except ImageError as error:
        return Finding(error.rule, entry.file, message=f"{name}: {error}")
    except OSError as error:
        return Finding(Rule.PHOTO_UNREADABLE, entry.file, message=f"{name}: {error.strerror or error}")
    if picture.size != tuple(entry.size):
        sizes = "{} x {}, the file says {} x {}".format(*picture.size, *entry.size)
        return Finding(Rule.SIZE_MISMATCH, entry.file, message=f"{name} is {sizes}")
    return picture
