"""How long the report on a run takes after its inference, and how large the page is.

    python -m benchmarks.report [--photos 1000]

The run is generated: photos of noise with 7 objects each, 100 detections in each (benchmarks/generated_results.py), and
a quarter as many photos in VAL.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from benchmarks.generated_results import SIZE, Amount, generated_results
from dataset_tools.formats.card import CARD_NAME, Card, SplitSummary, encode_card
from dataset_tools.formats.coco import CocoFile, categories_of, encode_coco, read_coco
from polymask.config.load import load_config
from polymask.config.resolve import resolve_dataset
from polymask.evaluation.coco import detections_file
from polymask.known_warnings import silence_known_warnings
from polymask.report.write import write_report

NAME = "generated"
OBJECTS, DETECTIONS, CLASSES = 7, 100, 5  # of objects and detections in a photo
ITERATIONS = 10_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=1000, help="of the test split (default: %(default)s)")
    args = parser.parse_args()
    silence_known_warnings()
    with tempfile.TemporaryDirectory() as folder:
        run = generated_run(Path(folder), args.photos)
        begin, begin_of_work = time.perf_counter(), time.process_time()
        page = write_report(run)
        seconds, work = time.perf_counter() - begin, time.process_time() - begin_of_work
        size = page.stat().st_size / 1e6
        print(f"{args.photos} test photos: {seconds:.1f} s ({work:.1f} s of CPU), {size:.1f} MB")


def generated_run(folder: Path, photos: int) -> Path:
    """A run's folder with detections on TEST and VAL, and curves, but without weights."""
    dataset, run = folder / "dataset", folder / "run"
    (dataset / "photos").mkdir(parents=True)
    run.mkdir()
    classes = [f"class {index + 1}" for index in range(CLASSES)]
    (dataset / "train.json").write_bytes(encode_coco(CocoFile([], [], categories_of(classes))))
    summaries = {"train": SplitSummary("train.json", 0, 0)}
    for split, count in (("val", photos // 4), ("test", photos)):
        amount = Amount(count, count * OBJECTS, DETECTIONS, CLASSES)
        truth, found = generated_results(folder / "results", amount)
        shutil.copy(truth, dataset / f"{split}.json")
        target = detections_file(run, f"{NAME}_{split}")
        target.parent.mkdir(parents=True)
        shutil.copy(found, target)
        content = read_coco(truth)
        summaries[split] = SplitSummary(f"{split}.json", len(content.images), len(content.annotations))
    _write_photos(dataset / "photos", [image.file_name for image in content.images])  # VAL's have the same names
    card = Card(NAME, classes, "photos", "polygon", summaries)
    (dataset / CARD_NAME).write_bytes(encode_card(card))
    cfg = load_config("configs/mini_scratch.yaml", ["DATASETS.ROOT", str(dataset), "OUTPUT_DIR", str(run)])
    resolve_dataset(cfg, card)
    (run / "config.yaml").write_text(cfg.dump())
    rows = (f"{i},0.001,{2 / (1 + i / 1000):.4f},{1 / (1 + i / 1000):.4f}" for i in range(ITERATIONS))
    (run / "history.csv").write_text("\n".join(["iteration,lr,total_loss,loss_mask", *rows]) + "\n")
    return run


def _write_photos(folder: Path, names: list[str]) -> None:
    """Photos of blurred noise, which JPEG cannot make small."""
    rng = np.random.default_rng(0)
    for name in tqdm(names, desc="Drawing photos", unit="photo", disable=None):
        noise = rng.integers(0, 256, (SIZE[1] // 4, SIZE[0] // 4, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / name), cv2.resize(noise, SIZE))


if __name__ == "__main__":
    main()
