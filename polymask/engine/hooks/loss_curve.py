"""The curves of the losses, of the training and on VAL, as a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from detectron2.engine import HookBase

from polymask.engine.hooks.history import HISTORY_NAME, read_history

CURVE_NAME = "loss_curve.png"
# Single iterations jump about: each point is the mean over this share of the training, and at least one iteration.
SMOOTHING_SHARE = 0.02


class LossCurve(HookBase):
    """Draws ``OUTPUT_DIR/loss_curve.png`` when the training ends, also when it is interrupted."""

    def __init__(self, output_dir: Path | str):
        self.output_dir = Path(output_dir)

    def after_train(self) -> None:
        history = self.output_dir / HISTORY_NAME
        if history.exists():
            draw_loss_curve(history, self.output_dir / CURVE_NAME)


def read_curves(history: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Iterations and values of every column of a history that holds a loss; empty cells are left out."""
    columns, rows = read_history(history)
    curves = {}
    for name in columns:
        points = [(int(row["iteration"]), float(row[name])) for row in rows if row[name]]
        if "loss" in name and points:
            curves[name] = tuple(np.array(points).T)
    return curves


def draw_loss_curve(history: Path, target: Path) -> None:
    """Draws every loss over the iterations, the totals in bold and those on VAL with points, as a PNG."""
    from matplotlib.figure import Figure  # not pyplot: it would look for a screen

    curves = read_curves(history)
    if not curves:
        return
    figure = Figure(figsize=(10, 5), layout="constrained")
    axes = figure.subplots()
    for name, (iterations, values) in curves.items():
        total = name.endswith("total_loss")
        if not name.startswith("validation/"):
            axes.plot(
                *_smoothed(iterations, values),
                label=name,
                linewidth=2.5 if total else 1,
                color="black" if total else None,
            )
        elif total:
            axes.plot(iterations, values, "o--", label=name, color="tab:red")
    axes.set(xlabel="iteration", ylabel="loss", ylim=(0, None))
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right upper")  # beside the axes: a cascade has ten losses, which would cover the curves
    figure.savefig(target, dpi=120)


def _smoothed(iterations: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    width = max(1, round(len(values) * SMOOTHING_SHARE))
    window = np.ones(width) / width
    return np.convolve(iterations, window, "valid"), np.convolve(values, window, "valid")
