"""From a source of annotated photos to a dataset folder, one function a step: what convert and adopt share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dataset_tools.dataset.checks import check_classes, check_density, check_splits
from dataset_tools.dataset.options import DatasetOptions
from dataset_tools.dataset.scan import Entry, count_labels, entries_by_split, scanned
from dataset_tools.dataset.splits import DEFAULT_FRACTIONS, assign_splits, group_names
from dataset_tools.dataset.write import write_dataset
from dataset_tools.errors import EXIT_DATA, UserError
from dataset_tools.findings import BadData, Finding, Rule, refusal
from dataset_tools.formats.card import SPLITS, Card
from dataset_tools.output_folder import replaced_folder
from dataset_tools.sources.source import Source


@dataclass(frozen=True, slots=True)
class ConversionResult:
    """What came of it: the card, everything that was found, and how many files with errors were left out."""

    card: Card
    findings: list[Finding]
    skipped: int


def make_dataset(source: Source, options: DatasetOptions) -> ConversionResult:
    """Turn what a source says into a dataset folder; ``check_options`` has been called.

    Raises:
        UserError: the options do not fit what the source says, or there is something in the place of the folder.
        BadData: files have errors and are not to be skipped, or nothing is left. No folder is made or changed then.
    """
    output = replaced_folder(options.output, "dataset files", options.overwrite)
    with output as part, scanned(source, options.reading) as scan:
        _check_photos_are_kept(scan.entries, source.photo_root, options.output)
        findings = list(scan.findings)
        usable, skipped = _without_errors(scan.entries, findings, options, source.root)
        labels = list(count_labels(usable))
        if not labels:
            findings.append(Finding(Rule.NO_INSTANCES))
            remedy = "Annotate at least one object, or see above what was left out"
            raise BadData("no instance is left; nothing was written", findings, file=source.root, remedy=remedy)
        splits = _assign_splits(usable, options, source.root)
        classes = options.classes_of(source.classes) or labels
        findings += check_classes(usable, scan.labels, options)
        findings += check_density(usable)
        findings += check_splits(splits, classes)
        card, failures = write_dataset(scan, splits, classes, part, options)
        if failures and (not options.skip_bad or not any(summary.images for summary in card.splits.values())):
            raise refusal([*findings, *failures], source.root)
        return ConversionResult(card, [*findings, *failures], skipped + len(failures))


def _check_photos_are_kept(entries: Sequence[Entry], root: Path, output: Path) -> None:
    """Refuse to replace a folder that photos are in, wherever a link, or a path in a file, has led to them."""
    if not output.exists():
        return
    replaced = output.resolve()
    for photo in (root / entry.photo.path for entry in entries if not entry.photo.embedded):
        if photo.resolve().is_relative_to(replaced):
            raise UserError("this photo is inside the folder to make", file=photo, remedy="Choose another --output")


def _without_errors(
    entries: Sequence[Entry], findings: list[Finding], options: DatasetOptions, root: Path
) -> tuple[list[Entry], int]:
    """The files without errors, and the number of the others; BadData if the others are not to be skipped."""
    bad = {finding.file for finding in findings if finding.is_error}
    if bad and not options.skip_bad:
        raise refusal(findings, root)
    usable = [entry for entry in entries if entry.file not in bad]
    if not usable:
        raise BadData("no annotation file is left; nothing was written", findings, file=root)
    return usable, len(bad)


def _assign_splits(usable: Sequence[Entry], options: DatasetOptions, root: Path) -> dict[str, list[Entry]]:
    """The entries of each split, in order: as the source says, or drawn."""
    if any(entry.split for entry in usable):
        if options.fractions is not None or options.group is not None:
            flag = "--split" if options.fractions is not None else "--group"
            remedy = f"Leave {flag} out, or rename the sub-folders"
            raise UserError("what is converted is split already, into train, val and test", file=root, remedy=remedy)
        splits = entries_by_split(usable)
    else:
        groups = None
        if options.group is not None:
            names = group_names([entry.photo.path for entry in usable], options.group)
            groups = {entry.file: names[entry.photo.path] for entry in usable if entry.photo.path in names}
        counts = {entry.file: entry.counts for entry in usable}
        split_of = assign_splits(counts, options.fractions or DEFAULT_FRACTIONS, options.seed, groups)
        splits = {name: [entry for entry in usable if split_of[entry.file] == name] for name in SPLITS}
    if not splits["train"]:
        remedy = "Put annotated photos into it"
        reason = "'train' has no annotation file that can be used"
        raise UserError(reason, file=root, remedy=remedy, exit_code=EXIT_DATA)
    return splits
