"""The configuration of a file and of the command line, over Detectron2's defaults and ours."""

from __future__ import annotations

import difflib
import os
import re
from collections import ChainMap
from collections.abc import Iterable, Sequence
from pathlib import Path

import yaml
from detectron2.config import CfgNode, get_cfg
from fvcore.common.config import BASE_KEY

from dataset_tools.errors import UserError
from dataset_tools.files import read_file
from dataset_tools.formats.plain_yaml import parse_yaml
from polymask.config.keys import (
    CONSEQUENCES,
    ITERATIONS_OF,
    LENGTHS,
    add_polymask_config,
    flat_items,
    steps_of_shares,
    warmup_of_share,
)

# Far more than a configuration needs: a run's has 6 kB, 600 values, 1,200 tokens of YAML and 5 levels.
MAX_BYTES = 2**16
MAX_FILES = 16
# What YAML, yacs and Python raise for a text that is not a configuration; the last two where it is nested too deeply.
REFUSALS = (
    *(KeyError, ValueError, AssertionError, TypeError, AttributeError, OverflowError, yaml.YAMLError),
    *(RecursionError, MemoryError),
)


def load_config(config_file: Path | str, overrides: list[str]) -> CfgNode:
    """Detectron2's defaults, ours, the file's values and the command line's ``KEY VALUE`` pairs, in this order.

    All files are regular files of this machine, and nothing in them can name code to run.

    Raises:
        UserError: no such file, no YAML, an unknown key, or a value of the wrong type.
    """
    if not Path(config_file).is_file():
        raise UserError("there is no such file", file=config_file, remedy="Name one of configs/ or a run's config.yaml")
    cfg = get_cfg()
    add_polymask_config(cfg)
    for file, values in reversed(_read_layers(Path(config_file))):
        _merge(cfg, flat_items(values), file)
    _check_pairs(overrides)
    _merge(cfg, zip(overrides[::2], overrides[1::2]), "command line")
    return cfg


def move_dataset(cfg: CfgNode, folder: Path, overrides: Sequence[str]) -> None:
    """Lets a dataset folder that lies in a run's folder, as that of a cross-validation does, move with it.

    Args:
        cfg: of the run, with the OUTPUT_DIR that it was written with; changed in place.
        folder: in which its file is now.
        overrides: the command line's ``KEY VALUE`` pairs, which come first.
    """
    output_dir, dataset = Path(cfg.OUTPUT_DIR), Path(cfg.DATASETS.ROOT)
    if cfg.DATASETS.ROOT and dataset.is_relative_to(output_dir) and "DATASETS.ROOT" not in overrides[::2]:
        cfg.DATASETS.ROOT = str(folder / dataset.relative_to(output_dir))


def _merge(cfg: CfgNode, values: Iterable[tuple[str, object]], file: Path | str) -> None:
    """Puts the values of a file or of the command line into a configuration.

    What they say counts before what is there of the same thing under another key. Epochs and shares count also where
    iterations are set, as in a run's config.yaml; and a learning rate is meant for the batch at hand.
    """
    try:
        given = dict(values)
        taken_back = dict(ChainMap(*(others for key, others in CONSEQUENCES.items() if key in given)))
        if any(key in given for key in LENGTHS):
            taken_back |= _shares_taken_back(cfg.SOLVER)
        known = dict(flat_items(cfg))
        for key, value in (taken_back | given).items():
            if key not in known and not any(name.startswith(f"{key}.") for name in known):
                remedy = f"The nearest known one is {_nearest_key(key, known)}"
                raise UserError(f"there is no key {key}", file=file, remedy=remedy)
            if type(known.get(key)) is float and re.fullmatch(r"-?\d+", str(value)):
                value = f"{value}.0"  # yacs refuses 50 for a key whose default is 50.0
            cfg.merge_from_list([key, value])
    except REFUSALS as error:
        raise _config_error(error, file) from error


