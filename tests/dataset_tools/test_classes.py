"""Class lists as users write them."""

import pytest

from dataset_tools.classes import parse_classes, variants
from dataset_tools.errors import UserError


def test_list():
    assert parse_classes("car, bus,dog") == ("car", "bus", "dog")
    assert parse_classes("car") == ("car",)


def test_labels_txt_of_labelme(tmp_path):
    path = tmp_path / "labels.txt"
    path.write_bytes(b"\xef\xbb\xbf__ignore__\r\n_background_\r\nperson \r\n\r\nstreet car\r\n")
    assert parse_classes(str(path)) == ("person", "street car")


@pytest.mark.parametrize("text", ["gone.txt", "lists/gone"])
def test_file_that_is_not_there(text):
    with pytest.raises(UserError, match="no such class list"):
        parse_classes(text)


def test_file_that_is_no_text(tmp_path):
    (tmp_path / "labels.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="cannot be read"):
        parse_classes(str(tmp_path / "labels.txt"))


def test_variants_of_a_label():
    """Plurals, case, spaces, and an accent that is part of its letter or a character of its own."""
    groups = [["car", "Car ", "cars"], ["box", "boxes"], ["berry", "Berries"], ["glass", "glasses"]]
    groups += [["bench", "bench-es"], ["caf\u00e9", "cafe\u0301"]]
    labels = [label for group in zip(*groups) for label in group] + ["cars", "bus", "tram", "ss"]
    found = {frozenset(group) for group in variants(labels)}
    assert found == {frozenset(group) for group in groups}
