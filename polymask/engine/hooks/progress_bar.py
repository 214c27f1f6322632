"""A progress bar with the loss and the time left, for people at a terminal."""

from __future__ import annotations

import contextlib
import logging

from detectron2.engine import HookBase
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

# The loggers whose console lines would otherwise tear the bar apart.
LOGGERS = ("detectron2", "fvcore", "polymask")


class ProgressBar(HookBase):
    """Shows nothing where standard error is no terminal; the log's lines say the same there."""

    def before_train(self) -> None:
        trainer = self.trainer
        self._stack = contextlib.ExitStack()
        self._bar = tqdm(
            total=trainer.max_iter,
            initial=trainer.start_iter,
            desc="training",
            unit="it",
            dynamic_ncols=True,
            disable=None,  # tqdm's word for "unless it is a terminal"
        )
        if not self._bar.disable:
            self._stack.enter_context(logging_redirect_tqdm([logging.getLogger(name) for name in LOGGERS]))
        self._stack.callback(self._bar.close)

    def after_step(self) -> None:
        if not self._bar.disable:
            loss = self.trainer.storage.history("total_loss").median(20)
            self._bar.set_postfix_str(f"loss {loss:.3f}", refresh=False)
        self._bar.update()

    def after_train(self) -> None:
        self._stack.close()
