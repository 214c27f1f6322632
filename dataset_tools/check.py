"""The doctor: everything that can be said about a LabelMe folder or a dataset folder, without changing anything."""

from __future__ import annotations

from dataclasses import dataclass, replace

from dataset_tools import doubts
from dataset_tools.findings import Finding
from dataset_tools.sources.source import Source
from dataset_tools.survey import Survey, Wishes


@dataclass(frozen=True, slots=True)
class Checked:
    """What was looked at, and what was found.

    Attributes:
        photos: that can be used, whether or not something is wrong with their shapes.
        instances: how many of each class.
        findings: in the order in which they were found.
    """

    photos: int
    instances: dict[str, int]
    findings: list[Finding]


def check(source: Source, wishes: Wishes) -> Checked:
    """Read a source with every rule that there is: those of ``convert``, and those that need every photo decoded.

    Args:
        source: what to check.
        wishes: how it is read.
    """
    with Survey(source, wishes) as survey:
        findings = survey.findings
        findings += doubts.photos_named_twice(source.photo_root, survey.entries)
        labels = wishes.shapes.labels
        listed = replace(labels, classes=None).classes_of(source.classes)
        labels = replace(labels, classes=labels.classes_of(source.classes))
        findings += doubts.about_classes(survey.entries, survey.labels, labels, listed)
        if any(entry.split for entry in survey.entries):
            splits = doubts.by_split(survey.entries)
            findings += doubts.about_splits(splits, labels.classes or list(doubts.labels_of(survey.entries)))
        findings += doubts.about_looks(survey.entries)
        return Checked(len(survey.entries), dict(doubts.labels_of(survey.entries)), findings)
