"""Suggested photos as a folder that LabelMe opens: copies of the photos, what was found in them, and the ranking."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from dataset_tools.files import replaced_folder
from dataset_tools.formats import labelme
from dataset_tools.instances.labels import class_list
from dataset_tools.to_labelme.annotation_files import CLASSES_NAME
from dataset_tools.to_labelme.shapes import LabelledInstance, annotation_file, draw
from polymask.inference.detections import Detection
from polymask.review.features import Observation
from polymask.review.suggestions import Suggestion, as_csv

# No JSON, which the converter would take for a LabelMe file.
RANKING_NAME = "ranking.csv"


def write_suggestions(
    output: Path,
    root: Path,
    suggestions: Sequence[Suggestion],
    observations: Mapping[str, Observation],
    classes: Sequence[str],
    min_score: float,
) -> None:
    """Write the folder, in one step. It must be new or empty (``to_labelme.check_is_free``).

    Args:
        output: the folder.
        root: that of the photos, which stay as they are.
        suggestions: best first.
        observations: what was found in each of the photos.
        classes: all of the model's, in order.
        min_score: what scores less is not drawn.
    """
    with replaced_folder(output) as part:
        for suggestion in suggestions:
            photo = observations[suggestion.photo]
            drawn = [
                draw(_labelled(found, photo.size, classes), photo.size, "polygon")
                for found in photo.detections
                if found.score >= min_score
            ]
            record = annotation_file(PurePosixPath(suggestion.photo).name, photo.size, drawn)
            target = part / suggestion.file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / suggestion.photo, part / suggestion.photo)
            target.write_bytes(labelme.encode(record))
        (part / CLASSES_NAME).write_text(class_list(classes), encoding="utf-8")
        (part / RANKING_NAME).write_text(as_csv(suggestions), encoding="utf-8")


def _labelled(found: Detection, size: tuple[int, int], classes: Sequence[str]) -> LabelledInstance:
    return LabelledInstance(classes[found.category], found.mask.rle(size[::-1]), found.score)
