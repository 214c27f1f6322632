"""The photos that one should look at, drawn small enough for a page that can be mailed."""

from __future__ import annotations

import base64
import logging
from collections.abc import Sequence

import cv2
import numpy as np
from detectron2.data import DatasetCatalog
from msgspec import Struct
from tqdm import tqdm

from dataset_tools.catalog import register
from dataset_tools.errors import UserError
from polymask.evaluation.read import read_detections, read_truth
from polymask.evaluation.records import KINDS, Analysis, PhotoAnalysis
from polymask.inference.visualizer import metadata_of, shrunk
from polymask.report.run import RunRecord
from polymask.report.side_by_side import draw_pair, rows_of_photo

log = logging.getLogger(__name__)

WORST, BEST, RANDOM = 16, 8, 12
# Every filter of the page leads to so many photos, as far as there are any.
FOR_EACH_FILTER = 3
# More would take too long to draw, and nobody would look at them.
MOST_PHOTOS = 60
# A page under 10 MB, of which tables, curves and the configuration want some.
BUDGET = 8_000_000  # bytes of pictures, as they are written into the page
# The longer side in px at which letters are read, and JPEG qualities: the first that keep the budget are taken.
SIZES = ((640, 80), (560, 72), (480, 65), (400, 55))


class GalleryChoice(Struct, frozen=True):
    """A photo for the gallery and why: ``worst``, ``best``, ``random``, or ``mistake`` so that a filter finds it."""

    photo: PhotoAnalysis
    group: str


class GalleryCard(Struct, frozen=True):
    """A photo of the gallery.

    Attributes:
        photo: what is said about it.
        group: see :class:`GalleryChoice`.
        width, height: of each picture in px.
        truth, prediction: ``data:`` addresses of JPEGs.
    """

    photo: PhotoAnalysis
    group: str
    width: int
    height: int
    truth: str
    prediction: str


class Gallery(Struct, frozen=True):
    """The photos that are shown, the worst first; and how many could not be read."""

    cards: Sequence[GalleryCard]
    unreadable: int


def choose(photos: Sequence[PhotoAnalysis], classes: Sequence[str], seed: int = 0) -> list[GalleryChoice]:
    """The worst, the best and random photos, and some for each class and kind of mistake; the worst first.

    Args:
        photos: all of a split.
        classes: the dataset's.
        seed: of the random ones.
    """
    by_score = sorted(photos, key=lambda photo: (photo.score, photo.image_id))
    groups: dict[int, str] = {}

    def take(candidates: Sequence[PhotoAnalysis], group: str, most: int) -> None:
        others = [photo for photo in candidates if photo.image_id not in groups]
        for photo in others[: max(0, min(most, MOST_PHOTOS - len(groups)))]:
            groups[photo.image_id] = group

    take([photo for photo in by_score if photo.score < 1], "worst", WORST)
    take([photo for photo in reversed(by_score) if photo.score > 0], "best", BEST)
    take([photos[i] for i in np.random.default_rng(seed).permutation(len(photos))], "random", RANDOM)
    wanted = [lambda p, kind=kind: kind in p.kinds for kind in KINDS]
    wanted += [lambda p, name=name: name in p.classes for name in classes]
    for is_wanted in wanted:
        matching = [photo for photo in by_score if is_wanted(photo)]
        take(matching, "mistake", FOR_EACH_FILTER - sum(photo.image_id in groups for photo in matching))
    return [GalleryChoice(photo, groups[photo.image_id]) for photo in by_score if photo.image_id in groups]


def draw_gallery(run: RunRecord, analysis: Analysis, budget: int = BUDGET) -> Gallery:
    """Draws the chosen photos of the split: annotations, and the detections above the thresholds in use.

    A photo that cannot be read is left out and counted.
    """
    names = [c.name for c in analysis.classes]
    register(run.dataset_folder)
    records = {record["image_id"]: record for record in DatasetCatalog.get(analysis.dataset)}
    truth = read_truth(run.truth_of(analysis.split))
    found = read_detections(run.detections_of(analysis.split), truth, already_checked=True)
    kept = found.score >= np.array([analysis.thresholds[name] for name in names])[found.category]
    places = {photo.id: index for index, photo in enumerate(truth.photos)}
    metadata = metadata_of(names)
    drawn, unreadable = [], 0
    for chosen in tqdm(choose(analysis.photos_detail, names), desc="gallery", unit="photo", disable=None):
        record = records[chosen.photo.image_id]
        rows = rows_of_photo(found, places[chosen.photo.image_id], kept)
        width = round(SIZES[0][0] * min(1.0, record["width"] / record["height"]))
        try:
            drawn.append((chosen, draw_pair(record, found, rows, metadata, width)))
        except UserError as error:
            log.warning("The report goes without a photo: %s", error)
            unreadable += 1
    return Gallery(_encoded(drawn, budget), unreadable)


def _encoded(drawn: list[tuple[GalleryChoice, tuple[np.ndarray, np.ndarray]]], budget: int) -> list[GalleryCard]:
    """The cards at the best size that keeps the budget; if none does, as many of the worst photos as do."""
    cards: list[GalleryCard] = []
    for longer_side, quality in SIZES:
        cards = [_card(chosen, [shrunk(picture, longer_side) for picture in pair], quality) for chosen, pair in drawn]
        weights = np.cumsum([len(card.truth) + len(card.prediction) for card in cards])
        if not cards or weights[-1] <= budget:
            return cards
    return [card for card, weight in zip(cards, weights, strict=True) if weight <= budget]


def _card(chosen: GalleryChoice, pair: list[np.ndarray], quality: int) -> GalleryCard:
    height, width = pair[0].shape[:2]
    truth, prediction = (data_address(picture, quality) for picture in pair)
    return GalleryCard(chosen.photo, chosen.group, width, height, truth, prediction)


def data_address(picture: np.ndarray, quality: int) -> str:
    """A picture, (H, W, 3) uint8, BGR, as the ``data:`` address of a JPEG."""
    jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()
