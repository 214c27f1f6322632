"""The light of a scene: time of day and weather."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .records import Colour, shade


@dataclass(frozen=True)
class Light:
    """How a scene's colours look. Colours are multiplied by `tint`, and fade into `haze` with the distance."""

    tint: Colour  # factors, not 0 to 255
    sky: tuple[Colour, Colour]  # at the top, at the horizon
    haze: Colour
    thickness: float  # share of the haze at the horizon
    lamps: bool
    noise: float  # standard deviation, grey levels
    blur: float = 0.5  # pixels


LIGHTS = {
    "day": Light((1.0, 1.0, 0.98), ((96, 156, 222), (206, 224, 238)), (204, 220, 234), 0.18, False, 3.0),
    "overcast": Light((0.86, 0.88, 0.9), ((168, 176, 184), (206, 210, 214)), (200, 206, 212), 0.25, False, 4.0),
    "dusk": Light((0.82, 0.64, 0.62), ((74, 74, 132), (244, 164, 104)), (206, 148, 122), 0.22, True, 5.0),
    "night": Light((0.5, 0.52, 0.64), ((24, 28, 58), (64, 66, 100)), (62, 66, 96), 0.2, True, 5.0),
    "haze": Light((0.92, 0.92, 0.9), ((190, 194, 196), (218, 218, 214)), (214, 214, 210), 0.6, False, 4.0),
}
SHARES = {"day": 0.54, "overcast": 0.24, "dusk": 0.12, "night": 0.05, "haze": 0.05}


def draw_light(rng: np.random.Generator) -> Light:
    """One light by its share, a little brighter or darker, warmer or colder, sharper or softer."""
    light = LIGHTS[rng.choice(list(SHARES), p=list(SHARES.values()))]
    gain, warmth = rng.uniform(0.85, 1.12), rng.uniform(-0.05, 0.05)
    red, green, blue = light.tint
    return replace(
        light,
        tint=(red * gain * (1 + warmth), green * gain, blue * gain * (1 - warmth)),
        sky=(shade(light.sky[0], rng.uniform(0.85, 1.1)), shade(light.sky[1], rng.uniform(0.9, 1.05))),
        thickness=light.thickness * rng.uniform(0.6, 1.2),
        noise=light.noise * rng.uniform(0.6, 1.4),
        blur=float(rng.choice([0.35, 0.5, 0.7, 1.0], p=[0.35, 0.35, 0.2, 0.1])),
    )
