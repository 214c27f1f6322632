"""LabelMe folder to dataset folder: the pipeline, one function per step."""

from __future__ import annotations

import logging
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from dataset_tools import images, instances, labelme
from dataset_tools.card import CARD_NAME, SPLITS, Card, SplitSummary, encode_card
from dataset_tools.coco import Annotation, CocoFile, Image, Rle, categories_of, encode_coco
from dataset_tools.errors import UserError
from dataset_tools.files import replaced_folder
from dataset_tools.findings import BadData, Finding, Rule
from dataset_tools.images import Photo
from dataset_tools.instances import Instance
from dataset_tools.splits import DEFAULT_FRACTIONS, check_fractions, split_at_random

logger = logging.getLogger(__name__)

# A name becomes a part of dataset names in YAML files and on command lines, and of file names in a run's folder.
_USABLE_NAME = re.compile(r"\w[\w.-]*")

_NAME_THE_FOLDER = "Name the folder that LabelMe saved its files in"


@dataclass(frozen=True, slots=True)
class ConvertOptions:
    """What the user asked for.

    Attributes:
        source: the LabelMe folder.
        output: the dataset folder to make.
        name: prefix of the dataset's names in DatasetCatalog; None takes the name of the output folder.
        classes: the classes in order; None takes every label, sorted.
        fractions: shares of train, val, test; None takes the sub-folders of those names, else the default.
        seed: of the random split.
        overwrite: replace an existing dataset folder.
        skip_bad: leave files with errors out instead of giving up.
        encoding: of the JSON files.
    """

    source: Path
    output: Path
    name: str | None = None
    classes: tuple[str, ...] | None = None
    fractions: tuple[float, ...] | None = None
    seed: int = 0
    overwrite: bool = False
    skip_bad: bool = False
    encoding: str = "utf-8"


@dataclass(frozen=True, slots=True)
class Converted:
    """What came of it: the card, everything that was found, and how many files with errors were left out."""

    card: Card
    findings: list[Finding]
    skipped: int


@dataclass(frozen=True, slots=True)
class AnnotatedPhoto:
    """One annotation file that can be used: the file (relative to the LabelMe folder), its photo, its instances."""

    file: str
    photo: Photo
    instances: list[Instance]


def convert(options: ConvertOptions) -> Converted:
    """Turn a LabelMe folder into a dataset folder.

    Raises:
        UserError: the options are wrong.
        BadData: files have errors and are not to be skipped, or nothing is left. No folder is made or changed then.
    """
    name = _check(options)
    files, photos = list_folder(options.source, exclude=options.output)
    if not files:
        raise UserError("there is no JSON file in this folder", file=options.source, remedy=_NAME_THE_FOLDER)
    split_folders = _split_folders(options)
    read, findings = _read_files(files, split_folders, options)
    findings += _photos_named_twice(options.source, read)
    usable, skipped = _without_errors(read, findings, options)
    findings += _photos_without_file(photos - {item.photo.path for item in read}, files)
    labels = _labels(usable)
    if not labels:
        remedy = "Annotate at least one object, or see above what was left out"
        raise BadData("no instance is left; nothing was written", findings, file=options.source, remedy=remedy)
    classes = list(options.classes) if options.classes is not None else labels
    splits = _assign_splits(usable, split_folders, options)
    findings += _doubts_about_classes(usable, classes, chosen=options.classes is not None)
    findings += _doubts_about_splits(splits, classes)
    card = _write(options, name, classes, splits)
    return Converted(card, findings, skipped)


def _check(options: ConvertOptions) -> str:
    """The dataset's name, once everything about the options is known to be right."""
    _check_folders(options.source, options.output, options.overwrite)
    _check_encoding(options.encoding)
    if options.fractions is not None:
        check_fractions(options.fractions)
    if options.classes is not None:
        _check_classes(options.classes)
    name = options.name if options.name is not None else options.output.resolve().name
    if not _USABLE_NAME.fullmatch(name):
        remedy = "Pass --name with letters, digits, '_', '-' and '.' only"
        raise UserError(f"{name!r} cannot name a dataset", remedy=remedy)
    return name


