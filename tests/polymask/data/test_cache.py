import os
import signal
import tempfile
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog
from PIL import Image

from dataset_tools.errors import UserError
from polymask.config.checks import check_supported, check_training_keys
from polymask.data import cache
from polymask.data.augmentation import build_train_augmentations
from polymask.data.cache import DiskCache, MemoryCache, build_photo_reader, disk_folder
from polymask.data.loader import build_train_loader
from polymask.data.photos import read_resized

KEYS = (
    "DATASETS.TRAIN", "('cached',)", "INPUT.MASK_FORMAT", "bitmask", "SOLVER.IMS_PER_BATCH", "2", "SEED", "5",
    "INPUT.MIN_SIZE_TRAIN", "(30, 45)", "INPUT.COLOR_JITTER", "0.3", "INPUT.COPY_PASTE.PROBABILITY", "0.5",
)  # fmt: skip
SIZE = (45, 60)  # one of those, height and width


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The user's cache, empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    return disk_folder()


@pytest.fixture
def records(make_photo, tmp_path):
    """Five photos, which may be changed: JPEGs of which three are large enough to be decoded at a half."""
    made = []
    for number in range(5):
        size = (240, 180) if number < 3 else (120, 90)
        record = make_photo(f"cached{number}", size, [(5, 8, 40, 30), (50 + number, 40, 30, 30)])
        path = tmp_path / f"{number}.jpg"
        noise = np.random.default_rng(number).integers(0, 60, (*size[::-1], 3), dtype=np.uint8)
        Image.fromarray(np.asarray(Image.open(record["file_name"])) // 2 + noise).save(path, quality=90)
        made.append(record | {"file_name": str(path), "image_id": number})
    return made


def build(configuration, records, mode, *overrides):
    cfg = configuration(*KEYS, "INPUT.CACHE", mode, *overrides)
    return build_photo_reader(cfg, records, build_train_augmentations(cfg)[0])


def entries_in(folder):
    return sorted(folder.glob("*.photo"))


@pytest.mark.parametrize("image_format", ["RGB", "BGR"])
def test_batches_are_the_same_with_every_cache_and_any_number_of_workers(configuration, records, image_format):
    """Over more than two epochs; on the disk also where everything is there already."""
    DatasetCatalog.register("cached", lambda: records)
    try:
        seen = {}
        for mode, workers in (("off", 0), ("memory", 0), ("memory", 2), ("disk", 2), ("disk", 0), ("auto", 2)):
            cfg = configuration(
                *KEYS, "INPUT.FORMAT", image_format, "INPUT.CACHE", mode, "DATALOADER.NUM_WORKERS", str(workers)
            )
            batches = islice(iter(build_train_loader(cfg, 0)), 7)
            seen[mode, workers] = [
                (item["file_name"], item["image"], item["instances"].gt_boxes.tensor, item["instances"].gt_masks.tensor)
                for batch in batches
                for item in batch
            ]
    finally:
        DatasetCatalog.remove("cached")
    expected = seen.pop(("off", 0))
    for items in seen.values():
        for (name, *tensors), (other_name, *others) in zip(items, expected, strict=True):
            assert name == other_name and all(torch.equal(a, b) for a, b in zip(tensors, others, strict=True))


@pytest.mark.parametrize("mode", ["memory", "disk"])
def test_a_photo_is_decoded_once(configuration, records, mode):
    """The pixels change behind the back of the cache, in a file that looks the same from outside."""
    reader, record = build(configuration, records, mode), records[0]
    first = reader(record, "RGB", SIZE)
    path = Path(record["file_name"])
    before, content = path.stat(), bytearray(path.read_bytes())
    content[len(content) // 2 :] = bytes(len(content) - len(content) // 2)
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    again = reader(record, "RGB", SIZE)
    assert np.array_equal(first, again) and first.dtype == again.dtype == np.uint8 and again.flags.writeable
    again[:] = 0  # belongs to who asked for it
    assert np.array_equal(reader(record, "RGB", SIZE), first)


@pytest.mark.parametrize("mode", ["memory", "disk"])
def test_a_photo_that_has_changed_is_read_again(configuration, records, mode):
    reader, record = build(configuration, records, mode), records[1]
    path = Path(record["file_name"])
    first = reader(record, "RGB", SIZE)
    Image.fromarray(255 - np.asarray(Image.open(path))).save(path, quality=90)
    changed = reader(record, "RGB", SIZE)
    assert not np.array_equal(first, changed) and np.array_equal(changed, read_resized(record, "RGB", SIZE))
    os.utime(path, (1, 1))
    assert np.array_equal(reader(record, "RGB", SIZE), changed)
    if mode == "disk":
        assert len(entries_in(disk_folder())) == 1  # of one photo at one size
    path.unlink()
    with pytest.raises(FileNotFoundError):
        reader(record, "RGB", SIZE)


def test_sizes_modes_and_readers_are_told_apart(configuration, records, monkeypatch):
    for mode in ("memory", "disk"):
        reader = build(configuration, records, mode)
        for size in (SIZE, (30, 40), SIZE):
            assert np.array_equal(reader(records[0], "RGB", size), read_resized(records[0], "RGB", size))
        origin = cache._origin(records[0], "RGB", SIZE)
        assert cache._origin(records[0], "L", SIZE) != origin
        assert cache._origin(records[0] | {"width": 480, "height": 360}, "RGB", SIZE) != origin
        with monkeypatch.context() as patch:
            patch.setattr(cache, "_READER", "another")
            assert cache._origin(records[0], "RGB", SIZE) != origin


@pytest.mark.parametrize("damage", ["truncated", "empty", "longer", "a bit", "the header", "zeros", "deleted"])
def test_a_damaged_file_is_read_again_from_the_photo(configuration, records, folder, damage):
    reader, record = build(configuration, records, "disk"), records[2]
    expected = reader(record, "RGB", SIZE)
    (path,) = entries_in(folder)
    content = bytearray(path.read_bytes())
    if damage == "a bit":
        content[-77] ^= 4
    elif damage == "the header":
        content[3] ^= 1
    elif damage == "zeros":
        content[1000:] = bytes(len(content) - 1000)
    changed = {"truncated": content[:-1], "empty": b"", "longer": content + b"0"}.get(damage, content)
    path.write_bytes(changed)
    if damage == "deleted":
        path.unlink()
    for _ in range(2):
        assert np.array_equal(reader(record, "RGB", SIZE), expected)
    assert path.stat().st_size == 32 + expected.size


def test_processes_share_what_is_in_memory(configuration, records):
    """What a worker has read, its parent finds."""
    reader = build(configuration, records, "memory")
    child = os.fork()
    if not child:
        reader(records[0], "RGB", SIZE)
        os._exit(0)
    os.waitpid(child, 0)
    content = reader._load((records[0]["file_name"], SIZE))
    assert np.array_equal(content[32:].reshape(*SIZE, 3), read_resized(records[0], "RGB", SIZE))


def test_no_more_is_kept_than_there_may_be(configuration, records, folder, monkeypatch):
    for mode, limit in (("memory", "_room_in_memory"), ("disk", "_room_on_disk")):
        with monkeypatch.context() as patch:
            patch.setattr(cache, limit, lambda *_: 20_000)
            folder.mkdir(parents=True, exist_ok=True)
            reader = build(configuration, records, mode)
        assert 1 <= len(reader.entries) < 2 * len(records) and sum(reader.entries.values()) <= 20_000
        for record in records:
            for size in ((30, 40), SIZE):
                assert np.array_equal(reader(record, "RGB", size), read_resized(record, "RGB", size))
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 20_000


def test_what_was_not_used_for_longest_makes_room(configuration, records, folder, monkeypatch):
    reader = build(configuration, records[:3], "disk")
    for age, record in enumerate(records[:3]):
        reader(record, "RGB", SIZE)
        newest = max(entries_in(folder), key=lambda path: path.stat().st_ctime_ns)
        os.utime(newest, (1000 - age, 1000 - age))  # the first is the youngest
    reader(records[2], "RGB", SIZE)  # has been used just now
    left_behind = folder / f".{'0' * 32}.photo.killed"
    left_behind.write_bytes(b"half")
    os.utime(left_behind, (1, 1))
    monkeypatch.setattr(cache, "_room_on_disk", lambda _: 2 * 8_132 + 11_764 + 100)  # of two, and of the new ones
    build(configuration, records[3:4], "disk")
    left = {path for entry, path in reader.paths.items() if path.exists()}
    assert left == {reader.paths[records[number]["file_name"], SIZE] for number in (0, 2)}
    assert not left_behind.exists()


def test_auto_takes_memory_then_the_disk_then_nothing(configuration, records, monkeypatch):
    assert isinstance(build(configuration, records, "auto"), MemoryCache)
    monkeypatch.setattr(cache, "_free_memory", lambda: 1000)
    assert isinstance(build(configuration, records, "auto"), DiskCache)
    monkeypatch.setattr(cache, "_room_on_disk", lambda _: 1000)
    assert build(configuration, records, "auto") is read_resized


@pytest.mark.parametrize(
    "keys",
    [("INPUT.CROP.ENABLED", "True"), ("INPUT.SCALE_JITTER.ENABLED", "True"),
     ("INPUT.MIN_SIZE_TRAIN_SAMPLING", "range")],
)  # fmt: skip
def test_photos_of_a_new_size_each_time_are_not_kept(configuration, records, caplog, keys):
    assert build(configuration, records, "auto", *keys) is read_resized and not caplog.records
    assert build(configuration, records, "memory", *keys) is read_resized and "INPUT.CACHE" in caplog.text


def test_photos_that_are_not_resized_are_kept_in_full(configuration, records):
    reader = build(configuration, records, "memory", "INPUT.MIN_SIZE_TRAIN", "(0,)")
    assert [size for _, size in reader.entries] == [(record["height"], record["width"]) for record in records]


def test_a_folder_that_cannot_be_had(configuration, records, folder):
    folder.parent.parent.mkdir(exist_ok=True)
    folder.parent.write_text("a file in its way")
    with pytest.raises(UserError, match="INPUT.CACHE is disk"):
        build(configuration, records, "disk")


def test_a_disk_that_is_full_ends_nothing(configuration, records, folder, caplog):
    reader = build(configuration, records, "disk")
    folder.rmdir()
    for record in records[:2]:
        assert np.array_equal(reader(record, "RGB", SIZE), read_resized(record, "RGB", SIZE))
    assert caplog.text.count("no more photos are kept") == 1


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_memory_leaves_nothing_behind(configuration, records, tmp_path, end):
    places = [tmp_path, Path("/dev/shm"), Path(tempfile.gettempdir())]
    before = [set(place.glob("*")) for place in places]
    child = os.fork()
    if not child:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        build(configuration, records, "memory")(records[0], "RGB", SIZE)
        os.kill(os.getpid(), end)
    assert os.waitpid(child, 0)[1] == end
    assert set(tmp_path.glob("*")) == before[0]
    # Other programs may be at work elsewhere, whose files are not as large as the photo.
    new = {path for place, known in zip(places, before, strict=True) for path in set(place.glob("*")) - known}
    assert not [path for path in new if path.is_file() and path.stat().st_size >= 45 * 60 * 3]


def test_values_that_there_are_not(configuration):
    cfg = configuration("INPUT.CACHE", "ram", "SOLVER.IMS_PER_BATCH", "1")
    with pytest.raises(UserError, match="INPUT.CACHE is 'ram'"):
        check_training_keys(cfg, 1)
    with pytest.raises(UserError, match="NUM_WORKERS is -2"):
        check_supported(configuration("DATALOADER.NUM_WORKERS", "-2"))
