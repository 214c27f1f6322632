"""Edge cases of LabelMe files as they are found in the wild: what becomes of each, and the finding that says so."""

import base64
import json
import os

import numpy as np
import pytest
from pycocotools.coco import COCO

from dataset_tools.__main__ import main
from dataset_tools.dataset.convert import ConvertOptions, convert
from dataset_tools.errors import UserError
from dataset_tools.findings import BadData

CASES = {}


def case(name):
    """Collect a function that fills a folder and yields what is expected: see ``Expected``."""

    def collect(fill):
        CASES[name] = fill
        return fill

    return collect


class Expected:
    """Codes of the findings, except those of small folders; instances of all splits, None for an error; and so on."""

    def __init__(self, codes="", instances=None, images=1, areas=None, files=None):
        self.codes = set(codes.split())
        self.instances, self.images, self.areas, self.files = instances, images, areas, files


@case("01 malformed JSON")
def _(folder, make):
    folder.json("a.json", []).write_text("{")
    return Expected("LM001")


@case("02 COCO file beside")
def _(folder, make):
    folder.pair("a", [make.square()])
    (folder.root / "instances.json").write_text('{"images": [], "annotations": [], "categories": []}')
    return Expected("LM002", 1)


@case("03 byte order mark")
def _(folder, make):
    folder.pair("a", [make.square()])
    path = folder.root / "a.json"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    return Expected("", 1)


@case("04 another encoding")
def _(folder, make):
    folder.pair("a", [])
    path = folder.root / "a.json"
    path.write_bytes(
        json.dumps({**json.loads(path.read_text()), "shapes": [make.square("车")]}, ensure_ascii=False).encode("gbk")
    )
    return Expected("LM003")


@case("05 unknown keys")
def _(folder, make):
    folder.pair("a", [make.square(score=0.5, difficult=False, attributes={})], version="99", text="", checked=True)
    return Expected("", 1)


@case("06 no shape_type")
def _(folder, make):
    folder.pair("a", [make.square(shape_type=...)])
    return Expected("", 1, areas=[256])


@case("07 backslashes in imagePath")
def _(folder, make):
    folder.photo("photos/a.jpg")
    folder.json("files/a.json", [make.square()], "..\\photos\\a.jpg")
    return Expected("", 1, files=["photos/a.jpg"])


@case("08 stale imagePath")
def _(folder, make):
    folder.photo("a.jpg")
    folder.json("b.json", [make.square()], "D:\\work\\a.jpg")
    return Expected("LM010", 1, files=["a.jpg"])


@case("09 imagePath leaves the folder")
def _(folder, make):
    folder.photo("../a.jpg")
    folder.json("a.json", [make.square()], "../a.jpg")
    return Expected("LM011")


@case("10 photo missing, imageData present")
def _(folder, make):
    data = base64.b64encode(folder.photo("../elsewhere.jpg").read_bytes()).decode()
    folder.json("sub/a.json", [make.square()], "gone.jpg", imageData=data)
    return Expected("LM012", 1, files=["images/sub/a.jpg"])


@case("11 both missing")
def _(folder, make):
    folder.json("a.json", [make.square()], "gone.jpg")
    return Expected("LM013")


@case("12 imageData shows another picture")
def _(folder, make):
    data = base64.b64encode(folder.photo("../elsewhere.jpg", seed=5).read_bytes()).decode()
    folder.pair("a", [make.square()], imageData=data)
    return Expected("LM014", 1, files=["a.jpg"])


@case("13 no sizes in the file")
def _(folder, make):
    folder.photo("a.jpg")
    folder.json("a.json", [make.square()], size=None)
    return Expected("", 1)


@case("14 EXIF swaps the sides")
def _(folder, make):
    folder.photo("a.jpg", orientation=6)
    folder.json("a.json", [make.square(left=0, top=40)], size=(48, 64))
    return Expected("", 1, areas=[256])


@case("16 another size")
def _(folder, make):
    folder.photo("a.jpg", size=(63, 48))
    folder.json("a.json", [make.square()])
    return Expected("LM015")


@case("17 two files for one photo")
def _(folder, make):
    folder.pair("a", [make.square()])
    folder.json("b.json", [make.square()], "a.jpg")
    return Expected("LM017")


