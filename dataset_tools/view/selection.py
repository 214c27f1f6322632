"""Which photos preview, stats and masks show, and which classes."""

from __future__ import annotations

from collections.abc import Sequence

from dataset_tools.dataset.checks import check_shared_photos
from dataset_tools.dataset.scan import Entry, Scan, count_labels
from dataset_tools.errors import UserError
from dataset_tools.findings import BadData
from dataset_tools.instances.labels import LabelRules


def usable_entries(scan: Scan) -> list[Entry]:
    """The photos without errors. Errors about photos that two files share are added to the findings.

    Raises:
        BadData: there are none.
    """
    findings = scan.findings
    findings += check_shared_photos(scan.source.photo_root, scan.entries)
    bad = {finding.file for finding in findings if finding.is_error}
    entries = [entry for entry in scan.entries if entry.file not in bad]
    if not entries:
        remedy = "Correct what is listed above"
        raise BadData("no photo with annotations is left", findings, file=scan.source.root, remedy=remedy)
    return entries


def select_split(scan: Scan, entries: Sequence[Entry], split: str | None) -> list[Entry]:
    """The photos of one split; all of them for None. What was found about those of other splits is forgotten.

    Raises:
        UserError: nothing is split, or the split is empty.
    """
    root = scan.source.root
    if split is None:
        return list(entries)
    if not is_split(entries):
        raise UserError("nothing is split here into train, val and test", file=root, remedy="Leave --split out")
    chosen = [entry for entry in entries if entry.split == split]
    if not chosen:
        raise UserError(f"the split '{split}' has no photos", file=root, remedy="Choose another --split")
    others = {entry.file for entry in entries if entry.split != split}
    scan.findings = [finding for finding in scan.findings if finding.file not in others]
    return chosen


def is_split(entries: Sequence[Entry]) -> bool:
    """Whether the source says which photo is for training."""
    return any(entry.split for entry in entries)


def class_names(scan: Scan, rules: LabelRules) -> list[str]:
    """The classes in order: as asked for, else as the source lists them, else the labels, sorted."""
    listed = rules.classes_of(scan.source.classes) or ()
    return list(dict.fromkeys([*listed, *count_labels(scan.entries)]))
