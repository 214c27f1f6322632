"""Files as VIA and makesense.ai write them, and what strangers' files have.

2.x after via-2.x.y of https://gitlab.com/vgg/via (regions of ``via_region_data.json``, projects), 3.x after its CodeDoc.md
(``_VIA_RSHAPE``, ``_via_metadata``), makesense.ai after VGGExporter.ts of https://github.com/SkalskiP/make-sense.
"""

import json
import math

import numpy as np
import pytest
from PIL import Image, ImageDraw

from dataset_tools.__main__ import main
from dataset_tools.dataset.scan import ReadOptions, scanned
from dataset_tools.errors import UserError
from dataset_tools.findings import Rule
from dataset_tools.geometry.polygons import ellipse_outline
from dataset_tools.sources.open import open_annotations, open_source
from dataset_tools.sources.via_files import ViaFiles

SQUARE = {"name": "polygon", "all_points_x": [8, 24, 24, 8], "all_points_y": [8, 8, 24, 24]}
RECT = {"name": "rect", "x": 8, "y": 8, "width": 16, "height": 16}
CAR = [("car", 256)]


def region(shape=SQUARE, **attributes):
    return {"shape_attributes": shape, "region_attributes": attributes or {"class": "car"}}


def entry(*regions, name="a.jpg", size=1234):
    return {name + str(size): {"filename": name, "size": size, "regions": list(regions), "file_attributes": {}}}


def project(photos):
    """As "Save Project" of 2.x writes it."""
    return {
        "_via_settings": {"core": {"default_filepath": "photos/"}, "project": {"name": "mine"}},
        "_via_img_metadata": photos,
        "_via_attributes": {"region": {"class": {"type": "dropdown", "options": {"car": "", "bus": ""}}}, "file": {}},
        "_via_data_format_version": "2.0.10",
        "_via_image_id_list": list(photos),
    }


def project_3(*metadata, names=("a.jpg",), attribute=None):
    """As 3.x saves it; each metadata is xy and av, for the first photo, or a whole one."""
    items = [item if isinstance(item, dict) else {"vid": "1", "xy": item[0], "av": item[1]} for item in metadata]
    options = {"0": "car", "1": "bus"}
    chosen = {"aname": "class", "anchor_id": "FILE1_Z0_XY1", "type": 4, "options": options, "default_option_id": ""}
    return {
        "project": {"pid": "__VIA_PROJECT_ID__", "data_format_version": "3.1.1", "vid_list": ["1"]},
        "config": {"file": {"loc_prefix": {"1": "", "2": "", "3": "", "4": ""}}},
        "attribute": {"1": chosen | (attribute or {})},
        "file": {
            str(number): {"fid": number, "fname": name, "type": 2, "loc": 1, "src": name}
            for number, name in enumerate(names, start=1)
        },
        "metadata": {f"1_{index:06}": {"flg": 0, "z": []} | item for index, item in enumerate(items)},
        "view": {str(number): {"fid_list": [number]} for number in range(1, len(names) + 1)},
    }


@pytest.fixture
def look(folder):
    """What is read of a file beside the photo a.jpg: labels and areas of each photo, and the findings."""
    folder.photo("a.jpg")

    def look(content, options=None, path=None, **keys):
        if content is not None:
            (folder.root / "via_region_data.json").write_text(json.dumps(content), encoding="utf-8")
        source = open_source(path or folder.root, **keys)
        with scanned(source, options or ReadOptions(training_size=10_000)) as scan:
            instances = {entry.file: scan.instances(entry) for entry in scan.entries}
            taken = {file: [(item.label, item.area) for item in items] for file, items in instances.items()}
            return taken, list(scan.findings)

    return look


def codes(findings):
    return [finding.rule.code for finding in findings]


