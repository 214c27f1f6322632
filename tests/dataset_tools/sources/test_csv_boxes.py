"""Tables of boxes as makesense.ai exports them: what becomes of each line, and what is said about odd ones."""

import pytest

from dataset_tools.dataset.convert import ConvertOptions, convert
from dataset_tools.dataset.scan import ReadOptions, scanned
from dataset_tools.errors import EXIT_DATA, UserError
from dataset_tools.findings import BadData, Rule
from dataset_tools.formats.csv_table import COLUMNS
from dataset_tools.records import Instance
from dataset_tools.sources.csv_boxes import CsvBoxes

HEADER = ",".join(COLUMNS)


@pytest.fixture
def table(folder):
    """Writes a table beside the photos, and the photos a.jpg and b.jpg."""
    folder.photo("a.jpg")
    folder.photo("b.jpg", seed=1)

    def table(*lines, name="boxes.csv", encoding="utf-8", end="\n"):
        path = folder.root / name
        path.write_bytes(end.join([*lines, ""]).encode(encoding))
        return path

    return table


@pytest.fixture
def look(table):
    """What is read of a table: photos with instances, and findings but those about size."""

    def look(*lines, options=None, **keys):
        return read(CsvBoxes(table(*lines), **keys), options)

    return look


def read(source, options=None):
    with scanned(source, options or ReadOptions(training_size=10_000)) as scan:
        return {entry.file: scan.instances(entry) for entry in scan.entries}, scan.findings


def reported(findings):
    return [(finding.rule, finding.file, finding.place) for finding in findings]


def box(label, left, top, width, height):
    right, bottom = left + width, top + height
    outline = [float(value) for value in (left, top, right, top, right, bottom, left, bottom)]
    return Instance(label, [outline], float(width * height), tuple(map(float, (left, top, width, height))))


LINES = ["car,12,8,20,10,b.jpg,64,48", "bus,1,2,30,40,a.jpg,64,48", "car,40,8,20,10,b.jpg,64,48"]
READ = {"b.jpg": [box("car", 12, 8, 20, 10), box("car", 40, 8, 20, 10)], "a.jpg": [box("bus", 1, 2, 30, 40)]}


# What is read


@pytest.mark.parametrize("header", [[], [HEADER], [f"  {HEADER.replace(',', ' , ')}"]])
def test_boxes(look, header):
    items, findings = look(*header, *LINES)
    assert (items, findings) == (READ, [])
    assert list(items) == ["b.jpg", "a.jpg"]  # in the order of the table


def test_columns_in_another_order(look):
    lines = [",".join(["0", *reversed(line.split(","))]) for line in LINES]
    assert look(",".join(["confidence", *reversed(COLUMNS)]), *lines) == (READ, [])


@pytest.mark.parametrize(
    ("encoding", "end"), [("utf-8", "\n"), ("utf-8-sig", "\n"), ("utf-8", "\r\n"), ("utf-8", "\r"), ("utf-8", "\n\n")]
)
def test_spelling_of_the_file(table, encoding, end):
    assert read(CsvBoxes(table(*LINES, encoding=encoding, end=end))) == (READ, [])


def test_other_encodings(table):
    path = table("Straße,12,8,20,10,a.jpg,64,48", encoding="cp1252")
    with pytest.raises(UserError, match="not utf-8 text.*--encoding"):
        CsvBoxes(path)
    assert read(CsvBoxes(path, encoding="cp1252"))[0]["a.jpg"][0].label == "Straße"
    with pytest.raises(UserError, match="klingon.*--encoding"):
        CsvBoxes(path, encoding="klingon")


def test_quoted_fields(look, folder):
    folder.photo("a, b.jpg", seed=2)
    items, findings = look('"car, red",12,8,20,10,"a, b.jpg",64,48')
    assert items == {"a, b.jpg": [box("car, red", 12, 8, 20, 10)]}


def test_photos_in_sub_folders(table, folder):
    for index, name in enumerate(["x/c.jpg", "x/d.jpg", "y/d.jpg"]):
        folder.photo(name, seed=index + 5)
    path = table("car,1,1,9,9,c.jpg,64,48", "car,1,1,9,9,d.jpg,64,48", "car,1,1,9,9,y/d.jpg,64,48")
    items, findings = read(CsvBoxes(path))
    assert list(items) == ["x/c.jpg", "y/d.jpg"]
    assert reported(findings)[:1] == [(Rule.PHOTO_AMBIGUOUS, "d.jpg", "line 2")]
    assert "'x/d.jpg', 'y/d.jpg'" in findings[0].message


