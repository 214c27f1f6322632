"""Everything else that stands about in a street, in metres: in the way, or alike, and never annotated."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from shapely import Polygon, box, unary_union

from .records import Colour, Glow, Model, Paint, ellipse, flat, rounded, shade

SKINS: tuple[Colour, ...] = ((232, 190, 160), (200, 150, 116), (120, 84, 62))
CLOTHES: tuple[Colour, ...] = (
    (160, 40, 40), (40, 60, 120), (60, 60, 64), (200, 190, 170), (70, 110, 80), (120, 90, 60),
)  # fmt: skip


def tree(rng: np.random.Generator) -> Model:
    """A trunk and a crown of round tufts, the later ones lower, nearer and darker."""
    height, spread = rng.uniform(3.6, 6.0), rng.uniform(0.9, 1.6)
    green = (rng.uniform(40, 110), rng.uniform(90, 150), rng.uniform(30, 70))
    bark, middle = (92, 70, 52), height - spread
    trunk = Polygon([(-0.14, 0), (0.14, 0), (0.07, middle), (-0.07, middle)])
    tufts = []
    for rise in np.linspace(0.7, -0.5, 14):
        reach = 0.9 * spread * (1 - 0.5 * abs(rise))
        radius = spread * rng.uniform(0.28, 0.5)
        tuft = ellipse(rng.uniform(-reach, reach), middle + rise * spread, radius, radius * 0.85, points=16)
        tufts.append(Paint(tuft, shade(green, 1.0 + 0.3 * rise), shade(green, 0.7 + 0.3 * rise)))
    heart = ellipse(0, middle, spread * 0.75, spread * 0.7)
    return Model((flat(trunk, bark), flat(heart, shade(green, 0.7)), *tufts))


def bush(rng: np.random.Generator) -> Model:
    """Low green tufts."""
    green = (rng.uniform(40, 90), rng.uniform(80, 130), rng.uniform(30, 60))
    tufts = [ellipse(x, 0.35, r, r) for x, r in zip(rng.uniform(-0.8, 0.8, 6), rng.uniform(0.35, 0.6, 6))]
    mound = unary_union(tufts) & box(-3, 0, 3, 3)
    return Model((Paint(mound, shade(green, 1.15), shade(green, 0.6)),))


def lamp_post(rng: np.random.Generator) -> Model:
    """A street lamp; the thing that most often cuts a car in two."""
    height, grey = rng.uniform(4.5, 6.5), rng.uniform(60, 130)
    colour = (grey, grey, grey * 1.03)
    arm = Polygon([(0, height), (0, height - 0.1), (1.0, height + 0.1), (1.0, height + 0.22)])
    lamp = box(0.7, height - 0.05, 1.2, height + 0.12)
    paints = (flat(box(-0.07, 0, 0.07, height), colour), flat(arm, colour), flat(lamp, (250, 240, 200), shine=0.9))
    return Model(paints, glows=(Glow(0.95, height, 1.1, (230, 190, 110)),))


def pole(rng: np.random.Generator) -> Model:
    """A bare pole, or a bollard where it is low."""
    height, half = rng.choice([1.0, 3.5, 5.5]), rng.uniform(0.05, 0.1)
    colour = shade((150, 146, 140), rng.uniform(0.4, 1.2))
    band = flat(box(-half, height * 0.7, half, height * 0.8), (220, 220, 214))
    return Model((flat(box(-half, 0, half, height), colour), band))


def pedestrian(rng: np.random.Generator) -> Model:
    """A walker, facing to the right."""
    skin = SKINS[rng.integers(len(SKINS))]
    coat, trousers = (CLOTHES[k] for k in rng.choice(len(CLOTHES), 2, replace=False))
    stride, swing, hem = rng.uniform(0.05, 0.3), rng.uniform(0.02, 0.2), rng.choice([0.55, 0.8])
    legs = [
        Polygon([(-0.12, 0.9), (0.12, 0.9), (s * stride + 0.06, 0.05), (s * stride + 0.14, 0), (s * stride - 0.06, 0)])
        for s in (-1, 1)
    ]
    arms = [
        rounded([(-0.07, 1.38), (0.08, 1.38), (s * swing + 0.06, 0.8), (s * swing - 0.05, 0.8)], radius=0.05)
        for s in (-1, 1)
    ]
    torso = rounded([(-0.16, hem), (0.17, hem), (0.15, 1.2), (0.12, 1.45), (-0.11, 1.45), (-0.17, 1.2)], radius=0.1)
    return Model((
        flat(ellipse(0, 0.02, 0.4, 0.06), (10, 10, 14), alpha=0.45),
        flat(arms[0], shade(coat, 0.6)),
        *(flat(leg, shade(trousers, k)) for leg, k in zip(legs, (0.7, 1.0))),
        Paint(torso, shade(coat, 1.1), shade(coat, 0.85)),
        flat(arms[1], shade(coat, 0.75)),
        flat(box(-0.04, 1.4, 0.05, 1.52), skin),
        flat(ellipse(0.02, 1.61, 0.09, 0.125), skin),
        flat(ellipse(-0.015, 1.66, 0.095, 0.085), (50, 38, 30)),
    ))  # fmt: skip


def litter_bin(rng: np.random.Generator) -> Model:
    """A bin with a lid."""
    colour = [(40, 80, 60), (60, 60, 66), (120, 60, 40)][rng.integers(3)]
    body = Polygon([(-0.24, 0), (0.24, 0), (0.3, 0.85), (-0.3, 0.85)])
    return Model((Paint(body, colour, shade(colour, 0.6)), flat(box(-0.34, 0.85, 0.34, 0.95), shade(colour, 0.5))))


def bench(rng: np.random.Generator) -> Model:
    """A bench: slats that look a little like a board on two posts."""
    wood = shade((150, 104, 62), rng.uniform(0.7, 1.1))
    slats = [box(-0.8, z, 0.8, z + 0.09) for z in (0.45, 0.62, 0.75)]
    legs = [box(x - 0.04, 0, x + 0.04, 0.8) for x in (-0.65, 0.65)]
    return Model((*(flat(leg, (50, 50, 54)) for leg in legs), *(flat(slat, wood) for slat in slats)))


def shelter(rng: np.random.Generator) -> Model:
    """A bus-stop shelter: a roof on posts, and panes that one sees through."""
    half, colour = rng.uniform(1.3, 2.0), shade((90, 100, 110), rng.uniform(0.6, 1.3))
    posts = [box(x - 0.05, 0, x + 0.05, 2.3) for x in np.linspace(-half, half, 3)]
    pane = flat(box(-half, 0.3, half, 2.2), (180, 206, 214), alpha=0.3)
    roof = flat(box(-half - 0.2, 2.3, half + 0.2, 2.48), shade(colour, 0.7))
    seat = flat(box(-half * 0.8, 0.5, half * 0.8, 0.58), (120, 80, 60))
    return Model((seat, pane, *(flat(post, colour) for post in posts), roof))


def crate(rng: np.random.Generator) -> Model:
    """A crate or a grey cabinet: a box on the ground, as broad as many a board."""
    w, h = rng.uniform(0.35, 0.7), rng.uniform(0.6, 1.2)
    colour = [(150, 118, 78), (130, 136, 132), (104, 112, 104)][rng.integers(3)]
    seams = [box(-w, h * k - 0.02, w, h * k + 0.02) for k in (0.33, 0.66)]
    return Model((Paint(box(-w, 0, w, h), shade(colour, 1.1), shade(colour, 0.8)),
                  *(flat(seam, shade(colour, 0.6)) for seam in seams)))  # fmt: skip


# What stands on the far pavement, behind the cars, and on the near one, before them, with its share.
BEHIND = {tree: 0.3, bush: 0.14, lamp_post: 0.12, pole: 0.06, pedestrian: 0.14, bench: 0.08, shelter: 0.08, crate: 0.08}
IN_FRONT = {lamp_post: 0.3, pole: 0.22, pedestrian: 0.26, litter_bin: 0.14, bush: 0.08}


def draw(shares: dict[Callable[[np.random.Generator], Model], float], rng: np.random.Generator) -> Model:
    """One thing by its share."""
    return list(shares)[rng.choice(len(shares), p=list(shares.values()))](rng)
