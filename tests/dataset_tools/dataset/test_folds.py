"""Folds: each photo is held out once, what belongs together stays together, and each class is divided evenly."""

import json
import logging
import random
import shutil
from collections import Counter

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from PIL import Image

from dataset_tools.catalog import register
from dataset_tools.dataset.folds import folds_in, group_photos, write_folds
from dataset_tools.dataset.splits import assign_folds
from dataset_tools.errors import UserError
from dataset_tools.formats.card import SPLITS, read_card
from dataset_tools.formats.coco import read_split

names = st.text("abcdefgh", min_size=1, max_size=3)
labels = st.dictionaries(names, st.dictionaries(st.sampled_from("ABCDEF"), st.integers(0, 4), max_size=4), min_size=2)


def by_first_letter(names):
    """Groups of very different sizes, and names without a group."""
    return {name: name[0] for name in names if len(name) > 1}


# Dealing


@given(labels, st.integers(2, 70), st.integers(), st.booleans())
def test_each_photo_is_in_one_fold_and_groups_never_part(labels, folds, seed, grouped):
    groups = by_first_letter(labels) if grouped else {}
    fold_of = assign_folds(labels, min(folds, len(labels)), seed, groups)
    assert fold_of.keys() == labels.keys()
    for group in set(groups.values()):
        assert len({fold_of[name] for name in groups if groups[name] == group}) == 1


@given(labels, st.integers(2, 70), st.integers())
def test_without_groups_folds_differ_by_one_photo_at_most(labels, folds, seed):
    folds = min(folds, len(labels))
    sizes = Counter(assign_folds(labels, folds, seed).values())
    assert sizes.keys() == set(range(folds))
    assert max(sizes.values()) - min(sizes.values()) <= 1


@given(labels, st.integers(2, 8), st.integers())
def test_every_fold_gets_a_group(labels, folds, seed):
    groups = by_first_letter(labels)
    there = len(set(groups.values())) + len(labels.keys() - groups.keys())
    if there >= folds:
        assert set(assign_folds(labels, folds, seed, groups).values()) == set(range(folds))


@given(labels, st.integers(2, 8), st.integers())
def test_the_folds_depend_on_names_labels_groups_and_seed_only(labels, folds, seed):
    groups, folds = by_first_letter(labels), min(folds, len(labels))
    backwards = {name: dict(reversed(labels[name].items())) for name in reversed(labels)}
    assert assign_folds(backwards, folds, seed, groups) == assign_folds(labels, folds, seed, groups)


@pytest.mark.parametrize("seed", range(5))
def test_classes_are_divided_evenly(seed):
    draw = random.Random(seed)
    labels = {f"{index}": {"common": draw.choice((1, 1, 1, 10))} for index in range(100)}
    for place, name in enumerate(draw.sample(sorted(labels), 36)):
        labels[name]["ABCD"[place % 4]] = 1
    counts = {fold: Counter() for fold in range(3)}
    for name, fold in assign_folds(labels, 3, seed).items():
        counts[fold].update(labels[name])
    for own in counts.values():
        assert [own[label] for label in "ABCD"] == pytest.approx([3] * 4, abs=1)


# Groups

hashes = st.lists(st.none() | st.integers(0, 2**20 - 1) | st.integers(2**63, 2**63 + 3), min_size=1, max_size=20)


def merged(count, related):
    """The sets that 0, 1, ... fall into, of which any two that are related share one."""
    sets = [{index} for index in range(count)]
    for one in range(count):
        for other in range(one):
            if related(one, other):
                touched = [group for group in sets if {one, other} & group]
                sets = [group for group in sets if group not in touched] + [set().union(*touched)]
    return sorted(sets, key=min)


