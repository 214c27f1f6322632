"""Numbers counted by hand on a folder that is small enough for it."""

import json

import pytest
from PIL import Image

from dataset_tools.__main__ import main
from dataset_tools.dataset.scan import ReadOptions
from dataset_tools.errors import UserError
from dataset_tools.sources.open import open_source
from dataset_tools.view import plots, stats


@pytest.fixture
def many(folder, square):
    folder.pair("train/a", [square("car"), square("bus", left=30, side=12)])
    folder.pair("train/b", [], seed=1)
    folder.photo("val/c.jpg", size=(400, 200))
    shapes = [square("car", side=32), square("car", left=100, top=50, side=96), square("car", left=250, side=100)]
    folder.json("val/c.json", shapes, "c.jpg", size=(400, 200))
    folder.convert()
    return folder


def count(path):
    return stats.count(open_source(path), ReadOptions())


@pytest.mark.parametrize("kind", ["root", "dataset"])
def test_numbers(many, kind):
    counted = count(getattr(many, kind)).stats
    assert counted.splits == {
        "train": stats.SplitStats(2, 1, {"bus": 1, "car": 1}, small=2, medium=0, large=0),
        "val": stats.SplitStats(1, 0, {"bus": 0, "car": 3}, small=0, medium=1, large=2),
    }
    assert counted.photo_sizes == [((64, 48), 2), ((400, 200), 1)]
    assert counted.instances_per_photo == [0, 1, 2, 2.5, 3]
    assert counted.sides == [12, 16, 32, 96, 100]
    assert counted.relative_sides[-1] == pytest.approx((100 * 100 / (400 * 200)) ** 0.5, abs=1e-4)


@pytest.mark.parametrize("kind", ["root", "dataset"])
@pytest.mark.parametrize(
    ("option", "instances"),
    [
        (["--ignore", "car"], {"bus": 0}),
        (["--rename", "car=auto"], {"auto": 3, "bus": 0}),
        (["--rename", "car=bus"], {"bus": 3}),
        (["--classes", "car,bus,tram"], {"car": 3, "bus": 0, "tram": 0}),
    ],
)
def test_classes_are_renamed_and_ignored(many, capsys, kind, option, instances):
    assert main(["stats", str(getattr(many, kind)), "--format", "json", *option]) == 0
    assert json.loads(capsys.readouterr().out)["splits"]["val"]["instances"] == instances


def test_one_split(many):
    counted = stats.count(open_source(many.dataset), ReadOptions(), "val")
    assert list(counted.stats.splits) == ["val"]
    assert counted.stats.photo_sizes == [((400, 200), 1)]
    with pytest.raises(UserError, match="'test' has no photos"):
        stats.count(open_source(many.dataset), ReadOptions(), "test")


def test_nothing_to_count():
    counted = stats.tally([], [], ["car"])
    assert counted.stats == stats.Stats({}, [], [], [], [])
    assert counted.centres.shape == (0, 2)


def test_centres(folder, square):
    folder.pair("a", [square(left=16, top=16, side=16)])
    assert count(folder.root).centres.tolist() == [[24 / 64, 24 / 48]]


def test_a_folder_without_splits_has_one_column(folder, square):
    folder.pair("a", [square()])
    assert list(count(folder.root).stats.splits) == ["all"]


def test_command(many, tmp_path, capsys):
    assert main(["stats", str(many.root), "--output", str(tmp_path / "out")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["train", "val"] and lines[1].split() == ["images", "2", "1"]
    assert lines[4].split() == ["bus", "1", "0"] and lines[5].split() == ["car", "1", "3"]
    plots = sorted(path.name for path in (tmp_path / "out").glob("*.png"))
    assert plots == ["centres.png", "classes.png", "instance_sizes.png", "instances_per_photo.png", "photo_sizes.png"]
    assert all(Image.open(tmp_path / "out" / name).width >= 600 for name in plots)
    assert main(["stats", str(many.root), "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads((tmp_path / "out" / "stats.json").read_text())


def test_statistics_are_replaced_and_nothing_else(many, tmp_path, capsys):
    command = ["stats", str(many.root), "--output", str(tmp_path / "out")]
    assert main(command) == main(command) == 0
    Image.new("RGB", (9, 9)).save(tmp_path / "out" / "beach.png")
    assert main(command) == 2
    assert "beach.png" in capsys.readouterr().err and (tmp_path / "out" / "beach.png").is_file()


def test_labels_in_plots_are_text_that_some_font_has(folder, square, tmp_path, recwarn):
    folder.pair("a", [square(r"$\frac{$"), square("车", left=30), square("кот", top=30)])
    plots.write(count(folder.root), tmp_path)
    assert (tmp_path / "classes.png").is_file()
    assert not [warning for warning in recwarn if "Glyph" in str(warning.message)]


def test_a_command_that_cannot_write_reads_nothing(many, tmp_path, monkeypatch):
    (tmp_path / "notes.txt").write_text("precious")
    monkeypatch.setattr(stats, "count", None)
    assert main(["stats", str(many.root), "--output", str(tmp_path)]) == 2
