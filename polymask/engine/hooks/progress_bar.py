"""A progress bar with the loss, the AP so far, speed, memory and the time left, for people at a terminal."""

from __future__ import annotations

import contextlib
import logging

from detectron2.engine import HookBase
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from polymask.engine.hooks.validation import MASK_AP
from polymask.engine.run_files import peak_memory_gib

# The loggers whose console lines would otherwise tear the bar apart.
LOGGERS = ("detectron2", "fvcore", "polymask")


class ProgressBar(HookBase):
    """Shows nothing where standard error is not a terminal; the log's lines say the same there."""

    def __init__(self):
        self._stack = contextlib.ExitStack()

    def before_train(self) -> None:
        trainer = self.trainer
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
            self._bar.set_postfix_str(self._postfix(), refresh=False)
        self._bar.update()

    def _postfix(self) -> str:
        storage, cfg = self.trainer.storage, self.trainer.cfg
        words = [f"loss {storage.history('total_loss').median(20):.3f}"]
        if MASK_AP in storage.histories():
            words.append(f"mask AP {storage.history(MASK_AP).latest():.1f}")
        if "time" in storage.histories():  # not in the first iterations
            words.append(f"{cfg.SOLVER.IMS_PER_BATCH / storage.history('time').median(20):.1f} images/s")
        return ", ".join([*words, f"{peak_memory_gib(cfg.MODEL.DEVICE):.1f} GiB"])

    def after_train(self) -> None:
        self._stack.close()
