"""Reading a source as a whole, in several processes, and keeping what was read where it needs no memory."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

import msgspec
import numpy as np
import orjson
from numpy.typing import NDArray

from dataset_tools import parallel
from dataset_tools.dataset.instance_store import InstanceStore, Slot, append_items
from dataset_tools.errors import UserError
from dataset_tools.findings import Finding, Rule
from dataset_tools.formats.card import SPLITS
from dataset_tools.formats.coco import Outline
from dataset_tools.images.header import ImageError
from dataset_tools.images.pixels import grey_thumbnail
from dataset_tools.images.similarity import perceptual_hash
from dataset_tools.instances.shapes import ShapeOptions
from dataset_tools.records import AnnotatedPhoto, Instance, Photo
from dataset_tools.sources.source import Source, original_photo


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How a source is read.

    Attributes:
        shapes: what becomes of shapes.
        max_size: the longer side in pixels to which larger photos are scaled, with what is on them; None for as it is.
        hash_photos: decode every photo, to find those that look alike.
        jobs: how many processes read.
    """

    shapes: ShapeOptions
    max_size: int | None = None
    hash_photos: bool = False
    jobs: int = 1

    def check(self) -> None:
        """Refuse options that contradict themselves or are out of range.

        Raises:
            UserError: a label rule contradicts another, or a number is not above 0.
        """
        self.shapes.check()
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
        slot: where its instances are kept.
    """

    file: str
    photo: Photo
    size: tuple[int, int]
    split: str | None
    counts: dict[str, int]
    needs_rle: bool
    photo_hash: int | None
    slot: Slot


_ENTRY = msgspec.msgpack.Decoder(Entry)
_LABELS = msgspec.json.Decoder(list[str])
_OUTLINE = msgspec.json.Decoder(Outline)


def _polygon_json(polygon: NDArray[np.float64]) -> msgspec.Raw:
    """The JSON of a polygon; a list of numbers takes twice as long, and that a twentieth of all the time."""
    return msgspec.Raw(orjson.dumps(polygon, option=orjson.OPT_SERIALIZE_NUMPY))


_ENCODER = msgspec.json.Encoder(enc_hook=_polygon_json)


class Scan:
    """Everything that a source says: entries in the source's order, findings, and the instances of each entry.

    ``labels`` are all labels as they were typed, those of shapes that are left out, too.

    A context: the instances on the disk are gone when it ends. 50,000 photos with 300,000 polygons would fill a small
    machine's memory; their entries do not.

    Raises:
        UserError: the options contradict themselves or are out of range.
    """

    def __init__(self, source: Source, reading: ReadOptions):
        reading.check()
        self.source = source
        self.entries: list[Entry] = []
        self.findings: list[Finding] = []
        self.labels: set[str] = set()
        self._store = InstanceStore()
        try:
            self._read(reading)
        except BaseException:
            self._store.close()
            raise

    def __enter__(self) -> Scan:
        return self

    def __exit__(self, *_: object) -> None:
        self._store.close()

    def stored(self, entry: Entry) -> Iterator[tuple[str, bytes]]:
        """Label, and ``coco.Outline`` as JSON, of each instance of an entry: most readers only pass it on."""
        labels, *outlines = self._store.fetch(entry.slot).split(b"\n")
        return zip(_LABELS.decode(labels), outlines)

    def instances(self, entry: Entry) -> list[Instance]:
        """The instances of an entry."""
        outlines = ((label, _OUTLINE.decode(text)) for label, text in self.stored(entry))
        return [Instance(label, item.segmentation, item.area, item.bbox) for label, item in outlines]

    def _read(self, reading: ReadOptions) -> None:
        self._read_keys(self.source.keys, reading)
        failed = {item.file for item in self.findings if item.is_error or item.rule is Rule.OUTSIDE_SPLITS}
        failed -= {entry.file for entry in self.entries}
        self._read_keys(self.source.negatives(self._used(), failed), reading)
        self.findings += self.source.unread(self._used(), failed)

    def _used(self) -> set[str]:
        return {entry.photo.path for entry in self.entries}

    def _read_keys(self, keys: Sequence[str], reading: ReadOptions) -> None:
        if not keys:
            return
        state = self.source, reading, self._store.folder
        results = parallel.in_order(_read_some, state, keys, reading.jobs, "Reading", "file")
        with closing(results):  # no process writes any more, whatever is raised, when the store is closed
            for entry, labels, found in results:
                self.findings += found
                self.labels |= labels
                if entry is not None:
                    self.entries.append(_ENTRY.decode(entry))


# An entry, if there is one, in MessagePack, which is handed to another process more quickly than Python's objects are;
# its labels as typed; findings.
_Packed = tuple[bytes | None, frozenset[str], list[Finding]]


def _read_some(state: tuple[Source, ReadOptions, str], keys: Sequence[str]) -> list[_Packed]:
    """What comes of some keys; the instances go to the disk."""
    source, reading, folder = state
    gc.disable()  # what is read has no cycles, and looking for them takes a twentieth of the time
    try:
        read = source.read(keys, reading.shapes, reading.max_size)
        slots = append_items(folder, [_outlines(item.instances) if item else b"" for item, _ in read])
        return [_packed(source, item, found, reading.hash_photos, slot) for (item, found), slot in zip(read, slots)]
    finally:
        gc.enable()


def _packed(
    source: Source, item: AnnotatedPhoto | None, found: list[Finding], hash_photos: bool, slot: Slot
) -> _Packed:
    if item is None:
        return None, frozenset(), found
    photo_hash = None
    if hash_photos:
        try:
            photo_hash = _photo_hash(source, item)
        except ImageError as error:  # its header is in order, so nobody has noticed yet
            found = [*found, Finding(error.rule, item.file, message=f"'{item.photo.path}': {error}")]
    counts = dict(Counter([instance.label for instance in item.instances]))
    needs_rle = any(not isinstance(instance.segmentation, list) for instance in item.instances)
    entry = Entry(item.file, item.photo, item.size, item.split, counts, needs_rle, photo_hash, slot)
    return msgspec.msgpack.encode(entry), item.labels, found


def _outlines(instances: Sequence[Instance]) -> bytes:
    """The labels on one line, then each instance on its own: lines are found quicker than the ends of JSON values."""
    labels = msgspec.json.encode([item.label for item in instances])
    outlines = [Outline(item.segmentation, item.area, item.bbox) for item in instances]
    return labels + b"\n" + _ENCODER.encode_lines(outlines)


def _photo_hash(source: Source, item: AnnotatedPhoto) -> int:
    return perceptual_hash(grey_thumbnail(original_photo(source, item.file, item.photo)))


# The entries of each split, in order.
Splits = Mapping[str, Sequence[Entry]]


def count_labels(entries: Iterable[Entry]) -> Counter[str]:
    """How many instances of each label there are, in the order of the labels."""
    counts: dict[str, int] = {}
    for entry in entries:
        for label, count in entry.counts.items():
            counts[label] = counts.get(label, 0) + count
    return Counter(dict(sorted(counts.items())))


def entries_by_split(entries: Iterable[Entry]) -> dict[str, list[Entry]]:
    """The entries of each split, in order."""
    splits: dict[str, list[Entry]] = {split: [] for split in SPLITS}
    for entry in entries:
        splits[entry.split].append(entry)
    return splits
