"""Draws the embedded sample: street scenes with cars and sign boards, as a LabelMe folder.

    python data/sample/generate.py --output DIR [--seed 7] [--train 260] [--val 20] [--test 40]

The defaults reproduce the sample beside this file. Needs numpy, Pillow and shapely.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path

from PIL import Image
from street.annotate import annotation
from street.render import render
from street.scene import SPLITS, compose

SEED = 7
COUNTS = {"train": 260, "val": 20, "test": 40}
JPEG_QUALITY = 88
# Two photos are stored as phones do it: turned, with an EXIF orientation that turns them back.
STORED_TURNED = {("train", 17): 6, ("test", 9): 8}
EXIF_ORIENTATION = 0x0112
UNTURN = {6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}


def main() -> None:
    """Parses the command line, draws every split, prints a summary."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="gets train, val and test")
    parser.add_argument("--seed", type=int, default=SEED, help="default: %(default)s")
    for split in SPLITS:
        parser.add_argument(f"--{split}", type=int, default=COUNTS[split], metavar="N", help="default: %(default)s")
    arguments = parser.parse_args()
    rows = []
    for split in SPLITS:
        count = getattr(arguments, split)
        records = [write_scene(arguments.output / split, arguments.seed, split, index) for index in range(count)]
        rows.append((split, summary(records)))
    print_table(rows)


def write_scene(folder: Path, seed: int, split: str, index: int) -> dict:
    """Writes one photo and its annotation; returns the annotation."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"scene_{split}_{index + 1:04d}"
    scene = compose(seed, split, index)
    write_photo(Image.fromarray(render(scene)), folder / f"{stem}.jpg", STORED_TURNED.get((split, index), 1))
    record = annotation(scene, f"{stem}.jpg")
    text = json.dumps(record, indent=2, ensure_ascii=False)
    (folder / f"{stem}.json").write_text(text + "\n", encoding="utf-8", newline="\n")
    return record


def write_photo(photo: Image.Image, path: Path, orientation: int) -> None:
    """Saves as JPEG; with an orientation other than 1 the pixels are stored turned."""
    if orientation == 1:
        photo.save(path, quality=JPEG_QUALITY)
        return
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    photo.transpose(UNTURN[orientation]).save(path, quality=JPEG_QUALITY, exif=exif)


def summary(records: list[dict]) -> Counter[str]:
    """Counts photos and instances: an instance is a shape, or the shapes of one (label, group_id)."""
    counts = Counter()
    for record in records:
        parts = Counter(
            (shape["label"], shape["group_id"], number if shape["group_id"] is None else None)
            for number, shape in enumerate(record["shapes"])
        )
        labels = {label for label, _, _ in parts}
        counts["photos"] += 1
        counts["negatives"] += not labels
        counts["mixed"] += len(labels) > 1
        counts["in several parts"] += sum(pieces > 1 for pieces in parts.values())
        counts["rectangles"] += sum(shape["shape_type"] == "rectangle" for shape in record["shapes"])
        counts.update(label for label, _, _ in parts)
    return counts


def print_table(rows: list[tuple[str, Counter[str]]]) -> None:
    """Prints the counts as a Markdown table."""
    columns = ("photos", "Car", "Sign Board", "negatives", "mixed", "in several parts", "rectangles")
    print("| split | " + " | ".join(columns) + " |")
    print("|---|" + "--:|" * len(columns))
    for split, counts in rows:
        print(f"| {split} | " + " | ".join(str(counts[column]) for column in columns) + " |")


if __name__ == "__main__":
    main()
