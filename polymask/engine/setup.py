"""From the command line to a resolved and checked configuration, a registered dataset and a logged run."""

from __future__ import annotations

import argparse
import contextlib
import copy
import logging
import shlex
import sys
from collections.abc import Iterator, Sequence
from logging.handlers import BufferingHandler
from pathlib import Path
from typing import Any

import torch
import yaml
from detectron2.config import CfgNode
from detectron2.utils import comm
from detectron2.utils.collect_env import collect_env_info
from detectron2.utils.logger import setup_logger

from dataset_tools.dataset.folds import Folds, folds_in, write_folds
from dataset_tools.errors import UserError
from dataset_tools.text import visible
from polymask.config.checks import check
from polymask.config.keys import flat_items
from polymask.config.load import load_config, move_dataset
from polymask.config.resolve import check_folders, resolve
from polymask.data.seeding import seed_everything
from polymask.engine.hooks.checkpoints import FINAL_NAME
from polymask.engine.hooks.history import HISTORY_NAME
from polymask.engine.run_files import CONFIG_NAME, FACTS_NAME, FOLDS_CONFIG_NAME, write_config
from polymask.engine.run_folder import FOLDS, check_no_links, lock_folder
from polymask.engine.time_limit import limit_by_time
from polymask.modeling.checkpoint import states_in

log = logging.getLogger(__name__)

# The folder of a cross-validation's dataset folders, beside the runs of its folds.
DATASETS_NAME = "datasets"

# What the state of a training depends on: its order of photos, and what its optimizer keeps.
FIXED = ("SEED", "SOLVER.IMS_PER_BATCH", "SOLVER.OPTIMIZER", "SOLVER.BACKBONE_LR_FACTOR", "SOLVER.HEADS_ONLY")


def setup(args: argparse.Namespace) -> CfgNode:
    """The frozen configuration of a run, its dataset registered and its output folder begun.

    With ``SOLVER.MAX_MINUTES`` it does the first iterations of the training on trial.

    Datasets are registered here and not by the caller: a process that was spawned for a second GPU starts with none.

    Args:
        args: ``config_file``, ``opts``, ``eval_only`` and ``resume`` of the command line.

    Raises:
        UserError: configuration, dataset and output folder contradict each other, or another process has the folder.
    """
    training = not args.eval_only
    with _messages_kept() as early:
        cfg = load_config(args.config_file, args.opts)
        _settle_output_folder(cfg, args)
        if args.resume:
            _check_resumes(Path(args.config_file), Path(cfg.OUTPUT_DIR))
        earlier_file = Path(cfg.OUTPUT_DIR) / CONFIG_NAME
        earlier = load_config(earlier_file, []) if args.resume and earlier_file.is_file() else None
        records = resolve(cfg, training, earlier)
        check(cfg, records, training)
        check_no_links(Path(cfg.OUTPUT_DIR))
        if comm.is_main_process():  # which begins to write there while others may still be here
            _begin_output_folder(Path(cfg.OUTPUT_DIR))
            _check_holds_no_folds(Path(cfg.OUTPUT_DIR))
            if training and not args.resume:
                _check_holds_no_run(Path(cfg.OUTPUT_DIR))
            if earlier and states_in(Path(cfg.OUTPUT_DIR)):
                _check_changes(cfg, earlier)
    cfg.freeze()
    _begin_log(cfg, args, early)
    for key in ("VAL", "TEST"):
        if not cfg.DATASETS[key]:
            log.info("The %s split is empty: nothing is evaluated on it.", key.lower())
    torch.backends.cudnn.benchmark = cfg.CUDNN_BENCHMARK
    seed_everything(cfg.SEED)  # the random start of the weights, the same in all processes
    if training and not cfg.SOLVER.MAX_ITER:
        limit_by_time(cfg)
    return cfg


