"""Classes as users choose them: the list, and what becomes of a label that someone typed."""

from __future__ import annotations

import difflib
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dataset_tools.errors import EXIT_DATA, UserError
from dataset_tools.findings import Rule
from dataset_tools.text import is_text

# Labels that LabelMe's own class lists hold for purposes of their own.
RESERVED_LABELS = ("_background_", "__ignore__")

# Something to say about a label or a shape.
Note = tuple[Rule, str]

# The number that some people end every label with, one number an object: Ball1, ball_2, person-3.
_NUMBER = re.compile(r"(.*[^\d\s_.#-])[\s_.#-]*\d+\s*")

# Classes that a message lists: with all of many, thousands of unknown labels would fill the memory.
_CLASSES_SHOWN = 20

# How English makes a plural: berries, boxes, benches, glasses, cars.
_PLURAL = re.compile(r"ies$|(?:(?<=[xz])|(?<=[cs]h)|(?<=ss))es$|(?<!s)s$")


@dataclass(frozen=True, slots=True)
class ResolvedLabel:
    """What becomes of a label.

    Attributes:
        name: the class; None if shapes of this label cannot be used.
        notes: what to report; the last one says why ``name`` is None.
        number: the label as typed, but for white space, where it ended with an object's number.
    """

    name: str | None
    notes: tuple[Note, ...] = ()
    number: str | None = None


@dataclass(frozen=True)
class LabelRules:
    """From labels to classes, in this order: numbers, renaming, what is ignored, the list of classes.

    A label with white space around it is a separate label: only an explicit renaming makes one class of two labels.

    Attributes:
        classes: the labels that are allowed, in order; None allows every label.
        rename: old label to new label; a new one that is in use already merges the two.
        ignore: labels whose shapes are left out, after renaming.
        strip_numbers: take the number off the end of a label; shapes of one numbered label in one photo are one object.
    """

    classes: tuple[str, ...] | None = None
    rename: Mapping[str, str] = field(default_factory=dict)
    ignore: tuple[str, ...] = ()
    strip_numbers: bool = False
    _resolved: dict[str, ResolvedLabel] = field(default_factory=dict, init=False, repr=False, compare=False)

    def resolve(self, raw: str) -> ResolvedLabel:
        """What becomes of a label as it was typed."""
        resolved = self._resolved.get(raw)
        if resolved is None:
            resolved = self._resolved[raw] = self._resolve(raw)
        return resolved

    def _resolve(self, raw: str) -> ResolvedLabel:
        if not raw.strip():
            return ResolvedLabel(None, ((Rule.EMPTY_LABEL, ""),))
        label = self._without_number(raw)
        number = raw.strip() if label != raw else None
        label = self._renamed(label)
        if label.strip() in RESERVED_LABELS:
            return ResolvedLabel(None, ((Rule.IGNORED_LABEL, repr(label)),))
        if label in self.ignore:
            return ResolvedLabel(None, ((Rule.IGNORED_ON_REQUEST, repr(label)),))
        notes = ((Rule.SPACE_AROUND_LABEL, repr(label)),) if label != label.strip() else ()
        if self.classes is not None and label not in self.classes:
            return ResolvedLabel(None, (*notes, (Rule.UNKNOWN_LABEL, f"{label!r}{suggestion(label, self.classes)}")))
        return ResolvedLabel(label, notes, number)

    def classes_of(self, listed: Sequence[str] | None) -> tuple[str, ...] | None:
        """The classes in order: those asked for, else those of the source's own list, as they are named now.

        Args:
            listed: that list; None, and so is the result, if the source has none.
        """
        if self.classes is not None or listed is None:
            return self.classes
        names = (self.resolve(name).name for name in listed)
        return tuple(dict.fromkeys(name for name in names if name is not None))

    def unused(self, labels: Iterable[str]) -> Iterator[tuple[str, str]]:
        """Option and label of what should be renamed or ignored, and is nowhere among the labels as typed."""
        plain = {self._without_number(label) for label in labels}
        named = plain | {_as_shown(label) for label in plain}
        yield from (("--rename", old) for old in self.rename if old not in named)
        renamed = {self._renamed(label) for label in plain}
        yield from (("--ignore", label) for label in self.ignore if label not in renamed)

    def _renamed(self, label: str) -> str:
        """The new name of a label, if it has one; the old one may be written as it was typed, or as findings show it."""
        return self.rename.get(label, self.rename.get(_as_shown(label), label))

    def _without_number(self, label: str) -> str:
        match = _NUMBER.fullmatch(label) if self.strip_numbers else None
        return match[1] if match else label

    def check(self) -> None:
        """Refuse rules that contradict themselves.

        Raises:
            UserError: a label is not text, a class is empty, reserved, listed twice or ignored, or a label becomes none
                of the classes.
        """
        for label in (*(self.classes or ()), *self.rename, *self.rename.values(), *self.ignore):
            if not is_text(label):
                raise UserError(f"the label {label!r} is not Unicode text", remedy="Type it in UTF-8")
        if self.classes is not None:
            _check_names("--classes", self.classes)
        _check_names("--rename", tuple(dict.fromkeys(self.rename.values())))
        for label in self.ignore:
            if self.classes is not None and label in self.classes:
                raise UserError(f"{label!r} is a class and to be ignored", remedy="Correct --classes or --ignore")
        for old, new in self.rename.items():
            if self.classes is not None and new not in (*self.classes, *self.ignore):
                reason = f"{old!r} is to become {new!r}, which is not a class{suggestion(new, self.classes)}"
                raise UserError(reason, remedy="Correct --rename or --classes")


