"""How many photos a second the predictor looks at: in batches, in half precision; and large photos whole and in tiles.

    python -m benchmarks.demo --config-file output/demo/config.yaml --weights output/demo/model_final.pth \
        --dataset datasets/sample --output output/benchmark_demo

The large photos are test photos of the dataset side by side, in a square. Pictures are not drawn. Recall is the share
of the annotated instances that are found; precision that of the found ones that are right, by class and a mask IoU of
at least .50.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from tabulate import tabulate

from dataset_tools.formats.card import read_card
from dataset_tools.formats.coco import read_split
from dataset_tools.geometry.masks import fill_polygons
from dataset_tools.geometry.rle import Rle, decode
from polymask.inference.detections import Detection, PlacedMask, place, shared_area
from polymask.inference.predictor import Predictor, predictor_config, read_photo
from polymask.inference.tiles import detect_in_tiles
from polymask.known_warnings import silence_known_warnings

Detect = Callable[[Sequence[np.ndarray]], list[list[Detection]]]
CONFIDENCE = 0.5
MATCH = 0.5


@dataclass(frozen=True)
class Outcome:
    """What looking at some photos came to; recall and precision in percent."""

    name: str
    photos_a_second: float
    times_the_first: float
    instances: int
    recall: float
    precision: float


@dataclass(frozen=True)
class Annotated:
    """A photo, and (class from 0, mask) of what is on it."""

    pixels: np.ndarray
    truth: list[tuple[int, PlacedMask]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config-file", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--photos", type=int, default=32, help="of the test split (default: %(default)s)")
    parser.add_argument("--side", type=int, default=4, help="photos in a row of a large one (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="of which the median counts (default: %(default)s)")
    parser.add_argument("--tile", type=int, help="px (default: the shorter side of a photo)")
    parser.add_argument("--overlap", type=float, default=0.2, help="of the tiles (default: %(default)s)")
    args = parser.parse_args()
    silence_known_warnings()
    cfg = predictor_config(args.config_file, ["MODEL.WEIGHTS", str(args.weights)], CONFIDENCE)
    whole, half = Predictor(cfg), Predictor(cfg, half=True)
    photos = read_photos(args.dataset, args.photos)
    ways = {
        "batch 1": partial(in_batches, whole.detect, size=1),
        "batch 4": partial(in_batches, whole.detect, size=4),
        "batch 1, half": partial(in_batches, half.detect, size=1),
        "batch 4, half": partial(in_batches, half.detect, size=4),
    }
    speed = measured(ways, photos, args.rounds)
    large = mosaics(photos, args.side)
    side = args.tile or min(photos[0].pixels.shape[:2])
    tiled = partial(detect_in_tiles, whole.detect, side=side, overlap=args.overlap, batch_size=4)
    ways = {
        "whole": whole.detect,
        f"tiles of {side} px, {args.overlap:.0%} overlap": lambda pictures: [tiled(picture) for picture in pictures],
    }
    tiles = measured(ways, large, args.rounds)
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {torch.get_num_threads()} threads"
    print(f"\n{device}, torch {torch.__version__}")
    for title, outcomes, some in (("photos", speed, photos), ("large photos", tiles, large)):
        height, width = some[0].pixels.shape[:2]
        print(f"\n{len(some)} {title}, {width} x {height} px:\n")
        print(tabulate([asdict(outcome) for outcome in outcomes], headers="keys", tablefmt="pipe", floatfmt=".2f"))
    args.output.mkdir(parents=True, exist_ok=True)
    content = {"device": device, "photos": [asdict(o) for o in speed], "tiles": [asdict(o) for o in tiles]}
    (args.output / "demo.json").write_text(json.dumps(content, indent=2) + "\n")


def read_photos(dataset: Path, most: int) -> list[Annotated]:
    """Test photos of the commonest size."""
    card = read_card(dataset)
    split = read_split(dataset, card, "test")
    size = statistics.mode((image.width, image.height) for image in split.images)
    chosen = [image for image in split.images if (image.width, image.height) == size][:most]
    return [
        Annotated(
            read_photo(dataset / card.image_root / image.file_name),
            [
                (annotation.category_id - 1, mask_of(annotation.segmentation, size))
                for annotation in split.annotations
                if annotation.image_id == image.id
            ],
        )
        for image in chosen
    ]


def mask_of(segmentation: Rle | list[list[float]], size: tuple[int, int]) -> PlacedMask:
    if isinstance(segmentation, Rle):
        return place(decode(segmentation))
    return place(fill_polygons([np.array(polygon).reshape(-1, 2) for polygon in segmentation], size))


def mosaics(photos: Sequence[Annotated], side: int) -> list[Annotated]:
    """Large photos of side x side photos each; what is left over is left out."""
    height, width = photos[0].pixels.shape[:2]
    large = []
    for start in range(0, len(photos) - side**2 + 1, side**2):
        some = photos[start : start + side**2]
        rows = [np.hstack([photo.pixels for photo in some[row : row + side]]) for row in range(0, side**2, side)]
        truth = [
            (category, mask.moved(number % side * width, number // side * height))
            for number, photo in enumerate(some)
            for category, mask in photo.truth
        ]
        large.append(Annotated(np.vstack(rows), truth))
    return large


def in_batches(detect: Detect, photos: Sequence[np.ndarray], size: int) -> list[list[Detection]]:
    return [found for start in range(0, len(photos), size) for found in detect(photos[start : start + size])]


def measured(ways: dict[str, Detect], photos: Sequence[Annotated], rounds: int) -> list[Outcome]:
    """Each way once in each round, so that all have the same machine; and once before, to warm up."""
    pixels = [photo.pixels for photo in photos]
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    found = {name: look(pixels) for name, look in ways.items()}
    for _ in range(rounds):
        for name, look in ways.items():
            start = time.perf_counter()
            look(pixels)
            seconds[name].append(time.perf_counter() - start)
    first = next(iter(ways))
    outcomes = []
    for name in ways:
        ratio = statistics.median(a / b for a, b in zip(seconds[first], seconds[name], strict=True))
        speed, instances = len(photos) / statistics.median(seconds[name]), sum(map(len, found[name]))
        outcomes.append(Outcome(name, speed, ratio, instances, *recall_and_precision(photos, found[name])))
    return outcomes


def recall_and_precision(photos: Sequence[Annotated], found: Sequence[Sequence[Detection]]) -> tuple[float, float]:
    matched = 0
    for photo, detections in zip(photos, found, strict=True):
        free = list(photo.truth)
        for detection in detections:
            hit = next((t for t in free if t[0] == detection.category and is_match(t[1], detection.mask)), None)
            if hit is not None:
                matched += 1
                free.remove(hit)
    annotated, detected = sum(len(photo.truth) for photo in photos), sum(map(len, found))
    return 100 * matched / max(1, annotated), 100 * matched / max(1, detected)


def is_match(first: PlacedMask, second: PlacedMask) -> bool:
    shared = shared_area(first, second)
    return shared > 0 and shared >= MATCH * (first.area + second.area - shared)


if __name__ == "__main__":
    main()
