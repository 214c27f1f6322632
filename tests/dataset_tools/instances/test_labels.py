"""Class lists as users write them."""

import pytest

from dataset_tools.errors import UserError
from dataset_tools.findings import Rule
from dataset_tools.instances.labels import LabelRules, class_list, parse_classes, parse_renames, suggestion, variants


def test_list():
    assert parse_classes("car, bus,dog") == ("car", "bus", "dog")
    assert parse_classes("car") == ("car",)
    assert parse_classes("car ,bus , dog,,tram ") == ("car ", "bus", "dog", "tram ")
    assert parse_classes("car,N/A") == ("car", "N/A")


def test_a_list_may_be_longer_than_the_name_of_a_file():
    names = tuple(f"class {number}" for number in range(1000))
    assert parse_classes(",".join(names)) == names


def test_labels_txt_of_labelme(tmp_path):
    path = tmp_path / "labels.txt"
    path.write_bytes(b"\xef\xbb\xbf__ignore__\r\n_background_\r\nperson \r\n\r\nstreet car\r\n")
    assert parse_classes(str(path)) == ("person ", "street car")


def test_what_is_written_into_a_file_is_read(tmp_path):
    names = ("car ", " car", "street\tcar", "a,b", "\u2028x", "x\x85")
    path = tmp_path / "classes.txt"
    path.write_text(class_list(names), encoding="utf-8")
    assert parse_classes(str(path)) == names


@pytest.mark.parametrize("name", ["bus\n", "bus\r"])
def test_a_name_that_a_line_cannot_hold(name):
    with pytest.raises(UserError, match="end of a line"):
        class_list(["car", name])


@pytest.mark.parametrize("text", ["gone.txt", "lists/gone", "a,b/gone.txt"])
def test_file_that_is_not_there(text):
    with pytest.raises(UserError, match="no such class list"):
        parse_classes(text)


def test_file_that_is_no_text(tmp_path):
    (tmp_path / "labels.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="cannot be read"):
        parse_classes(str(tmp_path / "labels.txt"))


@pytest.mark.parametrize(
    ("text", "old"),
    [("cars=car", "cars"), ("cars = car", "cars"), ("car =car", "car "), (" car=car", " car"), ("cars= car", "cars")],
)
def test_what_is_renamed_is_a_label_as_it_was_typed(text, old):
    assert parse_renames([text]) == {old: "car"}


@pytest.mark.parametrize("text", ["car", "=car", " =car", "cars=", "a=b=c"])
def test_no_renaming(text):
    with pytest.raises(UserError, match="is not old=new"):
        parse_renames([text])


def test_white_space_is_part_of_a_label_until_it_is_renamed():
    assert LabelRules().resolve("car ").name == "car "
    assert LabelRules(ignore=("car ",)).resolve("car ").name is None
    assert LabelRules(ignore=("car ",)).resolve("car").name == "car"
    found = [LabelRules(strip_numbers=True).resolve(label) for label in ("Ball1", "Ball1 ")]
    assert {(one.name, one.number) for one in found} == {("Ball", "Ball1")}
    assert LabelRules(classes=("car",)).resolve("car ").name is None
    assert LabelRules(classes=("car",), rename={"car ": "car"}).resolve("car ").name == "car"


@pytest.mark.parametrize("label", ["car\n", "car\u3000", "car\\ ", 'it\'s "car" '])
def test_a_label_may_be_renamed_as_findings_show_it(label):
    rules = LabelRules(rename=parse_renames([f"{repr(label)[1:-1]}=car"]), ignore=("car",))
    assert rules.resolve(label).notes[0][0] is Rule.IGNORED_ON_REQUEST
    assert not list(rules.unused([label]))
    assert [option for option, _ in rules.unused(["bus"])] == ["--rename", "--ignore"]


def test_a_label_as_it_was_typed_comes_before_one_as_it_is_shown():
    rules = LabelRules(rename={"car\n": "car", "car\\n": "bus"})
    assert rules.resolve("car\n").name == "car"


def test_variants_of_a_label():
    """Plurals, case, spaces, and an accent that is part of its letter or a separate character."""
    groups = [["car", "Car ", "cars"], ["box", "boxes"], ["berry", "Berries"], ["glass", "glasses"]]
    groups += [["bench", "bench-es"], ["caf\u00e9", "cafe\u0301"]]
    labels = [label for group in zip(*groups) for label in group] + ["cars", "bus", "tram", "ss"]
    found = {frozenset(group) for group in variants(labels)}
    assert found == {frozenset(group) for group in groups}


def test_of_many_classes_a_message_lists_some():
    message = suggestion("zebra", [f"class {number}" for number in range(1000)])
    assert "class 0, class 1" in message and "and 980 more" in message and len(message) < 500


@pytest.mark.parametrize(
    "rules",
    [{"classes": ("\udcff",)}, {"rename": {"a": "\udcff"}}, {"rename": {"\udcff": "a"}}, {"ignore": ("\udcff",)}],
)
def test_labels_that_are_no_text(rules):
    with pytest.raises(UserError, match="Unicode"):
        LabelRules(**rules).check()
