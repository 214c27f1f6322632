"""The annotations of a run that are likely wrong: a page with pictures, a table, and LabelMe files to correct."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from tqdm import tqdm

from dataset_tools.dataset.folds import folds_in
from dataset_tools.formats.card import Card, read_card
from dataset_tools.formats.coco import read_split
from dataset_tools.instances.labels import class_list
from dataset_tools.output_folder import replaced_folder
from dataset_tools.table import write_table
from dataset_tools.to_labelme.annotation_files import CLASSES_NAME
from dataset_tools.to_labelme.from_dataset import PhotosToWrite, ToLabelmeOptions, WriteReport, write_photos
from dataset_tools.to_labelme.instance_shapes import LabelledInstance, draw
from polymask.evaluation.read import Detections, Truth, read_detections, read_truth, rle_of
from polymask.inference.visualizer import metadata_of
from polymask.report.gallery import data_address
from polymask.report.page import page_environment, rendered
from polymask.report.run import RunRecord, check_evaluated, read_run
from polymask.report.side_by_side import read_photo_of_size
from polymask.review.pictures import draw_suspect
from polymask.review.suspects import KINDS, Suspect, find_suspects

SPLIT = "test"
PAGE_NAME, TABLE_NAME = "review.html", "review.csv"
TO_CORRECT, OTHERS = "to_correct", "others"
SUGGESTED = "__ignore__"  # LabelMe's own label for what does not count: convert leaves it out
PICTURES, JPEG_QUALITY = 100, 72  # a page of about 6 MB


class ReviewRow(NamedTuple):
    """A row of the list: its place, the photo, the annotation file in the output folder, XYWH in px, how likely, and why."""

    number: int
    kind: str
    photo: str
    file: str
    left: float
    top: float
    width: float
    height: float
    score: float
    reason: str


class Annotated(NamedTuple):
    """The split of a dataset folder that has all annotations of the tested photos."""

    folder: Path
    card: Card
    split: str

    @property
    def file(self) -> Path:
        return self.folder / self.card.splits[self.split].annotations

    @property
    def image_root(self) -> Path:
        return self.folder / self.card.image_root


def review(run_folder: Path, output: Path, overrides: Sequence[str] = ()) -> list[ReviewRow]:
    """Writes what is likely wrong in the photos that a run has tested its model on, and returns it, most likely first.

    Args:
        run_folder: the OUTPUT_DIR.
        output: the folder to make.
        overrides: see ``read_run``.

    Raises:
        UserError: the run, its dataset, a photo or the detections are not there or do not fit together, or the output folder
            holds something. Nothing is written then.
    """
    with replaced_folder(output, kind=None) as part:
        run = read_run(run_folder, overrides)
        check_evaluated(run, SPLIT)
        annotated = _annotated(run)
        truth = read_truth(annotated.file)
        found = read_detections(run.detections_of(SPLIT), truth)
        suspects = find_suspects(truth, found)
        options = ToLabelmeOptions(annotated.folder, output, split=annotated.split, copy_photos=True)
        files: dict[int, PurePosixPath] = {}
        for photos in _photos_to_write(annotated, truth, found, suspects):
            files |= write_photos(photos, annotated.image_root, part, options, WriteReport())
        (part / CLASSES_NAME).write_text(class_list(run.card.classes), encoding="utf-8")
        rows = [
            ReviewRow(number, s.kind, photo.file_name, str(files[photo.id]), *s.box, round(s.score, 4), s.reason)
            for number, s in enumerate(suspects, start=1)
            for photo in [truth.photos[s.photo]]
        ]
        write_table(part / TABLE_NAME, ReviewRow._fields, rows)
        cards = _cards(annotated, truth, found, suspects[:PICTURES], rows)
        about = {"run": run, "rows": rows, "cards": cards, "kinds": KINDS, "photos": len(truth.photos)}
        page = rendered(page_environment(), "review.html", "gallery.js", **about)
        (part / PAGE_NAME).write_bytes(page.encode(errors="replace"))
    return rows


def _annotated(run: RunRecord) -> Annotated:
    """Of a cross-validation: what ``--final`` trains on, since the pooled split lacks the classes that are not measured."""
    if not run.folds:
        return Annotated(run.dataset_folder, run.card, SPLIT)
    final = folds_in(run.dataset_folder.parent).final
    return Annotated(final, read_card(final), "train")


def _photos_to_write(
    annotated: Annotated, truth: Truth, found: Detections, suspects: Sequence[Suspect]
) -> tuple[PhotosToWrite, PhotosToWrite]:
    """The photos with suspects, which LabelMe describes, and all others.

    What is missing, or outlined better by the model, becomes a further shape that does not count.
    """
    content, numbered = read_split(*annotated), list(enumerate(suspects, start=1))
    suspected = {truth.photos[suspect.photo].id for suspect in suspects}
    to_correct, others = (PhotosToWrite(name, annotated.split, annotated.file, []) for name in (TO_CORRECT, OTHERS))
    for photo in content.images:
        (to_correct if photo.id in suspected else others).photos.append(photo)
    notes = {suspect.annotation: f"#{number} {suspect.kind}: {suspect.reason}" for number, suspect in numbered}
    rows = {photo.id: truth.objects.of_photo(index).start for index, photo in enumerate(truth.photos)}
    for index, annotation in enumerate(content.annotations):  # those of a photo are in the order of the rows
        row, label = rows[annotation.image_id], truth.classes[annotation.category_id - 1]
        rows[annotation.image_id] += 1
        instance = LabelledInstance(label, annotation.segmentation, notes.get(row, ""))
        photos = to_correct if annotation.image_id in suspected else others
        photos.add(annotation.image_id, f"annotations[{index}]", instance)
    for number, suspect in numbered:
        photo = truth.photos[suspect.photo]
        to_correct.flags.setdefault(photo.id, []).append(f"#{number} {suspect.kind}")
        if suspect.detection is not None and suspect.kind in ("missing", "bad outline"):
            mask = LabelledInstance(SUGGESTED, rle_of(found, suspect.detection, (photo.height, photo.width)))
            shapes = draw(mask, (photo.width, photo.height), "polygon").shapes
            polygons = [[value for point in shape.points for value in point] for shape in shapes]
            name = truth.classes[found.category[suspect.detection]]
            note = f"#{number} {suspect.kind}: a {name} as the model outlines it. Does not count, unless you rename it."
            to_correct.add(photo.id, f"#{number}", LabelledInstance(SUGGESTED, polygons, note))
    return to_correct, others


def _cards(
    annotated: Annotated, truth: Truth, found: Detections, suspects: Sequence[Suspect], rows: Sequence[ReviewRow]
) -> list[dict[str, Any]]:
    """Rows with their two pictures for the page."""
    metadata, cards = metadata_of(truth.classes), []
    for suspect, row in zip(tqdm(suspects, desc="Drawing", unit="suspect", disable=None), rows):
        photo = truth.photos[suspect.photo]
        pixels = read_photo_of_size(annotated.image_root / photo.file_name, photo.width, photo.height)
        pictures = draw_suspect(pixels, suspect, truth, found, metadata)
        height, width = pictures[0].shape[:2]
        left, right = (data_address(picture, JPEG_QUALITY) for picture in pictures)
        cards.append({"row": row, "width": width, "height": height, "truth": left, "prediction": right})
    return cards