def test_photos_in_another_folder(table, folder, tmp_path):
    elsewhere = tmp_path / "table"
    elsewhere.mkdir()
    path = table(*LINES).rename(elsewhere / "boxes.csv")
    assert read(CsvBoxes(path, folder.root)) == (READ, [])
    with pytest.raises(UserError, match="no such folder"):
        CsvBoxes(path, tmp_path / "gone")


def test_names_with_folders_of_another_machine(look):
    items, findings = look(r"car,1,1,9,9,C:\photos\a.jpg,64,48", "car,1,1,9,9,old/b.jpg,64,48")
    assert list(items) == ["a.jpg", "b.jpg"]
    assert reported(findings) == [(Rule.PHOTO_ELSEWHERE, "a.jpg", "line 1"), (Rule.PHOTO_ELSEWHERE, "b.jpg", "line 2")]


def test_turned_photo(look, folder):
    folder.photo("turned.jpg", orientation=6)
    shown, stored = "car,1,2,30,40,turned.jpg,48,64", "car,1,2,30,40,turned.jpg,64,48"
    unread = [(Rule.PHOTO_WITHOUT_FILE, "a.jpg", ""), (Rule.PHOTO_WITHOUT_FILE, "b.jpg", "")]
    items, findings = look(shown)
    assert (items, reported(findings)) == ({"turned.jpg": [box("car", 1, 2, 30, 40)]}, unread)
    items, findings = look(shown, stored)
    assert (items, reported(findings)) == ({}, [(Rule.SIZE_MISMATCH, "turned.jpg", "line 2"), *unread])
    assert "EXIF orientation 6" in findings[0].message


def test_photos_that_no_line_names(look):
    _, findings = look(LINES[0])
    assert reported(findings) == [(Rule.PHOTO_WITHOUT_FILE, "a.jpg", "")]
    items, findings = look(LINES[0], negatives=True)
    assert (items["a.jpg"], reported(findings)) == ([], [(Rule.TAKEN_AS_NEGATIVE, "a.jpg", "")])


@pytest.mark.parametrize("line", ["car,1,1,9,9,b_1.jpg,64,48", "car,1,1,9,9"])
def test_a_photo_that_a_line_with_errors_may_be_about_is_no_negative(look, line):
    items, findings = look(LINES[1], line, negatives=True)
    assert list(items) == ["a.jpg"]
    (message,) = [f.message for f in findings if f.file == "b.jpg"]
    assert "boxes.csv" in message and "errors" in message


def test_folders_decide_the_split(table, folder):
    photos = ["train/1.jpg", "train/2.jpg", "valid/3.jpg", "test/4.jpg", "5.jpg", "test/empty.jpg"]
    for index, name in enumerate(photos):
        folder.photo(name, seed=index)
    path = table(*(f"car,1,1,9,9,{name},64,48" for name in ("1.jpg", "2.jpg", "3.jpg", "test/4.jpg", "5.jpg")))
    converted = convert(ConvertOptions(source=path, output=folder.dataset, negatives=True))
    names = {split: [i["file_name"] for i in folder.split(split)["images"]] for split in ("train", "val", "test")}
    assert names == {
        "train": ["train/1.jpg", "train/2.jpg"],
        "val": ["valid/3.jpg"],
        "test": ["test/4.jpg", "test/empty.jpg"],
    }
    assert [f.file for f in converted.findings if f.rule is Rule.OUTSIDE_SPLITS] == ["5.jpg", "a.jpg", "b.jpg"]


# What is shared with LabelMe's shapes


@pytest.mark.parametrize(
    ("line", "rule", "areas"),
    [
        ("car,-8,8,16,10,a.jpg,64,48", Rule.PARTLY_OUTSIDE, [80]),
        ("car,80,8,16,10,a.jpg,64,48", Rule.OUTSIDE, []),
        ("car,8,8,0,10,a.jpg,64,48", Rule.ZERO_AREA, []),
        ("car,8,8,1e300,10,a.jpg,64,48", Rule.BAD_COORDINATES, []),
        (",8,8,16,10,a.jpg,64,48", Rule.EMPTY_LABEL, []),
        ("tram,8,8,16,10,a.jpg,64,48", Rule.UNKNOWN_LABEL, []),
    ],
)
def test_odd_boxes(look, line, rule, areas):
    options = ReadOptions(("car",), training_size=10_000)
    items, findings = look("car,12,8,20,10,b.jpg,64,48", line, options=options)
    assert reported(findings) == [(rule, "a.jpg", "line 2")]
    assert [instance.area for instance in items["a.jpg"]] == areas


