"""The photos to annotate next: ranks them, and writes LabelMe files of the first ones to correct."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from tqdm import tqdm

from dataset_tools.errors import EXIT_DATA, EXIT_USAGE, UserError
from dataset_tools.images.folders import annotated_in, copy_photo
from dataset_tools.images.header import ImageError
from dataset_tools.images.pixels import grey_thumbnail
from dataset_tools.images.similarity import perceptual_hash
from dataset_tools.instances.labels import class_list
from dataset_tools.output_folder import replaced_folder
from dataset_tools.table import write_table
from dataset_tools.text import is_text
from dataset_tools.to_labelme.annotation_files import CLASSES_NAME, annotation_names
from polymask.inference.detections import Detections
from polymask.inference.predictor import Predictor, predictor_config, read_photo
from polymask.review.pool import photos_of_run, photos_without_annotations
from polymask.review.ranking import near_copies, uncertainty

log = logging.getLogger(__name__)
LOWEST_SCORE = 0.05  # below it a detection says nothing about its photo: as Detectron2's SCORE_THRESH_TEST


class Suggestion(NamedTuple):
    """A row of the ranking: ``detections`` count for the uncertainty, ``drawn`` ones are in the LabelMe file."""

    rank: int
    photo: str
    file: str
    uncertainty: float
    detections: int
    drawn: int
    reason: str


class SuggestResult(NamedTuple):
    """The suggestions, best first, and how many photos were left out."""

    suggestions: list[Suggestion]
    copies: int
    unreadable: int


def suggest(
    config_file: Path,
    unlabelled: Path,
    output: Path,
    top: int,
    min_score: float,
    annotated: Sequence[Path] = (),
    opts: Sequence[str] = (),
) -> SuggestResult:
    """Write the first ``top`` photos of a ranking with what was found on them; the arguments are the options' values.

    Raises:
        UserError: an argument or the run is unusable, or no photo can be ranked. Nothing is written then.
    """
    if top < 1:
        raise UserError(f"--top is {top}", remedy="Pass the number of photos to suggest, from 1 up")
    if not 0 <= min_score <= 1:
        raise UserError(f"--min-score is {min_score}", remedy="Pass a number from 0 to 1")
    with replaced_folder(output, kind=None) as part:
        final = config_file.parent / "model_final.pth"
        weights = ["MODEL.WEIGHTS", str(final)] if final.is_file() else []  # before the user's, which replace them
        cfg = predictor_config(config_file, [*weights, *opts], min(LOWEST_SCORE, min_score))
        known = photos_of_run(cfg).union(*map(annotated_in, (unlabelled, *annotated)))
        hashes = {photo: _hash(unlabelled / photo) for photo in photos_without_annotations(unlabelled, known)}
        annotated_hashes = {_hash(Path(photo)) for photo in known} - {None}
        photos = [photo for photo, value in hashes.items() if value not in annotated_hashes]
        found = _detect(Predictor(cfg), unlabelled, photos)
        if not found:
            code = EXIT_DATA if photos else EXIT_USAGE
            raise UserError("no photo is left to rank", file=unlabelled, remedy="Add other photos", exit_code=code)
        ranked = sorted(found, key=lambda photo: -uncertainty(found[photo].scoring(LOWEST_SCORE)))
        last = {ranked[index] for index in near_copies([hashes[photo] for photo in ranked], [*annotated_hashes])}
        chosen = sorted(ranked, key=lambda photo: photo in last)[:top]
        files = annotation_names([PurePosixPath(photo) for photo in chosen])
        ranks = enumerate(zip(chosen, files, strict=True), start=1)
        rows = [_suggestion(rank, photo, str(file), found[photo], min_score) for rank, (photo, file) in ranks]
        for row in rows:
            (part / row.file).parent.mkdir(parents=True, exist_ok=True)
            copy_photo(unlabelled, row.photo, part / row.photo)
            (part / row.file).write_bytes(found[row.photo].scoring(min_score).to_labelme(Path(row.photo).name))
        (part / CLASSES_NAME).write_text(class_list(cfg.DATASETS.CLASSES), encoding="utf-8")
        write_table(part / "ranking.csv", Suggestion._fields, rows)
    return SuggestResult(rows, len(hashes) - len(photos), len(photos) - len(found))


def _detect(predictor: Predictor, root: Path, photos: Sequence[str]) -> dict[str, Detections]:
    """What is on each photo; one that cannot be read is reported and left out."""
    found = {}
    for photo in tqdm(photos, desc="Looking at photos", unit="photo", disable=None):
        try:
            if not is_text(photo):
                raise UserError("its name is not Unicode text", file=ascii(photo), remedy="Rename it")
            (found[photo],) = predictor.detect([read_photo(root / photo)])
        except UserError as error:
            log.error("error: %s", error)
    return found


def _hash(photo: Path) -> int | None:
    try:
        return perceptual_hash(grey_thumbnail(photo))
    except (OSError, ValueError, ImageError):  # an annotated photo that is not there
        return None


def _suggestion(rank: int, photo: str, file: str, found: Detections, min_score: float) -> Suggestion:
    counted, drawn = found.scoring(LOWEST_SCORE), found.scoring(min_score)
    unsure = sorted(counted, key=lambda detection: abs(detection.score - 0.5))[:3]
    named = ", ".join(f"{found.classes[detection.category]} {detection.score:.2f}" for detection in unsure)
    reason = f"least sure: {named}" if named else "nothing found"
    return Suggestion(rank, photo, file, round(uncertainty(counted), 4), len(counted), len(drawn), reason)
