"""From the command line to a resolved configuration, a registered dataset and a logged run."""

from __future__ import annotations

import argparse
import contextlib
import logging
import sys
from collections.abc import Iterator
from logging.handlers import BufferingHandler
from pathlib import Path

import torch
import yaml
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog
from detectron2.data.build import filter_images_with_only_crowd_annotations
from detectron2.utils import comm
from detectron2.utils.collect_env import collect_env_info
from detectron2.utils.logger import setup_logger

from dataset_tools.catalog import register
from dataset_tools.errors import EXIT_DATA, UserError
from dataset_tools.files import write_atomically
from dataset_tools.images.header import ImageError, read_header
from polymask.config.checks import check_supported, check_training_data, check_training_keys, check_validation_data
from polymask.config.keys import AUTO, flat_items
from polymask.config.load import load_config
from polymask.config.resolve import resolve_dataset, resolve_device, resolve_learning_rate, resolve_schedule
from polymask.data.augmentation import check_augmentation_keys
from polymask.data.seeding import seed_everything
from polymask.engine.checkpoint import LAST_CHECKPOINT, states_in
from polymask.engine.hooks.history import HISTORY_NAME
from polymask.engine.run_files import CONFIG_NAME

log = logging.getLogger(__name__)

# What the state of a training depends on: its order of photos, and what its optimizer keeps.
FIXED = ("SEED", "SOLVER.IMS_PER_BATCH", "SOLVER.OPTIMIZER")


def setup(args: argparse.Namespace) -> CfgNode:
    """The frozen configuration of a run, its dataset registered and its output folder begun.

    Datasets are registered here and not by the caller: a process that was spawned for a second GPU starts with none.

    Args:
        args: ``config_file``, ``opts``, ``eval_only`` and ``resume`` of the command line.

    Raises:
        UserError: configuration, dataset and output folder contradict each other.
    """
    with _messages_kept() as early:
        cfg = _resolved(args)
    cfg.freeze()
    _begin_log(cfg, args)
    for record in early:
        logging.getLogger(record.name).handle(record)
    torch.backends.cudnn.benchmark = cfg.CUDNN_BENCHMARK
    seed_everything(cfg.SEED)  # the random start of the weights, the same in all processes
    return cfg


@contextlib.contextmanager
def _messages_kept() -> Iterator[list[logging.LogRecord]]:
    """Keeps what is logged before there is a log to write it to; of a run that ends here, the warnings are shown."""
    ours, kept = logging.getLogger("polymask"), BufferingHandler(sys.maxsize)
    handlers, level = ours.handlers, ours.level  # handlers of an earlier run of this process
    ours.handlers = [kept]
    ours.setLevel(logging.INFO)
    try:
        yield kept.buffer
    except BaseException:
        for record in kept.buffer:
            if record.levelno >= logging.lastResort.level:
                logging.lastResort.handle(record)
        raise
    finally:
        ours.handlers = handlers
        ours.setLevel(level)


def _resolved(args: argparse.Namespace) -> CfgNode:
    cfg = load_config(args.config_file, args.opts)
    resolve_device(cfg)
    if not cfg.OUTPUT_DIR:
        raise UserError("OUTPUT_DIR is empty", file=args.config_file, remedy="Add OUTPUT_DIR OUTPUT_FOLDER")
    if not cfg.DATASETS.ROOT:
        raise UserError(
            "DATASETS.ROOT is empty",
            file=args.config_file,
            remedy="Add DATASETS.ROOT DATASET_FOLDER to the command line",
        )
    resolve_dataset(cfg, register(Path(cfg.DATASETS.ROOT)))
    _check_datasets(cfg, args.eval_only)
    check_supported(cfg)
    _read_records(cfg, "TEST")
    _resolve_seed(cfg, args.resume)
    if not args.eval_only:
        records = _training_records(cfg)
        resolve_schedule(cfg, images=len(records))
        check_training_keys(cfg, comm.get_world_size())
        check_augmentation_keys(cfg)
        check_training_data(cfg, records)
        check_validation_data(cfg, _read_records(cfg, "VAL"))
        resolve_learning_rate(cfg)
        if comm.is_main_process():  # which begins to write there while others may still be here
            _check_output_folder(Path(cfg.OUTPUT_DIR), args.resume)
            if args.resume:
                _check_changes(cfg)
    return cfg


def _check_datasets(cfg: CfgNode, eval_only: bool) -> None:
    for key in ("TRAIN", "VAL", "TEST"):
        for name in cfg.DATASETS[key]:
            if name not in DatasetCatalog.list():
                raise UserError(
                    f"DATASETS.{key} names {name}, which is not registered",
                    file=cfg.DATASETS.ROOT,
                    remedy=f"Leave DATASETS.{key} empty: it follows the dataset folder",
                )
    both = set(cfg.DATASETS.VAL) & set(cfg.DATASETS.TEST)
    if both and not eval_only:
        raise UserError(
            f"{min(both)} is in DATASETS.VAL and in DATASETS.TEST: the best weights would be chosen by what they are "
            "tested on",
            file=cfg.DATASETS.ROOT,
            remedy="Leave both empty: they follow the dataset folder",
        )
    if eval_only and not cfg.DATASETS.TEST:
        raise UserError(
            "there is nothing to evaluate: the test split is empty",
            file=cfg.DATASETS.ROOT,
            remedy="Name another split, such as DATASETS.TEST \"('NAME_val',)\"",
        )
    if not eval_only and not cfg.DATASETS.TRAIN:
        raise UserError(
            "the train split is empty", file=cfg.DATASETS.ROOT, remedy="Convert more photos", exit_code=EXIT_DATA
        )


