"""What is taken for what: annotated classes against predicted ones, with what is missed and what matches none."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from polymask.evaluation.mistakes import CORRECT, FOREGROUND, Mistakes


def confusion_of(
    overlaps: NDArray[np.float64],
    found: NDArray[np.int64],
    annotated: NDArray[np.int64],
    mistakes: Mistakes,
    classes: int,
) -> NDArray[np.int64]:
    """(classes + 1, classes + 1): the confusion of one photo; the last row and column are background.

    Correct detections and their annotations are on the diagonal. Then each other detection, by confidence, takes the
    annotation that is left and that it overlaps most, if the IoU is .5: taken for another class. What is left over is
    missed (last column) or matches no annotation (last row). So each annotation counts once in its row, each detection
    in its column. hotcoco's matrix lets the most confident detection choose first, whatever its class.

    Args:
        overlaps: (d, g) IoUs.
        found: (d,) classes of the detections in the order of their confidence.
        annotated: (g,) classes of the annotations.
        mistakes: of the same.
    """
    matrix = np.zeros((classes + 1, classes + 1), dtype=np.int64)
    correct = mistakes.kind == CORRECT
    np.add.at(matrix, (found[correct], found[correct]), 1)
    left = ~mistakes.found
    for index in np.flatnonzero(~correct):
        row = np.where(left, overlaps[index], 0)
        best = int(row.argmax()) if row.size else -1
        if row.size and row[best] >= FOREGROUND:
            left[best] = False
            matrix[annotated[best], found[index]] += 1
        else:
            matrix[classes, found[index]] += 1
    matrix[:classes, classes] = np.bincount(annotated[left], minlength=classes)
    return matrix
