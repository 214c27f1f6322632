"""The colour of each class, the same in every picture."""

from __future__ import annotations

import colorsys

Colour = tuple[int, int, int]  # RGB, 0 to 255

# Okabe and Ito (Color Universal Design, 2008), which people with any kind of colour vision tell apart; without black,
# which does not show on a dark photo.
OKABE_ITO: tuple[Colour, ...] = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (213, 94, 0),
    (204, 121, 167),
    (0, 114, 178),
)

# Neighbouring hues are this far apart on the colour circle; the golden ratio keeps any number of classes apart. Full,
# pale and dark ones take turns, since greens and blues look alike over a wide range of hues.
_GOLDEN_RATIO = 0.618033988749895
_SATURATION_AND_VALUE = ((0.8, 1.0), (0.5, 1.0), (0.9, 0.7))


def class_colour(index: int) -> Colour:
    """The colour of the class at a 0-based index: first those of Okabe and Ito, then others by the golden ratio."""
    if index < len(OKABE_ITO):
        return OKABE_ITO[index]
    saturation, value = _SATURATION_AND_VALUE[index % len(_SATURATION_AND_VALUE)]
    red, green, blue = colorsys.hsv_to_rgb(index * _GOLDEN_RATIO % 1, saturation, value)
    return round(255 * red), round(255 * green), round(255 * blue)
