"""Our configuration keys, the sentinels that mean "follow the dataset", and epochs as iterations."""

from __future__ import annotations

import difflib
import logging
import math
import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import torch
import yaml
from detectron2.config import CfgNode, get_cfg

from dataset_tools.errors import UserError
from dataset_tools.formats.card import Card

log = logging.getLogger(__name__)

# Shares and epochs, and the key in iterations that is computed from each, with its sentinel.
ITERATIONS_OF = {
    "SOLVER.EPOCHS": ("SOLVER.MAX_ITER", "0"),
    "SOLVER.STEP_SHARES": ("SOLVER.STEPS", "()"),
    "SOLVER.WARMUP_SHARE": ("SOLVER.WARMUP_ITERS", "-1"),
    "SOLVER.CHECKPOINT_EPOCHS": ("SOLVER.CHECKPOINT_PERIOD", "0"),
    "TEST.EVAL_EPOCHS": ("TEST.EVAL_PERIOD", "-1"),
}
# Who gives one of these keys means it, and not another key's value that is there already; with what takes that back.
CONSEQUENCES = ITERATIONS_OF | {"SOLVER.BASE_LR": ("SOLVER.REFERENCE_IMS_PER_BATCH", "0")}

AUTO = "auto"
# DATALOADER.NUM_WORKERS: as many as suit the machine (polymask.data.loader.number_of_workers).
FOLLOW_CORES = -1


