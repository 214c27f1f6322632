"""How many planted mistakes ``python -m polymask review`` finds.

    python -m benchmarks.review [FOLDER] [--seeds 3] [--folds 2] [--minutes 30] [--opts KEY VALUE ...]

Into a copy of a LabelMe folder (default: the sample) mistakes of all kinds are planted together, each in 4 % of the objects
that are one polygon or rectangle: one removed, its label swapped, its outline moved by 5 to 15 % of its width, drawn twice
(2 % of its width apart), or drawn again where nothing is. ``train_net.py --folds`` then predicts every photo by a model that
has not seen it. A suspect is right if a mistake of its kind that no earlier suspect has is in its photo, with an IoU of the
boxes of .5. hotcoco's candidates for missing objects and wrong classes, from the same predictions, are scored beside ours.
The command stops after --minutes, goes on when it is repeated, and keeps what it has measured in --results.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import hotcoco
import numpy as np
import pycocotools.mask
from tabulate import tabulate

from dataset_tools.dataset.convert import ConvertOptions, convert
from polymask.evaluation.read import read_detections, read_truth
from polymask.report.run import read_run
from polymask.review.suspects import KINDS, find_suspects

PROJECT = Path(__file__).resolve().parents[1]
SHARE, FIRST = 0.04, 20
HOTCOCO = {"missing_annotation": "missing", "wrong_label": "wrong class"}  # its words for our kinds


class Mistake(NamedTuple):
    """What was planted in a photo, whose path is relative to the folder, and where: XYWH in px."""

    kind: str
    photo: str
    box: Sequence[float]


def plant(files: dict[str, Any], seed: int) -> tuple[dict[str, Any], list[Mistake]]:
    """LabelMe files by their paths, with mistakes in them, and the mistakes."""
    rng, files, planted = np.random.default_rng(seed), copy.deepcopy(files), []
    shapes = [(name, shape) for name in sorted(files) for shape in files[name]["shapes"]]
    labels = sorted({shape["label"] for _, shape in shapes})
    outlined = [pair for pair in shapes if pair[1].get("shape_type") in ("polygon", "rectangle", None)]
    whole = [pair for pair in outlined if pair[1].get("group_id") is None]
    chosen = rng.permutation(len(whole))[: len(KINDS) * max(1, round(SHARE * len(whole)))]
    for place, kind in zip(chosen.tolist(), KINDS * len(chosen)):
        name, shape = whole[place]
        new, box = shape, _box(shape)
        if kind == "wrong class" and len(labels) > 1:
            new = shape | {"label": rng.choice([label for label in labels if label != shape["label"]]).item()}
        elif kind in ("bad outline", "duplicate"):
            far, angle = box[2] * (0.02 if kind == "duplicate" else rng.uniform(0.05, 0.15)), rng.uniform(0, 2 * np.pi)
            new = _moved(shape, far * np.cos(angle), far * np.sin(angle))
        elif kind == "unsupported":
            name, new = _elsewhere(shape, files, rng)
        there = files[name]["shapes"]
        if kind in ("missing", "wrong class", "bad outline"):
            there[:] = [other for other in there if other is not shape]
        if kind != "missing":
            there.insert(int(rng.integers(len(there) + 1)), new)
        if kind == "missing" or new is not shape:
            planted.append(Mistake(kind, (Path(name).parent / files[name]["imagePath"]).as_posix(), _box(new)))
    return files, planted


def _box(shape: dict[str, Any]) -> list[float]:
    points = np.array(shape["points"])
    return [*points.min(axis=0).tolist(), *np.ptp(points, axis=0).tolist()]


def _moved(shape: dict[str, Any], right: float, down: float) -> dict[str, Any]:
    return shape | {"points": (np.array(shape["points"]) + (right, down)).tolist()}


def _elsewhere(shape: dict[str, Any], files: dict[str, Any], rng: np.random.Generator) -> tuple[str, dict[str, Any]]:
    """A shape moved to where no other's box is, in any photo that it fits into; where it is, if none has room."""
    x, y, width, height = _box(shape)
    for name in rng.choice(sorted(files), 10_000).tolist():
        room = files[name]["imageWidth"] - width, files[name]["imageHeight"] - height
        new = _moved(shape, rng.uniform(0, max(0, room[0])) - x, rng.uniform(0, max(0, room[1])) - y)
        if min(room) >= 0 and not any(_iou(_box(other), _box(new)) for other in files[name]["shapes"]):
            return name, new
    return name, shape


def _iou(one: Sequence[float], other: Sequence[float]) -> float:
    return pycocotools.mask.iou(np.array([one]), np.array([other]), [False]).item()


def score(found: Sequence[Mistake], planted: Sequence[Mistake]) -> dict[str, dict[str, float]]:
    """Precision of the first 20 of a list, and recall of twice as many as were planted: of each kind, and of all."""
    left, right = list(planted), []
    for suspect in found:
        same = [one for one in left if one[:2] == suspect[:2] and _iou(one.box, suspect.box) >= 0.5][:1]
        right.append(bool(same))
        left = [one for one in left if one not in same]
    scores = {}
    for kind in (*KINDS, "all"):
        hits = [hit for suspect, hit in zip(found, right) if kind in (suspect.kind, "all")]
        number = sum(kind in (mistake.kind, "all") for mistake in planted)
        precision, recall = sum(hits[:FIRST]) / len(hits[:FIRST] or [0]), sum(hits[: 2 * number]) / max(1, number)
        scores[kind] = {"planted": number, "precision": precision, "recall": recall}
    return scores