@case("17 two files that hold one photo")
def _(folder, make):
    path = folder.photo("elsewhere/a.jpg")
    data = base64.b64encode(path.read_bytes()).decode()
    path.unlink()
    folder.json("a.json", [make.square()], "a.jpg", imageData=data)
    folder.json("a copy.json", [make.square()], "a.jpg", imageData=data)
    return Expected("LM012 LM017")


@case("18 equal names in sub-folders")
def _(folder, make):
    folder.pair("x/a", [make.square()])
    folder.pair("y/a", [make.square()])
    return Expected("", 2, images=2, files=["x/a.jpg", "y/a.jpg"])


@case("19 a.jpg, a.png and a.png.json")
def _(folder, make):
    folder.photo("a.jpg", seed=1)
    folder.photo("a.png", seed=2)
    folder.json("a.json", [make.square()], "a.jpg")
    folder.json("a.png.json", [make.square()], "a.png")
    return Expected("", 2, images=2, files=["a.jpg", "a.png"])


@case("20 no shapes")
def _(folder, make):
    folder.pair("a", [make.square()])
    folder.pair("b", [], seed=1)
    return Expected("LM021", 1, images=2)


@case("21 photo without a file")
def _(folder, make):
    folder.pair("a", [make.square()])
    folder.photo("b.jpg", seed=1)
    return Expected("LM020", 1)


@case("22 too few points")
def _(folder, make):
    few = [make.shape("car", []), make.shape("car", [[1, 1], [9, 9]]), make.shape("car", [[1, 1]], "rectangle")]
    folder.pair("a", [make.square(), *few])
    return Expected("LM030", 1)


@case("23 NaN, infinite and huge coordinates")
def _(folder, make):
    wild = [[[0, 0], [value, 0], [9, 9]] for value in (float("nan"), float("inf"), -1e9, -(10**400))]
    folder.pair("a", [make.square(), *(make.shape("car", points) for points in wild)])
    return Expected("LM032", 1)


@case("24 points of three values")
def _(folder, make):
    folder.pair("a", [make.shape("car", [[0, 0, 0], [9, 0, 0], [9, 9, 0]])])
    return Expected("LM004")


@case("24 points as text")
def _(folder, make):
    folder.pair("a", [make.shape("car", [["0", "0"], ["9", "0"], ["9", "9"]])])
    return Expected("LM091", 1)


@case("25 repeated and closing vertices")
def _(folder, make):
    corners = [[8, 8], [8, 8], [24, 8], [24, 24], [24, 24], [8, 24], [8, 8]]
    folder.pair("a", [make.shape("car", corners)])
    return Expected("", 1, areas=[256])


@case("26 collinear")
def _(folder, make):
    exact, rounded = [[0, 0], [5, 5], [10, 10]], [[8.75, 32.22], [14.75, 28.7], [47.75, 9.34], [52.25, 6.7]]
    folder.pair("a", [make.square(), make.shape("car", exact), make.shape("car", rounded)])
    return Expected("LM033", 1)


@case("27 smaller than a pixel")
def _(folder, make):
    folder.pair("a", [make.square(), make.square(left=30.6, top=30.6, side=0.2)])
    return Expected("LM034", 1)


@case("28 crosses itself")
def _(folder, make):
    folder.pair("a", [make.shape("car", [[8, 8], [40, 40], [40, 8], [8, 40]])])
    return Expected("LM035", 1)


@case("29 partly outside")
def _(folder, make):
    folder.pair("a", [make.square(left=-8, top=-8)])
    return Expected("LM036", 1, areas=[64])


@case("30 wholly outside")
def _(folder, make):
    folder.pair("a", [make.square(), make.square(left=-20), make.square(left=64)])
    return Expected("LM037", 1)


@case("31 reversed rectangle")
def _(folder, make):
    folder.pair("a", [make.shape("car", [[24, 30], [8, 10]], "rectangle")])
    return Expected("", 1, areas=[320])


@case("32 four-point rectangle and oriented_rectangle")
def _(folder, make):
    corners = [[8, 8], [24, 8], [24, 24], [8, 24]]
    folder.pair("a", [make.shape("car", corners, "rectangle"), make.shape("bus", corners, "oriented_rectangle")])
    return Expected("", 2, areas=[256, 256])


@case("33 circle of radius 0")
def _(folder, make):
    folder.pair("a", [make.square(), make.shape("car", [[8, 8], [8, 8]], "circle")])
    return Expected("LM033", 1)


