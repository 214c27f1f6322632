"""Instances drawn onto a photo, and pictures put together to a sheet. RGB throughout."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from dataset_tools.geometry import rle
from dataset_tools.geometry.masks import Mask
from dataset_tools.geometry.rle import Rle, rle_of_segmentation
from dataset_tools.records import Instance
from dataset_tools.view import fonts
from dataset_tools.view.palette import Colour, class_colour

Rectangle = tuple[int, int, int, int]  # left, top, right, bottom in pixels

# A mask lets its photo through, so that an outline that is off by a few pixels shows; its rim tells it from the next.
_OPACITY = 0.4

# In pixels, and as a share of a picture's shorter side: legible also where the whole picture is fitted to a screen.
_LEAST_LETTERS = 12
_LETTERS = 1 / 40
_LINE = 1 / 300

TILE = 320  # pixels: large enough to see a mask, small enough for five in a row on a screen
_TILES_IN_ROW = 5
_LINE_HEIGHT = 20  # pixels of a line of text on a sheet


@dataclass(frozen=True, slots=True)
class Style:
    """How each class is shown: its colour, and the words for it."""

    colours: dict[str, Colour]
    captions: dict[str, str]

    @classmethod
    def of(cls, classes: Sequence[str]) -> Style:
        """The style of classes in an order; the first ones have the same colours, whatever follows."""
        return cls({name: class_colour(index) for index, name in enumerate(classes)}, fonts.captions(classes))


def draw_instances(
    photo: Image.Image, instances: Sequence[Instance], style: Style, size: tuple[int, int]
) -> Image.Image:
    """The photo at a (width, height), with the masks, boxes and labels of the instances.

    Lines and letters have the same size whatever the scale. A label that would cover another one is left out.
    """
    pixels = np.asarray(_scaled(photo, size)).copy()
    for instance in instances:
        code = rle_of_segmentation(instance.segmentation, photo.size)
        box = _box(instance, photo.size, size)
        _paint(pixels, _sampled(code, box, size), box, style.colours[instance.label])
    picture = Image.fromarray(pixels)
    _draw_boxes(picture, instances, photo.size, style)
    return picture


def _scaled(photo: Image.Image, size: tuple[int, int]) -> Image.Image:
    if size[0] >= photo.width:
        return photo.resize(size, Image.Resampling.NEAREST)  # enlarged, one can tell its pixels apart
    return photo.resize(size, Image.Resampling.LANCZOS, reducing_gap=3)


def _box(instance: Instance, old: tuple[int, int], new: tuple[int, int]) -> Rectangle:
    """The pixels of an instance's box in a photo that is scaled from one (width, height) to another, all inside it."""
    x, y, width, height = instance.bbox
    across, down = new[0] / old[0], new[1] / old[1]
    left, top = min(int(x * across), new[0] - 1), min(int(y * down), new[1] - 1)
    right, bottom = math.ceil((x + width) * across) - 1, math.ceil((y + height) * down) - 1
    return left, top, max(left, min(right, new[0] - 1)), max(top, min(bottom, new[1] - 1))