def add_polymask_config(cfg: CfgNode) -> None:
    """Adds polymask's keys to Detectron2's, and replaces by sentinels the defaults that depend on the dataset.

    yacs cannot tell a user's value from a default; a sentinel is a value that no user could mean.
    """
    # The device of the model: a GPU where there is one, else the CPU.
    cfg.MODEL.DEVICE = AUTO
    # 0: as many classes as the dataset has.
    cfg.MODEL.ROI_HEADS.NUM_CLASSES = 0

    # The dataset folder, written by `python -m dataset_tools convert`. The rest follows from it.
    cfg.DATASETS.ROOT = ""
    # Empty: the folder's own splits. VAL is evaluated during training, TEST once afterwards and under --eval-only.
    cfg.DATASETS.TRAIN = ()
    cfg.DATASETS.VAL = ()
    cfg.DATASETS.TEST = ()
    # Empty: the dataset's classes, in its order. Saved with every run, so that its config.yaml needs no dataset.
    cfg.DATASETS.CLASSES = []
    # `auto`: bitmask where some annotation cannot be a polygon, else polygon.
    cfg.INPUT.MASK_FORMAT = AUTO
    # Whether the layers that depend on the classes start anew: for MODEL.WEIGHTS of other classes, such as COCO's.
    cfg.MODEL.NEW_HEADS = False

    # Where a training keeps its resized photos: memory, disk or off; `auto`: where all of them fit.
    cfg.INPUT.CACHE = AUTO
    # Processes that load photos. It belongs to the machine, and so stays open in a run's config.yaml.
    cfg.DATALOADER.NUM_WORKERS = FOLLOW_CORES

    # Large-scale jitter (Ghiasi et al. 2021, https://arxiv.org/abs/2012.07177), in the place of MIN_SIZE_TRAIN: each
    # photo is resized by a random factor of RANGE relative to a square of SIZE px, then cropped or padded to it.
    cfg.INPUT.SCALE_JITTER = CfgNode()
    cfg.INPUT.SCALE_JITTER.ENABLED = False
    cfg.INPUT.SCALE_JITTER.RANGE = (0.1, 2.0)
    cfg.INPUT.SCALE_JITTER.SIZE = 1024
    # Detectron2's random crop (INPUT.CROP), placed so that it holds the centre of an object where the photo has one.
    cfg.INPUT.CROP.KEEP_OBJECT = True
    # Brightness, contrast and saturation are multiplied by random factors from 1 - COLOR_JITTER to 1 + COLOR_JITTER.
    cfg.INPUT.COLOR_JITTER = 0.0
    # Simple copy-paste (the same paper): with this probability, objects of a second photo are pasted onto a photo.
    cfg.INPUT.COPY_PASTE = CfgNode()
    cfg.INPUT.COPY_PASTE.PROBABILITY = 0.0

    # SGD or AdamW, which takes BASE_LR, WEIGHT_DECAY and ADAM_BETAS.
    cfg.SOLVER.OPTIMIZER = "SGD"
    # How much of its averages of the gradient and of its square AdamW keeps at each update; PyTorch's defaults.
    cfg.SOLVER.ADAM_BETAS = (0.9, 0.999)
    # The batch that BASE_LR is meant for. With another IMS_PER_BATCH the rate is scaled linearly. 0: never.
    # A BASE_LR on the command line, or in a file that does not give this key, is taken as it is.
    cfg.SOLVER.REFERENCE_IMS_PER_BATCH = 0
    # The IMS_PER_BATCH photos of an update are processed in so many parts, one after the other, to save memory.
    cfg.SOLVER.ACCUMULATION_STEPS = 1
    # The decay of the moving average of the weights that is evaluated and saved, such as 0.999. 0: no average.
    cfg.SOLVER.EMA_DECAY = 0.0
    # The length of the training in passes over the photos that remain after filtering; used while MAX_ITER is 0.
    cfg.SOLVER.EPOCHS = 50.0
    cfg.SOLVER.MAX_ITER = 0
    # Where the learning rate drops, as shares of the training; used while STEPS is empty. None: it never drops.
    cfg.SOLVER.STEP_SHARES = ()
    cfg.SOLVER.STEPS = ()
    # The warm-up as a share of the training; used while WARMUP_ITERS is negative.
    cfg.SOLVER.WARMUP_SHARE = 0.0
    cfg.SOLVER.WARMUP_ITERS = -1
    # Epochs between two checkpoints; used while CHECKPOINT_PERIOD is 0.
    cfg.SOLVER.CHECKPOINT_EPOCHS = 5.0
    cfg.SOLVER.CHECKPOINT_PERIOD = 0
    # Epochs between two evaluations on VAL; used while EVAL_PERIOD is negative. 0: none during training.
    cfg.TEST.EVAL_EPOCHS = 5.0
    cfg.TEST.EVAL_PERIOD = -1
    # Whether an evaluation on VAL during training also computes the losses there.
    cfg.TEST.VALIDATION_LOSS = True
    # The training ends after so many evaluations on VAL in a row without a better mask AP. 0: never.
    cfg.TEST.EARLY_STOPPING_PATIENCE = 0

    # Detectron2 draws a new seed for every run; a run that can be repeated is the better default.
    cfg.SEED = 17


def load_config(config_file: Path | str, overrides: list[str]) -> CfgNode:
    """Detectron2's defaults, ours, the file's values and the command line's ``KEY VALUE`` pairs, in this order.

    YAML is loaded safely: a file from a stranger cannot run code.

    Raises:
        UserError: no such file, no YAML, an unknown key, or a value of the wrong type.
    """
    if not Path(config_file).is_file():
        raise UserError("there is no such file", file=config_file, remedy="Name one of configs/ or a run's config.yaml")
    cfg = get_cfg()
    add_polymask_config(cfg)
    try:
        values = CfgNode(_Layered.load_yaml_with_base(str(config_file), allow_unsafe=False))
        _make_whole_numbers_floats(values, cfg)
        cfg.merge_from_other_cfg(values)
    except RecursionError as error:
        raise UserError("its _BASE_ leads back to it", file=config_file, remedy="Name another file") from error
    except (KeyError, ValueError, AssertionError, TypeError, AttributeError, OSError, yaml.YAMLError) as error:
        raise _config_error(cfg, error, file=config_file) from error
    _check_pairs(overrides)
    try:
        cfg.merge_from_list(_with_consequences(_with_floats(overrides, cfg)))
    except (KeyError, ValueError, AssertionError) as error:
        raise _config_error(cfg, error, file="command line") from error
    return cfg


