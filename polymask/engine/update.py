"""One iteration: the photos of an update, forward and backward in parts, and the step of the optimizer."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator

import torch
from detectron2.engine import SimpleTrainer
from detectron2.utils import comm
from torch.nn.parallel import DistributedDataParallel

from polymask.data.seeding import seed_everything
from polymask.modeling.precision import autocast


class UpdateTrainer(SimpleTrainer):
    """Detectron2's ``SimpleTrainer`` with autocast, accumulation of gradients, and randomness that can be repeated.

    Args:
        model: bare or in DistributedDataParallel, on ``device``.
        data_loader: yields this process's photos of each update; may be set later.
        optimizer: of the model.
        device: "cpu" or "cuda...".
        compute_type: the type of the forward pass, where PyTorch's autocast holds it safe; see
            ``polymask.modeling.precision``.
        parts: an update's photos are processed in so many parts, one after the other. The gradient is the mean of
            theirs, weighted by photos, as it is between processes: of a loss that Detectron2 averages over the regions
            of all photos at hand (those of boxes and masks), a photo with many regions counts less than in one part.
        seed: every iteration's randomness follows from (seed, iteration, rank) alone, so that a resumed training
            repeats it.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        data_loader: Iterable[list[dict]] | None,
        optimizer: torch.optim.Optimizer,
        *,
        device: str,
        compute_type: torch.dtype,
        parts: int,
        seed: int,
    ):
        super().__init__(model, data_loader, optimizer)
        self.device_type = torch.device(device).type
        self.compute_type = compute_type
        # float16 alone lacks float32's range: small gradients would become 0.
        self.scaler = torch.amp.GradScaler(self.device_type, enabled=compute_type == torch.float16)
        self.parts = parts
        self.seed = seed
        self.batch: list[dict] = []  # the photos of the current iteration
        self.losses: dict[str, float] = {}  # and their losses, known when after_backward is called

    def run_step(self) -> None:
        start = time.perf_counter()
        self.batch = next(self._data_loader_iter)
        data_time = time.perf_counter() - start
        # Here and not earlier: the start of a data loader's workers draws from the same generator.
        seed_everything(self.seed, self.iter, comm.get_rank())
        self.optimizer.zero_grad()
        losses = self._forward_and_backward()
        self.losses = {name: loss.item() for name, loss in losses.items()}
        self.after_backward()
        self._write_metrics(losses, data_time)
        self.scaler.step(self.optimizer)
        self.scaler.update()

    def has_finite_gradients(self) -> bool:
        """Whether the gradients of biases, normalisations and the first layer are numbers, and so most likely all are.

        What flows back through a layer is summed up in the gradient of its bias, and comes to the first layer in the
        end; to look at all weights takes more than 1 % of the time of an iteration of the mini network on a CPU. True
        where gradients are scaled: then such ones are usual, and the scaler leaves their step out.
        """
        if self.scaler.is_enabled():
            return True
        gradients = {name: p.grad for name, p in self.model.named_parameters() if p.grad is not None}
        # An FPN names its own layers before those of the network that it stands on.
        first = next((name for name in gradients if ".bottom_up." in name), next(iter(gradients)))
        seen = [g.flatten() for name, g in gradients.items() if name == first or g.dim() == 1]
        return bool(torch.isfinite(torch.cat(seen).sum()))  # a NaN makes the sum NaN

    def _forward_and_backward(self) -> dict[str, torch.Tensor]:
        totals: dict[str, torch.Tensor] = {}
        parts = list(_split(self.batch, self.parts))
        for number, part in enumerate(parts, start=1):
            with self._gradients_stay_here() if number < len(parts) else contextlib.nullcontext():
                with autocast(self.device_type, self.compute_type):
                    losses = self.model(part)
                losses = {name: loss * (len(part) / len(self.batch)) for name, loss in losses.items()}
                self.scaler.scale(sum(losses.values())).backward()
            for name, loss in losses.items():
                totals[name] = totals.get(name, 0) + loss.detach()
        return totals

    def _gradients_stay_here(self) -> contextlib.AbstractContextManager:
        """Gradients are exchanged between processes once an update, with its last part."""
        if isinstance(self.model, DistributedDataParallel):
            return self.model.no_sync()
        return contextlib.nullcontext()

    def state_dict(self) -> dict:
        return super().state_dict() | {"scaler": self.scaler.state_dict()}

    def load_state_dict(self, state_dict: dict) -> None:
        super().load_state_dict(state_dict)
        if state_dict["scaler"]:  # that of a run without scaling is empty
            self.scaler.load_state_dict(state_dict["scaler"])


def _split(batch: list[dict], parts: int) -> Iterator[list[dict]]:
    size = -(-len(batch) // parts)
    for start in range(0, len(batch), size):
        yield batch[start : start + size]
