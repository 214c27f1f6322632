"""``INPUT.CACHE``: the resized photos of a training, uncompressed, so that each is decoded once.

An entry says which state of which file it was made from, and by which reader; where anything differs, or the entry is
damaged, the photo is read again. The bytes of a batch are the same with a cache and without.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import mmap
import multiprocessing
import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import detectron2.data.transforms as T
import numpy as np
import PIL
import torch
from detectron2.config import CfgNode
from detectron2.utils import comm

from dataset_tools.errors import UserError
from dataset_tools.files import write_atomically
from polymask.config.keys import AUTO, MEMORY, OFF
from polymask.data.photos import read_resized

log = logging.getLogger(__name__)

# To be raised when read_resized gives other pixels. Libraries and the processor's instructions play a part, too.
READER_VERSION = 1
_READER = f"{READER_VERSION} {PIL.__version__} {torch.__version__} {torch.backends.cpu.get_cpu_capability()}"

# The rest of the free memory is for the training, the workers and the browser beside it; that of the disk for
# checkpoints.
_SHARE = 0.5
_MOST_ON_DISK = 64 * 2**30

# Before the pixels of an entry: what it was made from (a hash), and the sum of its pixels as 8-byte numbers.
_HASH_BYTES = 24
_HEADER_BYTES = _HASH_BYTES + 8
_SUFFIX = ".photo"
# Where an entry begins in memory: numpy sums up 8-byte numbers faster where they are aligned.
_ALIGNMENT = 64

PhotoReader = Callable[[dict, str, tuple[int, int]], np.ndarray]
Entry = tuple[str, tuple[int, int]]  # a photo's path, and the (height, width) that it is resized to


def build_photo_reader(cfg: CfgNode, records: Sequence[dict], resize: T.Augmentation) -> PhotoReader:
    """``read_resized``, with the cache that ``INPUT.CACHE`` asks for.

    ``auto`` keeps the photos in memory where all of them fit into half of what is free, else on the disk by the same
    rule, else nowhere. ``memory`` and ``disk`` keep as many as fit. Where hardly a photo has the same size twice,
    nothing is kept.

    Args:
        cfg: of the training.
        records: its photos.
        resize: its first augmentation.

    Raises:
        UserError: ``disk``, and there is no folder for it.
    """
    mode = cfg.INPUT.CACHE
    if mode == OFF or not isinstance(resize, T.ResizeShortestEdge) or resize.is_range:
        if mode not in (AUTO, OFF):
            log.warning("INPUT.CACHE is %s, and photos are cropped or resized at random: none is kept.", mode)
        return read_resized
    entries = _possible_entries(records, resize)
    needed, memory = sum(entries.values()), _room_in_memory()
    reader: MemoryCache | DiskCache | None
    if mode == MEMORY or (mode == AUTO and needed <= memory):
        reader = MemoryCache(_fitting(entries, memory))
    else:
        reader = _disk_cache(entries, all_or_none=mode == AUTO)
    if reader is None:
        log.info("INPUT.CACHE: no photo is kept, for all of them would take %.1f GiB.", needed / 2**30)
        return read_resized
    log.info("INPUT.CACHE: %s keeps %d of %d resized photos; all of them take %.2f GiB.",
             reader.place, len(reader.entries), len(entries), needed / 2**30)  # fmt: skip
    return reader


def _disk_cache(entries: Mapping[Entry, int], all_or_none: bool) -> DiskCache | None:
    folder, needed = disk_folder(), sum(entries.values())
    try:
        room = _room_on_disk(folder)
    except OSError as error:
        if all_or_none:
            return None
        remedy = "Set XDG_CACHE_HOME to a folder that can be written to, or INPUT.CACHE off"
        raise UserError(f"INPUT.CACHE is disk: {error}", file=folder, remedy=remedy) from error
    if all_or_none and needed > room:
        return None
    cache = DiskCache(folder, _fitting(entries, room))
    _remove_oldest(folder, room - needed, cache.paths)
    return cache


def _possible_entries(records: Sequence[dict], resize: T.ResizeShortestEdge) -> dict[Entry, int]:
    """The bytes that each photo takes at each size that it can get."""
    entries = {}
    for record in records:
        full = record["height"], record["width"]
        for shortest in dict.fromkeys(resize.short_edge_length):
            size = resize.get_output_shape(*full, shortest, resize.max_size) if shortest else full
            entries[record["file_name"], size] = _HEADER_BYTES + size[0] * size[1] * 3
    return entries


def _fitting(entries: Mapping[Entry, int], most: float) -> dict[Entry, int]:
    """The first entries, as many as take no more bytes than there may be."""
    fitting, total = {}, 0
    for entry, size in entries.items():
        total += -(-size // _ALIGNMENT) * _ALIGNMENT
        if total > most:
            break
        fitting[entry] = size
    return fitting


class _Cache(ABC):
    """Reads resized photos, and keeps those of the entries.

    Args:
        entries: the bytes of each, with its header.
    """

    place = ""

    def __init__(self, entries: Mapping[Entry, int]):
        self.entries = entries

    def __call__(self, record: dict, mode: str, size: tuple[int, int]) -> np.ndarray:
        """As ``read_resized``."""
        entry = record["file_name"], size
        if entry not in self.entries:
            return read_resized(record, mode, size)
        origin = _origin(record, mode, size)  # looked at before the photo is read, which may change in between
        content = self._load(entry)
        if content is not None and len(content) == self.entries[entry] and content[:_HASH_BYTES].tobytes() == origin:
            pixels = content[_HEADER_BYTES:].copy()
            if _sum_of(pixels) == content[_HASH_BYTES:_HEADER_BYTES].tobytes():
                return pixels.reshape(*size, -1)
        photo = np.ascontiguousarray(read_resized(record, mode, size))
        pixels = photo.reshape(-1)
        self._store(entry, origin + _sum_of(pixels), pixels)
        return photo

    @abstractmethod
    def _load(self, entry: Entry) -> np.ndarray | None:
        """Header and pixels, if there are any."""

    @abstractmethod
    def _store(self, entry: Entry, header: bytes, pixels: np.ndarray) -> None:
        """Keeps header and pixels, if there is room."""


def _origin(record: dict, mode: str, size: tuple[int, int]) -> bytes:
    """A hash of all that the pixels of an entry follow from."""
    facts = os.stat(record["file_name"])
    state = (record["file_name"], facts.st_size, facts.st_mtime_ns, record["width"], record["height"], mode, size)
    return hashlib.blake2b(repr((_READER, state)).encode(), digest_size=_HASH_BYTES).digest()


def _sum_of(pixels: np.ndarray) -> bytes:
    whole = len(pixels) // 8 * 8
    total = int(pixels[:whole].view(np.uint64).sum()) + int(pixels[whole:].sum())
    return (total % 2**64).to_bytes(8, "little")


class MemoryCache(_Cache):
    """Entries in memory that workers share because they are forked; it ends with the last process that has it."""

    place = "memory"

    def __init__(self, entries: Mapping[Entry, int]):
        super().__init__(entries)
        self._begins, total = {}, 0
        for entry, size in entries.items():
            self._begins[entry] = total
            total += -(-size // _ALIGNMENT) * _ALIGNMENT
        # Anonymous: it has no name in any file system. The system gives the pages when they are first written to.
        self._memory = np.frombuffer(mmap.mmap(-1, max(1, total)), dtype=np.uint8)

    def _load(self, entry: Entry) -> np.ndarray:
        begin = self._begins[entry]
        return self._memory[begin : begin + self.entries[entry]]

    def _store(self, entry: Entry, header: bytes, pixels: np.ndarray) -> None:
        slot = self._load(entry)
        slot[:_HEADER_BYTES] = 0  # other workers may look at it
        slot[_HEADER_BYTES:] = pixels
        slot[:_HEADER_BYTES] = np.frombuffer(header, dtype=np.uint8)


class DiskCache(_Cache):
    """Entries as files of one folder, which other trainings may use at the same time; written in one step each."""

    def __init__(self, folder: Path, entries: Mapping[Entry, int]):
        super().__init__(entries)
        self.place = str(folder)
        self.paths = {entry: folder / _file_name(entry) for entry in entries}
        self._is_full = False

    def _load(self, entry: Entry) -> np.ndarray | None:
        try:
            content = np.fromfile(self.paths[entry], dtype=np.uint8)
            os.utime(self.paths[entry])  # the files that were not used for longest are removed first
        except OSError:
            return None
        return content

    def _store(self, entry: Entry, header: bytes, pixels: np.ndarray) -> None:
        if self._is_full:
            return
        try:
            write_atomically(self.paths[entry], header + pixels.tobytes())
        except OSError as error:
            self._is_full = True
            log.warning("INPUT.CACHE: %s: no more photos are kept in %s.", error.strerror or error, self.place)


def disk_folder() -> Path:
    """Where resized photos are kept on the disk: in the user's cache, for one run after the other to use."""
    caches = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(caches) / "polymask" / "photos"


