"""From a source of annotated photos to a dataset folder, one function a step: what convert and adopt share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import ClassVar

from dataset_tools import parallel
from dataset_tools.dataset.checks import check_classes, check_shared_photos, check_splits
from dataset_tools.dataset.scan import Entry, ReadOptions, count_labels, entries_by_split, scanned
from dataset_tools.dataset.splits import DEFAULT_FRACTIONS, assign_splits, check_fractions, group_names
from dataset_tools.dataset.write import IMAGE_MODES, Dataset, relative_path, write_dataset
from dataset_tools.errors import EXIT_DATA, UserError
from dataset_tools.findings import BadData, Finding, Rule, refusal
from dataset_tools.formats.card import NAME_RULE, SPLITS, Card, is_usable_name
from dataset_tools.instances.labels import LabelRules
from dataset_tools.instances.shapes import ShapeOptions
from dataset_tools.output_folder import replaced_folder
from dataset_tools.sources.source import Source
from dataset_tools.text import is_text

# The longer side of a photo that is made smaller: what the photos of this project's first dataset had.
MAX_SIZE = 1024

# What says how a dataset was asked for, but not what is in it.
_NOT_ON_THE_CARD = ("output", "name", "overwrite", "jobs")


@dataclass(frozen=True, kw_only=True)
class DatasetOptions:
    """What the user asked of a dataset folder, wherever the annotations come from.

    Attributes:
        output: the dataset folder to make.
        name: prefix of the dataset's names in DatasetCatalog; None takes the name of the output folder.
        classes, rename, ignore, strip_numbers: as in ``LabelRules``.
        line_width, repair, holes, drop_duplicates: as in ``ShapeOptions``.
        images: ``reference`` leaves photos where they are, ``copy`` copies them, ``resize`` makes larger ones smaller.
        max_size: the longer side in pixels for ``resize``; None takes MAX_SIZE.
        fractions: shares of train, val, test; None takes the split of the source, else the default.
        group: a regular expression; photos that have the same match in their paths never part.
        seed: of the random split.
        overwrite: replace a dataset folder that convert or adopt has written, and nothing else.
        skip_bad: leave files with errors out instead of giving up.
        jobs: how many processes work; None for one a core.
    """

    command: ClassVar[str]

    output: Path
    name: str | None = None
    classes: tuple[str, ...] | None = None
    rename: Mapping[str, str] = field(default_factory=dict)
    ignore: tuple[str, ...] = ()
    strip_numbers: bool = False
    line_width: float | None = None
    repair: bool = False
    holes: bool = False
    drop_duplicates: bool = False
    images: str = "reference"
    max_size: int | None = None
    fractions: tuple[float, ...] | None = None
    group: str | None = None
    seed: int = 0
    overwrite: bool = False
    skip_bad: bool = False
    jobs: int | None = None

    @property
    def labels(self) -> LabelRules:
        return LabelRules(self.classes, self.rename, self.ignore, self.strip_numbers)

    @property
    def reading(self) -> ReadOptions:
        shapes = ShapeOptions(self.labels, self.line_width, self.repair, self.holes, self.drop_duplicates)
        max_size = (MAX_SIZE if self.max_size is None else self.max_size) if self.images == "resize" else None
        return ReadOptions(shapes, max_size, jobs=parallel.all_cores() if self.jobs is None else self.jobs)


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
        findings = [*scan.findings, *check_shared_photos(source.photo_root, scan.entries)]
        usable, skipped = _without_errors(scan.entries, findings, options, source.root)
        labels = list(count_labels(usable))
        if not labels:
            findings.append(Finding(Rule.NO_INSTANCES))
            remedy = "Annotate at least one object, or see above what was left out"
            raise BadData("no instance is left; nothing was written", findings, file=source.root, remedy=remedy)
        splits = _assign_splits(usable, options, source.root)
        classes = options.labels.classes_of(source.classes) or labels
        findings += check_classes(usable, scan.labels, options.labels)
        findings += check_splits(splits, classes)
        dataset = Dataset(
            _name(options), classes, splits, options.images, options.skip_bad, _made_by(options), findings
        )
        card, failures = write_dataset(scan, dataset, part, options.output, options.reading.jobs)
        return ConversionResult(card, [*findings, *failures], skipped + len(failures))


def check_options(options: DatasetOptions, sources: Sequence[Path]) -> None:
    """Refuse what cannot be done, before anything is read from the sources: annotations, and folders of photos.

    Raises:
        UserError: the folder to make holds what is read, a name cannot be used, or an option is out of range.
    """
    _check_output(sources, options.output)
    _name(options)
    options.reading.check()
    if options.fractions is not None:
        check_fractions(options.fractions)
    if options.images not in IMAGE_MODES:
        raise UserError(f"--images is {options.images!r}", remedy=f"Pass one of {', '.join(IMAGE_MODES)}")
    if options.max_size is not None and options.images != "resize":
        raise UserError("--max-size does nothing without --images resize", remedy="Pass both, or neither")


def _name(options: DatasetOptions) -> str:
    name = options.name if options.name is not None else options.output.resolve().name
    if not is_usable_name(name):
        raise UserError(f"{name!r} cannot name a dataset", remedy=f"Pass --name with {NAME_RULE}")
    return name


def _check_output(sources: Sequence[Path], output: Path) -> None:
    other = "Choose another --output"
    if not is_text(str(output.resolve())):
        raise UserError("the name of this folder is not Unicode text", file=ascii(str(output)), remedy=other)
    for source in sources:
        if not is_text(str(source.resolve())):
            raise UserError("its name is not Unicode text", file=source, remedy="Rename it")
        if source.resolve().is_relative_to(output.resolve()):
            raise UserError("what should be converted is inside the folder to make", file=source, remedy=other)


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
        remedy = "Correct what is listed above"
        raise BadData("no annotation file is left; nothing was written", findings, file=root, remedy=remedy)
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
        groups = _groups(usable, options.group) if options.group is not None else None
        counts = {entry.file: entry.counts for entry in usable}
        split_of = assign_splits(counts, options.fractions or DEFAULT_FRACTIONS, options.seed, groups)
        splits = {name: [entry for entry in usable if split_of[entry.file] == name] for name in SPLITS}
    if not splits["train"]:
        remedy = "Put annotated photos into it"
        reason = "'train' has no annotation file that can be used"
        raise UserError(reason, file=root, remedy=remedy, exit_code=EXIT_DATA)
    return splits


def _groups(usable: Sequence[Entry], pattern: str) -> dict[str, str]:
    """The group of each file: what a regular expression finds in the path of its photo."""
    names = group_names([entry.photo.path for entry in usable], pattern)
    return {entry.file: names[entry.photo.path] for entry in usable if entry.photo.path in names}


def _made_by(options: DatasetOptions) -> dict[str, object]:
    """The options that decided what is in the folder; no absolute path, no date, so that the bytes repeat."""
    made_by: dict[str, object] = {"command": options.command}
    for item in fields(options):
        value = getattr(options, item.name)
        if item.name not in _NOT_ON_THE_CARD and value != item.default and value not in ({}, ()):
            value = list(value) if isinstance(value, tuple) else value
            made_by[item.name] = relative_path(value, options.output) if isinstance(value, Path) else value
    return made_by
