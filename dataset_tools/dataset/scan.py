"""Reading a source as a whole, in several processes, and keeping what was read where it needs no memory."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import BinaryIO

import msgspec

from dataset_tools import parallel
from dataset_tools.errors import UserError
from dataset_tools.files import temporary_file
from dataset_tools.findings import Finding, Rule
from dataset_tools.formats.card import SPLITS
from dataset_tools.geometry.rle import Rle
from dataset_tools.images.folders import leads_out
from dataset_tools.images.header import ImageError
from dataset_tools.images.pixels import grey_thumbnail
from dataset_tools.images.similarity import perceptual_hash
from dataset_tools.instances.shapes import ShapeOptions
from dataset_tools.records import AnnotatedPhoto, Instance, Photo
from dataset_tools.sources.source import Source
from dataset_tools.text import is_text

# A source reads so many files in two thirds of the time that it takes to read them one by one; more gain little.
_KEYS_AT_A_TIME = 16

# Files that a message names where they share a photo: thousands may, and each has a message.
_OWNERS_NAMED = 5


@dataclass(frozen=True)
class ReadOptions(ShapeOptions):
    """How a source is read, and what becomes of its shapes and labels.

    Attributes:
        max_size: the longer side in pixels to which larger photos are scaled, with what is on them; None for as it is.
        hash_photos: decode every photo, to find those that look alike.
        jobs: how many processes work; one for each core, if nothing else is asked for.
    """

    max_size: int | None = None
    hash_photos: bool = False
    jobs: int = field(default_factory=parallel.all_cores)

    def check(self) -> None:
        """Refuse options that contradict themselves or are out of range.

        Raises:
            UserError: a label rule contradicts another, or a number is not above 0.
        """
        super().check()
        if self.jobs < 1:
            raise UserError(f"--jobs is {self.jobs}", remedy="Pass a number from 1 up, or leave it out")
        if self.max_size is not None and self.max_size < 1:
            raise UserError(f"--max-size is {self.max_size}", remedy="Pass a number of pixels, or leave it out")


class Entry(msgspec.Struct, frozen=True, gc=False):
    """An annotated photo without its instances, which ``Scan.instances`` fetches.

    Attributes:
        file, photo, size, split: as in ``AnnotatedPhoto``.
        counts: how many instances of each label.
        needs_rle: an instance cannot be expressed by polygons.
        photo_hash: what the photo looks like (``perceptual_hash``), if that was asked for.
        slot: where its instances are stored: first byte, and how many.
    """

    file: str
    photo: Photo
    size: tuple[int, int]
    split: str | None
    counts: dict[str, int]
    needs_rle: bool
    photo_hash: int | None
    slot: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Scan:
    """What was read from a source.

    Attributes:
        source: where it is from.
        entries: in the source's order.
        findings: of all photos, and of the source as a whole.
        labels: all labels as they were typed, also those of shapes that are left out.
        store: the file that holds the instances of all entries.
    """

    source: Source
    entries: Sequence[Entry]
    findings: Sequence[Finding]
    labels: Set[str]
    store: Path

    def instances(self, entry: Entry) -> list[Instance]:
        """The instances of an entry."""
        start, length = entry.slot
        with open(self.store, "rb", buffering=0) as file:
            file.seek(start)
            return _INSTANCES.decode(file.read(length))


_INSTANCES = msgspec.msgpack.Decoder(list[Instance])


@contextmanager
def scanned(source: Source, reading: ReadOptions) -> Iterator[Scan]:
    """Everything that a source says.

    The instances are in a temporary file until the context ends: 50,000 photos with 300,000 polygons would fill the
    memory of a small machine.

    Raises:
        UserError: the options contradict themselves or are out of range.
    """
    reading.check()
    with temporary_file(Path(tempfile.gettempdir())) as file:
        read = _read_keys(source, source.keys, reading, file)
        failed = {item.file for item in read.findings if item.is_error or item.rule is Rule.OUTSIDE_SPLITS}
        rest = source.rest({entry.photo.path for entry in read.entries}, failed - {e.file for e in read.entries})
        negatives = _read_keys(source, rest.negatives, reading, file)
        file.flush()
        entries = [*read.entries, *negatives.entries]
        shared = _shared_photos(source.photo_root, entries)
        findings = [*read.findings, *negatives.findings, *rest.findings, *shared]
        yield Scan(source, entries, findings, read.labels, Path(file.name))


@dataclass(frozen=True, slots=True)
class _Read:
    """What some keys came to; see ``Scan``."""

    entries: list[Entry]
    findings: list[Finding]
    labels: set[str]


def _read_keys(source: Source, keys: Sequence[str], reading: ReadOptions, store: BinaryIO) -> _Read:
    read = _Read([], [], set())
    with closing(parallel.in_batches(_read_some, (source, reading), keys, reading.jobs, "Reading", "file")) as results:
        for entry, instances, labels, findings in results:
            read.findings.extend(findings)
            if entry is not None:
                read.entries.append(msgspec.structs.replace(entry, slot=(store.tell(), len(instances))))
                read.labels.update(labels)
                store.write(instances)
    return read


# What a key comes to: an entry, if there is one; its instances as MessagePack; its labels as typed; findings.
_ReadKey = tuple[Entry | None, bytes, frozenset[str], list[Finding]]


def _read_some(state: tuple[Source, ReadOptions], keys: Sequence[str]) -> Generator[_ReadKey]:
    source, reading = state
    for start in range(0, len(keys), _KEYS_AT_A_TIME):
        for item, findings in source.read(keys[start : start + _KEYS_AT_A_TIME], reading, reading.max_size):
            yield (None, b"", frozenset(), findings) if item is None else _stored(source, item, findings, reading)


def _stored(source: Source, item: AnnotatedPhoto, findings: list[Finding], reading: ReadOptions) -> _ReadKey:
    if not is_text(item.photo.path):
        bad_name = Finding(Rule.BAD_FILE_NAME, item.file, message=repr(item.photo.path))
        return None, b"", frozenset(), [*findings, bad_name]
    findings = [*findings, *_links_out(source, item)]
    if item.photo.frames > 1:
        message = f"'{item.photo.path}' has {item.photo.frames}"
        findings = [*findings, Finding(Rule.FIRST_FRAME, item.file, message=message)]
    photo_hash = None
    if reading.hash_photos:
        try:
            photo_hash = perceptual_hash(grey_thumbnail(source.original(item.file, item.photo)))
        except ImageError as error:  # the header is in order, so that nothing was noticed until now
            findings = [*findings, Finding(error.rule, item.file, message=f"'{item.photo.path}': {error}")]
    counts = dict(Counter([instance.label for instance in item.instances]))
    needs_rle = any(isinstance(instance.segmentation, Rle) for instance in item.instances)
    entry = Entry(item.file, item.photo, item.size, item.split, counts, needs_rle, photo_hash)
    return entry, msgspec.msgpack.encode(item.instances), item.labels, findings


def _links_out(source: Source, item: AnnotatedPhoto) -> Iterator[Finding]:
    """A finding for an annotation file, and one for a photo, that lies elsewhere than the folder that it is read from."""
    for root, path in {(source.root, item.file): None, (source.photo_root, item.photo.path): None}:
        if real := leads_out(root, path):
            yield Finding(Rule.LINK_LEADS_OUT, item.file, message=f"'{path}' is '{real}'")


def _shared_photos(root: Path, entries: Iterable[Entry]) -> Iterator[Finding]:
    """An error for every file whose photo belongs to another file, too: which one is right is not known."""
    real_folder = cache(os.path.realpath)
    owners: dict[str, list[str]] = {}
    for entry in entries:
        if entry.photo.origin is not None:
            owners.setdefault(entry.photo.origin, []).append(entry.file)
        if not entry.photo.embedded:
            folder, _, name = f"{root}/{entry.photo.path}".rpartition("/")
            path = f"{real_folder(folder)}/{name}"
            owners.setdefault(os.path.realpath(path) if os.path.islink(path) else path, []).append(entry.file)
    for files in owners.values():
        for file in files if len(files) > 1 else ():
            others = [f"'{other}'" for other in files[: _OWNERS_NAMED + 1] if other != file][:_OWNERS_NAMED]
            more = f" and {len(files) - 1 - len(others)} more" if len(files) - 1 > len(others) else ""
            message = f"the same photo as {', '.join(others)}{more}"
            yield Finding(Rule.TWO_FILES_FOR_ONE_PHOTO, file, "imagePath", message)


# The entries of each split, in order.
Splits = Mapping[str, Sequence[Entry]]


def count_labels(entries: Iterable[Entry]) -> Counter[str]:
    """How many instances of each label there are, in the order of the labels."""
    counts: Counter[str] = Counter()
    for entry in entries:
        counts.update(entry.counts)
    return Counter(dict(sorted(counts.items())))


def entries_by_split(entries: Sequence[Entry]) -> dict[str, list[Entry]]:
    """The entries of each split, in order."""
    return {split: [entry for entry in entries if entry.split == split] for split in SPLITS}