FORMS = {
    "2.x": entry(region()),
    "2.x, a project": project(entry(region())),
    "2.x, a rectangle": entry(region(RECT)),
    "2.x, a line that closes": entry(region({"name": "polyline", "all_points_x": [8, 24, 24, 8, 8],
                                             "all_points_y": [8, 8, 24, 24, 8]})),
    "1.x and makesense.ai, regions by numbers": {"a.jpg": {
        "fileref": "", "size": 1234, "filename": "a.jpg", "base64_img_data": "", "file_attributes": {},
        "regions": {"0": {"shape_attributes": {"name": "polygon", "all_points_x": [8, 24, 24, 8, 8],
                                               "all_points_y": [8, 8, 24, 24, 8]},
                          "region_attributes": {"label": "car"}}}}},
    "3.x": project_3(([7, 8, 8, 24, 8, 24, 24, 8, 24], {"1": "0"})),
    "3.x, a rectangle": project_3(([2, 8, 8, 16, 16], {"1": "0"})),
    "3.x, a line that closes": project_3(([6, 8, 8, 24, 8, 24, 24, 8, 24, 8, 8], {"1": "0"})),
    "3.x, typed text": project_3(([2, 8, 8, 16, 16], {"1": "car"}), attribute={"type": 1, "options": {}}),
    "3.x, an attribute of the photo": project_3({"vid": "1", "xy": [], "av": {"1": "1"}}, ([2, 8, 8, 16, 16], {"1": "0"})),
    "a box to tick": entry(region(**{"class": {"car": True, "bus": False}})),
    "3.x, a box to tick": project_3(([2, 8, 8, 16, 16], {"1": "0"}), attribute={"type": 2}),
    "one attribute of any name": entry(region(vehicle="car")),
    "several attributes, one is the class": entry(region(Class="car", occluded="no", colour="red")),
    "several attributes, one is filled in": entry(region(vehicle="car", note="")),
}  # fmt: skip


@pytest.mark.parametrize("case", FORMS)
def test_a_square_however_it_is_written(look, case):
    assert look(FORMS[case]) == ({"a.jpg": CAR}, [])


@pytest.mark.parametrize("angle", [0, 0.5, -1.2])
@pytest.mark.parametrize("version", [2, 3])
def test_an_ellipse_is_turned_as_via_draws_it(look, angle, version):
    """VIA hands cx, cy, rx, ry and theta in radians to the canvas of the browser, where angles go clockwise."""
    shape = {"name": "ellipse", "cx": 30, "cy": 22, "rx": 18, "ry": 9, "theta": angle}
    content = entry(region(shape)) if version == 2 else project_3(([4, 30, 22, 18, 9, angle], {"1": "0"}))
    taken, findings = look(content)
    ((label, area),) = taken["a.jpg"]
    assert (label, findings) == ("car", [])
    assert area == pytest.approx(math.pi * 18 * 9, rel=0.02)
    ellipse, outline = Image.new("L", (512, 384)), Image.new("L", (512, 384))  # eight times as large
    ImageDraw.Draw(ellipse).ellipse((8 * 12, 8 * 13, 8 * 48, 8 * 31), fill=1)
    ellipse = ellipse.rotate(-math.degrees(angle), center=(8 * 30, 8 * 22))
    points = [tuple(8 * value for value in point) for point in ellipse_outline((30, 22), (18, 9), angle)]
    ImageDraw.Draw(outline).polygon(points, fill=1)
    one, other = np.asarray(ellipse) > 0, np.asarray(outline) > 0
    assert (one & other).sum() / (one | other).sum() > 0.97


def test_a_circle(look):
    taken, findings = look(entry(region({"name": "circle", "cx": 30, "cy": 22, "r": 10})))
    assert findings == [] and taken["a.jpg"][0][1] == pytest.approx(math.pi * 100, rel=0.02)
    assert look(project_3(([3, 30, 22, 10], {"1": "0"})))[0] == taken


@pytest.mark.parametrize("shape", [
    {"name": "polyline", "all_points_x": [8, 24, 24], "all_points_y": [8, 8, 24]},
    {"name": "point", "cx": 8, "cy": 8},
])  # fmt: skip
def test_lines_and_points_are_left_out_or_drawn(look, shape):
    content = entry(region(), region(shape))
    taken, findings = look(content)
    assert (taken, codes(findings)) == ({"a.jpg": CAR}, ["LM038"])
    taken, findings = look(content, ReadOptions(training_size=10_000, line_width=4))
    assert len(taken["a.jpg"]) == 2 and codes(findings) == []


# The class


def test_files_about_one_class_have_no_attributes(look):
    """As the balloons of Mask R-CNN's first tutorial."""
    regions = [{"shape_attributes": shape, "region_attributes": {}} for shape in (SQUARE, RECT | {"x": 30})]
    taken, findings = look(entry(*regions))
    assert (taken, codes(findings)) == ({"a.jpg": [("object", 256), ("object", 256)]}, ["LM090"])
    taken, _ = look(None, ReadOptions(rename={"object": "balloon"}))
    assert taken == {"a.jpg": [("balloon", 256), ("balloon", 256)]}


