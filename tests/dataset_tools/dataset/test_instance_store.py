"""What is stored in one process or in several is found again, and leaves nothing behind."""

from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from dataset_tools.dataset.instance_store import Spool, store


def test_there_and_back():
    spool = Spool()
    with ProcessPoolExecutor(1) as pool:
        there = pool.submit(store, spool.folder, [b"one", b"", b"three"]).result()
    here = store(spool.folder, [b"four"]) + store(spool.folder, [b"five"])
    assert [spool.fetch(place) for place in there + here] == [b"one", b"", b"three", b"four", b"five"]
    assert [spool.fetch(place) for place in reversed(there + here)] == [b"five", b"four", b"three", b"", b"one"]
    assert len(list(Path(spool.folder).iterdir())) == 2
    spool.close()
    assert not Path(spool.folder).exists()
