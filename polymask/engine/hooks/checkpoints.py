"""The states to resume from, the last few of them, and the final weights."""

from __future__ import annotations

from pathlib import Path

from detectron2.engine import HookBase
from detectron2.utils import comm

from dataset_tools.files import to_the_disk
from polymask.engine.hooks.history import HISTORY_NAME
from polymask.modeling.checkpoint import STATE_FILE

FINAL_NAME = "model_final"
# With its optimizer a checkpoint of the full model weighs 250 MB: an older one is deleted when a newer one is whole.
CHECKPOINTS_TO_KEEP = 2


class Checkpoints(HookBase):
    """Saves ``model_<iteration>.pth`` every ``SOLVER.CHECKPOINT_PERIOD`` updates and after the last one.

    At the end also ``model_final.pth``. It comes behind the hooks that have a state: what is saved is what a training
    that is resumed needs.
    """

    def __init__(self):
        self._saved = -1  # the iteration of the last state

    def after_step(self) -> None:
        trainer = self.trainer
        update = trainer.iter + 1
        if update == trainer.max_iter:
            trainer.save_weights(FINAL_NAME)
        if update == trainer.max_iter or update % trainer.cfg.SOLVER.CHECKPOINT_PERIOD == 0:
            self.save()

    def save(self) -> None:
        """Saves the state after the current iteration, unless that has been done."""
        trainer = self.trainer
        if self._saved != trainer.iter:
            if comm.is_main_process():  # a loss of power leaves no state whose history is shorter
                to_the_disk(Path(trainer.cfg.OUTPUT_DIR) / HISTORY_NAME)
            trainer.checkpointer.save(f"model_{trainer.iter:07d}")
            self._saved = trainer.iter
            if comm.is_main_process():
                self._delete_old()

    def _delete_old(self) -> None:
        folder = Path(self.trainer.cfg.OUTPUT_DIR)
        states = [path for path in folder.iterdir() if STATE_FILE.fullmatch(path.name)]
        for path in sorted(states, key=lambda path: path.stat().st_mtime_ns)[:-CHECKPOINTS_TO_KEEP]:
            path.unlink()
