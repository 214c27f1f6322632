"""The card: what is written is read, and what contradicts itself is refused with a reason."""

import json

import pytest

from dataset_tools.errors import EXIT_DATA, UserError
from dataset_tools.formats.card import SPLITS, Card, SplitSummary, encode_card, is_dataset_folder, read_card

CARD = Card(
    name="streets",
    classes=["car", "bus"],
    image_root="../photos",
    mask_format="polygon",
    splits={split: SplitSummary(f"{split}.json", 2, 3, {"car": 1, "bus": 2}) for split in ("train", "val", "test")},
    made_by={"command": "convert", "seed": 0},
)


def test_what_is_written_is_read(tmp_path):
    (tmp_path / "dataset.json").write_bytes(encode_card(CARD))
    assert read_card(tmp_path) == CARD


def test_a_card_written_by_hand_may_leave_the_counts_of_classes_out(tmp_path):
    content = json.loads(encode_card(CARD))
    del content["made_by"], content["card_version"]
    for split in content["splits"].values():
        del split["instances_per_class"]
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    assert read_card(tmp_path).splits["val"] == SplitSummary("val.json", 2, 3)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"card_version": 99}, "99"),
        ({"name": ""}, "name: ''"),
        ({"name": "../../../tmpesc/x"}, "name: '../../../tmpesc/x'"),
        ({"name": "/x"}, "name: '/x'"),
        ({"name": ".."}, r"name: '\.\.'"),
        ({"name": "-x"}, "name: '-x'"),
        ({"name": "a\\b"}, "name: "),
        ({"name": "a\n"}, "name: "),
        ({"classes": []}, "classes"),
        ({"classes": ["car", "car"]}, "twice"),
        ({"mask_format": "rle"}, "rle"),
        ({"splits": {}}, "splits"),
        ({"colour": "red"}, "colour"),
        ({"image_root": 3}, "image_root"),
        ({"image_root": "a\0b"}, "image_root: .* null"),
        ({"splits": {split: {"annotations": "a\0b", "images": 1, "instances": 1} for split in SPLITS}}, "splits.train"),
    ],
)
def test_wrong_cards(tmp_path, change, word):
    (tmp_path / "dataset.json").write_text(json.dumps(json.loads(encode_card(CARD)) | change))
    with pytest.raises(UserError, match=word) as caught:
        read_card(tmp_path)
    assert caught.value.exit_code == EXIT_DATA and caught.value.remedy


@pytest.mark.parametrize("kind", ["device", "huge"])
def test_a_card_that_cannot_be_read_in_full(tmp_path, kind):
    if kind == "device":
        (tmp_path / "dataset.json").symlink_to("/dev/zero")
    else:
        with open(tmp_path / "dataset.json", "wb") as file:
            file.truncate(40 << 30)
    assert not is_dataset_folder(tmp_path)
    with pytest.raises(UserError, match="dataset.json"):
        read_card(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b'{"made_by": ' + b"[" * 100_000])
def test_no_json(tmp_path, content):
    (tmp_path / "dataset.json").write_bytes(content)
    with pytest.raises(UserError, match="cannot be read"):
        read_card(tmp_path)


def test_no_card(tmp_path):
    with pytest.raises(UserError, match="not a dataset folder"):
        read_card(tmp_path)


@pytest.mark.parametrize("change", [{}, {"name": ""}, {"image_root": 3}, {"colour": "red"}])
def test_a_card_that_is_wrong_is_one_all_the_same(tmp_path, change):
    (tmp_path / "dataset.json").write_text(json.dumps(json.loads(encode_card(CARD)) | change))
    assert is_dataset_folder(tmp_path)


@pytest.mark.parametrize("length", [0, 1, 12, 100, -3])
def test_a_card_that_is_cut_off_is_one_all_the_same(tmp_path, length):
    (tmp_path / "dataset.json").write_bytes(encode_card(CARD)[:length])
    for split in SPLITS:
        (tmp_path / f"{split}.json").touch()
    assert is_dataset_folder(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b'{"version": "6.3.1", "flags": {}, "shapes": [], "imagePath": "dataset.jpg", "imageData": null}',
        b'{"version": "6.3.1", "flags": {}, "sha',
        b'{"images": [], "annotations": [], "categories": []}',
        b'{"name": "something", "licence": "of somebody else"}',
        b'{"name": "something", "version": 1, }',
        b'{"description": "a data set of mine", "splits": {"a": [1, 2]}}',
    ],
)
def test_other_files_of_this_name_are_no_cards(tmp_path, content):
    (tmp_path / "dataset.json").write_bytes(content)
    assert not is_dataset_folder(tmp_path)
    assert not is_dataset_folder(tmp_path / "dataset.json") and not is_dataset_folder(tmp_path / "gone")
