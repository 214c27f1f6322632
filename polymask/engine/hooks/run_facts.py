"""What a run took, time and memory, and what it ran with, as ``run.json``."""

from __future__ import annotations

import logging
import time
from pathlib import Path

import msgspec
from detectron2.config import CfgNode
from detectron2.engine import HookBase
from detectron2.utils import comm

from polymask.engine.run_files import (
    RunFacts,
    command_line,
    device_in_words,
    peak_memory_gib,
    read_facts,
    versions,
    write_facts,
)

log = logging.getLogger(__name__)


class RunFactsWriter(HookBase):
    """Keeps ``OUTPUT_DIR/run.json``: written at each checkpoint and at the end; a training that is resumed adds up.

    It comes behind the checkpoints and the final evaluation; the main process has it.

    Args:
        cfg: of the training.
        precision: in which it computes, such as "float32".
    """

    def __init__(self, cfg: CfgNode, precision: str):
        self._cfg = cfg
        self._folder = Path(cfg.OUTPUT_DIR)
        self._precision = precision
        self._start: RunFacts | None = None
        self._updates = 0
        self._begin = self._last_update = 0.0

    def before_train(self) -> None:
        resumed = self.trainer.start_iter > 0
        earlier = (read_facts(self._folder) if resumed else None) or RunFacts()
        if earlier.precision and earlier.precision != self._precision:
            log.warning(
                "This training ran in %s so far and goes on in %s: it will not end exactly as it would have without "
                "the interruption.",
                earlier.precision,
                self._precision,
            )
        self._start = msgspec.structs.replace(
            earlier,
            command_lines=(*earlier.command_lines, command_line()),
            versions=versions(),
            device=device_in_words(self._cfg.MODEL.DEVICE),
            precision=self._precision,
            processes=comm.get_world_size(),
            evaluation_seconds=None,
            evaluation_command_line=None,
        )
        self._updates = self.trainer.start_iter
        self._begin = self._last_update = time.monotonic()
        self._write()

    def after_step(self) -> None:
        self._last_update = time.monotonic()
        self._updates = self.trainer.iter + 1
        if self._updates % self._cfg.SOLVER.CHECKPOINT_PERIOD == 0:
            self._write()

    def after_train(self) -> None:
        ended = self.trainer.iter == self.trainer.max_iter
        is_evaluated = ended and (self._cfg.DATASETS.VAL or self._cfg.DATASETS.TEST)
        self._write(time.monotonic() - self._last_update if is_evaluated else None)

    def _write(self, evaluation_seconds: float | None = None) -> None:
        if self._start is None:
            return  # the training has not begun
        facts = msgspec.structs.replace(
            self._start,
            iterations=self._updates,
            training_seconds=self._start.training_seconds + self._last_update - self._begin,
            evaluation_seconds=evaluation_seconds,
            peak_memory_gib=max(self._start.peak_memory_gib, peak_memory_gib(self._cfg.MODEL.DEVICE)),
        )
        write_facts(self._folder, facts)
