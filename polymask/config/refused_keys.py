"""Errors of Detectron2 and PyTorch while they build from the configuration, as UserErrors: the one place for it."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterator
from pathlib import Path

from dataset_tools.errors import UserError


@contextlib.contextmanager
def refused_keys_reported(sections: str, product: str) -> Iterator[None]:
    """Around a call that builds something: Detectron2 refuses a value by an assertion, mostly without a word.

    Args:
        sections: of the configuration, such as "MODEL".
        product: what is built from them, such as "model".

    Raises:
        UserError: in the place of what Detectron2 or PyTorch raises.
    """
    try:
        yield
    except (AssertionError, KeyError, IndexError, TypeError, ValueError, ZeroDivisionError) as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        raise UserError(
            f"the keys of {sections} make no {product}: {place.name} in {Path(place.filename).name} stops at '{place.line}' "
            f"({error!r})",
            remedy="Compare them with those of configs/mask_rcnn_R_18_FPN.yaml",
        ) from error
