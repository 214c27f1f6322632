"""An exponential moving average of the weights, which is what is evaluated and saved for use."""

from __future__ import annotations

import torch
from detectron2.engine import HookBase
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

# It reads and writes every weight: after each update that would take some 3 % of the time of a training on a CPU.
UPDATES_BETWEEN = 4

Tensors = tuple[torch.Tensor, ...] | list[torch.Tensor]  # as PyTorch types them


class ExponentialMovingAverage(HookBase):
    """Averages the weights and the statistics of the normalisation, after the first update and every fourth from there.

    The decay at update n is ``min(decay, (1 + n) / (10 + n))``, as in TensorFlow's ExponentialMovingAverage: an
    average with a full decay would remember the random start for a thousand updates. The weights after one update stand
    for the four since the last time, so that the average forgets as much as if it were taken after each: the decay is
    raised to the fourth power.

    Args:
        model: the model that is trained, not in DistributedDataParallel. All ranks average the same weights.
        decay: 0 < decay < 1; 0.999 remembers about the last thousand updates.
    """

    def __init__(self, model: torch.nn.Module, decay: float):
        self._model = model
        self._decay = decay
        self._averaged = AveragedModel(model, multi_avg_fn=self._average, use_buffers=True)

    @property
    def model(self) -> torch.nn.Module:
        """The model with the averaged weights."""
        return self._averaged.module

    def before_train(self) -> None:
        if self.trainer.start_iter > 0 and not self._averaged.n_averaged:  # it was switched on with --resume
            self._averaged.update_parameters(self._model)  # which copies

    def after_step(self) -> None:
        if self.trainer.iter % UPDATES_BETWEEN == 0:
            self._averaged.update_parameters(self._model)  # the first time it copies

    def state_dict(self) -> dict:
        return self._averaged.state_dict()

    def load_state_dict(self, state: dict) -> None:
        self._averaged.load_state_dict(state)

    def _average(self, averaged: Tensors, current: Tensors, times: torch.Tensor | int) -> None:
        updates = UPDATES_BETWEEN * int(times)
        decay = min(self._decay, (1 + updates) / (10 + updates))
        get_ema_multi_avg_fn(decay**UPDATES_BETWEEN)(averaged, current, times)
