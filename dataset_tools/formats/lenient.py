"""Values in another form than a format has them, such as numbers as text: read where they can mean one thing only.

A reading gives back the very value that it was given where there is nothing to read, or nothing that is clear.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, TypeVar

import msgspec

from dataset_tools.findings import Finding, Rule

# Texts that are a whole number, or nothing: such an id is not a name.
NamedId = Annotated[str, msgspec.Meta(pattern=r"^(?!\s*([+-]?\d+(\.0*)?)?\s*$)")]
_WHOLE = re.compile(r"\s*([+-]?\d{1,15})(\.0*)?\s*")

# Whole floats up to here are exact.
_LARGEST_WHOLE = 2**53

_WORDS_OF_FLAGS = {"true": 1, "false": 0, "": 0}

Reading = Callable[[object], object]
Record = TypeVar("Record")


def number(value: object) -> object:
    """A number that may be text."""
    try:
        return float(value) if isinstance(value, str) and "_" not in value else value  # to Python, 1_0 is 10
    except ValueError:
        return value


def numbers(values: object, depth: int = 3) -> object:
    """A list of numbers, any of which may be text; lists in it likewise, down to a depth."""
    if not isinstance(values, list) or not depth:
        return number(values)
    read = [numbers(value, depth - 1) for value in values]
    return read if any(new is not old for new, old in zip(read, values)) else values


def identity(value: object) -> object:
    """An id: a whole number, whether it is a float or text, or else a name; None for a text without anything in it."""
    if isinstance(value, str):
        whole = _WHOLE.fullmatch(value)
        return int(whole[1]) if whole else value if value.strip() else None
    if isinstance(value, float) and value.is_integer() and abs(value) <= _LARGEST_WHOLE:
        return int(value)
    return value


def identities(values: object) -> object:
    """A list of ids, or of other whole numbers."""
    return list(map(identity, values)) if isinstance(values, list) else values


def name(value: object) -> object:
    """A name that may be a number."""
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST_WHOLE:
        return str(identity(value))
    return value


def flag(value: object) -> object:
    """0 or 1, also as text or as a word."""
    return _WORDS_OF_FLAGS.get(value.strip().lower(), number(value)) if isinstance(value, str) else value


class BadRecord(Exception):
    """A record that cannot be read: all its faults, each a message and its place."""

    def __init__(self, faults: list[tuple[str, str]]):
        super().__init__(faults)
        self.faults = faults


class Departures:
    """Values that were read in another form: of each field the first, and how many there are."""

    def __init__(self) -> None:
        self._fields: dict[str, list] = {}

    def add(self, place: str, message: str) -> None:
        """Count a value; its place is e.g. ``annotations[3].id``."""
        field = re.sub(r"\[\d+\]", "", place)
        self._fields.setdefault(field, [place.lstrip("."), message, 0])[2] += 1

    def findings(self, file: str) -> Iterator[Finding]:
        """A finding for each field."""
        for place, message, count in self._fields.values():
            more = f", and {count - 1} more" if count > 1 else ""
            yield Finding(Rule.READ_IN_ANOTHER_FORM, file, place, message + more)


def read_record(
    tree: object, kind: type[Record], readings: Mapping[str, Reading], place: str, departures: Departures
) -> Record:
    """A record of JSON, some of whose values may be in another form.

    Args:
        tree: JSON.
        kind: a msgspec Struct.
        readings: of its keys.
        place: of the record.
        departures: what is read in another form is added to these.

    Raises:
        BadRecord: it is not such a record.
    """
    fields = tree if isinstance(tree, dict) else {}
    read = {key: readings[key](value) if key in readings else value for key, value in fields.items()}
    try:
        record = msgspec.convert(read if fields else tree, kind)
    except msgspec.ValidationError as error:
        raise BadRecord([*_faults(read, kind, place)] or [message_and_place(error, place)]) from error
    for key, value in fields.items():
        if read[key] is not value:
            new = "nothing" if read[key] is None else repr(read[key])
            said = "a list in another form" if isinstance(value, list) else f"{value!r} was read as {new}"
            departures.add(f"{place}.{key}", said)
    return record


def _faults(read: Mapping[str, object], kind: type, place: str) -> Iterator[tuple[str, str]]:
    """What is wrong with each field, where msgspec itself names the first alone."""
    for field in msgspec.structs.fields(kind):
        try:
            if field.encode_name in read:
                msgspec.convert(read[field.encode_name], field.type)
        except msgspec.ValidationError as error:
            yield message_and_place(error, f"{place}.{field.encode_name}")


def message_and_place(error: Exception, place: str = "") -> tuple[str, str]:
    """What msgspec says about a value, and its place inside of ``place``."""
    message, _, where = str(error).partition(" - at ")
    return message, re.sub(r"^\.", "", place + where.strip("`").removeprefix("$"))