def resolve_device(cfg: CfgNode) -> None:
    """``auto`` becomes the GPU where there is one, else the CPU.

    The configuration of a run on a GPU can be used on a machine without one.

    Raises:
        UserError: it is another of PyTorch's devices, for which Detectron2 has no operators, or none.
    """
    if cfg.MODEL.DEVICE == AUTO:
        cfg.MODEL.DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
    elif cfg.MODEL.DEVICE.startswith("cuda") and not torch.cuda.is_available():
        log.warning("MODEL.DEVICE is %s, and PyTorch finds no GPU here: using the CPU.", cfg.MODEL.DEVICE)
        cfg.MODEL.DEVICE = "cpu"
    if not re.fullmatch(r"cpu|cuda(:\d+)?", cfg.MODEL.DEVICE):
        raise UserError(f"MODEL.DEVICE is {cfg.MODEL.DEVICE}", remedy=f"Use {AUTO}, cpu, cuda or cuda:1")


def resolve_dataset(cfg: CfgNode, card: Card) -> None:
    """Replaces the sentinels of classes, splits and mask format by what the dataset has.

    Args:
        cfg: changed in place.
        card: the card of ``DATASETS.ROOT``.

    Raises:
        UserError: a value of the user's contradicts the dataset.
    """
    classes = list(card.classes)
    if list(cfg.DATASETS.CLASSES) not in ([], classes):
        raise UserError(
            f"DATASETS.CLASSES is {list(cfg.DATASETS.CLASSES)}, and the dataset has {classes}",
            file=cfg.DATASETS.ROOT,
            remedy="Use the dataset that this configuration was trained on, or convert with the same --classes",
        )
    if cfg.MODEL.ROI_HEADS.NUM_CLASSES not in (0, len(classes)):
        raise UserError(
            f"MODEL.ROI_HEADS.NUM_CLASSES is {cfg.MODEL.ROI_HEADS.NUM_CLASSES}, "
            f"and the dataset has {len(classes)} classes",
            file=cfg.DATASETS.ROOT,
            remedy="Leave MODEL.ROI_HEADS.NUM_CLASSES at 0: it follows the dataset",
        )
    if cfg.INPUT.MASK_FORMAT == "polygon" and card.mask_format == "bitmask":
        raise UserError(
            "INPUT.MASK_FORMAT is polygon, and the dataset holds masks that are no polygons",
            file=cfg.DATASETS.ROOT,
            remedy="Leave INPUT.MASK_FORMAT at auto, or set it to bitmask",
        )
    if cfg.INPUT.MASK_FORMAT not in (AUTO, "polygon", "bitmask"):
        raise UserError(
            f"INPUT.MASK_FORMAT is {cfg.INPUT.MASK_FORMAT}",
            remedy="Use auto, polygon or bitmask",
            file=cfg.DATASETS.ROOT,
        )
    empty = {f"{card.name}_{split}" for split, summary in card.splits.items() if not summary.images}
    cfg.DATASETS.CLASSES = classes
    cfg.MODEL.ROI_HEADS.NUM_CLASSES = len(classes)
    if cfg.INPUT.MASK_FORMAT == AUTO:
        # What is pasted covers parts of other objects, which then are no polygons.
        cfg.INPUT.MASK_FORMAT = "bitmask" if cfg.INPUT.COPY_PASTE.PROBABILITY > 0 else card.mask_format
    for key, split in (("TRAIN", "train"), ("VAL", "val"), ("TEST", "test")):
        names = tuple(cfg.DATASETS[key])
        if not names and card.splits[split].images:
            names = (f"{card.name}_{split}",)
        cfg.DATASETS[key] = tuple(name for name in names if name not in empty)