def setup_folds(args: argparse.Namespace) -> tuple[CfgNode, Folds]:
    """The configuration of a cross-validation as it was typed, its folds, and its output folder begun.

    Args:
        args: as of ``setup``, and ``folds``, their number.

    Raises:
        UserError: the configuration cannot be read, the dataset cannot be divided, the output folder holds another run
            or other folds, or another process has it.
    """
    with _messages_kept() as early:
        cfg = load_config(args.config_file, args.opts)
        _settle_output_folder(cfg, args)
        check_folders(cfg)
        folder = Path(cfg.OUTPUT_DIR)
        check_no_links(folder)
        _begin_output_folder(folder)
        _check_holds_no_run(folder)
        for run in folder.glob(FOLDS) if not args.resume else ():
            _check_holds_no_run(run)
        folds = folds_in(folder / DATASETS_NAME)
        if args.resume and folds.parts:
            if len(folds.parts) != args.folds:
                reason = f"--folds is {args.folds}, and this folder holds a run of {len(folds.parts)} folds"
                raise UserError(reason, file=folder, remedy="Set OUTPUT_DIR to another folder, or leave the number")
            _check_same_folds(cfg, load_config(folder / FOLDS_CONFIG_NAME, []))
        else:
            seed = cfg.SEED if cfg.SEED >= 0 else comm.shared_random_seed()
            folds = write_folds(Path(cfg.DATASETS.ROOT), folder / DATASETS_NAME, args.folds, seed)
        write_config(cfg, FOLDS_CONFIG_NAME)
    cfg.freeze()
    _begin_log(cfg, args, early)
    return cfg, folds


@contextlib.contextmanager
def _messages_kept() -> Iterator[list[logging.LogRecord]]:
    """Keeps what is logged before there is a log to write it to; of a run that ends here, the warnings are shown."""
    kept = BufferingHandler(sys.maxsize)
    ours = [logging.getLogger(name) for name in ("polymask", "dataset_tools")]
    earlier = [(logger.handlers, logger.level) for logger in ours]  # of an earlier run of this process
    for logger in ours:
        logger.handlers = [kept]
        logger.setLevel(logging.INFO)
    try:
        yield kept.buffer
    except BaseException:
        shown = logging.StreamHandler()
        shown.setFormatter(_OneEntry(logging.Formatter()))
        for record in kept.buffer:
            if record.levelno >= logging.WARNING:
                shown.handle(record)
        raise
    finally:
        for logger, (handlers, level) in zip(ours, earlier, strict=True):
            logger.handlers = handlers
            logger.setLevel(level)


def _settle_output_folder(cfg: CfgNode, args: argparse.Namespace) -> None:
    """Lets a run's ``config.yaml`` mean the folder that it lies in, wherever that was moved or copied.

    A file alone, which may be a stranger's, does not decide that an evaluation replaces the results of another run.

    Raises:
        UserError: it would, and the command line does not name that run.
    """
    file, output_dir = Path(args.config_file), Path(cfg.OUTPUT_DIR)
    if "OUTPUT_DIR" in args.opts[::2]:
        return
    if file.name == CONFIG_NAME and _is_run(file.parent):
        move_dataset(cfg, file.parent, args.opts)
        cfg.OUTPUT_DIR = str(file.parent)
    elif args.eval_only and _is_run(output_dir):
        raise UserError(
            f"its OUTPUT_DIR, {output_dir}, holds a run, whose results would be replaced",
            file=file,
            remedy=f"If you mean that run, add to the command: OUTPUT_DIR {shlex.quote(str(output_dir))}",
        )


def _check_resumes(file: Path, output_dir: Path) -> None:
    """Refuses to begin a training where one was meant that has a checkpoint beside the configuration, or is finished.

    Raises:
        UserError: the output folder has no state, and that of the configuration has, or there are final weights.
    """
    if states_in(output_dir):
        return
    if beside := states_in(file.parent):
        raise UserError(
            f"--resume finds no checkpoint in OUTPUT_DIR, which is {output_dir}; {beside[-1]} lies beside this file",
            file=file,
            remedy=f"To go on from that, pass OUTPUT_DIR {shlex.quote(str(file.parent))}; for a new training, leave out --resume",
        )
    if (final := output_dir / f"{FINAL_NAME}.pth").exists():
        raise UserError(
            "--resume finds the weights of a finished training, and no state (model_<iteration>.pth) to go on from",
            file=final,
            remedy="Copy the states here, too; or begin a training with these as MODEL.WEIGHTS in another OUTPUT_DIR",
        )


def _is_run(folder: Path) -> bool:
    return (folder / FACTS_NAME).exists() or _has_weights(folder)


def _has_weights(folder: Path) -> bool:
    return any(folder.glob("model_*.pth"))