def _resolve_seed(cfg: CfgNode, resume: bool) -> None:
    """A negative seed becomes a new one, the same in all processes; or, of a run that is resumed, the one it had."""
    if cfg.SEED >= 0:
        return
    earlier = Path(cfg.OUTPUT_DIR) / CONFIG_NAME
    if resume and earlier.is_file():
        cfg.SEED = load_config(earlier, []).SEED
    else:
        cfg.SEED = comm.shared_random_seed()


def _read_records(cfg: CfgNode, key: str) -> list[dict]:
    """The records of all datasets of ``DATASETS.<key>``, once their photos' headers have been looked at."""
    records = [record for name in cfg.DATASETS[key] for record in DatasetCatalog.get(name)]
    wrong = [(record["file_name"], reason) for record in records if (reason := _wrong_photo(record))]
    if wrong:
        photo, reason = wrong[0]
        more = f" (and {len(wrong) - 1} more photos cannot be used)" if wrong[1:] else ""
        raise UserError(
            f"this photo of DATASETS.{key} {reason}{more}",
            file=photo,
            remedy="Put it back, or convert again",
            exit_code=EXIT_DATA,
        )
    return records


def _wrong_photo(record: dict) -> str | None:
    """Why a photo cannot be the one that was converted."""
    try:
        width, height = read_header(record["file_name"]).size
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    except ImageError as error:
        return f"cannot be used: {error.rule.title} ({error})"
    if (width, height) == (record["width"], record["height"]):
        return None
    return f"is {width} x {height}, and was {record['width']} x {record['height']} when it was converted"


def _training_records(cfg: CfgNode) -> list[dict]:
    records = _read_records(cfg, "TRAIN")
    if cfg.DATALOADER.FILTER_EMPTY_ANNOTATIONS:
        records = filter_images_with_only_crowd_annotations(records)
    if not records:
        raise UserError(
            "no training photo is left after those without annotations are filtered out",
            file=cfg.DATASETS.ROOT,
            remedy="Annotate some photos, or set DATALOADER.FILTER_EMPTY_ANNOTATIONS False",
            exit_code=EXIT_DATA,
        )
    return records


def _check_output_folder(folder: Path, resume: bool) -> None:
    history = folder / HISTORY_NAME  # empty where a run ended before its first iteration, with wrong weights, say
    if not resume and (states_in(folder) or (history.exists() and history.stat().st_size)):
        raise UserError(
            "this folder holds another run, whose curves and checkpoints would be mixed with the new ones",
            file=folder,
            remedy="Set OUTPUT_DIR to another folder, delete this one, or go on with --resume",
        )


def _check_changes(cfg: CfgNode) -> None:
    """What was configured otherwise when the training, which is to be resumed now, ran last: said, or refused."""
    folder = Path(cfg.OUTPUT_DIR)
    if not ((folder / LAST_CHECKPOINT).is_file() and (folder / CONFIG_NAME).is_file()):
        return
    earlier, now = _as_written(load_config(folder / CONFIG_NAME, [])), _as_written(cfg)
    changed = {key: value for key, value in now.items() if key != "MODEL.DEVICE" and value != earlier[key]}
    for key in FIXED:
        if key in changed:
            raise UserError(
                f"{key} is {changed[key]}, and was {earlier[key]} when the checkpoint was written, which would not fit",
                file=folder,
                remedy=f"Leave {key} as it was, or set OUTPUT_DIR to another folder and begin anew",
            )
    for key, value in changed.items():
        log.info("%s is %s; it was %s before --resume.", key, value, earlier[key])


def _as_written(cfg: CfgNode) -> dict[str, object]:
    """Every key with its value as a file has it, where there are no tuples."""
    return dict(flat_items(CfgNode(yaml.safe_load(cfg.dump()))))


def _begin_log(cfg: CfgNode, args: argparse.Namespace) -> None:
    output_dir = Path(cfg.OUTPUT_DIR)
    output_dir.mkdir(parents=True, exist_ok=True)
    logging.raiseExceptions = False  # a full disk ends the run in words, which a traceback a line of the log would hide
    for name in ("fvcore", "detectron2", "polymask", "dataset_tools"):
        logger = setup_logger(str(output_dir), distributed_rank=comm.get_rank(), name=name, abbrev_name=name)
        for handler in logger.handlers:
            if handler.stream is sys.stdout:
                handler.setLevel(logging.INFO)  # the network's layers and the like are for log.txt
    log.info("Command line: %s", vars(args))
    log.debug("Environment:\n%s", collect_env_info())
    log.debug("Configuration:\n%s", cfg.dump())
    for key in ("VAL", "TEST"):
        if not cfg.DATASETS[key]:
            log.info("The %s split is empty: nothing is evaluated on it.", key.lower())


def write_config(cfg: CfgNode) -> None:
    """Writes ``OUTPUT_DIR/config.yaml``: to be called when nothing can be wrong with the configuration any more.

    The device is left open in it, for it belongs to the machine and not to the run.
    """
    if comm.is_main_process():
        portable = cfg.clone()
        portable.defrost()
        portable.MODEL.DEVICE = AUTO
        write_atomically(Path(cfg.OUTPUT_DIR) / CONFIG_NAME, portable.dump().encode())