def resolve_schedule(cfg: CfgNode, images: int) -> None:
    """Replaces the sentinels of the schedule by iterations, computed from epochs and shares.

    Args:
        cfg: changed in place.
        images: the number of training images that remain after filtering.

    Raises:
        UserError: the training would be empty.
    """
    solver = cfg.SOLVER
    if solver.IMS_PER_BATCH < 1:
        raise UserError(f"SOLVER.IMS_PER_BATCH is {solver.IMS_PER_BATCH}", remedy="Use 1 or more images a batch")
    if solver.MAX_ITER == 0:
        solver.MAX_ITER = epochs_to_iterations(solver.EPOCHS, images, solver.IMS_PER_BATCH)
    if solver.MAX_ITER < 1:
        raise UserError(
            f"the training would have {solver.MAX_ITER} iterations",
            remedy="Set SOLVER.EPOCHS or SOLVER.MAX_ITER to a number above 0",
        )
    if not all(isinstance(share, int | float) for share in solver.STEP_SHARES):
        raise UserError(f"SOLVER.STEP_SHARES is {solver.STEP_SHARES}", remedy="Use shares, as (0.6, 0.9)")
    if not solver.STEPS:
        solver.STEPS = tuple(round(share * solver.MAX_ITER) for share in solver.STEP_SHARES)
    if not 0 <= solver.WARMUP_SHARE < 1:
        raise UserError(f"SOLVER.WARMUP_SHARE is {solver.WARMUP_SHARE}", remedy="Use a share from 0 to below 1")
    if solver.WARMUP_ITERS < 0:
        solver.WARMUP_ITERS = round(solver.WARMUP_SHARE * solver.MAX_ITER)
    if solver.CHECKPOINT_PERIOD == 0:
        solver.CHECKPOINT_PERIOD = epochs_to_iterations(solver.CHECKPOINT_EPOCHS, images, solver.IMS_PER_BATCH)
    if solver.CHECKPOINT_PERIOD < 1:
        raise UserError("no checkpoint would ever be saved", remedy="Set SOLVER.CHECKPOINT_EPOCHS to a number above 0")
    if cfg.TEST.EVAL_PERIOD < 0:
        cfg.TEST.EVAL_PERIOD = epochs_to_iterations(cfg.TEST.EVAL_EPOCHS, images, solver.IMS_PER_BATCH)


def resolve_learning_rate(cfg: CfgNode) -> None:
    """Scales ``SOLVER.BASE_LR`` linearly from the batch it is meant for to the batch at hand.

    Goyal et al. 2017, https://arxiv.org/abs/1706.02677. The reference becomes the batch at hand, so that the
    configuration resolves to itself.
    """
    solver = cfg.SOLVER
    reference, batch = solver.REFERENCE_IMS_PER_BATCH, solver.IMS_PER_BATCH
    if reference in (0, batch):
        return
    factor = batch / reference
    log.info("SOLVER.BASE_LR %g is meant for %d images a batch: for %d it becomes %g.",
             solver.BASE_LR, reference, batch, solver.BASE_LR * factor)  # fmt: skip
    for key in ("BASE_LR", "BASE_LR_END"):
        solver[key] *= factor
    solver.REFERENCE_IMS_PER_BATCH = batch


def epochs_to_iterations(epochs: float, images: int, images_per_batch: int) -> int:
    """``ceil(epochs * images / images_per_batch)``, in exact arithmetic.

    In floating point 0.1 epochs of 30 images would be 3.0000000000000004 images, and so one iteration more.
    """
    return math.ceil(Fraction(str(epochs)) * images / images_per_batch)


def _check_pairs(overrides: list[str]) -> None:
    option = next((word for word in overrides[::2] if word.startswith("--")), None)
    if option:
        remedy = "Put it before the first KEY VALUE"
        raise UserError(f"{option} stands behind a configuration key", file="command line", remedy=remedy)
    if len(overrides) % 2:
        raise UserError(f"{overrides[-1]} has no value", file="command line", remedy="Give each KEY its VALUE")


