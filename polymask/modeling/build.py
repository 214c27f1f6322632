"""From the configuration to a model, or to words that say why there is none."""

from __future__ import annotations

import traceback

import torch
from detectron2 import modeling
from detectron2.config import CfgNode

import polymask.modeling.backbone  # noqa: F401  (registers it)
from dataset_tools.errors import UserError
from polymask.modeling.roi_align import use_row_poolers


def build_model(cfg: CfgNode) -> torch.nn.Module:
    """Detectron2's model of a resolved configuration, on ``MODEL.DEVICE``.

    On a CPU its ROIAlign is replaced by a faster one (see ``polymask.modeling.roi_align``).

    Raises:
        UserError: the keys of MODEL do not go together. Detectron2 says so by an assertion, mostly without a word.
    """
    try:
        return use_row_poolers(modeling.build_model(cfg))
    except (AssertionError, KeyError, IndexError, TypeError, ValueError, ZeroDivisionError) as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        raise UserError(
            f"the keys of MODEL make no model: {place.name} of Detectron2 stops at '{place.line}' ({error!r})",
            remedy="Compare them with those of configs/mask_rcnn_R_18_FPN.yaml",
        ) from error