@case("34 shapes without a surface")
def _(folder, make):
    two = [[8, 8], [20, 20]]
    flat = [make.shape("car", two, kind) for kind in ("line", "linestrip", "points", "cuboid")]
    folder.pair("a", [make.square(), make.shape("car", two[:1], "point"), *flat])
    return Expected("LM038", 1)


@case("35 mask and its box differ")
def _(folder, make):
    folder.pair("a", [make.mask("car", np.ones((4, 6)), corner=(10, 10), box=(9, 9))])
    return Expected("LM039", 1, areas=[24])


@case("36 empty mask")
def _(folder, make):
    folder.pair("a", [make.square(), make.mask("car", np.zeros((4, 6)))])
    return Expected("LM040", 1)


@case("36 undecodable mask")
def _(folder, make):
    folder.pair("a", [make.shape("car", [[0, 0], [3, 3]], "mask", mask="iVBORw0KGgo=")])
    return Expected("LM041")


@case("36 no mask")
def _(folder, make):
    folder.pair("a", [make.shape("car", [[0, 0], [3, 3]], "mask", mask=None)])
    return Expected("LM041")


@case("37 mask and polygon in one group")
def _(folder, make):
    folder.pair("a", [make.mask("car", np.ones((4, 6)), group_id=1), make.square(group_id=1)])
    return Expected("", 1, areas=[24 + 256])


@case("39 one group, two labels")
def _(folder, make):
    folder.pair("a", [make.square(group_id=1), make.square("bus", left=30, group_id=1.0)])
    return Expected("LM042", 2)


@case("40 group 0")
def _(folder, make):
    folder.pair("a", [make.square(group_id=0), make.square(left=30, group_id=0), make.square(top=30)])
    return Expected("", 2, areas=[512, 256])


@case("41 group true")
def _(folder, make):
    folder.pair("a", [make.square(group_id=True)])
    return Expected("LM004")


@case("41 group '1'")
def _(folder, make):
    folder.pair("a", [make.square(group_id="1"), make.square(left=30, group_id=1)])
    return Expected("LM091", 1, areas=[512])


@case("41 numbers of other programs")
def _(folder, make):
    folder.pair("a", [make.square(group_id=1.0), make.square(left=30, group_id=1)], imageWidth=64.0)
    return Expected("", 1, areas=[512])


@case("X-AnyLabeling's rectangles")
def _(folder, make):
    corners = [[20, 8], [30, 18], [20, 28], [10, 18]]
    shapes = [make.shape("car", corners, kind, direction=0.79) for kind in ("rotation", "quadrilateral")]
    folder.pair("a", [shapes[0], shapes[1] | {"label": "bus"}])
    return Expected("", 2, areas=[200, 200])


@case("a mask many times as large as the photo")
def _(folder, make):
    folder.pair("a", [make.mask("car", np.ones((200, 200)))])
    return Expected("LM041")


@case("a dataset inside the folder")
def _(folder, make):
    folder.pair("a", [make.square()])
    folder.convert(folder.root / "datasets/made", images="copy")
    return Expected("LM025", 1, files=["a.jpg"])


@case("a named pipe")
def _(folder, make):
    folder.pair("a", [make.square()])
    os.mkfifo(folder.root / "b.json")
    return Expected("LM001")


@case("a link to a device without end")
def _(folder, make):
    folder.pair("a", [make.square()])
    (folder.root / "b.json").symlink_to("/dev/zero")
    return Expected("LM001")


@case("a sparse file of 40 GB")
def _(folder, make):
    folder.pair("a", [make.square()])
    with open(folder.root / "b.json", "wb") as file:
        file.truncate(40 << 30)
    return Expected("LM007")


@case("millions of values")
def _(folder, make):
    folder.pair("a", [make.square()], note=[0] * 5_000_000)
    return Expected("LM007")


@case("sub-folders named as others name them")
def _(folder, make):
    folder.pair("Train/a", [make.square()])
    folder.pair("valid/b", [make.square()])
    return Expected("", 2, images=2)


@case("42 nested parts")
def _(folder, make):
    folder.pair("a", [make.square(group_id=1), make.square(left=12, top=12, side=4, group_id=1)])
    return Expected("LM044", 1, areas=[256])


@case("43 the same shape twice")
def _(folder, make):
    folder.pair("a", [make.square(), make.square()])
    return Expected("LM043", 2)


@case("45 variants of a label")
def _(folder, make):
    folder.pair("a", [make.square("Car"), make.square("car ", left=30), make.square("cars", top=30)])
    return Expected("LM051 LM053", 3)


