"""A cross-validation: a training for each fold, what they found on the photos held out as one run, and a final training."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import msgspec
import torch.distributed as dist
from detectron2.config import CfgNode
from tabulate import tabulate

from dataset_tools.catalog import register
from dataset_tools.dataset.folds import Folds
from dataset_tools.errors import UserError
from dataset_tools.files import read_file
from dataset_tools.formats.card import read_card
from dataset_tools.text import LONGEST_CELL, one_line
from polymask.config.load import load_config
from polymask.engine.hooks.checkpoints import FINAL_NAME
from polymask.engine.hooks.final_evaluation import report
from polymask.engine.launch import RunCommandLine, check_size, launch_each
from polymask.engine.run_files import (
    CONFIG_NAME,
    FOLDS_CONFIG_NAME,
    command_line,
    read_facts,
    write_config,
    write_facts,
)
from polymask.engine.run_folder import FINAL
from polymask.engine.setup import setup_folds
from polymask.evaluation.coco import MaskAPEvaluator, Metrics, detections_file
from polymask.evaluation.counting import count
from polymask.evaluation.intervals import intervals
from polymask.evaluation.matches import matches_of
from polymask.evaluation.read import read_detections, read_truth
from polymask.evaluation.results import RESULTS_NAME, percent, read_results

log = logging.getLogger(__name__)


def cross_validate(run: RunCommandLine, write_report: Callable[[CfgNode], None], args: argparse.Namespace) -> int:
    """``train_net.py --folds K``: trains on all photos but those of a fold, for each fold, and measures all of them.

    ``OUTPUT_DIR/fold_0``, ``fold_1``, ... are ordinary runs. Their held-out photos choose nothing: they are looked at
    once, by the last weights. ``OUTPUT_DIR`` itself becomes a run whose test split are all photos, each with the
    detections of the model that has not seen it. ``--final`` adds ``OUTPUT_DIR/final``, a training on all photos.

    Args:
        run: runs a command line of ``train_net.py``; a function of a module, which other processes can import.
        write_report: writes the report on a run of a configuration.
        args: the command line's.

    Returns:
        The exit code.

    Raises:
        UserError: the flags contradict each other, the folds cannot be made, or the first error of a training.
    """
    _check_flags(args)
    cfg, folds = setup_folds(args)
    output, at_a_time = Path(cfg.OUTPUT_DIR), args.num_gpus or 1
    runs = {part: output / part.name for part in folds.parts}
    log.info("The photos that each fold holds out:\n%s", _folds_table(folds))
    if args.dry_run:
        log.info("What follows is about the first fold, which has no val split: what it holds out chooses nothing.")
        return launch_each(run, [_command_line(cfg, args, *next(iter(runs.items())))], 1)
    done = [folder.name for folder in runs.values() if _is_done(folder)]
    if done:
        log.info("These folds are done already: %s.", ", ".join(done))
    left = [_command_line(cfg, args, part, folder) for part, folder in runs.items() if folder.name not in done]
    if code := launch_each(run, left, at_a_time):
        return code
    pooled = _pool(output, folds, runs)
    write_report(pooled)
    final = output / FINAL
    if args.final and not (final / f"{FINAL_NAME}.pth").exists():
        log.info("Training on all photos ...")
        if code := launch_each(run, [_final_command_line(cfg, args, folds.final, final, [*runs.values()])], 1):
            return code
        log.info(
            "%s has learnt from all photos: the pooled AP of the folds stands for its AP, which is not measured.", final
        )
        write_report(pooled)
    return 0


def _check_flags(args: argparse.Namespace) -> None:
    if args.folds is None:
        raise UserError("--final comes after the trainings of --folds", remedy="Add --folds K, or leave it out")
    if args.eval_only:
        raise UserError("--eval-only trains nothing, and --folds does", remedy="Leave out one of them")
    if dist.is_torchelastic_launched() or (args.num_machines or 1) > 1:
        remedy = "Start it without torchrun and without --num-machines"
        raise UserError("--folds trains each fold in one process of this machine", remedy=remedy)
    check_size("--num-gpus", 1 if args.num_gpus is None else args.num_gpus)


def _is_done(fold: Path) -> bool:
    """Whether its last weights were measured: without them ``results.json`` is about an earlier state."""
    return (fold / RESULTS_NAME).exists() and (fold / f"{FINAL_NAME}.pth").exists()


def _command_line(cfg: CfgNode, args: argparse.Namespace, dataset: Path, folder: Path) -> list[str]:
    """That of a training on the dataset folder of a fold."""
    config_file = Path(cfg.OUTPUT_DIR) / FOLDS_CONFIG_NAME
    return ["--config-file", str(config_file), *_flags(args, folder), *_own_values(cfg, dataset, folder)]


def _flags(args: argparse.Namespace, folder: Path) -> list[str]:
    flags = {"--dry-run": args.dry_run, "--resume": args.resume and folder.exists()}
    return [flag for flag, is_given in flags.items() if is_given]


def _own_values(cfg: CfgNode, dataset: Path, folder: Path) -> list[str]:
    """KEY VALUE pairs of a training on one of the dataset folders."""
    own = {
        "MODEL.DEVICE": cfg.MODEL.DEVICE,
        "DATASETS.ROOT": str(dataset),
        **{f"DATASETS.{split}": "()" for split in ("TRAIN", "VAL", "TEST")},
        "TEST.EARLY_STOPPING_PATIENCE": "0",  # there is no VAL, which would choose
        "OUTPUT_DIR": str(folder),
    }
    return [word for pair in own.items() for word in pair]


def _folds_table(folds: Folds) -> str:
    """Photos and objects of the test split of each fold."""
    rows = []
    for part in folds.parts:
        held_out = read_card(part).splits["test"]
        counts = {one_line(name, LONGEST_CELL): number for name, number in held_out.instances_per_class.items()}
        rows.append({"": part.name, "photos": held_out.images} | counts)
    return tabulate(rows, headers="keys", tablefmt="pipe")


def _pool(output: Path, folds: Folds, runs: Mapping[Path, Path]) -> CfgNode:
    """Makes the output folder a run whose test split are all photos, and returns its configuration."""
    dataset, truth = f"{register(folds.pooled).name}_test", read_truth(folds.pooled / "test.json")
    found: list[dict] = []
    results: dict[str, Metrics] = {}
    for part, folder in runs.items():
        file = detections_file(folder, f"{read_card(part).name}_test")
        read_detections(file, read_truth(part / "test.json"))  # refuses what is not about the photos of this fold
        found += msgspec.json.decode(read_file(file))
        results |= read_results(folder / RESULTS_NAME)
    pooled = MaskAPEvaluator(dataset, detections_file(output, dataset).parent).measure(found)
    cfg = load_config(next(iter(runs.values())) / CONFIG_NAME, [])
    cfg.DATASETS.ROOT, cfg.OUTPUT_DIR = str(folds.pooled), str(output)
    cfg.DATASETS.TRAIN, cfg.DATASETS.TEST = (), (dataset,)
    write_config(cfg)
    _write_facts(output, runs.values())
    report({dataset: pooled} | results, output)
    detections, photos = read_detections(found, truth), len(truth.photos)
    for name, task in (("Mask", "segm"), ("Box", "bbox")):
        spread = intervals(matches_of(count(truth, detections, task)))[-1].get("AP")
        ap = percent(pooled[task]["AP"]) + (f" (95 %: {spread.low:.1f} to {spread.high:.1f})" if spread else "")
        own = ", ".join(percent(metrics[task]["AP"]) for metrics in results.values())
        log.info("%s AP of all %d photos: %s; of the folds: %s.", name, photos, ap, own)
    return cfg


def _write_facts(output: Path, runs: Collection[Path]) -> None:
    """What all trainings together took."""
    facts = [found for folder in runs if (found := read_facts(folder))]
    earlier = read_facts(output)
    together = msgspec.structs.replace(
        facts[0],
        command_lines=(*(earlier.command_lines if earlier else ()), command_line()),
        iterations=sum(own.iterations for own in facts),
        training_seconds=sum(own.training_seconds for own in facts),
        evaluation_seconds=sum(own.evaluation_seconds or 0 for own in facts),
        peak_memory_gib=max(own.peak_memory_gib for own in facts),
    )
    write_facts(output, together)


def _final_command_line(
    cfg: CfgNode, args: argparse.Namespace, dataset: Path, folder: Path, runs: Sequence[Path]
) -> list[str]:
    """That of a training on all photos that sees each as often as the folds do: each is in all folds but one.

    The rest is as in the first fold, whose configuration has iterations where the user has given epochs or minutes. The
    pooled run has a copy of it. ``--resume`` would take the states beside the first fold's for those of this training.
    """
    solvers = [load_config(run / CONFIG_NAME, []).SOLVER for run in runs]
    iterations = round(sum(solver.MAX_ITER for solver in solvers) / (len(solvers) - 1))
    first, longer = solvers[0], iterations / solvers[0].MAX_ITER
    schedule = {
        "SOLVER.MAX_ITER": iterations,
        "SOLVER.STEPS": tuple(round(longer * step) for step in first.STEPS),
        "SOLVER.WARMUP_ITERS": round(longer * first.WARMUP_ITERS),
    }
    values = [word for key, value in schedule.items() for word in (key, str(value))]
    config_file = Path(cfg.OUTPUT_DIR) / CONFIG_NAME
    return ["--config-file", str(config_file), *_flags(args, folder), *values, *_own_values(cfg, dataset, folder)]
