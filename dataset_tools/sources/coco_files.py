"""COCO files as a source: those of anyone, one for each split or one for all; and those of a dataset folder."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from pathlib import Path

import msgspec

from dataset_tools.errors import EXIT_DATA, UserError
from dataset_tools.findings import Finding, Rule
from dataset_tools.formats.card import CARD_NAME, Card, SplitSummary, read_card
from dataset_tools.formats.coco import CocoFile, read_split
from dataset_tools.formats.foreign_coco import ForeignAnnotation, ForeignCoco, ForeignImage, read_foreign
from dataset_tools.images.folders import check_folder, split_of
from dataset_tools.images.header import SWAPPING, agrees, fit_size, photo_header, read_header
from dataset_tools.images.names import folded
from dataset_tools.images.photo_finder import PhotoFinder, PhotoName
from dataset_tools.instances.grouping import DrawnInstance, instances_of_parts
from dataset_tools.instances.labels import LabelRules
from dataset_tools.instances.shapes import ShapeOptions
from dataset_tools.records import AnnotatedPhoto, Canvas, Photo, SourceResult
from dataset_tools.sources.coco_shapes import Drawing, parts_of_annotations
from dataset_tools.sources.source import Rest, Source

# A polygon is filled by whole pixels, which moves an edge by one at most; some tools count the last pixel, some do not.
_BOX_TOLERANCE = 2.0

# The COCO file of each split; of None, where one file holds all photos, which are yet to be split.
Files = Mapping[str | None, Path]


class _ListedPhoto(msgspec.Struct, frozen=True, gc=False):
    """A photo as a COCO file lists it.

    Attributes:
        place: of the record.
        split: of its file.
        image: the record.
        drawings: its annotations.
        is_id_repeated: the file has another image of its id.
        finding: an error, if it cannot be used; what else there is to say about it.
    """

    place: str
    split: str | None
    image: ForeignImage
    drawings: list[Drawing]
    is_id_repeated: bool
    finding: Finding | None = None

    @property
    def said_size(self) -> tuple[float | None, float | None]:
        """(width, height) that the file says."""
        return self.image.width, self.image.height


class CocoFiles(Source):
    """Photos and annotations of COCO files, with ids, boxes and areas of any kind: all are made again.

    Args:
        files: see ``Files``.
        photos: the folder of the photos.
        card: that of the dataset folder that the files belong to, where they are judged as training takes them:
            ids, boxes and areas as they are, and photos under their names and no others.
        exclude: a folder under ``photos`` that is passed over.
        dataset: the dataset folder of the card.
        crowds_are_objects: take each region with a crowd (iscrowd 1) for one object, and leave it out else.

    Attributes:
        keys: the photos, each once; every finding about a photo has its key for a file.
        classes: in the order of the category ids, without those of which there are crowds only; or the card's.

    Raises:
        UserError: a file is not a COCO file, no file lists a photo, or there is no such folder.
    """

    def __init__(
        self,
        files: Files,
        photos: Path,
        card: Card | None = None,
        exclude: Path | None = None,
        dataset: Path | None = None,
        crowds_are_objects: bool = False,
    ):
        check_folder(photos, "Name the folder of the photos")
        first = next(iter(files.values()))
        self.root, self.photo_root = first.parent, photos
        self._card, self._dataset, self._splits = card, dataset, list(files)
        self._crowds_are_objects = crowds_are_objects
        self._finder = PhotoFinder(photos, exclude)
        self._about_files: list[Finding] = []
        self._listed: dict[str, list[_ListedPhoto]] = {}
        contents = {split: read_foreign(path) for split, path in files.items()}
        self._list(files, contents)
        if not self._listed:
            remedy = "Export it again, with its photos"
            raise UserError("no image is listed", file=first, remedy=remedy, exit_code=EXIT_DATA)
        self.keys = list(self._listed)
        drawings = [drawing for listed in self._listed.values() for item in listed for drawing in item.drawings]
        self._with_objects, self._with_crowds = (
            frozenset(
                item.label for item in drawings if item.label is not None and bool(item.annotation.iscrowd) == crowd
            )
            for crowd in (False, True)
        )
        self.classes = tuple(card.classes) if card else self._classes_of(list(contents.values()))

    @classmethod
    def of_dataset(cls, folder: Path, photos: Path | None = None) -> CocoFiles:
        """The files of a dataset folder, to be judged as training takes them.

        Args:
            folder: it has a card.
            photos: the folder of the photos, where it is not the card's ``image_root``.

        Raises:
            UserError: the card or a COCO file cannot be read, or there is no such folder of photos.
        """
        card = read_card(folder)
        files: Files = {split: folder / summary.annotations for split, summary in card.splits.items()}
        return cls(files, photos or folder / card.image_root, card, dataset=folder)

    def read(self, keys: Sequence[str], options: ShapeOptions, max_size: int | None = None) -> Iterator[SourceResult]:
        """Photos with their instances, and the findings about each; see ``Source``."""
        crowds = self._crowds(options)
        for key in keys:
            photo, orientation, findings = self._photo_and_findings(key)
            if photo is None:
                yield None, findings
                continue
            listed = self._listed[key][0]
            canvas = Canvas(key, photo.size, fit_size(photo.size, max_size))
            parts, found = parts_of_annotations(canvas, listed.drawings, crowds, options, orientation)
            drawn, further = instances_of_parts(canvas, parts, options)
            findings += [*found, *further]
            if self._card:
                findings += _wrong_measures(key, listed.drawings, drawn)
            labels = frozenset(drawing.label for drawing in listed.drawings if drawing.label is not None)
            instances = [item.instance for item in drawn]
            yield AnnotatedPhoto(key, photo, canvas.frame, instances, listed.split, labels), findings

    def _crowds(self, labels: LabelRules) -> Set[str]:
        """The classes of which there are crowds only."""
        crowds = {name for label in self._with_crowds if (name := labels.resolve(label).name) is not None}
        return crowds and crowds - {labels.resolve(label).name for label in self._with_objects}

    def rest(self, used: Set[str], failed: Set[str]) -> Rest:
        """The findings about the files as a whole. Photos that they do not list are not theirs."""
        only_train = self._splits == ["train"] and not self._card
        lone = [Finding(Rule.ONLY_TRAIN)] if only_train else []
        return Rest(findings=[*self._about_files, *lone, *self._about_training()])

    def _about_training(self) -> Iterator[Finding]:
        if self._card is None or self._dataset is None:
            return
        for split, summary in self._card.splits.items():
            try:
                content = read_split(self._dataset, self._card, split)
            except UserError as error:
                yield Finding(Rule.NOT_TRAINABLE, summary.annotations, error.place or "", error.reason)
            else:
                yield from _about_counts(split, summary, content, self._card.classes)

    def _list(self, files: Files, contents: Mapping[str | None, ForeignCoco]) -> None:
        """Take the files in: their images with photos and annotations, and what is wrong with those that have no image."""
        names: list[PhotoName] = []
        listed: list[_ListedPhoto] = []
        for split, content in contents.items():
            file = files[split]
            origin = f" of {file.name}" if len(files) > 1 else ""
            drawings = self._drawings(file.name, content, origin)
            repeated = _repeated(image.id for image in content.images.values())
            folders = _folders_of(file, split)
            for index, image in content.images.items():
                place = f"images[{index}]{origin}"
                item = _ListedPhoto(place, split, image, drawings[image.id], image.id in repeated)
                names.append(PhotoName(image.file_name, "file_name", place, file.parent, folders, item.said_size))
                listed.append(item)
            self._about_files += content.findings
            if self._card:
                self._about_files += _about_ids(file.name, content.annotations)
        located = map(self._as_in_training, names) if self._card else self._finder.locate(names)
        for item, (photo, finding) in zip(listed, located):
            if item.is_id_repeated:
                finding = Finding(Rule.IMAGE_ID_TWICE, photo, item.place, f"id {item.image.id}")
            self._listed.setdefault(photo, []).append(msgspec.structs.replace(item, finding=finding))

    def _drawings(self, file: str, content: ForeignCoco, origin: str) -> dict[int | str, list[Drawing]]:
        """The annotations of each image id."""
        labels: dict[int | str | None, dict[str, None]] = {}
        for category in content.categories.values():
            labels.setdefault(category.id, {})[category.name] = None
        drawings: dict[int | str, list[Drawing]] = {image.id: [] for image in content.images.values()}
        for index, annotation in content.annotations.items():
            place = f"annotations[{index}]"
            if annotation.image_id in drawings:
                names = tuple(labels.get(annotation.category_id, ()))
                whole = msgspec.structs.replace(annotation, iscrowd=0) if self._crowds_are_objects else annotation
                drawings[annotation.image_id].append(Drawing(place + origin, names, whole))
            else:
                message = f"image_id {msgspec.json.encode(annotation.image_id).decode()}"
                self._about_files.append(Finding(Rule.IMAGE_UNKNOWN, file, place, message))
        return drawings

    def _as_in_training(self, item: PhotoName) -> tuple[str, Finding | None]:
        """The photo of a name as Detectron2 takes it: a path from the folder, which may lead out of it."""
        if os.path.isfile(os.path.join(self.photo_root, item.name)):
            return item.name, None
        return item.name, Finding(Rule.PHOTO_MISSING, item.name, item.place, repr(item.name))

    def _photo_and_findings(self, key: str) -> tuple[Photo | None, int, list[Finding]]:
        """A photo, if it can be used, the EXIF orientation that its annotations lack, and what there is to say."""
        listed = self._listed[key]
        findings = [item.finding for item in listed if item.finding]
        if any(finding.is_error for finding in findings):
            return None, 1, findings
        if len(listed) > 1:
            return None, 1, [Finding(Rule.PHOTO_LISTED_TWICE, key, ", ".join(item.place for item in listed))]
        (only,) = listed
        header, orientation = photo_header(self.photo_root, key, [("", only.said_size)]), 1
        if isinstance(header, Finding) and header.rule is Rule.SIZE_MISMATCH and not self._card:
            turned = read_header(self.photo_root / key)
            if turned.orientation in SWAPPING and agrees(turned.stored_size, only.said_size):
                findings.append(Finding(Rule.DRAWN_UNTURNED, key, only.place, f"orientation {turned.orientation}"))
                header, orientation = turned, turned.orientation
        if isinstance(header, Finding):
            return None, 1, [*findings, header]
        if not only.drawings:
            findings.append(Finding(Rule.NO_SHAPES, key))
        return Photo(key, header.size, frames=header.frames), orientation, findings

    def _classes_of(self, contents: Sequence[ForeignCoco]) -> tuple[str, ...]:
        """The categories in the order of their ids, without those that only group others.

        A category that no annotation has, and that another names as its ``supercategory``, is the root that Roboflow
        puts before the classes.
        """
        categories = [
            item
            for content in contents
            for item in sorted(content.categories.values(), key=lambda item: (isinstance(item.id, str), item.id))
        ]
        used, crowds = self._with_objects | self._with_crowds, self._with_crowds - self._with_objects
        named = [item for item in categories if isinstance(item.supercategory, str)]
        parents = {item.supercategory for item in named if item.supercategory != item.name}
        classes = []
        for name in dict.fromkeys(item.name for item in categories):
            if name not in used and name in parents:
                self._about_files.append(Finding(Rule.GROUP_OF_CATEGORIES, message=repr(name)))
                continue
            if name not in used:
                self._about_files.append(Finding(Rule.CATEGORY_UNUSED, message=repr(name)))
            if name not in crowds:
                classes.append(name)
        return tuple(classes)


def _repeated(ids: Iterable[object]) -> Set[object]:
    return {item for item, count in Counter(ids).items() if count > 1}


def _folders_of(file: Path, split: str | None) -> list[str]:
    """What the folders of a file's photos may be called: instances_Train2017.json is that of train2017, and of train."""
    suffix = folded(file.stem.partition("_")[2])
    split = split or split_of(suffix.rstrip("0123456789"))
    return [word for word in (folded(file.stem), suffix, split) if word]