class _Layered(CfgNode):
    """Files of which each counts before its ``_BASE_``, also before what that says of the same thing by another key."""

    @classmethod
    def load_yaml_with_base(cls, filename: str, allow_unsafe: bool = False) -> dict:
        with cls._open_cfg(filename) as file:
            content = yaml.safe_load(file)
        if not isinstance(content, dict):
            raise ValueError(f"{Path(filename).name} holds no keys with values")
        merged = super().load_yaml_with_base(filename, allow_unsafe)  # which comes back here for the base
        own = {key for key, _ in flat_items(CfgNode(content))}
        for key, (other, sentinel) in CONSEQUENCES.items():
            if key in own and other not in own:
                section, name = other.split(".")
                merged.setdefault(section, {})[name] = sentinel
        return merged


def _make_whole_numbers_floats(values: CfgNode, defaults: CfgNode) -> None:
    # yacs refuses 50 for a key whose default is 50.0.
    for key, value in values.items():
        default = defaults.get(key)
        if isinstance(value, CfgNode) and isinstance(default, CfgNode):
            _make_whole_numbers_floats(value, default)
        elif type(value) is int and type(default) is float:
            values[key] = float(value)


def _with_floats(overrides: list[str], cfg: CfgNode) -> list[str]:
    floats = {key for key, value in flat_items(cfg) if type(value) is float}
    previous = [None, *overrides]
    return [
        f"{value}.0" if key in floats and re.fullmatch(r"-?\d+", value) else value
        for key, value in zip(previous, overrides, strict=False)
    ]


def _with_consequences(overrides: list[str]) -> list[str]:
    """What the command line says counts before what the file says of the same thing under another key.

    Epochs and shares count also where the file sets iterations, as a run's config.yaml does; and a learning rate is
    meant for the batch at hand.
    """
    given = dict(zip(overrides[::2], overrides[1::2]))
    for key, (other, sentinel) in ITERATIONS_OF.items():
        if key in given and given.get(other, sentinel) != sentinel:
            raise UserError(
                f"{key} and {other} say the same thing", file="command line", remedy="Leave out one of them"
            )
    pairs = [pair for key, pair in CONSEQUENCES.items() if key in given and pair[0] not in given]
    return [*overrides, *(word for pair in pairs for word in pair)]


def _config_error(cfg: CfgNode, error: Exception, file: Path | str) -> UserError:
    if isinstance(error, OSError):
        text = f"{error.filename} cannot be read: {error.strerror}"
        return UserError(text, file=file, remedy="Correct its _BASE_")
    text = str(error.args[0]) if isinstance(error, KeyError) else str(error)  # KeyError's own has quotes around it
    unknown = re.fullmatch(r"Non-existent (?:config )?key: (.*)", text)  # of a file, or of the command line
    if unknown:
        remedy = f"The nearest known one is {_nearest_key(unknown[1], cfg)}"
        return UserError(f"there is no key {unknown[1]}", file=file, remedy=remedy)
    # yacs writes out both values, and one may be a whole section.
    types = re.fullmatch(r"Type mismatch \((.*?) vs\. (.*?)\) with values .* for config key: (\S+)", text, re.DOTALL)
    if types:
        expected, given = (re.sub(r".*'(?:.*\.)?(\w+)'.*", r"\1", name) for name in types.groups()[:2])
        text = f"{types[3]} takes a value of the type {expected}, and this is one of the type {given}"
        if expected == "CfgNode":
            text = f"{types[3]} is a section of keys and takes no value itself"
    return UserError(text, file=file, remedy="Correct this value; configs/ has examples of each key")


def _nearest_key(unknown: str, cfg: CfgNode) -> str:
    """The known key that is written most like an unknown one, in whatever case; without a section, by its last name."""
    keys = {key.upper() if "." in unknown else key.rpartition(".")[2]: key for key, _ in flat_items(cfg)}
    return keys[difflib.get_close_matches(unknown.upper(), keys, n=1, cutoff=0)[0]]


def flat_items(node: CfgNode, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Every key of a configuration, as one writes it behind the options ("SOLVER.BASE_LR"), with its value."""
    for key, value in node.items():
        if isinstance(value, CfgNode):
            yield from flat_items(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value