@case("45 a variant by white space alone")
def _(folder, make):
    folder.pair("a", [make.square("car"), make.square("car ", left=30)])
    return Expected("LM051 LM053", 2)


@case("45 two labels that differ by white space are not duplicates")
def _(folder, make):
    folder.pair("a", [make.square("car"), make.square("car ")])
    return Expected("LM051 LM053", 2)


@case("46 reserved labels")
def _(folder, make):
    folder.pair("a", [make.square(), make.square("__ignore__"), make.square("_background_")])
    return Expected("LM054", 1)


@case("an empty label")
def _(folder, make):
    folder.pair("a", [make.square(" ")])
    return Expected("LM050")


@case("a photo that is none")
def _(folder, make):
    folder.pair("a", [make.square()])
    (folder.root / "a.jpg").write_bytes(b"no picture")
    return Expected("LM016")


@case("more points than a circle has")
def _(folder, make):
    folder.pair("a", [make.shape("car", [[1, 1], [2, 2], [3, 3]], "circle")])
    return Expected("LM031")


class Make:
    """The makers of shapes, under one roof."""

    def __init__(self, shape, square, mask_shape):
        self.shape, self.square, self.mask = shape, square, mask_shape


# What a folder of one or two photos always has: splits without photos, and so without classes.
OF_SMALL_FOLDERS = {"LM059", "LM060", "LM061", "LM062"}


@pytest.mark.parametrize("name", CASES)
def test_edge_case(name, folder, shape, square, mask_shape, codes):
    expected = CASES[name](folder, Make(shape, square, mask_shape))
    if expected.instances is None:
        with pytest.raises(BadData) as caught:
            folder.convert()
        assert codes(caught.value.findings) - OF_SMALL_FOLDERS == expected.codes
        assert caught.value.exit_code == 1
        assert not folder.dataset.exists()
        return
    converted = folder.convert()
    assert codes(converted.findings) - OF_SMALL_FOLDERS == expected.codes
    files = [folder.split(split) for split in ("train", "val", "test")]
    assert sum(len(file["images"]) for file in files) == expected.images
    annotations = [annotation for file in files for annotation in file["annotations"]]
    assert len(annotations) == expected.instances
    if expected.areas is not None:
        assert [annotation["area"] for annotation in annotations] == expected.areas
    if expected.files is not None:
        assert sorted(image["file_name"] for file in files for image in file["images"]) == expected.files
    for split in ("train", "val", "test"):
        COCO(folder.dataset / f"{split}.json")


@pytest.mark.parametrize(
    "name", [name for name in CASES if name[:2] in ("01", "04", "11", "16", "17", "24", "36", "41")]
)
def test_bad_files_are_skipped_on_request(name, folder, shape, square, mask_shape):
    """A whole file beside the bad ones is converted, and the bad ones are counted."""
    expected = CASES[name](folder, Make(shape, square, mask_shape))
    folder.pair("whole", [square()], seed=9)
    converted = folder.convert(skip_bad=True)
    bad = {finding.file for finding in converted.findings if finding.is_error}
    assert converted.skipped == len(bad)
    kept = {image["file_name"] for split in ("train", "val", "test") for image in folder.split(split)["images"]}
    assert "whole.jpg" in kept
    assert len(kept) == (1 if expected.instances is None else 2)


def test_45_only_an_explicit_renaming_makes_one_class_of_two(folder, square):
    folder.pair("a", [square("car"), square("car ", left=30)])
    folder.convert()
    assert [category["name"] for category in folder.split("train")["categories"]] == ["car", "car "]
    assert main(["check", str(folder.dataset)]) == 0
    folder.convert(rename={"car ": "car"}, overwrite=True)
    assert [category["name"] for category in folder.split("train")["categories"]] == ["car"]


def test_44_unknown_label_names_the_nearest_class(folder, square):
    folder.pair("a", [square("cra")])
    with pytest.raises(BadData) as caught:
        folder.convert(classes=("bus", "Car"))
    (finding,) = caught.value.findings
    assert finding.rule.code == "LM052" and finding.place == "shapes[0]" and "'Car'" in finding.message


