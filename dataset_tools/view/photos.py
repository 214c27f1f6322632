"""The pixels and the instances of annotated photos, fetched when their turn comes."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from dataset_tools.dataset.scan import Entry, Scan
from dataset_tools.findings import Finding, Rule
from dataset_tools.images.header import ImageError
from dataset_tools.images.pixels import load_photo
from dataset_tools.records import Instance
from dataset_tools.sources.source import Source, original_photo


class EntriesWithInstances(Sequence):
    """Entries with their instances, which are fetched when their turn comes; a part of them is as lazy."""

    def __init__(self, scan: Scan, entries: Sequence[Entry]):
        self._scan, self._entries = scan, entries

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, index: int | slice) -> tuple[Entry, list[Instance]] | EntriesWithInstances:
        if isinstance(index, slice):
            return EntriesWithInstances(self._scan, self._entries[index])
        entry = self._entries[index]
        return entry, self._scan.instances(entry)

    def __reduce__(self) -> tuple:
        # Another process gets them as a list. That is made when it is about to work on them: never all at once.
        return list, (list(self),)


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
        picture = load_photo(original_photo(source, entry.file, photo))
    except ImageError as error:
        raise BadPhoto(Finding(error.rule, entry.file, message=f"'{photo.path}': {error}")) from error
    except OSError as error:
        message = f"'{photo.path}': {error.strerror or error}"
        raise BadPhoto(Finding(Rule.PHOTO_UNREADABLE, entry.file, message=message)) from error
    if picture.size != tuple(entry.size):
        sizes = "{} x {}, the file says {} x {}".format(*picture.size, *entry.size)
        raise BadPhoto(Finding(Rule.SIZE_MISMATCH, entry.file, message=f"'{photo.path}' is {sizes}"))
    return picture
