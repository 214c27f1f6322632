"""What is to be doubted about a dataset as a whole: shared photos, classes, splits, photos that look alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from dataset_tools.classes import LabelRules, numbered, variants
from dataset_tools.findings import Finding, Rule
from dataset_tools.survey import Entry

# LVIS (Gupta, Dollar, Girshick 2019) calls a class rare that no more than 10 training images hold: its AP is a third of
# that of frequent ones there. Counted here are instances.
_FEW = 10

Splits = Mapping[str, Sequence[Entry]]


def labels_of(entries: Iterable[Entry]) -> Counter[str]:
    """How many instances of each label there are, in the order of the labels."""
    counts: Counter[str] = Counter()
    for entry in entries:
        counts.update(entry.counts)
    return Counter(dict(sorted(counts.items())))


def photos_named_twice(root: Path, entries: Iterable[Entry]) -> Iterator[Finding]:
    """An error for every file whose photo belongs to another file, too: which is right cannot be told."""
    owners: dict[Path, list[str]] = {}
    for entry in entries:
        if not entry.photo.embedded:
            owners.setdefault((root / entry.photo.path).resolve(), []).append(entry.file)
    for files in owners.values():
        for file in files if len(files) > 1 else ():
            others = ", ".join(f"'{other}'" for other in files if other != file)
            yield Finding(Rule.TWO_FILES_FOR_ONE_PHOTO, file, "imagePath", f"the same photo as {others}")


def about_classes(entries: Sequence[Entry], rules: LabelRules) -> Iterator[Finding]:
    """Classes that have no or few instances, and labels that may mean one class."""
    counts = labels_of(entries)
    for name in rules.classes or ():
        if name not in counts:
            yield Finding(Rule.CLASS_WITHOUT_INSTANCES, message=repr(name))
    for name, count in counts.items():
        if count < _FEW:
            yield Finding(Rule.FEW_INSTANCES, message=f"{name!r}: {count}, fewer than {_FEW}")
    if rules.classes is not None:
        return
    for names in variants(list(counts)):
        yield Finding(Rule.LABEL_VARIANTS, message=", ".join(map(repr, names)))
    for name, names in numbered(list(counts)).items():
        yield Finding(Rule.NUMBERED_LABELS, message=f"{name!r}: {names[0]!r} to {names[-1]!r}, {len(names)} labels")


def about_splits(splits: Splits, classes: Sequence[str]) -> Iterator[Finding]:
    """Splits without photos, and classes that a split lacks."""
    everywhere = {label for entries in splits.values() for label in labels_of(entries)}
    for split, entries in splits.items():
        if not entries:
            yield Finding(Rule.EMPTY_SPLIT, message=split)
            continue
        rule = Rule.CLASS_NOT_IN_TRAIN if split == "train" else Rule.CLASS_NOT_IN_SPLIT
        present = set(labels_of(entries))
        yield from (Finding(rule, message=f"{split}: {name!r}") for name in classes if name in everywhere - present)


def about_looks(entries: Sequence[Entry]) -> Iterator[Finding]:
    """Photos that look alike: in different splits, or where there are no splits yet."""
    from dataset_tools import lookalikes

    for first, second in lookalikes.pairs([entry.look for entry in entries]):
        one, other = entries[first], entries[second]
        if one.split is None:
            yield Finding(Rule.LOOK_ALIKES, one.photo.path, message=f"and '{other.photo.path}'")
        elif one.split != other.split:
            message = f"{one.split}, and '{other.photo.path}', {other.split}"
            yield Finding(Rule.LOOK_ALIKES_APART, one.photo.path, message=message)
