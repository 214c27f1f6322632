"""Photos that ``suggest`` chooses against photos drawn by lot, on a dataset whose annotations stand in for a person.

    python -m benchmarks.suggest --dataset datasets/sample --output output/suggest [--seeds 5] [--images 400]
        [--start 40] [--top 40] [KEY VALUE ...]

For each seed a mini network is trained on a few photos of the train split; ``suggest`` chooses among the others; and a
new network is trained from scratch on the first photos and the chosen ones, and another one on the first photos and as
many drawn by lot. Both have the same seed and see as many images. What counts is the mask AP on the test split, and the
difference within each seed. Each training is a process of its own with one thread; what has been trained is not trained
again when the command is repeated.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tabulate import tabulate

from benchmarks.recipes import T_95, Job, mask_ap, mean_of_seeds, run_jobs
from benchmarks.subsets import photos_of, write_dataset
from dataset_tools.errors import UserError
from dataset_tools.formats.card import read_card
from dataset_tools.formats.coco import read_split
from polymask.inference.predictor import Predictor, predictor_config
from polymask.known_warnings import silence_known_warnings
from polymask.review.features import Observer
from polymask.review.pool import photos_of_run
from polymask.review.suggest import LOWEST_SCORE, WEIGHTS_NAME, apply_to_photos, rank

START, SUGGESTED, RANDOM = "start", "suggested", "random"


@dataclass(frozen=True)
class Plan:
    """What all seeds have in common.

    Args:
        dataset: the dataset folder.
        output: where everything goes.
        images: that each training sees.
        start, top: how many photos at first, and how many more.
        overrides: KEY VALUE pairs.
    """

    dataset: Path
    output: Path
    images: int
    start: int
    top: int
    overrides: tuple[str, ...]

    def folder(self, seed: int) -> Path:
        """Where a seed's trainings go; other numbers have others, since what is there is not trained again."""
        return self.output / f"images{self.images}_start{self.start}_top{self.top}_seed{seed}"


def shuffled(plan: Plan, seed: int) -> tuple[list[int], list[int]]:
    """The ids of the photos to start with, and of the others in the order of the lot."""
    content = read_split(plan.dataset, read_card(plan.dataset), "train")
    if len(content.images) < plan.start + plan.top:
        raise UserError(
            f"there are {len(content.images)} training photos, and {plan.start} + {plan.top} are to be chosen",
            file=plan.dataset,
            remedy="Choose a smaller --start or --top",
        )
    order = np.random.default_rng(seed).permutation([image.id for image in content.images]).tolist()
    return order[: plan.start], order[plan.start :]


def subset(plan: Plan, folder: Path, ids: list[int]) -> Path:
    """A dataset folder with these training photos, and the whole of val and test."""
    card = read_card(plan.dataset)
    splits = {split: read_split(plan.dataset, card, split) for split in card.splits}
    splits["train"] = photos_of(splits["train"], set(ids))
    return write_dataset(folder, f"{folder.parent.name}_{folder.name}", splits, plan.dataset, card)


def job_of(plan: Plan, seed: int, name: str, ids: list[int]) -> Job:
    """The training on these photos."""
    folder = plan.folder(seed)
    overrides = (
        "DATASETS.ROOT", str(subset(plan, folder / name, ids)), "SOLVER.MAX_ITER", str(plan.images), "SEED", str(seed),
        "SOLVER.IMS_PER_BATCH", "1", "DATALOADER.NUM_WORKERS", "0", "TEST.EVAL_PERIOD", "0",
        "SOLVER.CHECKPOINT_PERIOD", str(plan.images), *plan.overrides,
    )  # fmt: skip
    return Job(name, "", seed, folder / f"run_{name}", overrides, keeps_weights=name == START)


def chosen(plan: Plan, seed: int, run: Path, pool: list[int]) -> list[int]:
    """The ids of the photos that ``suggest`` chooses from the pool with the model of a run."""
    written = plan.folder(seed) / "suggested.json"
    if not written.exists():
        card = read_card(plan.dataset)
        root = plan.dataset / card.image_root
        names = {image.file_name: image.id for image in read_split(plan.dataset, card, "train").images}
        cfg = predictor_config(run / "config.yaml", ["MODEL.WEIGHTS", str(run / WEIGHTS_NAME)], LOWEST_SCORE)
        observer = Observer(Predictor(cfg))
        known, _ = apply_to_photos(
            observer.features, [str(path) for path in photos_of_run(cfg)], Path(), "annotated photos"
        )
        photos = sorted(name for name, number in names.items() if number in set(pool))
        observations, unreadable = apply_to_photos(observer.observe, photos, root, "others")
        if unreadable:
            raise UserError(unreadable[0].why, file=root / unreadable[0].photo, remedy="Repair it")
        points = [*known, *observations]
        written.write_text(json.dumps([names[points[pick.index]] for pick in rank(observations, known, plan.top)]))
    return json.loads(written.read_text())


def instances_of(job: Job) -> int:
    """How many annotated objects a training has had."""
    return read_card(job.folder.parent / job.recipe).splits["train"].instances


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=5, choices=range(1, max(T_95) + 2), help="how many (default: 5)")
    parser.add_argument("--images", type=int, default=400, help="that each training sees (default: %(default)s)")
    parser.add_argument("--start", type=int, default=40, help="photos at first (default: %(default)s)")
    parser.add_argument("--top", type=int, default=40, help="photos that are added (default: %(default)s)")
    parser.add_argument("opts", nargs=argparse.REMAINDER, metavar="KEY VALUE", help="for all trainings")
    args = parser.parse_args()
    silence_known_warnings()
    plan = Plan(args.dataset, args.output, args.images, args.start, args.top, tuple(args.opts))
    seeds = range(1, args.seeds + 1)
    photos = {seed: shuffled(plan, seed) for seed in seeds}
    starts = {seed: job_of(plan, seed, START, first) for seed, (first, _) in photos.items()}
    results = run_jobs(list(starts.values()))
    jobs = {(seed, START): job for seed, job in starts.items()}
    for seed, (first, pool) in photos.items():
        suggested = chosen(plan, seed, starts[seed].folder, pool)
        jobs[seed, SUGGESTED] = job_of(plan, seed, SUGGESTED, first + suggested)
        jobs[seed, RANDOM] = job_of(plan, seed, RANDOM, first + pool[: plan.top])
    results |= run_jobs([job for (_, name), job in jobs.items() if name != START])
    report(plan, jobs, {key: mask_ap(results[job], "test") for key, job in jobs.items()})


def report(plan: Plan, jobs: dict[tuple[int, str], Job], aps: dict[tuple[int, str], float]) -> None:
    """Prints the mask AP of each training, and the differences; writes both as JSON."""
    seeds = sorted({seed for seed, _ in aps})
    rows = [
        {"seed": seed}
        | {f"{name}, mask AP": aps[seed, name] for name in (START, RANDOM, SUGGESTED)}
        | {f"{name}, objects": instances_of(jobs[seed, name]) for name in (START, RANDOM, SUGGESTED)}
        for seed in seeds
    ]
    print(tabulate(rows, headers="keys", tablefmt="pipe", floatfmt=".1f"), "\n")
    differences = [aps[seed, SUGGESTED] - aps[seed, RANDOM] for seed in seeds]
    print(f"{SUGGESTED} minus {RANDOM}, paired by seed: {mean_of_seeds(differences)}")
    (plan.output / "suggest.json").write_text(json.dumps({"rows": rows, "differences": differences}, indent=2) + "\n")


if __name__ == "__main__":
    main()
