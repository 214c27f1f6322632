"""A dataset folder, or predictions for it, to LabelMe files."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath

from tqdm import tqdm

from dataset_tools.errors import EXIT_DATA, UserError
from dataset_tools.findings import Finding
from dataset_tools.formats import labelme
from dataset_tools.formats.card import CARD_NAME, SPLITS, Card, read_card
from dataset_tools.formats.coco import Image, read_split
from dataset_tools.formats.predictions import read_predictions
from dataset_tools.geometry.rle import BadRle
from dataset_tools.images.folders import copy_photo
from dataset_tools.images.header import photo_header
from dataset_tools.instances.labels import class_list
from dataset_tools.output_folder import replaced_folder
from dataset_tools.to_labelme.annotation_files import CLASSES_NAME, annotation_names, folder_of_all, way_to_photo
from dataset_tools.to_labelme.instance_shapes import (
    DEFAULT_TOLERANCE,
    BadSegmentation,
    InstanceShapes,
    LabelledInstance,
    annotation_file,
    draw,
    score_in_words,
)

# As in demo.py and in Detectron2's own demo.
DEFAULT_MIN_SCORE = 0.5


@dataclass(frozen=True, slots=True)
class ToLabelmeOptions:
    """What the user asked for.

    Attributes:
        dataset: the dataset folder.
        output: the folder of LabelMe files to make.
        predictions: a file as Detectron2's ``coco_instances_results.json``; None writes the ground truth.
        split: ``train``, ``val`` or ``test``; None takes all of the ground truth, or the one that the predictions'
            folder is named after.
        min_score: predictions below are left out; None takes ``DEFAULT_MIN_SCORE``.
        shapes: ``polygon`` or ``mask``; None keeps what the ground truth has, and makes polygons of predictions.
        tolerance: how far in pixels a polygon may be from the mask that it is made of.
        copy_photos: put the photos beside their files instead of referring to them.
    """

    dataset: Path
    output: Path
    predictions: Path | None = None
    split: str | None = None
    min_score: float | None = None
    shapes: str | None = None
    tolerance: float = DEFAULT_TOLERANCE
    copy_photos: bool = False


@dataclass(slots=True)
class WriteReport:
    """What came of it.

    Attributes:
        files, instances, shapes: how many were written.
        below_score: predictions left out for their score.
        empty: instances left out because they cover nothing.
        changed: instances whose pixels differ because their mask became polygons.
        least_overlap: the smallest intersection over union among them, and whose it is.
        photos: the folder with all photos, where the files refer to them.
    """

    files: int = 0
    instances: int = 0
    shapes: int = 0
    below_score: int = 0
    empty: int = 0
    changed: int = 0
    least_overlap: tuple[float, str] = (1.0, "")
    photos: Path | None = None

    def count(self, file: PurePosixPath, instances: Sequence[_Placed], drawn: Sequence[InstanceShapes]) -> None:
        """Add a file."""
        self.files += 1
        for (_, instance), made in zip(instances, drawn):
            self.instances += bool(made.shapes)
            self.empty += not made.shapes
            self.shapes += len(made.shapes)
            self.changed += made.overlap < 1
            self.least_overlap = min(self.least_overlap, (made.overlap, f"{file}, {instance.label!r}"))


# An instance, and its place in the file that it is from.
_Placed = tuple[str, LabelledInstance]


@dataclass(frozen=True, slots=True)
class PhotosToWrite:
    """The photos of a split to write into one folder, and what is on them.

    Attributes:
        folder: relative to the output.
        split: its name.
        source: the file that the instances are from.
        photos: in the order of the COCO file.
        instances: by image id.
        flags: of photos, by image id; LabelMe shows them as boxes to tick.
    """

    folder: str
    split: str
    source: Path
    photos: list[Image]
    instances: dict[int, list[_Placed]] = field(default_factory=dict)
    flags: dict[int, list[str]] = field(default_factory=dict)

    def add(self, image_id: int, place: str, instance: LabelledInstance) -> None:
        self.instances.setdefault(image_id, []).append((place, instance))


def to_labelme(options: ToLabelmeOptions) -> WriteReport:
    """Write a dataset's annotations, or predictions for it, as LabelMe files: one for every photo, in one step.

    The ground truth goes into a sub-folder per split, so that it is converted to the same splits again; a single split
    goes into the output folder itself. Beside them is the list of classes, ``classes.txt``.

    Raises:
        UserError: the options are wrong, a file cannot be used, or the output folder holds something. Nothing is
            written then.
    """
    check_options(options)
    with replaced_folder(options.output, kind=None) as part:
        card = read_card(options.dataset)
        classes = class_list(card.classes)
        if options.predictions:
            split, below_score = _predicted(options.predictions, options, card)
            splits, written = [split], WriteReport(below_score=below_score)
        else:
            splits, written = annotated_splits(options, card), WriteReport()
        root = options.dataset / card.image_root
        for split in splits:
            write_photos(split, root, part, options, written)
        if not options.copy_photos and written.files:
            written.photos = folder_of_all(root / photo.file_name for split in splits for photo in split.photos)
        (part / CLASSES_NAME).write_text(classes, encoding="utf-8")
    return written


def check_options(options: ToLabelmeOptions) -> None:
    """Refuse numbers that are out of range, and options that do not go together."""
    if not 0 <= options.tolerance < math.inf:
        raise UserError(f"--tolerance is {options.tolerance}", remedy="Pass a number of pixels from 0 up")
    if options.min_score is not None and options.predictions is None:
        raise UserError("--min-score is for predictions", remedy="Pass --predictions, or leave --min-score out")
    if options.min_score is not None and not 0 <= options.min_score <= 1:
        raise UserError(f"--min-score is {options.min_score}", remedy="Pass a number from 0 to 1")


def annotated_splits(options: ToLabelmeOptions, card: Card) -> list[PhotosToWrite]:
    """The ground truth: of all splits, each into its own folder, or of one."""
    splits = []
    for name in [options.split] if options.split else SPLITS:
        content = read_split(options.dataset, card, name)
        path = options.dataset / card.splits[name].annotations
        split = PhotosToWrite("" if options.split else name, name, path, content.images)
        for index, annotation in enumerate(content.annotations):
            label = card.classes[annotation.category_id - 1]
            split.add(annotation.image_id, f"annotations[{index}]", LabelledInstance(label, annotation.segmentation))
        splits.append(split)
    return splits


def _predicted(path: Path, options: ToLabelmeOptions, card: Card) -> tuple[PhotosToWrite, int]:
    """The predictions of a file for one split that score enough, and how many do not."""
    name = _split_of_predictions(path, options.split, card)
    content = read_split(options.dataset, card, name)
    known = {photo.id for photo in content.images}
    min_score = DEFAULT_MIN_SCORE if options.min_score is None else options.min_score
    split, below = PhotosToWrite("", name, path, content.images), 0
    for index, prediction in enumerate(read_predictions(path)):
        unknown = f"image_id {prediction.image_id}" if prediction.image_id not in known else None
        if not 1 <= prediction.category_id <= len(card.classes):
            unknown = f"category_id {prediction.category_id}"
        if unknown:
            reason = f"there is no {unknown} in the split '{name}' of {options.dataset}"
            reason += ": these are predictions for other photos or classes"
            remedy = "Name the dataset folder and the --split that were evaluated"
            raise UserError(reason, file=path, place=f"[{index}]", remedy=remedy)
        if prediction.score < min_score:
            below += 1
            continue
        label = card.classes[prediction.category_id - 1]
        score = score_in_words(prediction.score)
        split.add(prediction.image_id, f"[{index}]", LabelledInstance(label, prediction.segmentation, score))
    return split, below


def _split_of_predictions(path: Path, chosen: str | None, card: Card) -> str:
    """The split that was predicted: image ids repeat from split to split, so that it must not be guessed.

    Detectron2's evaluation writes into a folder of the dataset's name, ``<name>_<split>``.
    """
    folder = path.resolve().parent.name
    named = next((split for split in SPLITS if folder == f"{card.name}_{split}"), None)
    if chosen and named and chosen != named:
        reason = f"by the name of its folder, these are predictions for '{named}', not for '{chosen}'"
        raise UserError(reason, file=path, remedy=f"Pass --split {named}, or move the file")
    if split := chosen or named:
        return split
    reason = "nothing says which split these are predictions for"
    raise UserError(reason, file=path, remedy="Pass --split, for example --split test")


def write_photos(
    split: PhotosToWrite, photos: Path, part: Path, options: ToLabelmeOptions, written: WriteReport
) -> dict[int, PurePosixPath]:
    """Write annotation files into ``part``, which will be the output folder, and count them.

    Args:
        split: what to write.
        photos: the image root of the dataset folder.
        part: the folder that is being made.
        options: what the user asked for.
        written: what was written so far.

    Returns:
        The annotation files by image id, relative to ``part``.

    Raises:
        UserError: a photo is missing, has another size or an impossible name, or an instance cannot be drawn.
    """
    folder = part / split.folder
    folder.mkdir(exist_ok=True)
    places = _places(split)
    files = annotation_names(places)
    shown = tqdm(files, desc=f"Writing {split.folder or split.split}", unit="photo", disable=None)
    for file, photo, place in zip(shown, split.photos, places):
        source, target, size = photos / photo.file_name, folder / file, (photo.width, photo.height)
        check_photo(source, size)
        instances = split.instances.get(photo.id, [])
        drawn = [draw_instance(instance, where, size, split, options) for where, instance in instances]
        target.parent.mkdir(parents=True, exist_ok=True)
        if options.copy_photos:
            copy_photo(photos, photo.file_name, folder / place)
            image_path = place.name
        else:
            image_path = way_to_photo(source, (options.output / split.folder / file).parent)
        target.write_bytes(labelme.encode(annotation_file(image_path, size, drawn, split.flags.get(photo.id, ()))))
        written.count(PurePosixPath(split.folder) / file, instances, drawn)
    return {photo.id: PurePosixPath(split.folder) / file for photo, file in zip(split.photos, files)}


def _places(split: PhotosToWrite) -> list[PurePosixPath]:
    """Where in the split's folder each photo has its place.

    Photos in a folder named after the split go without: otherwise each way to LabelMe and back would put them one
    folder deeper.
    """
    places = [place_inside(photo, split) for photo in split.photos]
    if all(place.parts[0] == split.split and len(place.parts) > 1 for place in places):
        places = [place.relative_to(split.split) for place in places]
    first: dict[PurePosixPath, int] = {}
    for photo, place in zip(split.photos, places):
        if first.setdefault(place, photo.id) != photo.id:
            reason = f"the images {first[place]} and {photo.id} would share one LabelMe file, that of '{place}'"
            remedy = "Leave one entry for each photo, with its own file_name"
            raise UserError(reason, file=split.source, place="images", remedy=remedy, exit_code=EXIT_DATA)
    return places


def place_inside(photo: Image, split: PhotosToWrite) -> PurePosixPath:
    """The photo's path, made such that it cannot lead out of the folder that it is put into.

    A photo outside the image root is legitimate, such as one that was written out of a LabelMe file:
    ``../datasets/mine/images/a.jpg`` goes to ``datasets/mine/images/a.jpg``.
    """
    path = PureWindowsPath(photo.file_name)  # knows both kinds of slashes, and letters of drives
    parts = [part for part in path.parts if part not in (path.anchor, "..")]
    if not parts or "\0" in photo.file_name:
        reason, place = f"{photo.file_name!r} cannot name a photo", f"image {photo.id}"
        raise UserError(reason, file=split.source, place=place, remedy="Correct its file_name", exit_code=EXIT_DATA)
    return PurePosixPath(*parts)


def check_photo(path: Path, size: tuple[int, int]) -> None:
    """LabelMe opens no file whose photo is missing, or has another size than the file says."""
    found = photo_header(path.parent, path.name, [("", size)])
    if isinstance(found, Finding):
        remedy = f"Put the photo back that was annotated, or correct image_root in {CARD_NAME}"
        raise UserError(f"{found.rule.title}: {found.message}", file=path, remedy=remedy, exit_code=EXIT_DATA)


def draw_instance(
    instance: LabelledInstance, place: str, size: tuple[int, int], split: PhotosToWrite, options: ToLabelmeOptions
) -> InstanceShapes:
    """The shapes of an instance, drawn as the options say."""
    try:
        return draw(instance, size, options.shapes or ("polygon" if options.predictions else None), options.tolerance)
    except (BadSegmentation, BadRle) as error:
        remedy = "Correct it, or convert the photos again"
        if options.predictions:
            remedy = f"Name the predictions for the split '{split.split}' of this dataset"
        place = f"{place}.segmentation"
        raise UserError(str(error), file=split.source, place=place, remedy=remedy, exit_code=EXIT_DATA) from error
