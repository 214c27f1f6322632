"""Folds of a dataset folder for a cross-validation: each of its photos is held out once."""

from __future__ import annotations

import logging
import math
import posixpath
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

import msgspec

from dataset_tools import parallel
from dataset_tools.dataset.options import relative_path
from dataset_tools.dataset.splits import assign_folds, group_names
from dataset_tools.dataset.write import IMAGES
from dataset_tools.errors import EXIT_DATA, UserError
from dataset_tools.formats.card import CARD_NAME, SPLITS, Card, SplitSummary, encode_card, read_card
from dataset_tools.formats.coco import CocoFile, read_split, write_coco
from dataset_tools.images.header import ImageError
from dataset_tools.images.pixels import grey_thumbnail
from dataset_tools.images.similarity import perceptual_hash, similar_pairs
from dataset_tools.output_folder import replaced_folder

log = logging.getLogger(__name__)

_FOLD, _POOLED, _FINAL = "fold_", "pooled", "final"


@dataclass(frozen=True, slots=True)
class Folds:
    """The dataset folders of a cross-validation; they refer to the photos. A photo has one id in all of them.

    Attributes:
        parts: one for each fold: its photos are ``test``, all others ``train``; ``val`` is empty.
        pooled: all photos as ``test``.
        final: all photos as ``train``.
    """

    parts: tuple[Path, ...]
    pooled: Path
    final: Path


def folds_in(folder: Path) -> Folds:
    """The dataset folders that ``write_folds`` has written into a folder; without ``parts`` if it has not."""
    parts = sorted(folder.glob(f"{_FOLD}*/{CARD_NAME}"), key=lambda card: (len(card.parent.name), card.parent.name))
    return Folds(tuple(card.parent for card in parts), folder / _POOLED, folder / _FINAL)


def write_folds(dataset: Path, output: Path, folds: int, seed: int) -> Folds:
    """Deal all photos of a dataset folder, of whatever split, to folds, and write the dataset folders to train on.

    Each class is divided as evenly as photos allow. Photos stay together that ``convert --group`` has kept together,
    and those that look alike. If more than half of all photos look alike, the camera stood still: these are dealt like
    any others, with a warning. The folds depend on the names, labels and looks of the photos and on the seed.

    A class that is in one fold only cannot be measured, since no model that has seen it is tested on it: its
    annotations are left out of ``test``, with a warning.

    Args:
        dataset: the dataset folder.
        output: the folder to write; an earlier one of this function is replaced.
        folds: how many, from 2 up.
        seed: of the folds.

    Raises:
        UserError: the dataset folder or a photo cannot be read; there are fewer photos, or groups of photos, than
            folds; a group is larger than a fold; no class is in two folds; or ``output`` holds something else.
    """
    if folds < 2:
        raise UserError(f"--folds is {folds}", remedy="Use 2 folds or more")
    card = read_card(dataset)
    content = _all_photos(dataset, card)
    fold_of = _assign(dataset, card, content, folds, seed)
    unmeasured = _unmeasured_classes(dataset, card, content, fold_of)
    everything = set(fold_of)
    held_out = [{image for image, own in fold_of.items() if own == fold} for fold in range(folds)]
    tests = {f"{_FOLD}{fold}": photos for fold, photos in enumerate(held_out)} | {_POOLED: everything, _FINAL: set()}
    with replaced_folder(output, "folds") as part:
        for name, test in tests.items():
            splits = {
                "train": _selected(content, everything - test, set()),
                "val": _selected(content, set(), set()),
                "test": _selected(content, test, unmeasured),
            }
            own = msgspec.structs.replace(
                card,
                name=f"{card.name}_{name}",
                image_root=relative_path(dataset / card.image_root, output / name),
                made_by={"folds": folds, "seed": seed},
            )
            _write_dataset(part / name, own, splits)
    return folds_in(output)


def _all_photos(dataset: Path, card: Card) -> CocoFile:
    """The photos of all splits in the order of their names, and their annotations, with ids from 1."""
    contents = [read_split(dataset, card, split) for split in SPLITS]
    images = sorted(
        ((image, number) for number, content in enumerate(contents) for image in content.images),
        key=lambda item: item[0].file_name,
    )
    names = Counter(image.file_name for image, _ in images)
    if twice := [name for name, count in names.items() if count > 1]:
        reason = f"{len(twice)} photos are in it twice, such as '{twice[0]}', and each can be held out once only"
        raise UserError(reason, file=dataset, remedy="Convert the photos again", exit_code=EXIT_DATA)
    ids = {(number, image.id): place for place, (image, number) in enumerate(images, start=1)}
    annotations = sorted(
        (ids[number, item.image_id], item.id, item)
        for number, content in enumerate(contents)
        for item in content.annotations
    )
    return CocoFile(
        [msgspec.structs.replace(image, id=place) for place, (image, _) in enumerate(images, start=1)],
        [
            msgspec.structs.replace(item, id=place, image_id=image)
            for place, (image, _, item) in enumerate(annotations, start=1)
        ],
        contents[0].categories,
    )


def _assign(dataset: Path, card: Card, content: CocoFile, folds: int, seed: int) -> dict[int, int]:
    """The fold of each photo, by its id."""
    names = [image.file_name for image in content.images]
    if len(names) < folds:
        reason = f"the dataset has {len(names)} photos, fewer than the {folds} folds"
        raise UserError(reason, file=dataset, remedy="Use fewer folds, or annotate more photos")
    root = dataset / card.image_root
    hashes = list(parallel.in_order(_photo_hash, root, names, parallel.all_cores(), "Comparing photos", "photo"))
    groups = group_photos(names, _named_groups(dataset, card, names), hashes)
    _check_groups(dataset, groups, folds)
    counts: dict[int, Counter[str]] = {image.id: Counter() for image in content.images}
    for annotation in content.annotations:
        counts[annotation.image_id][card.classes[annotation.category_id - 1]] += 1
    labels = {image.file_name: counts[image.id] for image in content.images}
    fold_of = assign_folds(labels, folds, seed, groups)
    return {image.id: fold_of[image.file_name] for image in content.images}