def _check_folders(source: Path, output: Path, overwrite: bool) -> None:
    other = "Choose another --output"
    if not source.is_dir():
        raise UserError("there is no such folder", file=source, remedy=_NAME_THE_FOLDER)
    for folder in (source, output):
        if not _is_text(str(folder.resolve())):
            raise UserError("the name of this folder is no Unicode text", file=ascii(str(folder)), remedy="Rename it")
    if source.resolve().is_relative_to(output.resolve()):
        raise UserError("the folder to convert is inside the folder to make", file=source, remedy=other)
    if not (output.exists() or output.is_symlink()):
        return
    if not overwrite:
        raise UserError("this exists already", file=output, remedy=f"{other}, or pass --overwrite to replace a dataset")
    if output.is_symlink() or not (output / CARD_NAME).is_file():
        raise UserError(f"this is no dataset folder with its {CARD_NAME}, so it is kept", file=output, remedy=other)


def _check_encoding(encoding: str) -> None:
    try:
        "a".encode(encoding)
    except LookupError as error:
        remedy = "Pass --encoding utf-8, gbk, shift_jis, cp1252, ..."
        raise UserError(f"{encoding!r} is no text encoding", remedy=remedy) from error


def _check_classes(classes: Sequence[str]) -> None:
    remedy = "Correct --classes"
    if not classes:
        raise UserError("there are no classes", remedy=remedy)
    for name, count in Counter(classes).items():
        if not name or name != name.strip():
            raise UserError(f"{name!r} cannot name a class", remedy=remedy)
        if name in instances.RESERVED_LABELS:
            raise UserError(f"LabelMe reserves {name!r}, it cannot be a class", remedy=remedy)
        if count > 1:
            raise UserError(f"the class {name!r} is listed twice", remedy=remedy)


def list_folder(root: Path, exclude: Path) -> tuple[list[str], set[str]]:
    """The JSON files, sorted, and the photos under a folder, relative to it with POSIX slashes.

    Links to folders are followed, each folder once; hidden files and folders, where systems keep thumbnails and other
    things of their own, are passed over, and so is ``exclude``.
    """
    files: list[str] = []
    photos: set[str] = set()
    seen = {exclude.resolve()}
    for folder, subfolders, names in os.walk(root, followlinks=True, onerror=_raise):
        real = Path(folder).resolve()
        if real in seen:
            subfolders.clear()
            continue
        seen.add(real)
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for name in names:
            path = Path(folder, name).relative_to(root).as_posix()
            if name.startswith("."):
                continue
            if name.lower().endswith(".json"):
                files.append(path)
            elif images.is_photo_name(name):
                photos.add(path)
    return sorted(files), photos


def _raise(error: OSError) -> None:
    """A folder that cannot be listed is no empty folder."""
    raise error


def _read_files(
    files: Sequence[str], split_folders: Sequence[str], options: ConvertOptions
) -> tuple[list[AnnotatedPhoto], list[Finding]]:
    """Every file that can be read, in order, and all findings; where the folder is split, only files of its splits."""
    read, findings = [], []
    for file in tqdm(files, desc="Reading", unit="file", disable=None):
        if split_folders and _top_folder(file) not in split_folders:
            findings.append(Finding(Rule.OUTSIDE_SPLITS, file))
            continue
        annotated, found = read_file(options.source, file, options.classes, options.encoding)
        findings += found
        if annotated:
            read.append(annotated)
    return read, findings


def read_file(
    root: Path, file: str, classes: Sequence[str] | None, encoding: str
) -> tuple[AnnotatedPhoto | None, list[Finding]]:
    """One annotation file with its photo and its instances, and everything there is to say about it.

    None where there is no photo, or no annotation file in the first place. The findings may hold errors either way.
    """
    if not _is_text(file):
        return None, [Finding(Rule.BAD_FILE_NAME, file)]
    try:
        record = labelme.decode((root / file).read_bytes(), encoding)
    except OSError as error:
        return None, [Finding(Rule.NOT_JSON, file, message=error.strerror or str(error))]
    except labelme.LabelmeError as error:
        return None, [Finding(_RULES[type(error)], file, error.place, str(error))]
    photo, findings = images.find_photo(root, file, record)
    if photo is None:
        return None, findings
    found_instances, found = instances.build(file, record.shapes, photo.size, classes)
    if not record.shapes:
        found.append(Finding(Rule.NO_SHAPES, file))
    return AnnotatedPhoto(file, photo, found_instances), findings + found


