"""What there is to say about a dataset as a whole: classes, splits, photos that look alike."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from dataset_tools.dataset.scan import Entry, ReadOptions, Splits, count_labels, entries_by_split, scanned
from dataset_tools.findings import Finding, Rule
from dataset_tools.images.similarity import first_alike
from dataset_tools.instances.labels import LabelRules, numbered, variants
from dataset_tools.sources.source import Source

# Detectron2 predicts so many objects of a photo unless it is asked for more (TEST.DETECTIONS_PER_IMAGE).
_MOST_PREDICTED = 100

# LVIS (Gupta, Dollar, Girshick 2019) calls a class rare that no more than 10 training images hold. Counted here are
# instances.
_FEW = 10


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What was looked at, and what was found.

    Attributes:
        photos: that can be used, whether or not something is wrong with their shapes.
        instances: how many of each class.
        findings: in the order in which they were found.
    """

    photos: int
    instances: dict[str, int]
    findings: list[Finding]


def check_source(source: Source, reading: ReadOptions) -> CheckReport:
    """Read a source with every rule that there is: those of ``convert``, and those that need every photo decoded.

    Args:
        source: what to check.
        reading: how it is read.
    """
    with scanned(source, reading) as scan:
        findings = list(scan.findings)
        listed = replace(reading, classes=None).classes_of(source.classes)
        rules = replace(reading, classes=reading.classes_of(source.classes))
        findings += check_classes(scan.entries, scan.labels, rules, listed)
        findings += check_density(scan.entries)
        if any(entry.split for entry in scan.entries):
            splits = entries_by_split(scan.entries)
            findings += check_splits(splits, rules.classes or list(count_labels(scan.entries)))
        findings += check_similar_photos(scan.entries)
        return CheckReport(len(scan.entries), dict(count_labels(scan.entries)), findings)


def check_classes(
    entries: Sequence[Entry], labels: Iterable[str], rules: LabelRules, listed: Sequence[str] | None = None
) -> Iterator[Finding]:
    """No instance at all, classes that have no or few, labels that may mean one class, rules that apply to no label.

    Args:
        entries: the photos that can be used.
        labels: all labels as they were typed.
        rules: from labels to classes.
        listed: the source's own classes: a list that has grown, and that nobody has looked over yet.
    """
    counts = count_labels(entries)
    if not counts:
        yield Finding(Rule.NO_INSTANCES)
    for option, name in rules.unused(labels):
        yield Finding(Rule.RENAME_UNUSED, message=f"{option} {name!r}")
    for name in rules.classes or ():
        if name not in counts:
            yield Finding(Rule.CLASS_WITHOUT_INSTANCES, message=repr(name))
    for name, count in counts.items():
        if count < _FEW:
            yield Finding(Rule.FEW_INSTANCES, message=f"{name!r}: {count}, fewer than {_FEW}")
    if rules.classes not in (None, listed):
        return
    for names in variants(list(counts)):
        yield Finding(Rule.LABEL_VARIANTS, message=", ".join(map(repr, names)))
    for name, names in numbered(list(counts)).items():
        yield Finding(Rule.NUMBERED_LABELS, message=f"{name!r}: {names[0]!r} to {names[-1]!r}, {len(names)} labels")


def check_density(entries: Iterable[Entry]) -> Iterator[Finding]:
    """Photos with more objects than a model predicts by default."""
    for entry in entries:
        if (objects := sum(entry.counts.values())) > _MOST_PREDICTED:
            yield Finding(Rule.MANY_OBJECTS, entry.file, message=f"{objects} objects")


def check_splits(splits: Splits, classes: Sequence[str]) -> Iterator[Finding]:
    """Splits without photos, and classes that a split lacks."""
    everywhere = {label for entries in splits.values() for label in count_labels(entries)}
    for split, entries in splits.items():
        if not entries:
            yield Finding(Rule.TRAIN_EMPTY) if split == "train" else Finding(Rule.EMPTY_SPLIT, message=split)
            continue
        rule = Rule.CLASS_NOT_IN_TRAIN if split == "train" else Rule.CLASS_NOT_IN_SPLIT
        lacking = everywhere - set(count_labels(entries))
        yield from (Finding(rule, message=f"{split}: {name!r}") for name in classes if name in lacking)


def check_similar_photos(entries: Sequence[Entry]) -> Iterator[Finding]:
    """Photos that look alike, once for each: in different splits, or anywhere where there are no splits yet."""
    hashes = [entry.photo_hash for entry in entries]
    is_split = any(entry.split for entry in entries)
    splits = [entry.split or "" for entry in entries] if is_split else None
    for first, second in first_alike(hashes, splits):
        one, other = entries[first].photo.path, entries[second].photo.path
        if is_split:
            message = f"in {entries[second].split}, and '{one}' in {entries[first].split}"
            yield Finding(Rule.LOOK_ALIKES_APART, other, message=message)
        else:
            yield Finding(Rule.LOOK_ALIKES, other, message=f"and '{one}'")
