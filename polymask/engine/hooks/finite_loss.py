"""Stops a training whose loss or gradients are NaN or infinite, before the weights are."""

from __future__ import annotations

import math
from pathlib import Path
from typing import NoReturn

import msgspec
from detectron2.engine import HookBase
from detectron2.utils import comm

from dataset_tools.errors import UserError
from dataset_tools.files import write_atomically
from polymask.data.copy_paste import PASTED_FROM
from polymask.engine.distributed import reduce_flag

REPORT_NAME = "non_finite_loss.json"
REMEDY = (
    "lower SOLVER.BASE_LR, lengthen the warm-up (SOLVER.WARMUP_SHARE) or set SOLVER.CLIP_GRADIENTS.ENABLED True; the "
    "checkpoints so far are whole"
)


class FiniteLoss(HookBase):
    """After a backward pass whose loss or gradients are NaN or infinite it raises, on all ranks, and no step is made.

    ``OUTPUT_DIR/non_finite_loss.json`` then holds the iteration, and the losses and photos of every process.
    """

    def after_backward(self) -> None:
        trainer = self.trainer
        finite = math.isfinite(sum(trainer.losses.values())) and trainer.has_finite_gradients()
        if not reduce_flag(not finite):
            return
        # The first process writes what all know, and the others wait, for torchrun ends all with the first.
        processes = comm.all_gather(_losses_and_photos(trainer.losses, trainer.batch))
        bad = {name for p in processes for name, loss in p["losses"].items() if not math.isfinite(float(loss))}
        error = self._error(" and ".join(sorted(bad)) or "gradients", processes)
        comm.synchronize()
        raise error

    def stop(self, error: FloatingPointError) -> NoReturn:
        """The same for what Detectron2 itself refuses during the forward pass: proposals that are NaN or infinite.

        It happens in one process alone, whose end ends the others.
        """
        raise self._error("proposals", [_losses_and_photos({}, self.trainer.batch)]) from error

    def _error(self, what: str, processes: list[dict]) -> UserError:
        iteration = self.trainer.iter
        report = Path(self.trainer.cfg.OUTPUT_DIR) / REPORT_NAME
        content = {"iteration": iteration, "not_finite": what, "processes": processes}
        write_atomically(report, msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n")
        return UserError(
            f"{what} became NaN or infinite in iteration {iteration}, whose photos are listed there",
            file=report,
            remedy=f"Look at these photos, {REMEDY}",
        )


def _losses_and_photos(losses: dict[str, float], batch: list[dict]) -> dict:
    # Losses as text, since JSON has no NaN.
    return {
        "losses": {name: str(loss) for name, loss in losses.items()},
        "photos": [photo[key] for photo in batch for key in ("file_name", PASTED_FROM) if key in photo],
    }
