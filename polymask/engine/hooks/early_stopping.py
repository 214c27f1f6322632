"""Ends a training that no longer gets better on VAL."""

from __future__ import annotations

import logging
import math

from detectron2.engine import HookBase

from polymask.engine.hooks.validation import MASK_AP

log = logging.getLogger(__name__)


class EarlyStopping(HookBase):
    """Ends the training when the mask AP on VAL was not better than the best in ``patience`` evaluations in a row.

    It shortens the training to the current iteration: the last checkpoint, ``model_final.pth`` and the final evaluation
    follow as after the planned end. A resumed training that had been stopped stays so unless ``patience`` is raised.
    """

    def __init__(self, patience: int):
        self.patience = patience
        self.best = -math.inf
        self.evaluations_since = 0

    def before_train(self) -> None:
        if self.evaluations_since >= self.patience:
            self._stop(self.trainer.start_iter)

    def after_step(self) -> None:
        trainer = self.trainer
        mask_ap, iteration = trainer.storage.latest().get(MASK_AP, (math.nan, -1))
        if iteration != trainer.iter:
            return
        if mask_ap > self.best:
            self.best, self.evaluations_since = mask_ap, 0
        else:
            self.evaluations_since += 1
        if self.evaluations_since >= self.patience:
            self._stop(trainer.iter + 1)

    def _stop(self, updates: int) -> None:
        if updates < self.trainer.max_iter:
            log.info(
                "Early stopping after %d of %d iterations: the mask AP on VAL has not been above %.2f in the last %d "
                "evaluations (TEST.EARLY_STOPPING_PATIENCE).",
                updates,
                self.trainer.max_iter,
                self.best,
                self.evaluations_since,
            )
            self.trainer.max_iter = updates

    def state_dict(self) -> dict:
        return {"best": self.best, "evaluations_since": self.evaluations_since}

    def load_state_dict(self, state: dict) -> None:
        self.best, self.evaluations_since = state["best"], state["evaluations_since"]
