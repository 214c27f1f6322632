"""What is stored in one process or in several is found again, and leaves nothing behind."""

from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from dataset_tools.dataset.instance_store import InstanceStore, append_items


def test_there_and_back():
    store = InstanceStore()
    with ProcessPoolExecutor(1) as pool:
        there = pool.submit(append_items, store.folder, [b"one", b"", b"three"]).result()
    here = append_items(store.folder, [b"four"]) + append_items(store.folder, [b"five"])
    assert [store.fetch(place) for place in there + here] == [b"one", b"", b"three", b"four", b"five"]
    assert [store.fetch(place) for place in reversed(there + here)] == [b"five", b"four", b"three", b"", b"one"]
    assert len(list(Path(store.folder).iterdir())) == 2
    store.close()
    assert not Path(store.folder).exists()
