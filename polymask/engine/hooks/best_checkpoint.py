"""The weights with the best mask AP on VAL so far, as a file."""

from __future__ import annotations

import logging
import math

from detectron2.engine import HookBase

from polymask.engine.hooks.validation import MASK_AP

log = logging.getLogger(__name__)

BEST_NAME = "model_best"


class BestCheckpoint(HookBase):
    """Writes ``OUTPUT_DIR/model_best.pth`` after each validation that is better than all before.

    Unlike Detectron2's ``BestCheckpointer`` it does not make ``--resume`` start from the best weights, and a training
    that is resumed knows how good the best were.
    """

    def __init__(self):
        self.mask_ap = -math.inf
        self.iteration = -1

    def after_step(self) -> None:
        trainer = self.trainer
        mask_ap, iteration = trainer.storage.latest().get(MASK_AP, (math.nan, -1))
        if iteration != trainer.iter or not mask_ap > self.mask_ap:
            return
        self.mask_ap, self.iteration = mask_ap, iteration
        trainer.save_weights(BEST_NAME)
        log.info("The best mask AP on VAL so far: %.2f. Its weights are in %s.pth.", mask_ap, BEST_NAME)

    def state_dict(self) -> dict:
        return {"mask_ap": self.mask_ap, "iteration": self.iteration}

    def load_state_dict(self, state: dict) -> None:
        self.mask_ap, self.iteration = state["mask_ap"], state["iteration"]