def _begin_output_folder(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    lock_folder(folder)


def _holds_run(folder: Path) -> bool:
    history = folder / HISTORY_NAME  # empty where a run ended before its first iteration, with wrong weights, say
    return _has_weights(folder) or (history.exists() and history.stat().st_size > 0)


def _check_holds_no_run(folder: Path) -> None:
    if _holds_run(folder):
        raise UserError(
            "this folder holds another run, whose curves and checkpoints would be mixed with the new ones",
            file=folder,
            remedy="Set OUTPUT_DIR to another folder, delete this one, or go on with --resume",
        )


def _check_holds_no_folds(folder: Path) -> None:
    if any(map(_holds_run, folder.glob(FOLDS))):
        raise UserError(
            "this folder holds the folds of a cross-validation, whose results would be replaced",
            file=folder,
            remedy="Set OUTPUT_DIR to another folder, or go on with --folds and --resume",
        )


def _check_changes(cfg: CfgNode, earlier_cfg: CfgNode) -> None:
    """What has changed since the training that is resumed ran last: logged, or refused."""
    changed = _changes(cfg, earlier_cfg)
    for key in FIXED:
        if key in changed:
            now, earlier = changed[key]
            raise UserError(
                f"{key} is {now}, and was {earlier} when the checkpoint was written, which would not fit",
                file=cfg.OUTPUT_DIR,
                remedy=f"Leave {key} as it was, or set OUTPUT_DIR to another folder and begin again",
            )
    for key, (now, earlier) in changed.items():
        log.info("%s is %s; it was %s before --resume.", key, now, earlier)


def _check_same_folds(cfg: CfgNode, earlier_cfg: CfgNode) -> None:
    """Refuses to go on with a cross-validation whose next folds would be trained in another way than the first ones."""
    for key, (now, earlier) in _changes(cfg, earlier_cfg).items():
        if key not in ("OUTPUT_DIR", "DATALOADER.NUM_WORKERS"):
            raise UserError(
                f"{key} is {now}, and was {earlier} when the cross-validation began, whose folds are measured together",
                file=cfg.OUTPUT_DIR,
                remedy=f"Leave {key} as it was, or set OUTPUT_DIR to another folder and begin again",
            )


def _changes(cfg: CfgNode, earlier_cfg: CfgNode) -> dict[str, tuple[object, object]]:
    """The keys whose values differ, with both values; without the device, which belongs to the machine."""
    earlier, now = _as_written(earlier_cfg), _as_written(cfg)
    return {key: (now[key], earlier[key]) for key in now if key != "MODEL.DEVICE" and now[key] != earlier[key]}


def _as_written(cfg: CfgNode) -> dict[str, object]:
    """Every key with its value as a file has it, where there are no tuples."""
    return dict(flat_items(CfgNode(yaml.safe_load(cfg.dump()))))


def _begin_log(cfg: CfgNode, args: argparse.Namespace, early: Sequence[logging.LogRecord]) -> None:
    """Begins the log of a run, with what was logged before."""
    output_dir = Path(cfg.OUTPUT_DIR)
    output_dir.mkdir(parents=True, exist_ok=True)
    for name in ("fvcore", "detectron2", "polymask", "dataset_tools"):
        logger = setup_logger(str(output_dir), distributed_rank=comm.get_rank(), name=name, abbrev_name=name)
        for handler in logger.handlers:
            if not isinstance(handler.formatter, _OneEntry):  # of an earlier run of this process
                handler.setFormatter(_OneEntry(handler.formatter))
            if handler.stream is sys.stdout:
                handler.setLevel(logging.INFO)  # the network's layers and the like are for log.txt
            else:
                # A full disk ends the run with one error line, which a traceback for each line of the log would hide.
                handler.handleError = lambda record: None
    log.info("Command line: %s", vars(args))
    log.debug("Environment:\n%s", collect_env_info())
    log.debug("Configuration:\n%s", cfg.dump())
    for record in early:
        logging.getLogger(record.name).handle(record)


class _OneEntry(logging.Formatter):
    """Another formatter, for messages with names and values of others.

    They show control characters instead of obeying them, and their further lines are indented: none looks like an entry.
    """

    def __init__(self, formatter: Any):
        super().__init__()
        self._formatter = formatter

    def format(self, record: logging.LogRecord) -> str:
        shown = copy.copy(record)
        shown.msg, shown.args = visible(record.getMessage()).replace("\n", "\n    "), None
        return self._formatter.format(shown)
