"""The configuration of a file and of the command line, over Detectron2's defaults and ours."""

from __future__ import annotations

import difflib
import re
from pathlib import Path

import yaml
from detectron2.config import CfgNode, get_cfg

from dataset_tools.errors import UserError
from polymask.config.keys import CONSEQUENCES, ITERATIONS_OF, add_polymask_config, flat_items


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
        values = CfgNode(_LayeredConfig.load_yaml_with_base(str(config_file), allow_unsafe=False))
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


def _check_pairs(overrides: list[str]) -> None:
    option = next((word for word in overrides[::2] if word.startswith("--")), None)
    if option:
        remedy = "Put it before the first KEY VALUE"
        raise UserError(f"{option} stands behind a configuration key", file="command line", remedy=remedy)
    if len(overrides) % 2:
        raise UserError(f"{overrides[-1]} has no value", file="command line", remedy="Give each KEY its VALUE")


class _LayeredConfig(CfgNode):
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
