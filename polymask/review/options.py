"""What a user may ask of ``suggest``; it imports nothing heavy, so that ``--help`` answers at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

DEFAULT_TOP = 50

# To delete a wrong shape is two clicks, to draw a missing one is many. If drawing takes four times as long, a shape is
# worth showing from the score on at which one in five is right; a score is roughly the share that is right.
DEFAULT_MIN_SCORE = 0.2


@dataclass(frozen=True, slots=True)
class SuggestOptions:
    """What the user asked for.

    Attributes:
        config_file: the ``config.yaml`` of a run.
        unlabelled: the folder of the photos to choose from.
        output: the folder to make.
        top: how many photos.
        min_score: detections that score less are not drawn.
        annotated: folders with further annotation files, whose photos are passed over.
        opts: KEY VALUE pairs; without ``MODEL.WEIGHTS`` the final weights of the run are taken.
    """

    config_file: Path
    unlabelled: Path
    output: Path
    top: int = DEFAULT_TOP
    min_score: float = DEFAULT_MIN_SCORE
    annotated: Sequence[Path] = ()
    opts: Sequence[str] = ()