def _as_shown(label: str) -> str:
    """A label as findings show it: an end of a line and other white space, which few people can type, as an escape."""
    return repr(label)[1:-1]


def _check_names(option: str, names: Sequence[str]) -> None:
    remedy = f"Correct {option}"
    if option == "--classes" and not names:
        raise UserError("there are no classes", remedy=remedy)
    for name, count in Counter(names).items():
        if not name.strip():
            raise UserError(f"{name!r} cannot name a class", remedy=remedy)
        if name in RESERVED_LABELS:
            raise UserError(f"LabelMe reserves {name!r}, it cannot be a class", remedy=remedy)
        if count > 1:
            raise UserError(f"the class {name!r} is listed twice", remedy=remedy)


def suggestion(label: str, classes: Sequence[str]) -> str:
    """The class that may have been meant, as text to append; else what the classes are."""
    folded = {name.casefold(): name for name in classes}
    if nearest := difflib.get_close_matches(label.casefold(), folded, n=1):
        return f": did you mean {folded[nearest[0]]!r}?"
    more = f" and {len(classes) - _CLASSES_SHOWN} more" if len(classes) > _CLASSES_SHOWN else ""
    return f"; the classes are {', '.join(classes[:_CLASSES_SHOWN])}{more}"


def variants(labels: Sequence[str]) -> list[list[str]]:
    """Labels that may mean one class: they differ in case, spaces, signs or a plural only; in the order given.

    Letters count by what they mean (Unicode's NFKC): an accent may be part of its letter, or a separate character.
    """
    groups: dict[str, list[str]] = {}
    for label in labels:
        plain = re.sub(r"[\W_]", "", unicodedata.normalize("NFKC", label).casefold())
        singular = _PLURAL.sub(lambda plural: "y" if plural[0] == "ies" else "", plain)
        groups.setdefault(singular or label, []).append(label)
    return [group for group in groups.values() if len(group) > 1]


def numbered(labels: Sequence[str]) -> dict[str, list[str]]:
    """Labels that differ by a number at the end only, by what is before the number."""
    groups: dict[str, list[str]] = {}
    for label in labels:
        if match := _NUMBER.fullmatch(label):
            groups.setdefault(match[1], []).append(label)
    return {name: group for name, group in groups.items() if len(group) > 1}


def parse_classes(text: str, option: str = "--classes") -> tuple[str, ...]:
    """The classes in order, from the name of a text file with one a line, or from a list with commas.

    White space belongs to a name in a file, and in a list at its end (``car ,bus``), but not after a comma. Empty lines
    are passed over, and so is what LabelMe's own lists begin with (``__ignore__``, ``_background_``).

    Raises:
        UserError: it looks like a file (it ends in ``.txt``, or has a ``/`` and no comma) and there is none, or the file is
            not a UTF-8 text.
    """
    path = Path(text)
    if os.path.isfile(text):  # Path.is_file fails where a list is too long for the name of a file
        try:
            names = path.read_text(encoding="utf-8-sig").split("\n")  # splitlines knows other ends, such as U+2028
        except (OSError, UnicodeDecodeError) as error:
            remedy = "Save it as UTF-8 text, one class a line"
            raise UserError(f"the class list cannot be read: {error}", file=path, remedy=remedy) from error
    elif text.lower().endswith(".txt") or ("/" in text and "," not in text):
        remedy = f"Pass {option} a text file with one class a line, or a list like car,dog"
        raise UserError("there is no such class list", file=path, remedy=remedy)
    else:
        names = re.split(r"\s+,\s+|,\s*", text)
    return tuple(name for name in names if name.strip() and name.strip() not in RESERVED_LABELS)


def class_list(names: Sequence[str]) -> str:
    """The text of a file that ``parse_classes`` reads.

    Raises:
        UserError: a name has the end of a line in it.
    """
    for name in names:
        if "\n" in name or "\r" in name:
            reason = f"the class {name!r} has the end of a line in it, and a list of classes has one a line"
            remedy = "Give it another name: convert or adopt with --rename"
            raise UserError(reason, remedy=remedy, exit_code=EXIT_DATA)
    text = "".join(f"{name}\n" for name in names)
    return f"\ufeff{text}" if text.startswith("\ufeff") else text  # one at the beginning is not part of what is read


def parse_renames(texts: Sequence[str], option: str = "--rename") -> dict[str, str]:
    """Old label to new label, from texts ``old=new``; the old one as it was typed, with white space around it, too, or as
    findings show it (``car\\n``).

    Only where there are spaces on both sides of the equals sign (``old = new``) they are not part of the label.

    Raises:
        UserError: there is no or more than one ``=``, or a label is renamed twice.
    """
    renames: dict[str, str] = {}
    for text in texts:
        old, equals, new = text.partition("=")
        if old.endswith(" ") and new.startswith(" "):
            old = old.strip()
        new = new.strip()
        if not (old.strip() and equals and new) or "=" in new:
            raise UserError(f"{option} {text!r} is not old=new", remedy=f"Pass {option} with one '=', as in cars=car")
        if renames.setdefault(old, new) != new:
            raise UserError(f"{option} makes {old!r} both {renames[old]!r} and {new!r}", remedy="Pass one of them")
    return renames
