"""A suggestion, with its reason in words; the ranking as CSV and as text for the terminal. Pure functions."""

from __future__ import annotations

import csv
import io
import shlex
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
from tabulate import tabulate

from dataset_tools.to_labelme.annotation_files import CLASSES_NAME
from polymask.review.ranking import detection_uncertainty

# A detection counts as unsure in words where its score is nearer to 0.5 than to 0 or 1, and so many are named.
_UNSURE = (0.25, 0.75)
_NAMED = 3

# Rows of the table on the terminal; the CSV file has all.
_ROWS = 10


class Suggestion(msgspec.Struct, frozen=True):
    """A photo to annotate.

    Attributes:
        rank: from 1.
        photo: relative to the folder it is from.
        file: its LabelMe file, relative to the output folder.
        uncertainty: see ``ranking.uncertainty``.
        distance: to the nearest photo that is annotated or ranked before; None where there is none.
        nearest: that photo.
        detections: that count for the uncertainty.
        drawn: those of them that are in the LabelMe file.
        reason: what the model is unsure of, in words.
    """

    rank: int
    photo: str
    file: str
    uncertainty: float
    distance: float | None
    nearest: str | None
    detections: int
    drawn: int
    reason: str


class UnreadablePhoto(msgspec.Struct, frozen=True):
    """A photo that was left out, and why."""

    photo: str
    why: str


class SuggestionResult(msgspec.Struct, frozen=True):
    """What came of looking at a folder.

    Attributes:
        suggestions: the best first.
        photos: how many there were to choose from.
        with_file: how many were passed over, since they have an annotation file.
        copies: how many were passed over, since a photo with the same bytes is annotated.
        without_detections: in how many of the photos nothing was found.
        unreadable: photos that could not be looked at.
    """

    suggestions: list[Suggestion]
    photos: int
    with_file: int
    copies: int
    without_detections: int
    unreadable: list[UnreadablePhoto]


def reason(scores: np.ndarray, labels: Sequence[str]) -> str:
    """What the model is unsure of in a photo.

    Args:
        scores: (N,), of what counts of what was found in it.
        labels: of the same.
    """
    unsure = np.count_nonzero((scores >= _UNSURE[0]) & (scores <= _UNSURE[1]))
    worst = np.argsort(-detection_uncertainty(scores), kind="stable")[:_NAMED]
    examples = ", ".join(f"{labels[index]} {scores[index]:.2f}" for index in worst)
    if not len(scores):
        return "nothing found"
    counted = f"{unsure} of {len(scores)} detections score {_UNSURE[0]} to {_UNSURE[1]}"
    return f"{counted}; least sure: {examples}"


def as_csv(suggestions: Sequence[Suggestion]) -> str:
    """The ranking, a line a photo."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(Suggestion.__struct_fields__)
    for suggestion in suggestions:
        values = msgspec.structs.astuple(suggestion)
        writer.writerow([f"{value:.4f}" if isinstance(value, float) else value for value in values])
    return text.getvalue()


def as_table(suggestions: Sequence[Suggestion]) -> str:
    """The first of the ranking, for people."""
    rows = [
        (
            item.rank,
            item.photo,
            f"{item.uncertainty:.2f}",
            "" if item.distance is None else f"{item.distance:.2f}",
            item.reason,
        )
        for item in suggestions[:_ROWS]
    ]
    headers = ("rank", "photo", "uncertainty", "distance", "why")
    more = f"\n... and {len(suggestions) - _ROWS} more" if len(suggestions) > _ROWS else ""
    return tabulate(rows, headers=headers, disable_numparse=True) + more


def summary(result: SuggestionResult, output: Path) -> str:
    """All that there is to say, for the terminal."""
    found, made = result.photos - len(result.unreadable), len(result.suggestions)
    lines = [as_table(result.suggestions), ""]
    if result.with_file or result.copies:
        lines.append(
            f"Passed over: {result.with_file} photos with an annotation file, {result.copies} copies of annotated "
            "photos."
        )
    if result.without_detections:
        lines.append(
            f"Nothing was found in {result.without_detections} photos, which come last: if there should be something "
            "in them, annotate a few yourself."
        )
    if result.unreadable:
        lines.append(f"{len(result.unreadable)} photos cannot be read and were left out:")
        lines += [f"  {item.photo}: {item.why}" for item in result.unreadable]
    drawn = sum(item.drawn for item in result.suggestions)
    lines.append(f"{made} of {found} photos, with {drawn} objects to correct, are in {output}; open them with")
    lines.append(f"  labelme {shlex.quote(str(output))} --labels {shlex.quote(str(output / CLASSES_NAME))}")
    return "\n".join(lines)
