"""COCO files as a source: those of anyone, one for each split or one for all; and those of a dataset folder."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from pathlib import Path

import msgspec

from dataset_tools.errors import EXIT_DATA, UserError
from dataset_tools.findings import Finding, Rule
from dataset_tools.formats.card import CARD_NAME, Card, SplitSummary, read_card
from dataset_tools.formats.coco import CocoFile, read_split
from dataset_tools.formats.foreign_coco import ForeignAnnotation, ForeignCoco, ForeignImage, read_foreign
from dataset_tools.images.folders import check_folder
from dataset_tools.images.header import fit_size, photo_size
from dataset_tools.images.named_photos import NamedPhotos
from dataset_tools.instances.grouping import DrawnInstance, instances_of_parts
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
        finding: an error, if it cannot be used; what else there is to say about it.
    """

    place: str
    split: str | None
    image: ForeignImage
    drawings: list[Drawing]
    finding: Finding | None


class CocoFiles(Source):
    """Photos and annotations of COCO files, with ids, boxes and areas of any kind: all are made again.

    Args:
        files: see ``Files``.
        photos: the folder of the photos.
        card: that of the dataset folder that the files belong to, where they are judged as training takes them:
            ids, boxes and areas as they are, and photos under their names and no others.
        exclude: a folder under ``photos`` that is passed over.
        dataset: the dataset folder of the files: photos that were written into it may be outside ``photos``.

    Attributes:
        keys: the photos, each once; every finding about a photo has its key for a file.
        classes: in the order of the category ids, or the card's.

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
    ):
        check_folder(photos, "Name the folder of the photos")
        first = next(iter(files.values()))
        self.root, self.photo_root = first.parent, photos
        self._card, self._dataset = card, dataset
        self._finder = NamedPhotos(photos, exclude, is_exact=card is not None, beside=dataset)
        self._about_files: list[Finding] = []
        self._listed: dict[str, list[_ListedPhoto]] = {}
        contents = {split: read_foreign(path) for split, path in files.items()}
        for split, content in contents.items():
            self._list(split, files[split], content, is_alone=len(files) == 1)
        if not self._listed:
            remedy = "Export it again, with its photos"
            raise UserError("no image is listed", file=first, remedy=remedy, exit_code=EXIT_DATA)
        self.keys = list(self._listed)
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
        for key in keys:
            size, findings = self._size_and_findings(key)
            if size is None:
                yield None, findings
                continue
            listed = self._listed[key][0]
            canvas = Canvas(key, size, fit_size(size, max_size))
            parts, found = parts_of_annotations(canvas, listed.drawings, options)
            drawn, further = instances_of_parts(canvas, parts, options)
            findings += [*found, *further]
            if self._card:
                findings += _wrong_measures(key, listed.drawings, drawn)
            labels = frozenset(drawing.label for drawing in listed.drawings if drawing.label is not None)
            instances = [item.instance for item in drawn]
            yield AnnotatedPhoto(key, Photo(key, size), canvas.frame, instances, listed.split, labels), findings

    def rest(self, used: Set[str], failed: Set[str]) -> Rest:
        """The findings about the files as a whole. Photos that they do not list are not theirs."""
        return Rest(findings=[*self._about_files, *self._about_training()])

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

    def _list(self, split: str | None, path: Path, content: ForeignCoco, is_alone: bool) -> None:
        """Take a file in: its images with their annotations, and what is wrong with those that have no image."""
        labels = {category.id: category.name for category in content.categories}
        drawings: dict[int, list[Drawing]] = {image.id: [] for image in content.images}
        origin = "" if is_alone else f" of {path.name}"
        for index, annotation in enumerate(content.annotations):
            place = f"annotations[{index}]{origin}"
            if annotation.image_id in drawings:
                label = labels.get(annotation.category_id)
                drawings[annotation.image_id].append(Drawing(place, label, annotation))
            else:
                message = f"image_id {annotation.image_id}"
                self._about_files.append(Finding(Rule.IMAGE_UNKNOWN, path.name, f"annotations[{index}]", message))
        if self._card:
            self._about_files += _about_ids(path.name, content.annotations)
        repeated = _repeated(image.id for image in content.images)
        folders = [folder for folder in (self._beside(path), split) if folder]
        for index, image in enumerate(content.images):
            place = f"images[{index}]{origin}"
            photo, finding = self._finder.locate(image.file_name, "file_name", place, folders)
            if image.id in repeated:
                finding = Finding(Rule.IMAGE_ID_TWICE, photo, place, f"id {image.id}")
            listed = _ListedPhoto(place, split, image, drawings[image.id], finding)
            self._listed.setdefault(photo, []).append(listed)

    def _beside(self, path: Path) -> str | None:
        """The folder of a COCO file, relative to that of the photos, where it is in there."""
        folder, root = path.resolve().parent, self.photo_root.resolve()
        return folder.relative_to(root).as_posix() if root in folder.parents else None

    def _size_and_findings(self, key: str) -> tuple[tuple[int, int] | None, list[Finding]]:
        """The size of a photo, if it can be used, and what there is to say about it."""
        listed = self._listed[key]
        if len(listed) > 1:
            return None, [Finding(Rule.PHOTO_LISTED_TWICE, key, ", ".join(item.place for item in listed))]
        (only,) = listed
        findings = [only.finding] if only.finding else []
        if only.finding and only.finding.is_error:
            return None, findings
        size = photo_size(self.photo_root, key, [("", (only.image.width, only.image.height))])
        if isinstance(size, Finding):
            return None, [*findings, size]
        if not only.drawings:
            findings.append(Finding(Rule.NO_SHAPES, key))
        return size, findings

    def _classes_of(self, contents: Sequence[ForeignCoco]) -> tuple[str, ...]:
        """The categories in the order of their ids, without those that only group others.

        A category that no annotation has, and that another names as its ``supercategory``, is the root that Roboflow
        puts before the classes.
        """
        categories = [item for content in contents for item in sorted(content.categories, key=lambda item: item.id)]
        used = {drawing.label for listed in self._listed.values() for item in listed for drawing in item.drawings}
        named = [item for item in categories if isinstance(item.supercategory, str)]
        parents = {item.supercategory for item in named if item.supercategory != item.name}
        classes = []
        for name in dict.fromkeys(item.name for item in categories):
            if name not in used and name in parents:
                self._about_files.append(Finding(Rule.GROUP_OF_CATEGORIES, message=repr(name)))
                continue
            if name not in used:
                self._about_files.append(Finding(Rule.CATEGORY_UNUSED, message=repr(name)))
            classes.append(name)
        return tuple(classes)


def _repeated(ids: Iterable[int | None]) -> Set[int | None]:
    return {item for item, count in Counter(ids).items() if count > 1}


def _about_ids(file: str, annotations: Sequence[ForeignAnnotation]) -> Iterator[Finding]:
    repeated = _repeated(annotation.id for annotation in annotations)
    for index, annotation in enumerate(annotations):
        if annotation.id in repeated or (annotation.id or 0) < 1:
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