@given(hashes, st.data())
def test_photos_that_were_named_together_or_look_alike_are_one_group(hashes, data):
    count = len(hashes)
    names = [f"{index:02}" for index in range(count)]
    named = data.draw(st.dictionaries(st.sampled_from(names), st.sampled_from("xyz")))

    def alike(one, other):
        return None not in (hashes[one], hashes[other]) and (hashes[one] ^ hashes[other]).bit_count() <= 8

    def together(one, other):
        same = named.get(names[one]) is not None and named.get(names[one]) == named.get(names[other])
        return same or alike(one, other)

    assume(max(map(len, merged(count, alike))) <= (count + 1) // 2)
    expected = {names[index]: names[min(group)] for group in merged(count, together) for index in group}
    assert group_photos(names, named, hashes) == expected


def test_a_camera_that_stands_still_makes_no_group(caplog):
    names = [f"{index}" for index in range(9)]
    groups = group_photos(names, {"0": "x", "1": "x"}, [1] * 6 + [2**64 - 1, 2**64 - 1, None])
    assert "6 of 9" in caplog.text
    assert [groups[name] for name in names] == ["0", "0", "2", "3", "4", "5", "6", "6", "8"]


# Dataset folders


@pytest.fixture
def dataset(folder, square):
    """Twelve photos: a car in each, a bus in four; one is in two frames, whose names say so, and one was saved twice."""
    for index in range(10):
        shapes = [square("car"), *([square("bus", left=30)] if index % 3 == 0 else [])]
        folder.pair(f"{index}", shapes, seed=index)
    folder.pair("0_again", [square("car")], seed=100)
    folder.photo("copy.jpg", seed=1)
    with Image.open(folder.root / "copy.jpg") as picture:
        picture.save(folder.root / "copy.jpg", quality=60)
    folder.json("copy.json", [square("car")], "copy.jpg")
    folder.convert(group=r"^(\d+)_?\w*\.", name="streets")
    return folder.dataset


def photos_of(dataset, split):
    return {image.id: image.file_name for image in read_split(dataset, read_card(dataset), split).images}


def test_each_photo_is_held_out_once_and_learnt_from_in_the_other_folds(dataset, tmp_path):
    folds = write_folds(dataset, tmp_path / "folds", folds=3, seed=0)
    everything = photos_of(folds.pooled, "test")
    assert sorted(everything.values()) == sorted(n for s in SPLITS for n in photos_of(dataset, s).values())
    held_out = [photos_of(part, "test") for part in folds.parts]
    assert sorted(id for photos in held_out for id in photos) == sorted(everything) == list(range(1, 13))
    for part, own in zip(folds.parts, held_out):
        train = photos_of(part, "train")
        assert train | own == everything and not train.keys() & own.keys()
        assert not photos_of(part, "val")
    assert photos_of(folds.final, "train") == everything
    assert not photos_of(folds.final, "test") and not photos_of(folds.pooled, "train")
    fold_of = {name: index for index, photos in enumerate(held_out) for name in photos.values()}
    assert fold_of["0.jpg"] == fold_of["0_again.jpg"]
    assert fold_of["1.jpg"] == fold_of["copy.jpg"]


def test_the_folders_hold_the_annotations_of_the_dataset(dataset, tmp_path):
    folds = write_folds(dataset, tmp_path / "elsewhere" / "folds", folds=2, seed=0)
    names = set()
    for part in (*folds.parts, folds.pooled, folds.final):
        card = register(part)  # checks the files against the card, and the names against one another
        names.add(card.name)
        assert (part / card.image_root / "0.jpg").is_file()
        for split in SPLITS:
            content = read_split(part, card, split)
            assert card.splits[split].images == len(content.images)
            assert card.splits[split].instances == len(content.annotations)
    assert len(names) == 4
    counts = read_card(folds.pooled).splits["test"].instances_per_class
    assert counts == {"bus": 4, "car": 12} == read_card(folds.final).splits["train"].instances_per_class
    assert all(read_card(part).splits["test"].instances_per_class["bus"] == 2 for part in folds.parts)

    def boxes(folder, splits):
        return sorted(
            (images[item.image_id], item.category_id, item.bbox, item.area)
            for split in splits
            for images in [photos_of(folder, split)]
            for item in read_split(folder, read_card(folder), split).annotations
        )

    assert boxes(folds.pooled, ["test"]) == boxes(dataset, SPLITS) == boxes(folds.parts[1], SPLITS)


def test_the_same_seed_gives_the_same_bytes_whatever_the_split_was(dataset, folder, tmp_path):
    first = write_folds(dataset, tmp_path / "folds", folds=3, seed=0)
    before = {path: path.read_bytes() for path in (tmp_path / "folds").rglob("*.json")}
    shutil.rmtree(dataset)
    folder.convert(group=r"^(\d+)_?\w*\.", name="streets", seed=7, fractions=(0.5, 0.3, 0.2))
    assert write_folds(dataset, tmp_path / "folds", folds=3, seed=0) == first == folds_in(tmp_path / "folds")
    assert before == {path: path.read_bytes() for path in (tmp_path / "folds").rglob("*.json")}
    write_folds(dataset, tmp_path / "folds", folds=3, seed=1)
    assert before != {path: path.read_bytes() for path in (tmp_path / "folds").rglob("*.json")}


def test_ten_folds_are_in_the_order_of_their_numbers(folder, square, tmp_path):
    for index in range(11):
        folder.pair(f"{index}", [square()], seed=index)
    folder.convert()
    folds = write_folds(folder.dataset, tmp_path / "folds", folds=11, seed=0)
    assert [part.name for part in folds.parts] == [f"fold_{index}" for index in range(11)]


def test_groups_are_found_where_photos_were_copied(folder, square, tmp_path):
    for index in range(6):
        folder.pair(f"{'ab'[index % 2]}/{index}", [square()], seed=index)
    folder.convert(images="copy", group=r"^(\w+)/")
    folds = write_folds(folder.dataset, tmp_path / "folds", folds=2, seed=0)
    for part in folds.parts:
        assert len({name.split("/")[1] for name in photos_of(part, "test").values()}) == 1


def test_a_class_that_is_in_one_photo_only_is_not_measured(folder, square, tmp_path, caplog):
    for index in range(6):
        folder.pair(f"{index}", [square("car"), *([square("tram", left=30)] if index == 4 else [])], seed=index)
    folder.convert()
    with caplog.at_level(logging.WARNING):
        folds = write_folds(folder.dataset, tmp_path / "folds", folds=3, seed=0)
    assert "'tram'" in caplog.text and "'car'" not in caplog.text
    assert read_card(folds.pooled).splits["test"].instances_per_class == {"car": 6, "tram": 0}
    assert sum(read_card(part).splits["test"].instances_per_class["tram"] for part in folds.parts) == 0
    assert sum(read_card(part).splits["train"].instances_per_class["tram"] for part in folds.parts) == 2
    assert read_card(folds.final).splits["train"].instances_per_class["tram"] == 1


# What is refused


@pytest.mark.parametrize(("folds", "words"), [(1, "--folds is 1"), (13, "12 photos"), (11, "groups"), (0, "--folds")])
def test_numbers_that_do_not_fit_are_refused(dataset, tmp_path, folds, words):
    with pytest.raises(UserError, match=words) as caught:
        write_folds(dataset, tmp_path / "folds", folds=folds, seed=0)
    assert caught.value.exit_code == 2
    assert not (tmp_path / "folds").exists()


def test_a_group_that_is_larger_than_a_fold_is_refused_with_the_number_that_fits(folder, square, tmp_path):
    for index in range(12):
        folder.pair(f"{'a' if index < 4 else index}_{index}", [square()], seed=index)
    folder.convert(group=r"^(\w+)_")
    with pytest.raises(UserError, match=r"4 photos belong together.*--folds 3"):
        write_folds(folder.dataset, tmp_path / "folds", folds=4, seed=0)
    assert len(write_folds(folder.dataset, tmp_path / "folds", folds=3, seed=0).parts) == 3


def test_a_group_for_which_no_number_fits_is_refused(folder, square, tmp_path):
    for index in range(6):
        folder.pair(f"{'a' if index < 4 else index}_{index}", [square()], seed=index)
    folder.convert(group=r"^(\w+)_")
    with pytest.raises(UserError, match="--group"):
        write_folds(folder.dataset, tmp_path / "folds", folds=2, seed=0)


def test_a_dataset_without_a_class_in_two_folds_is_refused(folder, square, tmp_path):
    for index in range(4):
        folder.pair(f"{index}", [square("car")] if index == 0 else [], seed=index)
    folder.convert(fractions=(1, 0, 0))
    with pytest.raises(UserError, match="nothing to measure"):
        write_folds(folder.dataset, tmp_path / "folds", folds=2, seed=0)


def test_a_photo_that_cannot_be_read_is_named(dataset, folder, tmp_path):
    (folder.root / "3.jpg").write_bytes(b"no photo")
    with pytest.raises(UserError, match=r"3\.jpg"):
        write_folds(dataset, tmp_path / "folds", folds=2, seed=0)


def test_a_photo_that_is_there_twice_is_refused(dataset, tmp_path):
    train, test = (json.loads((dataset / f"{split}.json").read_text()) for split in ("train", "test"))
    test["images"][0]["file_name"] = train["images"][0]["file_name"]
    (dataset / "test.json").write_text(json.dumps(test))
    with pytest.raises(UserError, match="twice"):
        write_folds(dataset, tmp_path / "folds", folds=2, seed=0)


def test_a_folder_of_something_else_is_kept(dataset, tmp_path):
    (tmp_path / "folds").mkdir()
    (tmp_path / "folds" / "notes.txt").write_text("mine")
    with pytest.raises(UserError):
        write_folds(dataset, tmp_path / "folds", folds=2, seed=0)
    assert (tmp_path / "folds" / "notes.txt").read_text() == "mine"