def test_a_region_without_its_class_is_an_error(look):
    _, findings = look(entry(region(), region(RECT | {"x": 30}, **{"class": ""})))
    assert [(item.rule, item.place) for item in findings] == [(Rule.EMPTY_LABEL, "regions[1]")]


def test_of_several_attributes_the_user_names_the_class(look):
    content = entry(region(vehicle="car", colour="red"))
    with pytest.raises(UserError, match="'vehicle', 'colour'.*--attribute"):
        look(content)
    assert look(content, attribute="vehicle")[0] == {"a.jpg": CAR}
    assert look(content, attribute="colour")[0] == {"a.jpg": [("red", 256)]}
    with pytest.raises(UserError, match="'shape'"):
        look(content, attribute="shape")


def test_attribute_is_an_option_of_the_commands(folder, capsys):
    folder.photo("a.jpg")
    path = folder.root / "via.json"
    path.write_text(json.dumps(entry(region(vehicle="car", colour="red"))))
    convert = ["convert", str(path), "--output", str(folder.dataset)]
    assert main(convert) == 2 and "--attribute" in capsys.readouterr().err
    assert main([*convert, "--attribute", "vehicle"]) == 0
    assert [item["name"] for item in folder.split()["categories"]] == ["car"]
    assert main(["check", str(folder.root), "--attribute", "colour", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out.partition("\n{")[2].join(["{", ""]))["instances"] == {"red": 1}


@pytest.mark.parametrize("content", [
    entry(region(**{"class": {"car": True, "bus": True}})),
    project_3(([2, 8, 8, 16, 16], {"1": "0,1"}), attribute={"type": 2}),
])  # fmt: skip
def test_two_classes_of_one_region_are_both_named(look, content):
    _, findings = look(content)
    (finding,) = findings
    assert finding.rule is Rule.WRONG_STRUCTURE and "car and bus" in finding.message


def test_a_class_that_is_a_number(look):
    assert look(entry(region(**{"class": 3})))[0] == {"a.jpg": [("3", 256)]}


# Photos


def test_photos_without_regions_and_photos_that_are_not_listed(look, folder):
    folder.photo("b.jpg", seed=1)
    folder.photo("c.jpg", seed=2)
    taken, findings = look(entry(region()) | entry(name="b.jpg"))
    assert taken == {"a.jpg": CAR, "b.jpg": []}
    assert [(item.rule, item.file) for item in findings] == [
        (Rule.NO_SHAPES, "b.jpg"),
        (Rule.PHOTO_WITHOUT_FILE, "c.jpg"),
    ]


def test_folders_of_splits_with_a_file_each(look, folder):
    """As the balloons; both splits have a photo of the same name."""
    (folder.root / "a.jpg").unlink()
    for index, split in enumerate(("train", "val")):
        folder.photo(f"{split}/a.jpg", seed=index)
        (folder.root / split / "via_region_data.json").write_text(json.dumps(entry(region())))
    assert look(None) == ({"train/a.jpg": CAR, "val/a.jpg": CAR}, [])
    assert main(["convert", str(folder.root), "--output", str(folder.dataset)]) == 0
    assert [len(folder.split(split)["images"]) for split in ("train", "val", "test")] == [1, 1, 0]


def test_photos_elsewhere_and_under_another_name(look, folder, tmp_path):
    folder.photo("../elsewhere/p 1.JPG")
    taken, findings = look(entry(region(), name="C:\\set\\p%201.jpg"), photos=tmp_path / "elsewhere")
    assert (taken, codes(findings)) == ({"p 1.JPG": CAR}, ["LM010"])


def test_two_records_of_one_name_may_be_two_photos(look):
    _, findings = look(entry(region()) | entry(region(RECT), size=99))
    (finding,) = findings
    assert (finding.rule, finding.file) == (Rule.PHOTO_LISTED_TWICE, "a.jpg")


@pytest.mark.parametrize(
    "other", [project(entry(region()) | entry(name="gone.jpg")), project_3(([2, 8, 8, 16, 16], {"1": "0"}))]
)
def test_a_project_and_what_it_exported_are_both_named(look, folder, other):
    (folder.root / "project.json").write_text(json.dumps(other))
    with pytest.raises(UserError, match="several times") as caught:
        look(entry(region()))
    assert "project.json" in caught.value.remedy and "via_region_data.json" in caught.value.remedy
    assert look(None, path=folder.root / "via_region_data.json") == ({"a.jpg": CAR}, [])


def test_one_photo_of_two_files_is_an_error_of_the_photo(look, folder):
    for index, name in enumerate("bcde", start=1):
        folder.photo(f"{name}.jpg", seed=index)
    shared = entry(region())
    (folder.root / "second.json").write_text(json.dumps(shared | entry(name="b.jpg") | entry(name="c.jpg")))
    _, findings = look(shared | entry(name="d.jpg") | entry(name="e.jpg"))
    assert [(item.rule, item.file) for item in findings if item.is_error] == [(Rule.PHOTO_LISTED_TWICE, "a.jpg")]


def test_a_missing_photo(look):
    _, findings = look(entry(region()) | entry(region(), name="gone.jpg"))
    assert [(item.rule, item.file) for item in findings] == [(Rule.PHOTO_MISSING, "gone.jpg")]


# Faults


def test_numbers_as_text_are_read_and_said(look):
    square = {"name": "polygon", "all_points_x": ["8", "24", "24", "8"], "all_points_y": [8, 8, 24, 24]}
    rect = {"name": "rect", "x": "30", "y": "8.0", "width": "16", "height": "16"}
    taken, findings = look(entry(region(square), region(rect)))
    assert (taken, codes(findings)) == ({"a.jpg": [("car", 256), ("car", 256)]}, ["LM091"])
    assert "1 more" in findings[0].message
    assert look(project_3(([7, "8", "8", "24", "8", "24", "24", "8", "24"], {"1": "0"})))[0] == {"a.jpg": CAR}


def test_remarks_about_a_file_keep_no_photo_from_being_a_negative(look, folder):
    """Numbers that are text, and regions without a class, are read; nothing else can be about the other photo."""
    folder.photo("empty.jpg", seed=1)
    content = entry({"shape_attributes": RECT | {"x": "8"}, "region_attributes": {}})
    (folder.root / "regions.json").write_text(json.dumps(content), encoding="utf-8")
    source = open_annotations(folder.root, negatives=True)
    with scanned(source, ReadOptions(training_size=10_000)) as scan:
        assert [entry.photo.path for entry in scan.entries] == ["a.jpg", "empty.jpg"]
        assert sorted(codes(scan.findings)) == ["LM024", "LM090", "LM091"]


FAULTS = {
    "a number of words": region(RECT | {"x": "left"}),
    "a number missing": region({"name": "rect", "x": 8, "y": 8, "width": 16}),
    "a number null": region(RECT | {"x": None}),
    "a number true": region(RECT | {"x": True}),
    "more x than y": region(SQUARE | {"all_points_x": [8, 24, 24, 8, 8]}),
    "a number of 500 digits": region(RECT | {"x": 10**500}),
    "points of points": region(SQUARE | {"all_points_x": [[8], [24], [24], [8]]}),
}


@pytest.mark.parametrize("case", FAULTS)
def test_the_fault_of_a_region_is_one_of_its_photo(look, folder, case):
    folder.photo("b.jpg", seed=1)
    content = entry(region(RECT | {"x": 30}), FAULTS[case]) | entry(region(), name="b.jpg")
    taken, findings = look(content)
    assert [(item.rule, item.file, item.place) for item in findings] == [(Rule.WRONG_STRUCTURE, "a.jpg", "regions[1]")]
    assert taken["b.jpg"] == CAR
    assert main(["convert", str(folder.root), "--output", str(folder.dataset), "--skip-bad"]) == 0
    assert [item["file_name"] for item in folder.split()["images"]] == ["b.jpg"]


FAULTS_3 = {
    "a shape of no kind": ({"vid": "1", "xy": [77, 8, 8], "av": {}}, "LM028"),
    "of a moment": ({"vid": "1", "z": [1.5], "xy": [2, 8, 8, 16, 16], "av": {"1": "0"}}, "LM004"),
    "of no view": ({"vid": "9", "xy": [2, 8, 8, 16, 16], "av": {"1": "0"}}, "LM004"),
    "five numbers of a polygon": ({"vid": "1", "xy": [7, 8, 8, 16, 16, 9], "av": {"1": "0"}}, "LM004"),
    "no xy": ({"vid": "1", "av": {"1": "0"}}, "LM028"),
}


@pytest.mark.parametrize("case", FAULTS_3)
def test_faults_of_3(look, case):
    item, code = FAULTS_3[case]
    _, findings = look(project_3(item))
    assert code in codes(findings)


@pytest.mark.parametrize("shape", [
    {"name": "ellipse", "cx": 8, "cy": 8, "rx": 1e300, "ry": 5},
    {"name": "ellipse", "cx": 8, "cy": 8, "rx": 1e7, "ry": 5},
    {"name": "circle", "cx": 8, "cy": 1e8, "r": 3},
    {"name": "ellipse", "cx": 8, "cy": 8, "rx": 0, "ry": 5},
    {"name": "circle", "cx": 8, "cy": 8, "r": 0},
    {"name": "polygon", "all_points_x": [], "all_points_y": []},
])  # fmt: skip
def test_what_cannot_be_drawn_is_dropped_and_said(look, shape):
    taken, findings = look(entry(region(RECT), region(shape)))
    assert taken == {"a.jpg": CAR}
    assert [item.place for item in findings] == ["regions[1]"] and codes(findings)[0] in ("LM030", "LM032", "LM033")


@pytest.mark.parametrize(
    "content", [b"", b"[1, 2]", b"{", b"\xff\xfe{}", b'{"a.jpg1": {"filename": "a.jpg", "regions": ']
)
def test_what_is_not_a_file_of_via(folder, content):
    path = folder.root / "via.json"
    path.write_bytes(content)
    with pytest.raises(UserError):
        ViaFiles([path], folder.root)


@pytest.mark.parametrize("content", [
    {"a.jpg1": 5, "b": None}, {"_via_img_metadata": []}, {"_via_img_metadata": {"a": {"filename": None, "regions": 3}}},
    {"file": [], "metadata": {"1": []}, "view": {"1": {"fid_list": [[]]}, "2": 3}, "attribute": 5},
    {"file": {"1": {"fname": {}}}, "metadata": {"1": {"vid": {}, "xy": {}}}, "view": {"1": {"fid_list": [1]}}},
    entry({"shape_attributes": {"name": {}}, "region_attributes": [1]}, 7, None),
    entry(region({"name": 10**4000}), name="\ud800.jpg"), project_3({"vid": 10**4000, "xy": [10**4000], "av": {"1": 10**4000}}),
])  # fmt: skip
def test_nothing_breaks_on_other_json(folder, content):
    folder.photo("a.jpg")
    path = folder.root / "via.json"
    path.write_text(json.dumps(content))
    try:
        with scanned(ViaFiles([path], folder.root), ReadOptions()) as scan:
            assert [finding for finding in scan.findings if finding.is_error]
    except UserError:
        pass


def test_a_mixture_is_an_error_that_skip_bad_passes(folder, square, capsys):
    folder.pair("b", [square()])
    folder.photo("a.jpg", seed=1)
    for name in ("via_region_data.json", "a_via.json"):  # behind the first file of LabelMe, and before it
        path = folder.root / name
        path.write_text(json.dumps(entry(region())))
        assert main(["convert", str(folder.root), "--output", str(folder.dataset), "--overwrite"]) == 1
        said = capsys.readouterr().err
        assert "LM089" in said and name in said
        assert main(["convert", str(folder.root), "--output", str(folder.dataset), "--skip-bad", "--overwrite"]) == 0
        assert main(["convert", str(path), "--output", str(folder.root.parent / path.stem)]) == 0
        path.unlink()


@pytest.mark.parametrize("name", ["0.json", "z.json"])
def test_two_forms_of_the_same_are_both_named(folder, name):
    """VIA itself exports COCO, too."""
    folder.photo("a.jpg")
    (folder.root / "via_region_data.json").write_text(json.dumps(entry(region())))
    (folder.root / name).write_text(json.dumps({"images": [], "annotations": [], "categories": []}))
    with pytest.raises(UserError, match="COCO") as caught:
        open_source(folder.root)
    assert name in str(caught.value) and "via_region_data.json" in str(caught.value)


def test_a_table_of_via_is_sent_to_json(folder):
    folder.photo("a.jpg")
    columns = "filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,region_attributes"
    (folder.root / "via_region_data.csv").write_text(f'{columns}\na.jpg,9,"{{}}",0,0,"{{}}","{{}}"\n')
    with pytest.raises(UserError, match="VIA as JSON"):
        open_source(folder.root)
