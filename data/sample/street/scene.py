"""Composes a scene: which things stand where, and which of them can be annotated.

A scene depends on (seed, split, index) alone, so that more or fewer scenes beside it change nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from shapely import box, unary_union
from shapely.geometry.base import BaseGeometry

from . import cars, clutter, signs
from .backdrop import Backdrop, across, along
from .light import Light, draw_light
from .records import Model, Thing, View

SPLITS = ("train", "val", "test")
# What a photo shows. A low-discrepancy sequence deals these out, so that small splits have the same shares.
KINDS = {"cars": 0.36, "signs": 0.31, "mixed": 0.25, "nothing": 0.08}
GOLDEN = 0.6180339887498949
PORTRAIT_EVERY = 16
LANDSCAPE = (320, 240)
CAR_COUNTS = {"cars": {1: 0.3, 2: 0.4, 3: 0.3}, "mixed": {1: 0.45, 2: 0.35, 3: 0.2}}
SIGN_COUNTS = {"signs": {1: 0.3, 2: 0.4, 3: 0.3}, "mixed": {1: 0.55, 2: 0.33, 3: 0.12}}
CLUTTER_BEHIND = (1, 5)  # at least, fewer than
CLUTTER_IN_FRONT = {0: 0.8, 1: 0.2}  # by share
# Widths. People take photos of what they want to annotate: it fills a good part of the photo.
CAR_PIXELS = (64.0, 200.0)
SIGN_PIXELS = (40.0, 120.0)
SAME_LANE = 6.0  # cars whose ground lines differ by fewer pixels can't pass one another
PLACING_TRIES = 8  # a full street is not an error: what finds no room stays away
ALONG_SHARE = 0.15
WALL_SHARE = 0.25  # of the boards, where there are walls
# Below these a target is not a fair task for annotator or model: it is taken out of the scene, not only left unannotated.
MIN_VISIBLE_SHARE = 0.72
MIN_VISIBLE_AREA = 400.0  # square pixels
MAX_ATTEMPTS = 100


@dataclass(frozen=True)
class Scene:
    """Everything that the picture and the annotation need. `things` are in the order of drawing."""

    backdrop: Backdrop
    light: Light
    things: tuple[Thing, ...]
    noise_seed: int

    @property
    def frame(self) -> BaseGeometry:
        return box(0, 0, self.backdrop.view.width, self.backdrop.view.height)


def compose(seed: int, split: str, index: int) -> Scene:
    """The scene (seed, split, index). Draws again until what is visible is what the scene's kind promises."""
    key = [seed, SPLITS.index(split), index]
    kind = kind_of(seed, split, index)
    wanted = {"cars": {cars.LABEL}, "signs": {signs.LABEL}, "mixed": {cars.LABEL, signs.LABEL}, "nothing": set()}[kind]
    for attempt in range(MAX_ATTEMPTS):
        scene = _attempt(kind, index, np.random.default_rng([*key, attempt]))
        if {thing.label for thing in scene.things if thing.label} == wanted:
            return scene
    raise RuntimeError(f"no {kind} scene for {split} {index} in {MAX_ATTEMPTS} attempts")


def kind_of(seed: int, split: str, index: int) -> str:
    """The kind of a scene by its place in the golden-ratio sequence, which fills 0 to 1 evenly."""
    start = np.random.default_rng([seed, SPLITS.index(split)]).random()
    place, reached = (start + index * GOLDEN) % 1.0, 0.0
    for kind, share in KINDS.items():
        reached += share
        if place < reached:
            return kind
    return kind


def _attempt(kind: str, index: int, rng: np.random.Generator) -> Scene:
    width, height = LANDSCAPE[::-1] if index % PORTRAIT_EVERY == PORTRAIT_EVERY - 1 else LANDSCAPE
    view = View(width, height, height * rng.uniform(0.34, 0.5), rng.uniform(1.6, 2.2))
    light = draw_light(rng)
    layout = along if rng.random() < ALONG_SHARE else across
    backdrop = layout(view, light.sky, light.lamps, rng)
    things = [*_cars(kind, backdrop, rng), *_signs(kind, backdrop, rng), *_clutter(backdrop, rng)]
    things.sort(key=lambda thing: thing.ground)
    frame = box(0, 0, width, height)
    return Scene(backdrop, light, tuple(_without_hidden(things, frame)), int(rng.integers(2**31)))


def _cars(kind: str, backdrop: Backdrop, rng: np.random.Generator) -> list[Thing]:
    """Cars on the lanes; two on one lane keep their distance."""
    place = _car_across if backdrop.lanes else _car_along
    placed: list[Thing] = []
    for _ in range(_count(CAR_COUNTS.get(kind), rng)):
        for _ in range(PLACING_TRIES):
            car = place(backdrop, rng)
            left, _, right, _ = car.target.bounds
            gap = 0.04 * (right - left)
            lane = [other.target.bounds for other in placed if abs(other.ground - car.ground) < SAME_LANE]
            clash = any(start - gap < right and left < end + gap for start, _, end, _ in lane)
            if not clash and CAR_PIXELS[0] <= right - left <= CAR_PIXELS[1]:
                placed.append(car)
                break
    return placed


def _car_across(backdrop: Backdrop, rng: np.random.Generator) -> Thing:
    lane = rng.choice(len(backdrop.lanes), p=[0.25, 0.35, 0.4])
    ground = backdrop.lanes[lane] + rng.uniform(-1.5, 1.5)
    facing = int(rng.choice([-1, 1])) if lane == 0 else (-1 if lane == 1 else 1)  # parked cars face either way
    return backdrop.view.pose(cars.side_car(rng), rng.uniform(0.08, 0.92) * backdrop.view.width, ground, facing)