def test_47_categories_are_the_same_in_all_splits(folder, square):
    for name, label in [("train/a", "zebra"), ("val/b", "ant"), ("test/c", "zebra")]:
        folder.pair(name, [square(label)], seed=len(name))
    folder.convert()
    expected = [{"id": 1, "name": "ant"}, {"id": 2, "name": "zebra"}]
    assert all(folder.split(split)["categories"] == expected for split in ("train", "val", "test"))


def test_49_one_photo_goes_to_train_and_the_rest_is_said(folder, square, codes):
    folder.pair("a", [square()])
    converted = folder.convert()
    assert [split.images for split in converted.card.splits.values()] == [1, 0, 0]
    assert codes(converted.findings) == {"LM059", "LM060"}


def test_49_rare_class_is_said(folder, square, codes):
    folder.pair("train/a", [square("car")])
    folder.pair("val/b", [square("bus")], seed=1)
    converted = folder.convert()
    found = {(finding.rule.code, finding.message) for finding in converted.findings}
    assert ("LM061", "train: 'bus'") in found and ("LM062", "val: 'car'") in found


def test_loop_of_links_ends(folder, square):
    folder.pair("a/b", [square()])
    os.symlink(folder.root, folder.root / "a" / "loop")
    assert folder.convert().card.splits["train"].images == 1


@pytest.mark.parametrize("images", ["reference", "copy", "resize"])
@pytest.mark.parametrize("linked", ["photo", "folder", "file"])
def test_links_that_lead_out_of_the_folder_are_said(folder, square, tmp_path, linked, images):
    folder.pair("here", [square()])
    folder.pair("sub/a", [square()], seed=1)
    (tmp_path / "private").mkdir()
    path = folder.root / {"photo": "sub/a.jpg", "folder": "sub", "file": "sub/a.json"}[linked]
    path.rename(tmp_path / "private" / path.name)
    path.symlink_to(tmp_path / "private" / path.name)
    findings = folder.convert(images=images).findings
    said = {finding.message for finding in findings if finding.rule.code == "LM026"}
    assert len(said) == (2 if linked == "folder" else 1)
    assert all("sub/a.j" in message and str(tmp_path / "private") in message for message in said)
    assert {finding.file for finding in findings if finding.rule.code == "LM026"} == {"sub/a.json"}


def test_links_inside_the_folder_need_no_word(folder, square, codes):
    folder.pair("sub/a", [square()])
    (folder.root / "sub").rename(folder.root / "real")
    (folder.root / "sub").symlink_to("real")
    (folder.root.parent / "link").symlink_to(folder.root)
    for source in (folder.root, folder.root.parent / "link"):
        found = convert(ConvertOptions(source=source, output=folder.dataset, overwrite=True)).findings
        assert "LM026" not in codes(found)


def test_file_name_that_is_no_text(folder, square):
    folder.pair("a", [square()])
    os.rename(folder.root / "a.json", os.fsencode(folder.root) + b"/\xff.json")
    with pytest.raises(BadData) as caught:
        folder.convert()
    assert caught.value.findings[0].rule.code == "LM005"


@pytest.mark.parametrize("table", [False, True])
def test_photo_in_a_folder_whose_name_is_no_text(folder, square, table):
    name = os.fsdecode(b"\xff/a.jpg")
    folder.photo(name)
    source = folder.json("a.json", [square()], "gone/a.jpg").parent
    if table:
        source = folder.root / "boxes.csv"
        source.write_text("car,8,8,16,16,a.jpg,64,48\n")
    with pytest.raises(BadData) as caught:
        convert(ConvertOptions(source=source, output=folder.dataset))
    assert ("LM005", repr(name)) in [(finding.rule.code, finding.message) for finding in caught.value.findings]


def test_table_whose_name_is_no_text(folder):
    folder.photo("a.jpg")
    table = folder.root / os.fsdecode(b"\xff.csv")
    table.write_text("car,8,8,16,16,a.jpg,64,48\n")
    with pytest.raises(UserError, match="Unicode"):
        convert(ConvertOptions(source=table, output=folder.dataset))


@pytest.mark.parametrize("classes", [None, ("car",)])
def test_nothing_left_is_bad_data(folder, classes):
    folder.pair("a", [])
    with pytest.raises(BadData) as caught:
        folder.convert(classes=classes)
    assert caught.value.exit_code == 1 and not folder.dataset.exists()


def test_no_json_is_wrong_usage(folder):
    folder.photo("a.jpg")
    with pytest.raises(UserError) as caught:
        folder.convert()
    assert caught.value.exit_code == 2