def _is_text(path: str) -> bool:
    """Whether a path can be written into JSON: file systems take names that are no text."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


_RULES = {
    labelme.NotJson: Rule.NOT_JSON,
    labelme.WrongEncoding: Rule.WRONG_ENCODING,
    labelme.WrongStructure: Rule.WRONG_STRUCTURE,
    labelme.NotLabelme: Rule.NOT_LABELME,
}


def _split_folders(options: ConvertOptions) -> list[str]:
    """The sub-folders train, val and test, where the folder is split already; none where it is not."""
    present = [split for split in SPLITS if (options.source / split).is_dir()]
    if not present:
        return []
    if "train" not in present:
        raise UserError(
            f"there is a folder '{present[0]}' but no folder 'train'",
            file=options.source,
            remedy="Name the folders train, val and test, or otherwise",
        )
    if options.fractions is not None:
        raise UserError(
            "the folder is split already, into " + ", ".join(present),
            file=options.source,
            remedy="Leave --split out, or rename the sub-folders",
        )
    return present


def _top_folder(file: str) -> str:
    return file.partition("/")[0]


def _photos_named_twice(root: Path, read: Iterable[AnnotatedPhoto]) -> Iterator[Finding]:
    """An error for every file whose photo belongs to another file, too: which is right cannot be told."""
    owners: dict[Path, list[str]] = {}
    for item in read:
        if not item.photo.embedded:
            owners.setdefault((root / item.photo.path).resolve(), []).append(item.file)
    for files in owners.values():
        for file in files if len(files) > 1 else ():
            others = ", ".join(f"'{other}'" for other in files if other != file)
            yield Finding(Rule.TWO_FILES_FOR_ONE_PHOTO, file, "imagePath", f"the same photo as {others}")


def _photos_without_file(photos: Iterable[str], files: Sequence[str]) -> Iterator[Finding]:
    """The photos, of those that no file has led to, which have no file of their own name either."""
    names = {os.path.splitext(file)[0] for file in files}
    for photo in sorted(photos):
        if photo not in names and os.path.splitext(photo)[0] not in names:
            yield Finding(Rule.PHOTO_WITHOUT_FILE, photo)


def _without_errors(
    read: Sequence[AnnotatedPhoto], findings: list[Finding], options: ConvertOptions
) -> tuple[list[AnnotatedPhoto], int]:
    """The files without errors, and the number of the others; BadData if the others are not to be skipped."""
    bad = {finding.file for finding in findings if finding.is_error}
    if bad and not options.skip_bad:
        raise BadData(
            f"{len(bad)} {'file has' if len(bad) == 1 else 'files have'} errors; nothing was written",
            findings,
            file=options.source,
            remedy="Correct what is listed above, or pass --skip-bad to leave these files out",
        )
    usable = [item for item in read if item.file not in bad]
    if not usable:
        raise BadData(
            "no annotation file is left; nothing was written",
            findings,
            file=options.source,
            remedy="Correct what is listed above",
        )
    return usable, len(bad)


def _labels(usable: Iterable[AnnotatedPhoto]) -> list[str]:
    return sorted({instance.label for item in usable for instance in item.instances})


def _assign_splits(
    usable: Sequence[AnnotatedPhoto], split_folders: list[str], options: ConvertOptions
) -> dict[str, list[AnnotatedPhoto]]:
    if split_folders:
        split_of = {item.file: _top_folder(item.file) for item in usable}
    else:
        split_of = split_at_random([item.file for item in usable], options.fractions or DEFAULT_FRACTIONS, options.seed)
    splits = {split: [item for item in usable if split_of[item.file] == split] for split in SPLITS}
    if not splits["train"]:
        raise UserError(
            "the folder 'train' has no annotation file that can be used",
            file=options.source,
            remedy="Put annotated photos into it",
        )
    return splits


def _doubts_about_classes(usable: Sequence[AnnotatedPhoto], classes: list[str], chosen: bool) -> Iterator[Finding]:
    """Chosen classes that nothing is labelled with; where the labels made the classes, those that may mean one."""
    if chosen:
        present = set(_labels(usable))
        yield from (
            Finding(Rule.CLASS_WITHOUT_INSTANCES, message=repr(name)) for name in classes if name not in present
        )
        return
    variants: dict[str, list[str]] = {}
    for name in classes:
        variants.setdefault(re.sub(r"[\W_]", "", name.casefold()).removesuffix("s") or name, []).append(name)
    for names in variants.values():
        if len(names) > 1:
            yield Finding(Rule.LABEL_VARIANTS, message=", ".join(map(repr, names)))


def _doubts_about_splits(splits: dict[str, list[AnnotatedPhoto]], classes: list[str]) -> Iterator[Finding]:
    everywhere = set(_labels(item for items in splits.values() for item in items))
    for split, items in splits.items():
        if not items:
            yield Finding(Rule.EMPTY_SPLIT, message=split)
            continue
        rule = Rule.CLASS_NOT_IN_TRAIN if split == "train" else Rule.CLASS_NOT_IN_SPLIT
        present = set(_labels(items))
        yield from (Finding(rule, message=f"{split}: {name!r}") for name in classes if name in everywhere - present)


def _write(options: ConvertOptions, name: str, classes: list[str], splits: dict[str, list[AnnotatedPhoto]]) -> Card:
    """Build the dataset folder beside its place, and move it there."""
    every = [item for items in splits.values() for item in items]
    image_root = "." if all(item.photo.embedded for item in every) else _relative(options.source, options.output)
    with replaced_folder(options.output) as part:
        summaries = {}
        for split in SPLITS:
            content = _coco_file(splits[split], classes, options, in_place=image_root != ".")
            (part / f"{split}.json").write_bytes(encode_coco(content))
            summaries[split] = _summary(f"{split}.json", content, classes)
        for item in tqdm(
            [item for item in every if item.photo.embedded], desc="Writing photos", unit="photo", disable=None
        ):
            _write_embedded(options, item, part)
        card = Card(
            name=name,
            classes=classes,
            image_root=image_root,
            mask_format="bitmask"
            if any(isinstance(i.segmentation, Rle) for item in every for i in item.instances)
            else "polygon",
            splits=summaries,
            made_by=_made_by(options),
        )
        (part / CARD_NAME).write_bytes(encode_card(card))
    logger.info("wrote %s", options.output)
    return card


def _relative(target: Path, folder: Path) -> str:
    """The way from a folder to a target as the system walks it, links resolved, with POSIX slashes."""
    return Path(os.path.relpath(target.resolve(), folder.resolve())).as_posix()


def _coco_file(
    items: Sequence[AnnotatedPhoto], classes: list[str], options: ConvertOptions, in_place: bool
) -> CocoFile:
    category_ids = {category.name: category.id for category in categories_of(classes)}
    photos, annotations = [], []
    for image_id, item in enumerate(items, start=1):
        width, height = item.photo.size
        photos.append(Image(image_id, _file_name(item.photo, options, in_place), width, height))
        for instance in item.instances:
            annotations.append(
                Annotation(
                    id=len(annotations) + 1,
                    image_id=image_id,
                    category_id=category_ids[instance.label],
                    segmentation=instance.segmentation,
                    area=instance.area,
                    bbox=instance.bbox,
                )
            )
    return CocoFile(photos, annotations, categories_of(classes))


def _file_name(photo: Photo, options: ConvertOptions, in_place: bool) -> str:
    """The photo relative to the image root: the LabelMe folder if any photo stays in place, else the dataset folder."""
    if photo.embedded and in_place:
        return f"{_relative(options.output, options.source)}/{photo.path}"
    return photo.path


def _summary(annotations: str, content: CocoFile, classes: list[str]) -> SplitSummary:
    counts = Counter(annotation.category_id for annotation in content.annotations)
    per_class = {name: counts[index] for index, name in enumerate(classes, start=1)}
    return SplitSummary(annotations, len(content.images), len(content.annotations), per_class)


def _write_embedded(options: ConvertOptions, item: AnnotatedPhoto, part: Path) -> None:
    """Write the photo out of its annotation file, read again: all photos together may not fit into the memory."""
    record = labelme.decode((options.source / item.file).read_bytes(), options.encoding)
    photo = images.standalone(record.image_data, (record.image_width, record.image_height))
    path = part / item.photo.path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(photo.content)


def _made_by(options: ConvertOptions) -> dict[str, object]:
    """The command's options that decided what is in the folder; no absolute path, no date, so that the bytes repeat."""
    return {
        "command": "convert",
        "source": _relative(options.source, options.output),
        "classes": list(options.classes) if options.classes is not None else None,
        "split": list(options.fractions) if options.fractions is not None else None,
        "seed": options.seed,
        "skip_bad": options.skip_bad,
        "encoding": options.encoding,
    }
