"""Ctrl-C and SIGTERM: a checkpoint first, then the end."""

from __future__ import annotations

import logging
import os
import signal
from types import FrameType
from typing import Any

from detectron2.engine import HookBase
from detectron2.utils import comm

from polymask.engine.distributed import reduce_flag
from polymask.engine.hooks.checkpoints import Checkpoints

log = logging.getLogger(__name__)

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption(HookBase):
    """Lets the iteration end, saves a checkpoint and exits with 128 + the signal's number, as a shell reports it.

    A second signal ends the process at once. It is the last hook, so that the checkpoint holds the whole iteration; on
    all ranks, which agree on the iteration to stop after.
    """

    def __init__(self, checkpoints: Checkpoints):
        self._checkpoints = checkpoints
        self._received = 0
        self._previous: dict[int, Any] = {}  # the handlers as signal.signal returns them
        self._process = os.getpid()

    def before_train(self) -> None:
        self._previous = {number: signal.signal(number, self._receive) for number in SIGNALS}

    def after_step(self) -> None:
        if reduce_flag(self._received > 0):
            self._checkpoints.save()
            comm.synchronize()  # torchrun ends all processes with the first
            log.warning(
                "Interrupted after iteration %d. Its state is saved in %s: go on with the same command and --resume.",
                self.trainer.iter,
                self.trainer.cfg.OUTPUT_DIR,
            )
            raise SystemExit(128 + (self._received or signal.SIGTERM))
        if self.trainer.iter + 1 == self.trainer.max_iter:
            self._restore()  # what follows, the final evaluation, is repeated by --resume and need not be waited for

    def after_train(self) -> None:
        self._restore()

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        if os.getpid() != self._process:
            return  # a data loader's worker, which has this handler from its parent, and leaves the matter to it
        log.warning("Received %s: stopping after this iteration. Once more stops at once.", signal.Signals(number).name)
        self._received = number
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}
