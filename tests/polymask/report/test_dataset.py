import shutil

from polymask.report.dataset import overview
from polymask.report.run import read_run


def test_photos_and_objects_are_counted(folder):
    seen = overview(read_run(folder(train=3, test=2)))
    assert seen.splits == ["train", "test"]
    rows = dict(seen.rows)
    assert rows["photos"] == [3, 2] and rows["objects"] == [6, 4] and rows["Sign Board"] == [3, 2]
    assert rows["small objects (under 32 x 32 px)"] == [6, 4] and rows["photos without an object"] == [0, 0]
    assert dict(seen.facts)["Photos"] == "64 x 64 px (5)"
    assert dict(seen.facts)["Objects in a photo"] == "2 to 2, half of them 2 to 2; median 2"
    assert dict(seen.facts)["Side of an object"].endswith("median 27")  # the root of 30 x 24


def test_without_photos_the_card_still_tells(folder):
    path = folder(train=3, test=2)
    shutil.rmtree(path.parent / "dataset/photos")
    seen = overview(read_run(path))
    assert dict(seen.rows)["photos"] == [3, 2] and dict(seen.rows)["Car"] == [3, 2] and seen.facts == []