def _photo_hash(root: Path, name: str) -> int | None:
    try:
        return perceptual_hash(grey_thumbnail(root / name))
    except (OSError, ImageError) as error:
        remedy = "Put the photo back, or convert again"
        raise UserError(f"it cannot be read: {error}", file=root / name, remedy=remedy, exit_code=EXIT_DATA) from error


def _named_groups(dataset: Path, card: Card, names: Sequence[str]) -> dict[str, str]:
    """The group of each photo by the expression of ``--group``, which the card has kept; none for other photos."""
    pattern = card.made_by.get("group")
    if not isinstance(pattern, str):
        return {}
    # The expression is for the names that photos had before ``convert`` wrote some of them into the dataset folder.
    inside = posixpath.normpath(posixpath.join(relative_path(dataset, dataset / card.image_root), IMAGES))
    earlier = {name: name.removeprefix(f"{inside}/") for name in names}
    group_of = group_names(earlier.values(), pattern)
    return {name: group_of[before] for name, before in earlier.items() if before in group_of}


def group_photos(names: Sequence[str], named: Mapping[str, str], hashes: Sequence[int | None]) -> dict[str, str]:
    """The group of each photo, named after its first one: of photos that were named together, or that look alike.

    Args:
        names: of the photos, all different.
        named: the group of a photo; a photo that is not in it belongs to none.
        hashes: see ``dataset_tools.images.similarity.perceptual_hash``.
    """
    alike = _joined(len(names), similar_pairs(hashes))
    largest, size = Counter(alike).most_common(1)[0]
    if size > math.ceil(len(names) / 2):  # they would fit in no fold, however few folds there are
        log.warning(
            "%d of %d photos look alike: they are not kept together, which may flatter the AP.", size, len(names)
        )
        alike = [index if group == largest else group for index, group in enumerate(alike)]
    first: dict[str, int] = {}
    together = [(first.setdefault(named[name], index), index) for index, name in enumerate(names) if name in named]
    return {name: names[group] for name, group in zip(names, _joined(len(names), [*enumerate(alike), *together]))}


def _joined(count: int, pairs: Iterable[tuple[int, int]]) -> list[int]:
    """The lowest index that each of 0, 1, ... is connected to by pairs."""
    lower = list(range(count))

    def lowest(index: int) -> int:
        while lower[index] != index:
            lower[index] = index = lower[lower[index]]
        return index

    for one, other in pairs:
        one, other = sorted((lowest(one), lowest(other)))
        lower[other] = one
    return [lowest(index) for index in range(count)]


def _check_groups(dataset: Path, groups: Mapping[str, str], folds: int) -> None:
    sizes = Counter(groups.values())
    first, size = sizes.most_common(1)[0]
    room = math.ceil(len(groups) / folds)
    if size > room:
        # The most folds of which each still has room for the group.
        most = min(math.ceil(len(groups) / (size - 1)) - 1, len(sizes))
        reason = f"{size} photos belong together ('{first}' is one of them), and a fold has {room} photos"
    elif len(sizes) < folds:
        most = len(sizes)
        reason = f"there are {most} groups of photos that belong together, fewer than the {folds} folds"
    else:
        return
    remedy = f"Use --folds {most}" if most > 1 else "Annotate other photos, or convert with another --group"
    raise UserError(reason, file=dataset, remedy=remedy)


def _unmeasured_classes(dataset: Path, card: Card, content: CocoFile, fold_of: Mapping[int, int]) -> set[int]:
    """The ids of the classes that are in one fold only."""
    photos: dict[int, set[int]] = defaultdict(set)
    for annotation in content.annotations:
        photos[annotation.category_id].add(annotation.image_id)
    unmeasured = {number for number, images in photos.items() if len({fold_of[image] for image in images}) == 1}
    if photos.keys() == unmeasured:
        reason = "no class is in photos of two folds, so there is nothing to measure"
        raise UserError(reason, file=dataset, remedy="Annotate more photos", exit_code=EXIT_DATA)
    for number in sorted(unmeasured):
        log.warning(
            "'%s' is in one fold only (photos: %d): no model that has seen it is tested on it, so its AP is not given.",
            card.classes[number - 1],
            len(photos[number]),
        )
    return unmeasured


def _selected(content: CocoFile, photos: Set[int], without: Set[int]) -> CocoFile:
    """Some photos with their annotations, but those of some classes."""
    return CocoFile(
        [image for image in content.images if image.id in photos],
        [item for item in content.annotations if item.image_id in photos and item.category_id not in without],
        content.categories,
    )


def _write_dataset(folder: Path, card: Card, splits: Mapping[str, CocoFile]) -> None:
    """Write a dataset folder; the card says what is in it."""
    folder.mkdir()
    summaries = {}
    for split, content in splits.items():
        with open(folder / f"{split}.json", "wb") as file:
            write_coco(file, content.images, content.annotations, content.categories)
        counts = Counter(card.classes[item.category_id - 1] for item in content.annotations)
        per_class = {name: counts[name] for name in card.classes}
        summaries[split] = SplitSummary(f"{split}.json", len(content.images), counts.total(), per_class)
    (folder / CARD_NAME).write_bytes(encode_card(msgspec.structs.replace(card, splits=summaries)))
