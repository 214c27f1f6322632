"""The curves of the losses, of the training and on VAL, as a picture."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from detectron2.engine import HookBase

from dataset_tools.files import write_atomically
from polymask.engine.hooks.history import HISTORY_NAME, read_curves

CURVE_NAME = "loss_curve.png"
# Single iterations jump about: each point is the mean over this share of the training, and at least one iteration.
SMOOTHING_SHARE = 0.02


class LossCurve(HookBase):
    """Draws ``OUTPUT_DIR/loss_curve.png`` when the training ends, also when it is interrupted."""

    def after_train(self) -> None:
        folder = Path(self.trainer.cfg.OUTPUT_DIR)
        if (folder / HISTORY_NAME).exists():
            draw_loss_curve(folder / HISTORY_NAME, folder / CURVE_NAME)


def draw_loss_curve(history: Path, target: Path) -> None:
    """Draws every loss over the iterations, the totals in bold and those on VAL with points, as a PNG."""
    from matplotlib.figure import Figure  # not pyplot: it would look for a screen

    curves = {name: np.array(curve).T for name, curve in read_curves(history).items() if "loss" in name}
    if not curves:
        return
    figure = Figure(figsize=(10, 5), layout="constrained")
    axes = figure.subplots()
    for name, (iterations, values) in curves.items():
        total = name.endswith("total_loss")
        if not name.startswith("validation/"):
            axes.plot(
                *smoothed(iterations, values),
                label=name,
                linewidth=2.5 if total else 1,
                color="black" if total else None,
            )
        elif total:
            axes.plot(iterations, values, "o--", label=name, color="tab:red")
    axes.set(xlabel="iteration", ylabel="loss", ylim=(0, None))
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right upper")  # beside the axes: a cascade has ten losses, which would cover the curves
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=120)
    with picture.getbuffer() as view:
        write_atomically(target, view)


def smoothed(iterations: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means over ``SMOOTHING_SHARE`` of the training, in place of single iterations."""
    width = max(1, round(len(values) * SMOOTHING_SHARE))
    window = np.ones(width) / width
    return np.convolve(iterations, window, "valid"), np.convolve(values, window, "valid")