def _shares_taken_back(solver: CfgNode) -> dict[str, str]:
    """The sentinels of steps and warm-up that are shares of a length which another one is about to replace."""
    sentinels = {}
    if solver.MAX_ITER and solver.STEPS == steps_of_shares(solver):
        sentinels["SOLVER.STEPS"] = "()"
    if solver.MAX_ITER and solver.WARMUP_ITERS == warmup_of_share(solver):
        sentinels["SOLVER.WARMUP_ITERS"] = "-1"
    return sentinels


def _check_pairs(overrides: list[str]) -> None:
    option = next((word for word in overrides[::2] if word.startswith("--")), None)
    if option:
        remedy = "Put it before the first KEY VALUE"
        raise UserError(f"{option} stands behind a configuration key", file="command line", remedy=remedy)
    if len(overrides) % 2:
        raise UserError(f"{overrides[-1]} has no value", file="command line", remedy="Give each KEY its VALUE")
    given = dict(zip(overrides[::2], overrides[1::2]))
    for key, others in ITERATIONS_OF.items():
        for other, sentinel in others.items():
            if key in given and given.get(other, sentinel) != sentinel:
                raise UserError(
                    f"{key} and {other} say the same thing", file="command line", remedy="Leave out one of them"
                )


def _read_layers(config_file: Path) -> list[tuple[Path, CfgNode]]:
    """A file and all that its ``_BASE_`` leads to, with what they hold; each counts before those that follow it."""
    layers: list[tuple[Path, CfgNode]] = []
    files = [config_file]
    while files:
        if len(layers) == MAX_FILES:
            reason = f"its _BASE_ leads back to it, or to more than {MAX_FILES} files"
            raise UserError(reason, file=config_file, remedy="Name another file")
        file = files.pop()
        try:
            content = parse_yaml(read_file(file, MAX_BYTES))
            if not isinstance(content, dict):
                raise ValueError("it holds no keys with values")
            files += _bases(content.pop(BASE_KEY, []), file.parent)
            layers.append((file, CfgNode(content)))
        except OSError as error:
            reason = f"{file} cannot be read: {error.strerror}"
            raise UserError(reason, file=config_file, remedy="Name another file, or correct its _BASE_") from error
        except REFUSALS as error:
            raise _config_error(error, file) from error
    return layers


def _bases(named: object, folder: Path) -> list[Path]:
    """The files that a ``_BASE_`` names, one or a list of which the last counts most, relative to its own file's folder."""
    files = []
    for name in named if isinstance(named, list) else [named]:
        if not isinstance(name, str) or "://" in name:
            raise ValueError(f"its _BASE_ is {name}, and not the name of a file on this machine")
        files.append(folder / os.path.expanduser(name))
    return files


def _config_error(error: Exception, file: Path | str) -> UserError:
    if isinstance(error, RecursionError | MemoryError):
        return UserError("a value is nested too deeply", file=file, remedy="Write it with fewer brackets or signs")
    text = str(error)
    # yacs writes out both values, and one may be a whole section.
    types = re.fullmatch(r"Type mismatch \((.*?) vs\. (.*?)\) with values .* for config key: (\S+)", text, re.DOTALL)
    if types:
        expected, given = (re.sub(r".*'(?:.*\.)?(\w+)'.*", r"\1", name) for name in types.groups()[:2])
        text = f"{types[3]} takes a value of the type {expected}, and this is one of the type {given}"
        if expected == "CfgNode":
            text = f"{types[3]} is a section of keys and takes no value itself"
    return UserError(text, file=file, remedy="Correct this value; configs/ has examples of each key")


def _nearest_key(unknown: str, known: Iterable[str]) -> str:
    """The known key that is written most like an unknown one, in whatever case; without a section, by its last name."""
    keys = {key.upper() if "." in unknown else key.rpartition(".")[2]: key for key in known}
    return keys[difflib.get_close_matches(unknown.upper(), keys, n=1, cutoff=0)[0]]
