"""Class colours: the same class has the same colour, and no two classes of a usual dataset look alike."""

from itertools import combinations

import numpy as np

from dataset_tools.view.palette import class_colour


def test_the_first_colours_are_those_of_okabe_and_ito():
    """Orange and sky blue as published (Color Universal Design, 2008)."""
    assert class_colour(0) == (230, 159, 0) and class_colour(1) == (86, 180, 233)


def test_eighty_classes_have_different_colours():
    colours = np.array([class_colour(index) for index in range(80)])
    assert colours.min() >= 0 and colours.max() <= 255
    assert len(np.unique(colours, axis=0)) == 80
    assert min(np.abs(a - b).max() for a, b in combinations(colours[:20], 2)) > 20
