"""What preview, stats and masks have in common: which photos are looked at, the pixels of photos and of instances."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from dataset_tools.dataset.checks import check_shared_photos
from dataset_tools.dataset.scan import Entry, Survey, count_labels
from dataset_tools.errors import UserError
from dataset_tools.findings import BadData, Finding, Rule
from dataset_tools.geometry import rle
from dataset_tools.geometry.rle import Rle
from dataset_tools.images.header import ImageError
from dataset_tools.images.pixels import load_photo
from dataset_tools.instances.labels import LabelRules
from dataset_tools.records import Instance
from dataset_tools.sources.labelme_folder import LabelmeFolder
from dataset_tools.sources.source import Source, original_photo


def usable(survey: Survey) -> list[Entry]:
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


def of_split(survey: Survey, entries: Sequence[Entry], split: str | None) -> list[Entry]:
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


class WithInstances(Sequence):
    """Entries with their instances, which are fetched when their turn comes; a part of them is as lazy."""

    def __init__(self, survey: Survey, entries: Sequence[Entry]):
        self._survey, self._entries = survey, entries

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, index: int | slice) -> tuple[Entry, list[Instance]] | WithInstances:
        if isinstance(index, slice):
            return WithInstances(self._survey, self._entries[index])
        entry = self._entries[index]
        return entry, self._survey.instances(entry)

    def __reduce__(self) -> tuple:
        # Another process gets them as a list. That is made when it is about to work on them: never all at once.
        return list, (list(self),)


class BadPhoto(Exception):
    """A photo whose header is fine and whose pixels are not; ``finding`` says what is wrong."""

    def __init__(self, finding: Finding):
        super().__init__(str(finding))
        self.finding = finding


def photo_of(source: Source, entry: Entry) -> Image.Image:
    """The photo in RGB as it is shown, of the size that the entry says.

    Raises:
        BadPhoto: it cannot be read, or has become another one meanwhile.
    """
    photo = entry.photo
    try:
        picture = load_photo(original_photo(source, entry.file, photo))
    except ImageError as error:
        raise BadPhoto(Finding(error.rule, entry.file, message=f"'{photo.path}': {error}")) from error
    except OSError as error:
        message = f"'{photo.path}': {error.strerror or error}"
        raise BadPhoto(Finding(Rule.PHOTO_UNREADABLE, entry.file, message=message)) from error
    if picture.size != tuple(entry.size):
        sizes = "{} x {}, the file says {} x {}".format(*picture.size, *entry.size)
        raise BadPhoto(Finding(Rule.SIZE_MISMATCH, entry.file, message=f"'{photo.path}' is {sizes}"))
    return picture


def code_of(instance: Instance, size: tuple[int, int]) -> Rle:
    """The run-length code of an instance in a photo of a (width, height)."""
    segmentation = instance.segmentation
    if isinstance(segmentation, Rle):
        return segmentation
    return rle.rasterise([np.reshape(polygon, (-1, 2)) for polygon in segmentation], size)


def check_output(output: Path, source: Source, made_in: Callable[[Path], Collection[str]], what: str) -> None:
    """Refuse to replace anything but an empty folder, or what the same command has made there earlier.

    Args:
        output: the folder to make.
        source: what it is made of.
        made_in: which files in a folder the command has made, as paths relative to it with POSIX slashes.
        what: in words, what the command makes.

    Raises:
        UserError: the folder holds other things, or is in the LabelMe folder.
    """
    check_place(output, source)
    if not (output.exists() or output.is_symlink()):
        return
    if not _is_replaceable(output, made_in):
        raise UserError(f"this exists and does not hold {what} only", file=output, remedy="Choose another --output")


def check_place(output: Path, source: Source) -> None:
    """Refuse to write into a LabelMe folder: pictures would be taken for photos, JSON files for annotations.

    Raises:
        UserError: as said.
    """
    folders = {source.root.resolve(), source.photo_root.resolve()}
    if isinstance(source, LabelmeFolder) and not folders.isdisjoint(output.resolve().parents):
        reason = "this is inside the LabelMe folder, where it would be taken for photos and annotations"
        raise UserError(reason, file=output, remedy="Choose another --output")


def _is_replaceable(output: Path, made_in: Callable[[Path], Collection[str]]) -> bool:
    if output.is_symlink() or not output.is_dir():
        return False
    files = [path for path in output.rglob("*") if path.is_symlink() or not path.is_dir()]
    if not files:
        return not any(output.iterdir())
    if not all(path.is_file() and not path.is_symlink() for path in files):  # no command makes links or pipes
        return False
    return {path.relative_to(output).as_posix() for path in files} <= set(made_in(output))