def predict(dataset: Path, run: Path, minutes: float, options: Sequence[str]) -> bool:
    """Trains the folds, or goes on with them; False if that takes longer than ``minutes``."""
    resume = ["--resume"] if run.exists() else []
    if minutes <= 0:
        return False
    command = [sys.executable, "train_net.py", "--config-file", "configs/mini_scratch.yaml", *resume, *options]
    values = ["DATASETS.ROOT", str(dataset), "OUTPUT_DIR", str(run)]
    training = subprocess.Popen([*command, *values], cwd=PROJECT, start_new_session=True)
    try:
        if code := training.wait(60 * minutes):
            raise SystemExit(code)
    except subprocess.TimeoutExpired:
        os.killpg(training.pid, signal.SIGINT)  # it saves its state
        training.wait()
        return False
    return True


def hotcoco_candidates(truth: Path, detections: Path) -> list[Mistake]:
    """What hotcoco takes for mistakes of annotations by its own defaults, the most confident detection first.

    Args:
        truth: COCO annotations; the photo of a mistake is its ``file_name`` there.
        detections: COCO results on these.
    """
    annotated = hotcoco.COCO(str(truth))
    found = annotated.load_res(str(detections))
    evaluation = hotcoco.COCOeval(annotated, found, "segm")
    evaluation.evaluate()
    photos = {photo["id"]: photo["file_name"] for photo in json.loads(truth.read_text())["images"]}
    candidates = sorted(evaluation.image_diagnostics()["label_errors"], key=lambda one: -one["dt_score"])
    boxes = [found.load_anns([one["dt_id"]])[0]["bbox"] for one in candidates]
    return [Mistake(HOTCOCO[one["type"]], photos[one["image_id"]], box) for one, box in zip(candidates, boxes)]


def measure(
    folder: Path, work: Path, seed: int, minutes: float, options: Sequence[str]
) -> dict[str, dict[str, dict[str, float]]] | None:
    """The scores of a seed, polymask's and hotcoco's; None where the trainings are not done after ``minutes``."""
    copied, dataset, run = work / "planted", work / "dataset", work / "run"
    paths = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*.json"))]
    files, planted = plant({path: json.loads((folder / path).read_text()) for path in paths}, seed)
    if not dataset.exists():
        shutil.copytree(folder, copied, dirs_exist_ok=True)
        for path, content in files.items():
            (copied / path).write_text(json.dumps(content))
        convert(ConvertOptions(source=copied, output=dataset, name="planted"))
    if not (run / "results.json").exists() and not predict(dataset, run, minutes, [*options, "SEED", str(seed)]):
        return None
    record = read_run(run)
    truth, root = read_truth(record.truth_of("test")), record.dataset_folder / record.card.image_root
    suspects = find_suspects(truth, read_detections(record.detections_of("test"), truth))
    lists = {
        "polymask": [Mistake(one.kind, truth.photos[one.photo].file_name, one.box) for one in suspects],
        "hotcoco": hotcoco_candidates(record.truth_of("test"), record.detections_of("test")),
    }
    return {name: score([_in_folder(one, root, copied) for one in found], planted) for name, found in lists.items()}


def _in_folder(mistake: Mistake, root: Path, folder: Path) -> Mistake:
    """The same, its photo no longer relative to ``root`` but to ``folder``."""
    return mistake._replace(photo=Path(os.path.relpath(root / mistake.photo, folder)).as_posix())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=PROJECT / "data/sample")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--folds", default="2")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--output", type=Path, default=PROJECT / "output/review")
    parser.add_argument("--results", type=Path, default=PROJECT / "benchmarks/review.json")
    parser.add_argument("--opts", nargs=argparse.REMAINDER, default=[])
    args = parser.parse_args()
    options, folder = ["--folds", args.folds, *args.opts], args.folder.resolve()
    end = time.monotonic() + 60 * args.minutes
    measured = json.loads(args.results.read_text()) if args.results.exists() else {}
    own = measured.setdefault(" ".join([folder.name, *options]), {})
    for seed in map(str, range(args.seeds)):
        if seed not in own:
            work = args.output.resolve() / f"{folder.name}_{sha256(repr(options).encode()).hexdigest()[:8]}_{seed}"
            if not (scores := measure(folder, work, int(seed), (end - time.monotonic()) / 60, options)):
                raise SystemExit(
                    f"Seed {seed} is not done after {args.minutes:g} minutes: repeat the command to go on."
                )
            own[seed] = scores
            args.results.write_text(json.dumps(measured, indent=2) + "\n")
    print(to_table(list(own.values())))


def to_table(seeds: Sequence[dict[str, dict[str, dict[str, float]]]]) -> str:
    """Markdown: the mean over seeds of each kind, with the lowest and the highest; both tools, if both know the kind."""
    rows = []
    for kind in (*KINDS, "all"):
        cells = [_over_seeds([seed["polymask"][kind]["planted"] for seed in seeds], "g")]
        for tool in ("polymask", "hotcoco"):
            known = tool == "polymask" or kind in HOTCOCO.values()
            values = [[seed[tool][kind][name] for seed in seeds] for name in ("precision", "recall")]
            cells += [
                _over_seeds(column, ".2f") if known and seeds[0][tool][kind]["planted"] else "" for column in values
            ]
        rows.append([kind, *cells])
    precision, recall = f"precision of the first {FIRST}", "recall at twice the number planted"
    headers = ("kind", "planted", precision, recall, f"hotcoco: {precision}", f"hotcoco: {recall}")
    return tabulate(rows, headers, tablefmt="pipe", disable_numparse=True)


def _over_seeds(values: Sequence[float], form: str) -> str:
    low, high = min(values), max(values)
    return f"{fmean(values):{form}}" + (f" ({low:{form}} to {high:{form}})" if low < high else "")


if __name__ == "__main__":
    main()