def _sampled(code: Rle, box: Rectangle, size: tuple[int, int]) -> Mask:
    """A mask scaled to a (width, height), but only what is in a box there: each pixel has the value of the nearest."""
    left, top, right, bottom = box
    height, width = code.size
    rows = ((np.arange(top, bottom + 1) + 0.5) * (height / size[1])).astype(int)
    columns = ((np.arange(left, right + 1) + 0.5) * (width / size[0])).astype(int)
    window = (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
    return rle.decode(code, window)[np.ix_(rows - rows[0], columns - columns[0])]


def _paint(pixels: NDArray[np.uint8], mask: Mask, box: Rectangle, colour: Colour) -> None:
    """Paint what of a mask is in a box there."""
    left, top, right, bottom = box
    region = pixels[top : bottom + 1, left : right + 1]
    region[mask] = (1 - _OPACITY) * region[mask] + _OPACITY * np.array(colour)
    region[mask & ~_inside(mask, _line_width(pixels.shape))] = colour


def _inside(mask: Mask, rim: int) -> Mask:
    """The pixels whose neighbours at a distance belong to the mask, too: above, below, left and right."""
    height, width = mask.shape
    padded = np.pad(mask, rim)
    rows, columns = slice(rim, rim + height), slice(rim, rim + width)
    return padded[:height, columns] & padded[2 * rim :, columns] & padded[rows, :width] & padded[rows, 2 * rim :]


def _line_width(shape: Sequence[int]) -> int:
    return max(1, round(min(shape[:2]) * _LINE))


def _draw_boxes(picture: Image.Image, instances: Sequence[Instance], size: tuple[int, int], style: Style) -> None:
    pen = ImageDraw.Draw(picture)
    boxes = [_box(instance, size, picture.size) for instance in instances]
    for instance, box in zip(instances, boxes):
        pen.rectangle(box, outline=style.colours[instance.label], width=_line_width(picture.size))
    letters = max(_LEAST_LETTERS, round(min(picture.size) * _LETTERS))
    taken: dict[int, list[Rectangle]] = {}
    for instance, box in zip(instances, boxes):
        _write_label(pen, style.captions[instance.label], style.colours[instance.label], letters, box, taken)


def _write_label(
    pen: ImageDraw.ImageDraw,
    caption: str,
    colour: Colour,
    letters: int,
    box: Rectangle,
    taken: dict[int, list[Rectangle]],
) -> None:
    """Write a label where no other is: above its box, inside it or below, and inside the picture; else not at all.

    ``taken`` are the labels so far in each line of text of the picture: one may be in two.
    """
    font = fonts.font_for(caption, letters)
    margin = letters // 6
    width, height = math.ceil(font.getlength(caption)) + 2 * margin, round(letters * 1.25)
    for place in _places(box, width, height, pen.im.size):
        lines = range(place[1] // height, place[3] // height + 1)
        if not any(_overlap(place, other) for line in lines for other in taken.get(line, ())):
            for line in lines:
                taken.setdefault(line, []).append(place)
            pen.rectangle(place, fill=colour)
            middle = place[0] + margin, (place[1] + place[3]) / 2
            pen.text(middle, caption, font=font, fill=_readable_on(colour), anchor="lm")
            return


def _places(box: Rectangle, width: int, height: int, size: tuple[int, int]) -> Iterator[Rectangle]:
    left, top, _, bottom = box
    for y in (top - height, top, bottom + 1, bottom + 1 - height):
        x = max(0, min(left, size[0] - width))
        y = max(0, min(y, size[1] - height))
        yield x, y, x + width - 1, y + height - 1


def _overlap(one: Rectangle, other: Rectangle) -> bool:
    return one[0] <= other[2] and other[0] <= one[2] and one[1] <= other[3] and other[1] <= one[3]


def _readable_on(colour: Colour) -> Colour:
    red, green, blue = colour
    luma = 0.299 * red + 0.587 * green + 0.114 * blue  # ITU-R BT.601
    return (0, 0, 0) if luma > 128 else (255, 255, 255)


def tile_size(size: tuple[int, int]) -> tuple[int, int]:
    """The (width, height) of a photo on a sheet, given its own."""
    scale = TILE / max(size)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def draw_sheet(tiles: Sequence[tuple[str, Image.Image]], style: Style, classes: Sequence[str]) -> Image.Image:
    """Named pictures of at most TILE x TILE pixels in rows, each over its name; below them, what the colours mean."""
    rows = [tiles[start : start + _TILES_IN_ROW] for start in range(0, len(tiles), _TILES_IN_ROW)]
    heights = [max(tile.height for _, tile in row) + _LINE_HEIGHT for row in rows]
    width = max((len(row) for row in rows), default=1) * TILE
    legend = list(_legend(style, classes, width))
    lines = 1 + max((line for _, _, line in legend), default=-1)
    picture = Image.new("RGB", (width, sum(heights) + lines * _LINE_HEIGHT))
    pen = ImageDraw.Draw(picture)
    top = 0
    for row, height in zip(rows, heights):
        for column, (name, tile) in enumerate(row):
            middle = column * TILE + TILE // 2
            picture.paste(tile, (middle - tile.width // 2, top + (height - _LINE_HEIGHT - tile.height) // 2))
            _write_line(pen, name, middle, top + height - _LINE_HEIGHT, TILE)
        top += height
    for name, x, line in legend:
        y = top + line * _LINE_HEIGHT
        pen.rectangle((x, y + 4, x + 11, y + 15), fill=style.colours[name])
        _write_line(pen, style.captions[name], x + 16, y, width, anchor="lm")
    return picture


def _legend(style: Style, classes: Sequence[str], width: int) -> Iterator[tuple[str, int, int]]:
    """Each class with its place: x in pixels, and the line."""
    x, line = 4, 0
    for name in classes:
        caption = style.captions[name]
        needed = 32 + math.ceil(fonts.font_for(caption, _LEAST_LETTERS).getlength(caption))
        if x > 4 and x + needed > width:
            x, line = 4, line + 1
        yield name, x, line
        x += needed


def _write_line(pen: ImageDraw.ImageDraw, text: str, x: int, y: int, width: int, anchor: str = "mm") -> None:
    font = fonts.font_for(text, _LEAST_LETTERS)
    while len(text) > 1 and font.getlength(text) > width - 8:
        text = text[:-2] + "…"
    pen.text((x, y + _LINE_HEIGHT // 2), text, font=font, fill=(255, 255, 255), anchor=anchor)
