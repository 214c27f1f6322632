"""The card ``dataset.json``: what one has to know of a dataset folder without opening its COCO files."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from dataset_tools.errors import EXIT_DATA, UserError
from dataset_tools.files import read_file

CARD_NAME = "dataset.json"
CARD_VERSION = 1
SPLITS = ("train", "val", "test")
MASK_FORMATS = ("polygon", "bitmask")

# A name becomes a part of dataset names in YAML files and on command lines, and of file names in a run's folder.
_USABLE_NAME = re.compile(r"\w[\w.-]*")
NAME_RULE = "letters, digits and '_', and after the first one also '-' and '.'"

# Bytes of the largest card that is read: one of 60,000 classes takes 10 MB, of LVIS' 1,203 classes 0.1 MB.
_MAX_BYTES = 256_000_000

# Keys of which two tell a card from other files of its name: LabelMe's for a photo dataset.jpg, a COCO file, anybody's.
_OWN_KEYS = frozenset(("image_root", "mask_format", "splits", "card_version"))


class SplitSummary(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One split: its COCO file (relative to the card) and how much is in it."""

    annotations: str
    images: int
    instances: int
    instances_per_class: dict[str, int] = {}


class Card(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A dataset folder's card.

    Attributes:
        name: prefix of the names in DatasetCatalog: ``<name>_train``, ``<name>_val``, ``<name>_test``; see
            ``is_usable_name``.
        classes: class names; category id ``i + 1`` in the COCO files is ``classes[i]``.
        image_root: the folder that every ``file_name`` is relative to; itself relative to the card.
        mask_format: ``polygon``, or ``bitmask`` where some instance is RLE and Detectron2 has to know.
        splits: a summary for each of ``train``, ``val`` and ``test``; a split may be empty.
        made_by: how the folder was made (the command's options), for people; ``folds`` alone reads
            it, for ``group``.
        card_version: the version of this format.
    """

    name: str
    classes: list[str]
    image_root: str
    mask_format: str
    splits: dict[str, SplitSummary]
    made_by: dict[str, object] = {}
    card_version: int = CARD_VERSION


def is_usable_name(name: str) -> bool:
    """Whether a dataset may have this name, by ``NAME_RULE``: it leads out of no folder."""
    return _USABLE_NAME.fullmatch(name) is not None


def is_dataset_folder(folder: Path) -> bool:
    """Whether a folder has a card. One that is damaged or wrong is one, too: ``read_card`` says what is the matter."""
    folder = Path(folder)
    try:
        content = read_file(folder / CARD_NAME, _MAX_BYTES)
    except OSError:  # none, a link to a device, a file of another kind with thousands of outlines
        return False
    try:
        return len(_OWN_KEYS & msgspec.json.decode(content, type=dict[str, msgspec.Raw]).keys()) > 1
    except msgspec.ValidationError:  # JSON, but no object
        return False
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # cut off, or with a comma too many
        return all((folder / f"{split}.json").is_file() for split in SPLITS)


def read_card(folder: Path) -> Card:
    """The checked card of a dataset folder.

    Raises:
        UserError: there is no such folder or card, or the card is malformed or contradicts itself.
    """
    path = Path(folder) / CARD_NAME
    if not path.is_file():
        remedy = "Make one with 'python -m dataset_tools convert LABELME_FOLDER --output DATASET_FOLDER'"
        raise UserError(f"this is not a dataset folder: it has no {CARD_NAME}", file=folder, remedy=remedy)
    try:
        card = msgspec.json.decode(read_file(path, _MAX_BYTES), type=Card)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        remedy = "Convert the photos again"
        reason = f"the card cannot be read: {error.strerror if isinstance(error, OSError) else error}"
        raise UserError(reason, file=path, remedy=remedy, exit_code=EXIT_DATA) from error
    _check(card, path)
    return card


def _check(card: Card, path: Path) -> None:
    def fail(place: str, reason: str, remedy: str = "Correct the card, or convert the photos again") -> None:
        raise UserError(reason, file=path, place=place, remedy=remedy, exit_code=EXIT_DATA)

    if card.card_version != CARD_VERSION:
        fail("card_version", f"version {card.card_version} is not the version {CARD_VERSION} that this polymask reads")
    if not is_usable_name(card.name):
        fail("name", f"{card.name!r} cannot name a dataset", f"Write {NAME_RULE}")
    if not card.classes:
        fail("classes", "there are no classes")
    if len(set(card.classes)) != len(card.classes):
        fail("classes", "a class is listed twice")
    if card.mask_format not in MASK_FORMATS:
        fail("mask_format", f"'{card.mask_format}' is none of {', '.join(MASK_FORMATS)}")
    if set(card.splits) != set(SPLITS):
        fail("splits", f"there must be exactly the splits {', '.join(SPLITS)}")
    paths = {f"splits.{split}.annotations": summary.annotations for split, summary in card.splits.items()}
    for place, value in {"image_root": card.image_root, **paths}.items():
        if "\0" in value:
            fail(place, f"{value!r} is not a path: it has a null character in it")


def encode_card(card: Card) -> bytes:
    """The card as readable JSON, the same bytes for the same card."""
    return msgspec.json.format(msgspec.json.encode(card), indent=2) + b"\n"
