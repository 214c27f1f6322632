"""Which photos preview, stats and masks show, and which classes."""

from __future__ import annotations

from collections.abc import Sequence

from dataset_tools.dataset.checks import check_shared_photos
from dataset_tools.dataset.scan import Entry, Survey, count_labels
from dataset_tools.errors import UserError
from dataset_tools.findings import BadData
from dataset_tools.instances.labels import LabelRules


def usable_entries(survey: Survey) -> list[Entry]:
    """The photos without errors. Errors about photos that two files share are added to the findings.

    Raises:
        BadData: there are none.
    """
    findings = survey.findings
    findings += check_shared_photos(survey.source.photo_root, survey.entries)
    bad = {finding.file for finding in findings if finding.is_error}
    entries = [entry for entry in survey.entries if entry.file not in bad]
    if not entries:
        remedy = "Correct what is listed above"
        raise BadData("no photo with annotations is left", findings, file=survey.source.root, remedy=remedy)
    return entries


def select_split(survey: Survey, entries: Sequence[Entry], split: str | None) -> list[Entry]:
    """The photos of one split; all of them for None. What was found about those of other splits is forgotten.

    Raises:
        UserError: nothing is split, or the split is empty.
    """
    root = survey.source.root
    if split is None:
        return list(entries)
    if not is_split(entries):
        raise UserError("nothing is split here into train, val and test", file=root, remedy="Leave --split out")
    chosen = [entry for entry in entries if entry.split == split]
    if not chosen:
        raise UserError(f"the split '{split}' has no photos", file=root, remedy="Choose another --split")
    others = {entry.file for entry in entries if entry.split != split}
    survey.findings = [finding for finding in survey.findings if finding.file not in others]
    return chosen


def is_split(entries: Sequence[Entry]) -> bool:
    """Whether the source says which photo is for training."""
    return any(entry.split for entry in entries)


def class_names(survey: Survey, rules: LabelRules) -> list[str]:
    """The classes in order: as asked for, else as the source lists them, else the labels, sorted."""
    listed = rules.classes_of(survey.source.classes) or ()
    return list(dict.fromkeys([*listed, *count_labels(survey.entries)]))
