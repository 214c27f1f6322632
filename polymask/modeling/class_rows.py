"""``MODEL.NEW_HEADS``: what a model takes over from the layers of a checkpoint that depend on the classes."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence

import torch

from dataset_tools.errors import UserError
from dataset_tools.instances.labels import parse_renames, suggestion
from dataset_tools.text import LONGEST_CELL, one_line

log = logging.getLogger(__name__)

# Detectron2's layers with an output for each class; a cascade numbers its box predictors.
CLASS_LAYERS = re.compile(r"^roi_heads\.(box_predictor\.(\d+\.)?(cls_score|bbox_pred)|mask_head\.predictor)\.")
SCORES, BOXES = ".cls_score.", ".bbox_pred."
ROWS_OF_A_BOX = 4

Tensors = Mapping[str, torch.Tensor]


def parse_synonyms(text: str) -> dict[str, str]:
    """Our class to theirs, from ``ours=theirs,ours=theirs`` (``MODEL.CLASS_SYNONYMS``).

    Raises:
        UserError: a pair has no or more than one ``=``, or a class has two synonyms.
    """
    return parse_renames([pair.strip() for pair in text.split(",") if pair.strip()], "MODEL.CLASS_SYNONYMS")


def number_of_classes(layers: Tensors) -> int:
    """How many classes the scores of a model are for: they have a row for each, and a last one for the background.

    0 where there are no scores.
    """
    return next((len(tensor) - 1 for name, tensor in layers.items() if SCORES in name), 0)


def match_classes(ours: Sequence[str], theirs: Sequence[str], synonyms: Mapping[str, str]) -> dict[int, int]:
    """Which of our classes are classes of theirs, by their places: those of the same name, compared without case.

    Args:
        ours, theirs: the names in order.
        synonyms: our name to theirs, which counts before the same name.

    Raises:
        UserError: a synonym names a class that is not there.
    """
    for pair in synonyms.items():
        for name, classes, whose in zip(pair, (ours, theirs), ("dataset", "checkpoint")):
            if name.casefold() not in map(str.casefold, classes):
                known = suggestion(name, classes) if classes else ", which does not name its classes"
                reason = f"MODEL.CLASS_SYNONYMS has {name!r}, which is not a class of the {whose}{known}"
                raise UserError(reason, remedy="Correct MODEL.CLASS_SYNONYMS, which takes OURS=THEIRS")
    meant = {name.casefold(): other for name, other in synonyms.items()}
    places = {name.casefold(): place for place, name in enumerate(theirs)}
    places |= {name: place for place, name in enumerate(theirs)}  # "Car" and "car" may be two classes
    wanted = [meant.get(name.casefold(), name) for name in ours]
    found = {place: places.get(name, places.get(name.casefold())) for place, name in enumerate(wanted)}
    return {place: other for place, other in found.items() if other is not None}


def take_rows(
    start: Tensors, trained: Tensors, ours: Sequence[str], theirs: Sequence[str] | None, synonyms: Mapping[str, str]
) -> dict[str, torch.Tensor]:
    """The class layers of a model, with the checkpoint's rows for the same classes and for the background.

    Boxes and masks that both models have once for all classes are taken whole. What is taken is logged.

    Args:
        start: the model's class layers (see ``CLASS_LAYERS``) at their random start, by their names.
        trained: those of the checkpoint.
        ours: the model's classes in order.
        theirs: the checkpoint's; None where it does not name them.
        synonyms: see :func:`match_classes`.

    Returns:
        The layers that both have, as in ``start`` but for the rows that are taken. Left out are boxes or masks that one
        of the two has for each class and the other once for all.

    Raises:
        UserError: see :func:`match_classes`.
        ValueError: the checkpoint names more or fewer classes than its layers have rows for.
    """
    same = match_classes(ours, theirs or (), synonyms)
    numbers = len(ours), number_of_classes(trained)
    if numbers[1] < 1:
        log.info("MODEL.NEW_HEADS: the layers that depend on the classes start at random.")
        return {}
    if theirs is None:
        log.warning("MODEL.NEW_HEADS: the checkpoint does not name its classes: all of yours start at random.")
    elif len(theirs) != numbers[1]:
        raise ValueError(f"it names {len(theirs)} classes, and has scores of {numbers[1]}")
    common = [name for name in start if name in trained]
    rows = {name: _with_their_rows(name, start[name].cpu(), trained[name], same, numbers) for name in common}
    known = [f"{_short(ours[place])} ({_short(theirs[other])})" for place, other in same.items()] if theirs else []
    new = [_short(name) for place, name in enumerate(ours) if place not in same]
    apart = {"all boxes" if BOXES in name else "all masks" for name in common if rows[name] is None}
    log.info(
        "MODEL.NEW_HEADS: from the checkpoint come %s; at random start %s.",
        ", ".join(["the background", *known]),
        ", ".join([*new, *sorted(apart)]) or "none",
    )
    return {name: tensor for name, tensor in rows.items() if tensor is not None}


def _with_their_rows(
    name: str, here: torch.Tensor, there: torch.Tensor, same: Mapping[int, int], numbers: tuple[int, int]
) -> torch.Tensor | None:
    """One layer, see :func:`take_rows`; ``numbers`` of classes are here and there."""
    if (here.dim(), here.shape[1:]) != (there.dim(), there.shape[1:]):
        return there  # which does not fit, as the checkpointer says
    size = ROWS_OF_A_BOX if BOXES in name else 1
    merged, theirs = here.unflatten(0, (-1, size)).clone(), there.unflatten(0, (-1, size))
    if len(theirs) not in ((numbers[1] + 1,) if SCORES in name else (1, numbers[1])):
        raise ValueError(f"{name} has {len(there)} rows, for {numbers[1]} classes")
    if SCORES in name:
        same = {**same, numbers[0]: numbers[1]}  # the background is the last
    elif len(merged) == len(theirs) == 1:
        same = {0: 0}
    elif (len(merged), len(theirs)) != numbers:
        return None
    merged[list(same)] = theirs[list(same.values())].to(merged.dtype)
    return merged.flatten(0, 1)


def _short(name: str) -> str:
    return one_line(name, LONGEST_CELL)
