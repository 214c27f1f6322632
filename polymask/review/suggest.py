"""The photos to annotate next: looks at all of them, chooses, and writes LabelMe files to correct."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import TypeVar

import numpy as np
from tqdm import tqdm

from dataset_tools.errors import EXIT_DATA, UserError
from dataset_tools.findings import Rule
from dataset_tools.images.header import ImageError
from dataset_tools.images.pixels import load_photo
from dataset_tools.text import is_text
from dataset_tools.to_labelme.annotation_files import annotation_names, check_is_free
from polymask.inference.detections import Detection
from polymask.inference.predictor import Predictor, predictor_config
from polymask.review.features import Observation, Observer
from polymask.review.labelme_files import write_suggestions
from polymask.review.options import SuggestOptions
from polymask.review.pool import annotated_in, make_pool, photos_of_run
from polymask.review.ranking import Pick, uncertainty, weighted_centres
from polymask.review.suggestions import Suggestion, SuggestionResult, UnreadablePhoto, reason

Result = TypeVar("Result")

# Detections below it say nothing about a photo: as Detectron2's SCORE_THRESH_TEST.
LOWEST_SCORE = 0.05

# Where the weights of a run are, if the user names no others.
WEIGHTS_NAME = "model_final.pth"


def suggest(options: SuggestOptions) -> SuggestionResult:
    """Chooses photos, and writes them with what was found in them into a new folder, in one step.

    Raises:
        UserError: the options are wrong, the run cannot be used, the output folder holds something, there is no photo to
            choose, or none of them can be read. Nothing is written then.
    """
    _check(options)
    lowest = min(LOWEST_SCORE, options.min_score)
    cfg = predictor_config(options.config_file, _with_weights(options), lowest)
    elsewhere = [photo for folder in options.annotated for photo in annotated_in(folder)]
    pool = make_pool(options.unlabelled, [*photos_of_run(cfg), *elsewhere])
    observer = Observer(Predictor(cfg))
    annotated = [str(path) for path in pool.known]
    known, _ = apply_to_photos(observer.features, annotated, Path(), "Looking at annotated photos")
    observations, unreadable = apply_to_photos(observer.observe, pool.photos, pool.root, "Looking at the others")
    if not observations:
        raise UserError(
            f"no photo in this folder can be read; the first is {unreadable[0].photo}: {unreadable[0].why}",
            file=pool.root,
            remedy="Repair or replace them",
            exit_code=EXIT_DATA,
        )
    picks = rank(observations, known, options.top)
    names, classes = [*known, *observations], observer.predictor.classes
    suggestions = _suggestions(picks, names, observations, classes, options.min_score)
    write_suggestions(options.output, pool.root, suggestions, observations, classes, options.min_score)
    nothing = sum(not _counted(photo) for photo in observations.values())
    return SuggestionResult(suggestions, len(pool.photos), pool.with_file, pool.copies, nothing, unreadable)


def _check(options: SuggestOptions) -> None:
    if options.top < 1:
        raise UserError(f"--top is {options.top}", remedy="Pass the number of photos to suggest, from 1 up")
    if not 0 <= options.min_score <= 1:
        raise UserError(f"--min-score is {options.min_score}", remedy="Pass a number from 0 to 1")
    check_is_free(options.output)


def _with_weights(options: SuggestOptions) -> list[str]:
    final = options.config_file.parent / WEIGHTS_NAME
    if "MODEL.WEIGHTS" in options.opts[::2] or not final.is_file():
        return list(options.opts)
    return [*options.opts, "MODEL.WEIGHTS", str(final)]


def apply_to_photos(
    function: Callable[[np.ndarray], Result], photos: Sequence[str], root: Path, description: str
) -> tuple[dict[str, Result], list[UnreadablePhoto]]:
    """What is made of each photo, by its name; and the photos that cannot be read.

    Args:
        function: ``Observer.observe``, say; takes (H, W, 3) uint8, BGR.
        photos: relative to the root.
        root: their folder.
        description: for the progress bar.
    """
    results: dict[str, Result] = {}
    unreadable = []
    for name in tqdm(photos, desc=description, unit="photo", disable=None):
        try:
            if not is_text(name):
                raise ImageError(Rule.BAD_FILE_NAME, "its name is no Unicode text")
            picture = load_photo(root / name)
        except (OSError, ImageError) as error:
            why = getattr(error, "strerror", None) or str(error)
            unreadable.append(UnreadablePhoto(name if is_text(name) else ascii(name), why))
            continue
        results[name] = function(np.ascontiguousarray(np.asarray(picture)[:, :, ::-1]))
    return results, unreadable


def rank(observations: dict[str, Observation], known: dict[str, np.ndarray], top: int) -> list[Pick]:
    """The choice among the photos that were observed, so many at most, best first; ties go by name.

    The indices count the known photos, of which there are features, first, and then the others; each in the order of
    the dictionaries.
    """
    points = np.stack([*known.values(), *(photo.features for photo in observations.values())])
    weights = [0.0] * len(known) + [uncertainty(_scores(photo)) for photo in observations.values()]
    return weighted_centres(points, np.array(weights), range(len(known)), top)


def _counted(observation: Observation) -> list[Detection]:
    """The detections that count, whichever are drawn."""
    return [found for found in observation.detections if found.score >= LOWEST_SCORE]


def _scores(observation: Observation) -> np.ndarray:
    return np.array([found.score for found in _counted(observation)], dtype=np.float64)


def _suggestions(
    picks: Sequence[Pick],
    names: Sequence[str],
    observations: dict[str, Observation],
    classes: Sequence[str],
    min_score: float,
) -> list[Suggestion]:
    """The picks with their reasons; ``names`` are those of all points."""
    photos = [names[pick.index] for pick in picks]
    files = annotation_names([PurePosixPath(photo) for photo in photos])
    made = []
    for pick, photo, file in zip(picks, photos, files):
        observation = observations[photo]
        scores, labels = _scores(observation), [classes[found.category] for found in _counted(observation)]
        made.append(
            Suggestion(
                rank=len(made) + 1,
                photo=photo,
                file=file.as_posix(),
                uncertainty=uncertainty(scores),
                distance=pick.distance,
                nearest=None if pick.nearest is None else names[pick.nearest],
                detections=len(scores),
                drawn=sum(found.score >= min_score for found in observation.detections),
                reason=reason(scores, labels),
            )
        )
    return made
