import numpy as np
import pytest

from polymask.evaluation.confusion import confusion_of
from polymask.evaluation.mistakes import mistakes_of


def confusion(overlaps, found, annotated, classes=2):
    found, annotated = np.array(found, dtype=int), np.array(annotated, dtype=int)
    overlaps = np.array(overlaps, dtype=float).reshape(len(found), len(annotated))
    return confusion_of(overlaps, found, annotated, mistakes_of(overlaps, found, annotated), classes).tolist()


@pytest.mark.parametrize(
    ("overlaps", "found", "annotated", "expected"),
    [
        ([[0.8]], [0], [0], [[1, 0, 0], [0, 0, 0], [0, 0, 0]]),
        ([[0.8]], [1], [0], [[0, 1, 0], [0, 0, 0], [0, 0, 0]]),  # a taken for b
        ([[0.4]], [1], [0], [[0, 0, 1], [0, 0, 0], [0, 1, 0]]),  # a missed, b invented
        ([[0.9], [0.8]], [1, 0], [0], [[1, 0, 0], [0, 0, 0], [0, 1, 0]]),  # the right class goes first
        ([[0.6, 0.9]], [1], [0, 0], [[0, 1, 1], [0, 0, 0], [0, 0, 0]]),  # the nearer one is the one taken for b
        ([[0.9, 0], [0.8, 0], [0, 0.5]], [0, 0, 0], [0, 1], [[1, 0, 0], [1, 0, 0], [1, 0, 0]]),
        ([], [], [0, 1], [[0, 0, 1], [0, 0, 1], [0, 0, 0]]),
        ([[], []], [0, 1], [], [[0, 0, 0], [0, 0, 0], [1, 1, 0]]),
        ([], [], [], [[0, 0, 0], [0, 0, 0], [0, 0, 0]]),
    ],
)
def test_who_is_taken_for_whom(overlaps, found, annotated, expected):
    assert confusion(overlaps, found, annotated) == expected


def test_each_annotation_counts_in_its_row_and_each_detection_in_its_column():
    rng = np.random.default_rng(1)
    for _ in range(100):
        detections, annotations = rng.integers(0, 8, 2)
        found, annotated = rng.integers(0, 3, detections), rng.integers(0, 3, annotations)
        matrix = np.array(confusion(rng.uniform(0, 1, (detections, annotations)), found, annotated, classes=3))
        assert matrix[:3].sum(axis=1).tolist() == np.bincount(annotated, minlength=3).tolist()
        assert matrix[:, :3].sum(axis=0).tolist() == np.bincount(found, minlength=3).tolist()
        assert matrix[3, 3] == 0