def _car_along(backdrop: Backdrop, rng: np.random.Generator) -> Thing:
    view, oncoming = backdrop.view, bool(rng.random() < 0.5)
    ground = view.horizon + (view.height - view.horizon) * np.exp(rng.uniform(np.log(0.28), np.log(1.05)))
    lane = rng.choice([0.32, 0.45, 0.8], p=[0.2, 0.45, 0.35]) * backdrop.half_road
    x = backdrop.vanishing + (-lane if oncoming else lane) * view.scale(ground)
    return view.pose(cars.end_car(rng, front=oncoming), x, ground)


def _signs(kind: str, backdrop: Backdrop, rng: np.random.Generator) -> list[Thing]:
    """Boards on posts on both pavements, and on walls; they don't stand behind one another."""
    placed: list[Thing] = []
    for _ in range(_count(SIGN_COUNTS.get(kind), rng)):
        for _ in range(PLACING_TRIES):
            on_wall = backdrop.houses and rng.random() < WALL_SHARE
            sign = _wall_sign(backdrop, rng) if on_wall else _post_sign(backdrop, rng)
            left, top, right, bottom = sign.target.bounds
            fits = top > -0.3 * (bottom - top) and SIGN_PIXELS[0] <= right - left <= SIGN_PIXELS[1]
            if fits and not any(_hides_much(sign, other) or _hides_much(other, sign) for other in placed):
                placed.append(sign)
                break
    return placed


def _hides_much(one: Thing, other: Thing) -> bool:
    """Whether more than a tenth of the other's target would lie behind the one, were it in front."""
    return (one.hides & other.target).area > 0.1 * other.target.area


def _post_sign(backdrop: Backdrop, rng: np.random.Generator) -> Thing:
    view = backdrop.view
    low, high = backdrop.far_side if rng.random() < 0.4 else backdrop.near_side
    ground = rng.uniform(low, high)
    x = rng.uniform(0.1, 0.9) * view.width
    if backdrop.vanishing is not None:
        aside = backdrop.half_road + rng.uniform(0.6, 3.0)
        x = backdrop.vanishing + rng.choice([-1, 1]) * aside * view.scale(ground)
    width = np.exp(rng.uniform(np.log(SIGN_PIXELS[0] + 4), np.log(SIGN_PIXELS[1]))) / view.scale(ground)
    width = float(np.clip(width, 0.7, 4.5))
    posts = 2 if width > 1.6 or rng.random() < 0.15 else 1
    return view.pose(signs.sign_board(rng, width, rng.uniform(0.6, 2.0), posts), x, ground)


def _wall_sign(backdrop: Backdrop, rng: np.random.Generator) -> Thing:
    house = backdrop.houses[rng.integers(len(backdrop.houses))]
    model = signs.sign_board(rng, rng.uniform(1.6, 4.5), 0.0, posts=0)
    x = rng.uniform(house.left + 0.2 * (house.right - house.left), house.right - 0.2 * (house.right - house.left))
    return backdrop.view.pose(model, x, house.ground, lift=rng.uniform(2.2, 4.2))


def _clutter(backdrop: Backdrop, rng: np.random.Generator) -> list[Thing]:
    """Trees, poles, people and boxes on both pavements."""
    behind = [(clutter.BEHIND, backdrop.far_side)] * int(rng.integers(*CLUTTER_BEHIND))
    in_front = [(clutter.IN_FRONT, backdrop.near_side)] * _count(CLUTTER_IN_FRONT, rng)
    return [_stand(backdrop, clutter.draw(shares, rng), side, rng) for shares, side in behind + in_front]


def _stand(backdrop: Backdrop, model: Model, side: tuple[float, float], rng: np.random.Generator) -> Thing:
    view, ground = backdrop.view, rng.uniform(*side)
    if backdrop.vanishing is None:
        return view.pose(model, rng.uniform(0, view.width), ground, int(rng.choice([-1, 1])))
    aside = backdrop.half_road + rng.uniform(0.3, 3.0)
    sign = int(rng.choice([-1, 1]))
    return view.pose(model, backdrop.vanishing + sign * aside * view.scale(ground), ground, -sign)


def visible(things: list[Thing], frame: BaseGeometry) -> list[BaseGeometry | None]:
    """What is seen of each target: inside the photo, and not hidden by what is drawn later. None without a target."""
    seen: list[BaseGeometry | None] = [None] * len(things)
    hidden: list[BaseGeometry] = []
    for k in range(len(things) - 1, -1, -1):
        if things[k].target is not None:
            seen[k] = (things[k].target & frame) - unary_union(hidden)
        hidden.append(things[k].hides)
    return seen


def _without_hidden(things: list[Thing], frame: BaseGeometry) -> list[Thing]:
    """Takes out targets of which too little is seen, nearest first: what stood behind one may then be seen enough."""
    while True:
        seen = visible(things, frame)
        failing = [
            k
            for k, part in enumerate(seen)
            if part is not None
            and (part.area < MIN_VISIBLE_AREA or part.area < MIN_VISIBLE_SHARE * things[k].target.area)
        ]
        if not failing:
            return things
        things = things[: failing[-1]] + things[failing[-1] + 1 :]


def _count(shares: dict[int, float] | None, rng: np.random.Generator) -> int:
    """A number by its share; 0 where the scene's kind has none."""
    return 0 if shares is None else int(rng.choice(list(shares), p=list(shares.values())))
