"""Which door a path leads to."""

import pytest

from dataset_tools.dataset.scan import ReadOptions, scanned
from dataset_tools.errors import UserError
from dataset_tools.sources.coco_files import CocoFiles
from dataset_tools.sources.csv_boxes import CsvBoxes
from dataset_tools.sources.labelme_folder import LabelmeFolder
from dataset_tools.sources.open import open_source
from dataset_tools.sources.source import check_encoding


def test_doors(folder, square):
    folder.pair("a", [square()])
    folder.convert(fractions=(1, 0, 0))
    (folder.root / "boxes.CSV").write_text("car,8,8,16,16,a.jpg,64,48\n")
    sources = [open_source(path) for path in (folder.root, folder.dataset, folder.root / "boxes.CSV")]
    assert list(map(type, sources)) == [LabelmeFolder, CocoFiles, CsvBoxes]
    assert [source.classes for source in sources] == [None, ("car",), None]
    read = []
    for source in sources:
        with scanned(source, ReadOptions(training_size=10_000)) as scan:
            (entry,) = scan.entries
            read.append((entry.photo, scan.instances(entry), scan.findings))
    assert read[0] == read[1] == read[2]  # the same photo with the same square, however it is written down


def test_photos_elsewhere(folder, square, tmp_path):
    folder.pair("a", [square()])
    folder.convert(fractions=(1, 0, 0))
    photos = folder.root.rename(tmp_path / "moved")
    with pytest.raises(UserError, match="no such folder"):
        open_source(folder.dataset)
    with scanned(open_source(folder.dataset, photos), ReadOptions()) as scan:
        assert [entry.photo.path for entry in scan.entries] == ["a.jpg"]


def test_nothing_there(tmp_path):
    for name in ("gone", "gone.csv"):
        with pytest.raises(UserError):
            open_source(tmp_path / name)


@pytest.mark.parametrize(("name", "content"), [("a.jpg", "no JSON"), ("a.json", '{"shapes": ['), ("a.yaml", "key: 1")])
def test_a_file_of_an_unknown_kind_is_not_called_json(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=name) as caught:
        open_source(tmp_path / name)
    assert "JSON" not in caught.value.reason


def test_an_unknown_encoding_is_refused():
    check_encoding("gbk")
    for name in ("utf-9", "utf\0", "\udcff"):
        with pytest.raises(UserError, match="--encoding"):
            check_encoding(name)


def test_a_photo_named_dataset_makes_no_dataset_folder(folder, square):
    folder.pair("dataset", [square()])
    assert type(open_source(folder.root)) is LabelmeFolder


def test_a_dataset_folder_with_a_damaged_card_is_no_labelme_folder(folder, square):
    folder.pair("a", [square()])
    folder.convert()
    path = folder.dataset / "dataset.json"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UserError, match="the card cannot be read"):
        open_source(folder.dataset)


def test_an_attribute_of_what_has_none_is_an_error(folder, square):
    folder.pair("a", [square()])
    folder.convert(fractions=(1, 0, 0))
    (folder.root / "boxes.csv").write_text("car,8,8,16,16,a.jpg,64,48\n")
    for path in (folder.root, folder.dataset, folder.root / "boxes.csv"):
        with pytest.raises(UserError, match="--attribute"):
            open_source(path, attribute="kind")
    with pytest.raises(UserError, match="no such folder"):
        open_source(folder.root / "gone", attribute="kind")