def test_the_same_box_twice(look):
    items, findings = look(HEADER, LINES[1], LINES[0], LINES[1])
    assert reported(findings) == [(Rule.DUPLICATE_SHAPE, "a.jpg", "line 4")]
    assert findings[0].message == "'bus', as line 2"


# Lines and files that cannot be used


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("car,12,8,20", "4 fields, not 8"),
        ("car,12,8,20,10,a.jpg,64,48,1", "9 fields, not 8"),
        ("car;12;8;20;10;a.jpg;64;48", "1 fields, not 8"),
        ("car,12,8,20,10,,64,48", "no image_name"),
    ],
)
def test_bad_lines(look, line, message):
    items, findings = look(*LINES, line)
    assert items == READ
    assert reported(findings) == [(Rule.BAD_LINE, "boxes.csv", "line 4")]
    assert findings[0].message == message


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("car,left,8,20,10,a.jpg,64,48", "bbox_x is 'left', which is not a number"),
        ("car,nan,8,20,10,a.jpg,64,48", "bbox_x is 'nan', which is not a number"),
        ("car,1_2,8,20,10,a.jpg,64,48", "bbox_x is '1_2', which is not a number"),
        ("car,12,8,20,10,a.jpg,64,", "image_height is '', which is not a number"),
        ("car,12,8,-20,10,a.jpg,64,48", "a box of -20 x 10"),
    ],
)
def test_a_bad_line_of_a_photo_is_an_error_of_the_photo(look, line, message):
    """Which goes as a whole with --skip-bad: what is left of it would be a photo with objects that nobody annotated."""
    _, findings = look(*LINES, line)
    assert reported(findings) == [(Rule.BAD_LINE, "a.jpg", "line 4")]
    assert findings[0].message == message


def test_photo_missing_or_broken(look, folder):
    (folder.root / "broken.jpg").write_bytes(b"no photo")
    names = ("gone.jpg", "broken.jpg", "../c.jpg", "b.jpg")
    items, findings = look(*(f"car,1,1,9,9,{name},640,480" for name in names))
    assert items == {}
    assert reported(findings)[:4] == [
        (Rule.PHOTO_MISSING, "gone.jpg", "line 1"),
        (Rule.PHOTO_UNREADABLE, "broken.jpg", ""),
        (Rule.PHOTO_LEAVES_ROOT, "../c.jpg", "line 3"),
        (Rule.SIZE_MISMATCH, "b.jpg", "line 4"),
    ]


@pytest.mark.parametrize("content", ["", "\n\n", HEADER + "\n"])
def test_empty_file(table, content):
    path = table()
    path.write_text(content)
    with pytest.raises(UserError, match="no box") as caught:
        CsvBoxes(path)
    assert caught.value.exit_code == EXIT_DATA


def test_no_csv_file(table, folder):
    with pytest.raises(UserError, match="cannot be read"):
        CsvBoxes(folder.root / "gone.csv")
    with pytest.raises(UserError, match="not a CSV file"):
        CsvBoxes(table('"' + "x" * 200_000))


# The whole way


def test_convert(table, folder):
    path = table(*LINES)
    card = convert(ConvertOptions(source=path, output=folder.dataset, fractions=(1, 0, 0))).card
    assert (card.classes, card.image_root) == (["bus", "car"], "../photos")
    assert card.made_by == {"command": "convert", "source": "../photos/boxes.csv", "fractions": [1, 0, 0]}
    content = folder.split()
    assert [image["file_name"] for image in content["images"]] == ["b.jpg", "a.jpg"]
    assert [annotation["bbox"] for annotation in content["annotations"]] == [
        [12, 8, 20, 10],
        [40, 8, 20, 10],
        [1, 2, 30, 40],
    ]


def test_skip_bad(table, folder):
    path = table(*LINES, "car,12,8,20", "tram,1,1,9,9,gone.jpg,64,48")
    with pytest.raises(BadData):
        convert(ConvertOptions(source=path, output=folder.dataset))
    card = convert(ConvertOptions(source=path, output=folder.dataset, skip_bad=True)).card
    assert sum(split.images for split in card.splits.values()) == 2
