"""The evaluation on VAL during the training: its losses and its AP."""

from __future__ import annotations

import itertools
import statistics

import torch
from detectron2.config import CfgNode
from detectron2.engine import HookBase
from detectron2.evaluation.testing import flatten_results_dict
from detectron2.utils.events import EventStorage

from dataset_tools.errors import UserError
from polymask.data.loader import build_validation_loader
from polymask.data.seeding import seeded
from polymask.engine.distributed import synchronise_buffers, weighted_mean
from polymask.engine.hooks.finite_loss import REMEDY
from polymask.evaluation.coco import TASKS, Metrics, evaluate

# The means over all datasets of VAL; what the best checkpoint and early stopping look at.
MASK_AP = "validation/segm/AP"


class Validation(HookBase):
    """Every ``TEST.EVAL_PERIOD`` updates and after the last one: the mask and box AP on VAL, and the losses there.

    They are put into the trainer's storage: ``validation/total_loss``, ``validation/<component>``,
    ``validation/segm/AP``, ``validation/bbox/AP``, and every metric of each dataset as Detectron2 names it. The losses
    (``TEST.VALIDATION_LOSS``) look at every photo once more.
    """

    def __init__(self):
        self._results: dict[str, Metrics] = {}
        self._updates = 0  # that the model had seen when it came to these results

    def after_step(self) -> None:
        update, period = self.trainer.iter + 1, self.trainer.cfg.TEST.EVAL_PERIOD
        if update == self.trainer.max_iter or (period > 0 and update % period == 0):
            self._validate()

    def results_after(self, updates: int) -> dict[str, Metrics]:
        """The metrics of each dataset of VAL after so many updates, or nothing if it was not evaluated then."""
        return self._results if self._updates == updates else {}

    def _validate(self) -> None:
        trainer = self.trainer
        synchronise_buffers(trainer.evaluated_model)
        if trainer.cfg.TEST.VALIDATION_LOSS:
            try:
                losses = validation_losses(trainer.cfg, trainer.evaluated_model)
            except FloatingPointError as error:  # Detectron2 refuses such proposals where it computes losses
                raise UserError(
                    f"the proposals on VAL are NaN or infinite after iteration {trainer.iter}",
                    file=trainer.cfg.OUTPUT_DIR,
                    remedy=f"To go on from the last checkpoint, {REMEDY}",
                ) from error
            trainer.storage.put_scalars(**{f"validation/{k}": v for k, v in losses.items()}, smoothing_hint=False)
        self._results = evaluate(trainer.cfg, trainer.evaluated_model, trainer.cfg.DATASETS.VAL)
        self._updates = trainer.iter + 1
        means = {
            f"validation/{task}/AP": statistics.fmean(m[task]["AP"] for m in self._results.values()) for task in TASKS
        }
        trainer.storage.put_scalars(**means, **flatten_results_dict(self._results), smoothing_hint=False)


def validation_losses(cfg: CfgNode, model: torch.nn.Module) -> dict[str, float]:
    """The mean over the photos of VAL of each loss of the training, and ``total_loss``; the same on all ranks.

    The model stays as it is: no gradient, no new statistics of the normalisation, no random number drawn from the
    training's generators, nothing written into its storage. Anchors and regions are sampled with the same seed each
    time, so that two values differ by the weights alone.
    """
    sums: dict[str, float] = {}
    photos = 0
    modes = {module: module.training for module in model.modules()}
    try:
        with torch.no_grad(), EventStorage(), seeded(cfg.SEED):
            _training_mode_without_statistics(model)
            for batch in itertools.chain.from_iterable(build_validation_loader(cfg, name) for name in cfg.DATASETS.VAL):
                with seeded(cfg.SEED, batch[0]["image_id"]):  # whichever process looks at it
                    losses = model(batch)
                for name, loss in losses.items():
                    sums[name] = sums.get(name, 0.0) + loss.item()
                photos += 1
    finally:
        for module, mode in modes.items():
            module.training = mode
    means = weighted_mean(sums, photos)
    return {"total_loss": sum(means.values()), **means}


def _training_mode_without_statistics(model: torch.nn.Module) -> None:
    """Detectron2's models return losses in training mode only, in which BatchNorm would learn from VAL."""
    model.train()
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.eval()
