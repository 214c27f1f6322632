"""The pixels of annotated photos."""

from __future__ import annotations

from PIL import Image

from dataset_tools.dataset.scan import Entry
from dataset_tools.findings import Finding, Rule
from dataset_tools.images.header import ImageError
from dataset_tools.images.pixels import load_photo
from dataset_tools.sources.source import Source


class BadPhoto(Exception):
    """A photo whose header is fine and whose pixels are not; ``finding`` says what is wrong."""

    def __init__(self, finding: Finding):
        super().__init__(str(finding))
        self.finding = finding


def load_entry_photo(source: Source, entry: Entry) -> Image.Image:
    """The photo in RGB as it is shown, of the size that the entry says.

    Raises:
        BadPhoto: it cannot be read, or has become another one meanwhile.
    """
    photo = entry.photo
    try:
        picture = load_photo(source.original(entry.file, photo))
    except ImageError as error:
        raise BadPhoto(Finding(error.rule, entry.file, message=f"'{photo.path}': {error}")) from error
    except OSError as error:
        message = f"'{photo.path}': {error.strerror or error}"
        raise BadPhoto(Finding(Rule.PHOTO_UNREADABLE, entry.file, message=message)) from error
    if picture.size != tuple(entry.size):
        sizes = "{} x {}, the file says {} x {}".format(*picture.size, *entry.size)
        raise BadPhoto(Finding(Rule.SIZE_MISMATCH, entry.file, message=f"'{photo.path}' is {sizes}"))
    return picture