def _file_name(entry: Entry) -> str:
    path, size = entry
    return hashlib.blake2b(repr((os.path.abspath(path), size)).encode(), digest_size=16).hexdigest() + _SUFFIX


def _room_on_disk(folder: Path) -> float:
    """How many bytes the folder may hold."""
    folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK):
        raise OSError("nothing can be written there")
    free = shutil.disk_usage(folder).free + sum(facts.st_size for _, facts in _files(folder))
    return min(free * _SHARE, _MOST_ON_DISK)


def _files(folder: Path) -> list[tuple[Path, os.stat_result]]:
    """The entries in a folder, with what a process that was killed left of one; those used last come last."""
    found = []
    for path in folder.glob(f"*{_SUFFIX}*"):
        with contextlib.suppress(OSError):  # another process may have removed it
            found.append((path, path.stat()))
    return sorted(found, key=lambda file: file[1].st_mtime_ns)


def _remove_oldest(folder: Path, room: float, kept: Mapping[Entry, Path]) -> None:
    """Removes entries of other trainings, those first that were not used for longest, until they fit into the room."""
    others = [(path, facts.st_size) for path, facts in _files(folder) if path not in set(kept.values())]
    total = sum(size for _, size in others)
    for path, size in others:
        if total <= room:
            break
        path.unlink(missing_ok=True)
        total -= size


def _room_in_memory() -> float:
    """How many bytes a process may keep: none where its workers are not forked, and so would each have their own."""
    method = multiprocessing.get_start_method(allow_none=True) or multiprocessing.get_all_start_methods()[0]
    return _free_memory() * _SHARE / comm.get_local_size() if method == "fork" else 0


def _free_memory() -> int:
    """Bytes that can be had without swapping, also where a container may use less than the machine has."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except OSError:  # not Linux
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    with contextlib.suppress(OSError, ValueError):  # no container, or one without a limit ("max")
        group = Path("/sys/fs/cgroup")
        limit = int((group / "memory.max").read_text())
        # What it uses counts files that were read, which make room when memory is asked for.
        statistics = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        used = int((group / "memory.current").read_text()) - int(statistics["inactive_file"])
        free = min(free, max(0, limit - used))
    return free
