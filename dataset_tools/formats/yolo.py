"""Datasets of YOLO: data.yaml and the rows of label files, https://docs.ultralytics.com/datasets/segment, read and written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import yaml

from dataset_tools.errors import EXIT_DATA, UserError
from dataset_tools.files import read_text
from dataset_tools.formats import lenient
from dataset_tools.formats.plain_yaml import parse_yaml

# Bytes of the largest description that is read: that of 1,203 classes has 40 kB.
_MAX_BYTES = 2**20

# What splits are called in data.yaml.
_SPLIT_KEYS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}

# Numbers of a box, behind its class; and the fewest of a polygon.
_BOX, _FEWEST = 4, 6

# How far a value may be outside of 0 to 1, as a share: programs round, and annotators slip over the border.
_SLACK = 0.01

# Digits of a share: a hundredth of a pixel, which is as fine as coordinates are here, in a photo of any width.
_DIGITS = 9


class YoloDescription(msgspec.Struct, frozen=True):
    """What data.yaml says.

    Attributes:
        names: of the classes, by their numbers.
        splits: where the photos of each split are: folders, or text files that list photos.
        path: the folder that these are relative to; empty for that of the file.
    """

    names: Mapping[int, str]
    splits: Mapping[str, Sequence[str]] = {}
    path: str = ""


class YoloRow(NamedTuple):
    """One object, or what is wrong with it.

    Attributes:
        line: from 1.
        label: its class.
        values: of a box its centre and size, of a polygon its points, as shares of the photo's size as it is shown.
        fault: why it cannot be used; empty if it can.
    """

    line: int
    label: str = ""
    values: Sequence[float] = ()
    fault: str = ""

    @property
    def is_box(self) -> bool:
        return len(self.values) == _BOX

    def points(self, size: tuple[int, int]) -> tuple[tuple[float, float], ...]:
        """The points in pixels of a photo of a (width, height): of a box, two corners."""
        shares = self.values
        if self.is_box:
            x, y, width, height = shares
            shares = x - width / 2, y - height / 2, x + width / 2, y + height / 2
        return tuple((x * size[0], y * size[1]) for x, y in zip(shares[::2], shares[1::2]))


def read_description(path: Path, encoding: str) -> YoloDescription:
    """What data.yaml says, or classes.txt, which lists names alone.

    Raises:
        UserError: there is no such file, it is not YAML, it does not name the classes, or it is about keypoints.
    """
    remedy = "Write it as in docs/datasets.md, with 'names: [car, bus]'"
    text = read_text(path, encoding, remedy, _MAX_BYTES)
    if path.suffix.lower() == ".txt":
        return YoloDescription(dict(enumerate(line.strip() for line in text.splitlines() if line.strip())))
    try:
        tree = parse_yaml(text)
    except (ValueError, TypeError, AttributeError, RecursionError, yaml.YAMLError) as error:
        raise UserError(f"this is not YAML: {error}", file=path, remedy=remedy, exit_code=EXIT_DATA) from error
    return _description(tree if isinstance(tree, dict) else {}, path, remedy)


def _description(tree: Mapping, path: Path, remedy: str) -> YoloDescription:
    def fail(place: str, reason: str, remedy: str = remedy) -> UserError:
        return UserError(reason, file=path, place=place, remedy=remedy, exit_code=EXIT_DATA)

    if "kpt_shape" in tree:
        raise fail("kpt_shape", "this is a dataset of keypoints", "Export outlines, for segmentation")
    listed = tree.get("names")
    numbered = listed if isinstance(listed, dict) else dict(enumerate(listed if isinstance(listed, list) else ()))
    names: dict[Any, Any] = {lenient.identity(number): lenient.name(name) for number, name in numbered.items()}
    if not names or len(names) < len(numbered):
        raise fail("names", "this does not name each class once")
    for number, name in names.items():
        if type(number) is not int or not isinstance(name, str) or not name.strip():
            raise fail("names", f"{number!r}: {name!r} is not a number with a name", "Write names in quotation marks")
    splits: dict[str, list[str]] = {}
    for key, split in _SPLIT_KEYS.items():
        if found := tree.get(key):
            splits.setdefault(split, []).extend(map(str, found if isinstance(found, list) else [found]))
    return YoloDescription(names, splits, str(tree.get("path") or ""))


def read_list(path: Path, encoding: str) -> list[tuple[int, str]]:
    """The photos of a list, by their lines.

    Raises:
        UserError: there is no such file, or it is not text in the encoding.
    """
    lines = enumerate(read_text(path, encoding, "Correct the path of the list").splitlines(), start=1)
    return [(number, line.strip()) for number, line in lines if line.strip()]


def read_rows(content: bytes, names: Mapping[int, str]) -> list[YoloRow]:
    """The rows of a label file, whose classes have names by their numbers; empty lines are passed over."""
    lines = content.decode(errors="replace").removeprefix("\ufeff").split("\n")
    return [_row(number, line.split(), names) for number, line in enumerate(lines, start=1) if line.strip()]


def _row(line: int, fields: Sequence[str], names: Mapping[int, str]) -> YoloRow:
    number: Any = lenient.identity(fields[0])
    values: list[Any] = [lenient.number(field) for field in fields[1:]]
    if number not in names:
        return YoloRow(line, fault=f"there is no class {fields[0]!r} among the {len(names)} names")
    if len(values) != _BOX and (len(values) < _FEWEST or len(values) % 2):
        return YoloRow(line, fault=f"{len(values)} numbers after the class; a box has 4, a polygon 6 or more, in pairs")
    for field, value in zip(fields[1:], values):
        if not isinstance(value, float) or not -_SLACK <= value <= 1 + _SLACK:
            return YoloRow(line, fault=f"{field} is not a share of the photo's width or height, from 0 to 1")
    return YoloRow(line, names[number], values)


def encode_row(number: int, points: Sequence[tuple[float, float]], size: tuple[int, int]) -> str:
    """The row of a polygon in pixels on a photo of a (width, height)."""
    shares = (coordinate / side for point in points for coordinate, side in zip(point, size))
    return " ".join([str(number), *(f"{share:.{_DIGITS}g}" for share in shares)]) + "\n"


def encode_description(names: Sequence[str], splits: Mapping[str, str]) -> str:
    """The text of data.yaml, with the folder of photos of each split."""
    return yaml.safe_dump({**splits, "names": dict(enumerate(names))}, allow_unicode=True, sort_keys=False)