def _about_ids(file: str, annotations: Mapping[int, ForeignAnnotation]) -> Iterator[Finding]:
    repeated = _repeated(annotation.id for annotation in annotations.values())
    for index, annotation in annotations.items():
        if annotation.id in repeated or not isinstance(annotation.id, int) or annotation.id < 1:
            yield Finding(Rule.ANNOTATION_ID, file, f"annotations[{index}]", f"id {annotation.id}")


def _about_counts(split: str, summary: SplitSummary, content: CocoFile, classes: Sequence[str]) -> Iterator[Finding]:
    """Counts on the card that are false. Training goes by them where it asks which splits are empty."""
    counts = Counter(classes[annotation.category_id - 1] for annotation in content.annotations)
    numbers = [
        ("images", summary.images, len(content.images)),
        ("instances", summary.instances, len(content.annotations)),
        *((f"instances of {name!r}", said, counts[name]) for name, said in summary.instances_per_class.items()),
    ]
    for what, said, number in numbers:
        if said != number:
            message = f"{said} {what}, {number} in {summary.annotations}"
            yield Finding(Rule.CARD_COUNTS_DIFFER, CARD_NAME, f"splits.{split}", message)


def _wrong_measures(photo: str, drawings: Sequence[Drawing], drawn: Sequence[DrawnInstance]) -> Iterator[Finding]:
    """Boxes and areas in the file that are not those of the masks; Detectron2 takes them as they are."""
    annotations = {drawing.place: drawing.annotation for drawing in drawings}
    for item in drawn:
        annotation, instance = annotations[item.place], item.instance
        left, top, width, height = instance.bbox
        if annotation.bbox is not None and not _is_near(annotation.bbox, instance.bbox):
            said = ", ".join("?" if value is None else f"{value:g}" for value in annotation.bbox)
            message = f"bbox {said}; that of the mask is {left:g}, {top:g}, {width:g}, {height:g}"
            yield Finding(Rule.MEASURES_DIFFER, photo, item.place, message)
        # The pixels of an outline's rim, which belong to the mask or not, are about as many as its box has around it.
        if annotation.area is not None and abs(annotation.area - instance.area) > 2 * (width + height):
            message = f"area {annotation.area:g}; that of the mask is {instance.area:g}"
            yield Finding(Rule.MEASURES_DIFFER, photo, item.place, message)


def _is_near(box: Sequence[float | None], other: Sequence[float]) -> bool:
    if len(box) != 4:
        return False
    numbers = [math.nan if value is None else value for value in box]  # which is near nothing
    edges, others = ((x, y, x + width, y + height) for x, y, width, height in (numbers, other))
    return all(abs(one - two) <= _BOX_TOLERANCE for one, two in zip(edges, others))
