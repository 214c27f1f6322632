"""Which photos preview, stats and masks show, and which classes."""

from __future__ import annotations

from collections.abc import Sequence

from dataset_tools.dataset.scan import Entry, Scan, count_labels
from dataset_tools.errors import UserError
from dataset_tools.findings import BadData, Finding
from dataset_tools.instances.labels import LabelRules


def select_photos(scan: Scan, split: str | None) -> tuple[list[Entry], list[Finding]]:
    """The photos without errors of one split, or all of them for None; and the findings without those of other splits.

    Raises:
        BadData: no photo is left.
        UserError: the source has no splits, or the split is empty.
    """
    root = scan.source.root
    findings = list(scan.findings)
    bad = {finding.file for finding in findings if finding.is_error}
    entries = [entry for entry in scan.entries if entry.file not in bad]
    if not entries:
        raise BadData("no photo with annotations is left", findings, file=root)
    if split is None:
        return entries, findings
    if not is_split(entries):
        raise UserError("there are no splits train, val and test here", file=root, remedy="Leave --split out")
    chosen = [entry for entry in entries if entry.split == split]
    if not chosen:
        raise UserError(f"the split '{split}' has no photos", file=root, remedy="Choose another --split")
    others = {entry.file for entry in entries if entry.split != split}
    return chosen, [finding for finding in findings if finding.file not in others]


def is_split(entries: Sequence[Entry]) -> bool:
    """Whether the source says which photo is for training."""
    return any(entry.split for entry in entries)


def class_names(scan: Scan, rules: LabelRules) -> list[str]:
    """The classes in order: as asked for, else as the source lists them, else the labels, sorted."""
    listed = rules.classes_of(scan.source.classes) or ()
    return list(dict.fromkeys([*listed, *count_labels(scan.entries)]))
