"""Large photos in overlapping tiles: small objects are seen at their size, and objects that tiles cut are put together.

The rules, for what the tiles have found. A detection is *cut* where its mask comes near a side of its tile that is
inside the photo; otherwise its tile has seen the object *whole*.

1. A cut detection is dropped where another tile has found something whole that covers at least half of it, of whatever
   class: the other tile has seen all that there was to see, and a slice of an object is easily taken for another one.
2. Cut detections of one class in two tiles are united where they agree on what both tiles show: where the IoU of the
   two masks, within the overlap of the tiles, is at least one half. Agreement is transitive (a union-find), so that an
   object may span any number of tiles. The score is the best one's, the box holds all of their boxes.
3. A cut or united detection is dropped where a larger one of its class covers at least half of it: a slice that was
   seen too badly to be united.
4. Of two detections of one class with a mask IoU of at least one half the one with the lower score is dropped: both
   tiles have seen the object whole.

Detections of one tile are never compared with each other: the model has decided already that they are two objects. With
masks that are right, and connected objects that do not cover each other, the outcome is exactly the objects: two
neighbouring pixels of an object are always in one tile together, so that all its parts are united.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from dataset_tools.errors import UserError
from polymask.inference.detections import Detection, Detections, Window, area_in, common, shared_area, union

# COCO's least IoU for a match.
AGREEMENT = 0.5
# A mask of a cut object ends near the side of its tile, not always at it. Of a tile's side: on the sample, in tiles of
# 320 px, four of five such masks ended within 5 px, and from there on nothing more was gained.
NEAR = 1 / 64
MOST_OVERLAP = 0.9  # beyond it a photo has a hundred times its pixels in tiles

# From photos, (H, W, 3) uint8 in BGR, to what was found on each, in pixels of it: ``Predictor.detect``.
Detect = Callable[[Sequence[np.ndarray]], list[Detections]]


@dataclass(frozen=True, slots=True)
class _View:
    """What one tile has found, or several whose detections are united; in pixels of the photo."""

    tiles: frozenset[int]
    detection: Detection
    cut: bool


def detect_in_tiles(detect: Detect, photo: np.ndarray, side: int, overlap: float, batch_size: int = 1) -> Detections:
    """What is on a large photo, best first.

    Args:
        detect: finds objects on photos of at most ``side`` x ``side`` px.
        photo: (H, W, 3) uint8, BGR. If it is not larger than a tile, the result is that of ``detect``.
        side: of a tile in px.
        overlap: of neighbouring tiles, at least, as a share of ``side``.
        batch_size: tiles that are given to ``detect`` at a time.

    Raises:
        UserError: see :func:`check_tiling`.
    """
    height, width = photo.shape[:2]
    tiles = tiles_of(width, height, side, overlap)
    found: list[Detections] = []
    for start in range(0, len(tiles), batch_size):
        windows = tiles[start : start + batch_size]
        found += detect([photo[top:bottom, left:right] for left, top, right, bottom in windows])
    if len(tiles) == 1:
        return found[0]
    moved = [[d.moved(left, top) for d in some] for some, (left, top, _, _) in zip(found, tiles, strict=True)]
    merged = merge(moved, tiles, (height, width), near=round(side * NEAR))
    return msgspec.structs.replace(found[0], size=(width, height), found=tuple(merged))


def check_tiling(side: int, overlap: float) -> None:
    """Whether photos can be cut so.

    Raises:
        UserError: the tiles have no pixel, or do not overlap, or by nearly everything.
    """
    if side < 2:
        raise UserError(f"--tile is {side}", remedy="Use the side of a tile in pixels, such as 1024")
    if not 0 < overlap <= MOST_OVERLAP:
        raise UserError(
            f"--overlap is {overlap}: an object that is cut is put together by what two tiles both see of it",
            remedy=f"Use a share of the tile above 0 and up to {MOST_OVERLAP}, such as 0.2",
        )


def tiles_of(width: int, height: int, side: int, overlap: float) -> list[Window]:
    """Tiles that cover a photo, row by row: all of one size, ``side`` px or what the photo has, and evenly spread.

    Neighbours overlap by ``overlap`` of ``side`` at least, and by a pixel at least.

    Raises:
        UserError: see :func:`check_tiling`.
    """
    check_tiling(side, overlap)
    shared = min(side - 1, math.ceil(side * overlap))
    columns, rows = _starts(width, side, shared), _starts(height, side, shared)
    tile_width, tile_height = min(side, width), min(side, height)
    return [(x, y, x + tile_width, y + tile_height) for y in rows for x in columns]


def _starts(length: int, side: int, shared: int) -> list[int]:
    """The first pixels of as few stretches of ``side`` as cover ``length`` and share so many with the next."""
    if length <= side:
        return [0]
    steps = math.ceil((length - side) / (side - shared))
    return [(length - side) * step // steps for step in range(steps + 1)]


def merge(
    found: Sequence[Sequence[Detection]], tiles: Sequence[Window], size: tuple[int, int], near: int = 0
) -> list[Detection]:
    """One list of what tiles have found, by the rules above, best first.

    Args:
        found: what each tile has found, in pixels of the photo. What covers no pixel is left out.
        tiles: where they are.
        size: (height, width) of the photo.
        near: how far in px a mask may end from a side of its tile and be cut by it.
    """
    views = [
        _View(frozenset([number]), detection, _is_cut(detection, tile, size, near))
        for number, (tile, detections) in enumerate(zip(tiles, found, strict=True))
        for detection in detections
        if detection.mask.width
    ]
    views = _without_slices(views, lambda other, _slice: not other.cut)
    views = _united(views, tiles)
    views = _without_slices(views, _is_larger)
    return [view.detection for view in _without_duplicates(views)]


def _is_cut(detection: Detection, tile: Window, size: tuple[int, int], near: int) -> bool:
    """Whether the mask comes near an inner side of the tile."""
    height, width = size
    left, top, right, bottom = detection.mask.window
    return (
        (tile[0] > 0 and left <= tile[0] + near)
        or (tile[1] > 0 and top <= tile[1] + near)
        or (tile[2] < width and right >= tile[2] - near)
        or (tile[3] < height and bottom >= tile[3] - near)
    )


def _without_slices(views: list[_View], counts_more: Callable[[_View, _View], bool]) -> list[_View]:
    """The first and the third rule: without cut views of which one that counts more covers at least half."""
    dropped = set()
    for pair in _touching(views):
        for slice_, other in (pair, pair[::-1]):
            cut = views[slice_].cut and counts_more(views[other], views[slice_])
            if cut and _covers(views[other], views[slice_]):
                dropped.add(slice_)
    return _without(views, dropped)


def _is_larger(view: _View, slice_: _View) -> bool:
    one, other = view.detection, slice_.detection
    return one.category == other.category and one.mask.area > other.mask.area


def _united(views: list[_View], tiles: Sequence[Window]) -> list[_View]:
    """The second rule."""
    parents = list(range(len(views)))  # a chain of these ends at the same view for all views of an object

    def representative(number: int) -> int:
        while parents[number] != number:
            parents[number] = parents[parents[number]]
            number = parents[number]
        return number

    for first, second in _touching(views):
        a, b = views[first], views[second]
        if a.cut and b.cut and a.detection.category == b.detection.category:
            (tile_a,), (tile_b,) = a.tiles, b.tiles
            if _agree(a, b, common(tiles[tile_a], tiles[tile_b])):
                parents[representative(second)] = representative(first)
    groups = defaultdict(list)
    for number, view in enumerate(views):
        groups[representative(number)].append(view)
    return [_union(group) for group in groups.values()]


def _without_duplicates(views: list[_View]) -> list[_View]:
    """The fourth rule, and the best first."""
    views = sorted(views, key=lambda view: -view.detection.score)
    rivals = defaultdict(list)
    for better, worse in _touching(views):
        if views[better].detection.category == views[worse].detection.category:
            rivals[worse].append(better)
    dropped: set[int] = set()
    for worse in range(len(views)):
        if any(better not in dropped and _agree(views[better], views[worse]) for better in rivals[worse]):
            dropped.add(worse)
    return _without(views, dropped)


def _touching(views: Sequence[_View]) -> Iterator[tuple[int, int]]:
    """Pairs from different tiles whose windows share a pixel, the first before the second.

    The tiles share pixels only with their neighbours, so that few are compared with each other.
    """
    if not views:
        return
    windows = np.array([view.detection.mask.window for view in views])
    for first, (left, top, right, bottom) in enumerate(windows.tolist()):
        later = windows[first + 1 :]
        near = (later[:, 0] < right) & (later[:, 2] > left) & (later[:, 1] < bottom) & (later[:, 3] > top)
        for second in (np.flatnonzero(near) + first + 1).tolist():
            if views[first].tiles.isdisjoint(views[second].tiles):
                yield first, second


def _covers(larger: _View, smaller: _View) -> bool:
    mask = smaller.detection.mask
    return shared_area(larger.detection.mask, mask) >= AGREEMENT * mask.area


def _agree(first: _View, second: _View, window: Window | None = None) -> bool:
    """Whether the masks' IoU is enough; within a window, which is what two tiles share, or everywhere."""
    a, b = first.detection.mask, second.detection.mask
    shared = shared_area(a, b)  # all of it is in the window: neither goes beyond its tile
    both = area_in(a, window) + area_in(b, window) if window else a.area + b.area
    return shared > 0 and shared >= AGREEMENT * (both - shared)


def _union(views: Sequence[_View]) -> _View:
    if len(views) == 1:
        return views[0]
    detections = [view.detection for view in views]
    boxes = np.array([detection.box for detection in detections])
    box = (*boxes[:, :2].min(axis=0).tolist(), *boxes[:, 2:].max(axis=0).tolist())
    best = max(detections, key=lambda detection: detection.score)
    mask = union([detection.mask for detection in detections])
    return _View(
        frozenset().union(*(view.tiles for view in views)), Detection(best.category, best.score, box, mask), True
    )


def _without(views: Iterable[_View], dropped: set[int]) -> list[_View]:
    return [view for number, view in enumerate(views) if number not in dropped]
