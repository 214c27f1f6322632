"""The curve of the losses as a picture, drawn from Detectron2's metrics.json."""

from __future__ import annotations

import json
from pathlib import Path

from detectron2.engine import HookBase

CURVE_NAME = "loss_curve.png"


class LossCurve(HookBase):
    """Draws ``OUTPUT_DIR/loss_curve.png`` when the training ends, also when it is interrupted."""

    def __init__(self, output_dir: Path | str):
        self.output_dir = Path(output_dir)

    def after_train(self) -> None:
        metrics = self.output_dir / "metrics.json"
        if metrics.exists():
            draw_loss_curve(metrics, self.output_dir / CURVE_NAME)


def read_losses(metrics: Path) -> dict[str, list[tuple[int, float]]]:
    """``{name: [(iteration, value), ...]}`` of every loss in metrics.json, in the order of iterations.

    Detectron2 does not write them in this order, and a resumed run writes the iterations since its checkpoint again:
    the later line counts.
    """
    by_iteration = {}
    for line in metrics.read_text().splitlines():
        record = json.loads(line)
        by_iteration.setdefault(record["iteration"], {}).update(record)
    losses = {}
    for iteration, record in sorted(by_iteration.items()):
        for name, value in record.items():
            if "loss" in name:
                losses.setdefault(name, []).append((iteration, value))
    return losses


def draw_loss_curve(metrics: Path, target: Path) -> None:
    """Draws every loss over the iterations, the total in bold, as a PNG."""
    from matplotlib.figure import Figure  # not pyplot: it would look for a screen

    losses = read_losses(metrics)
    if not losses:
        return
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    for name, points in losses.items():
        total = name == "total_loss"
        axes.plot(
            *zip(*points, strict=True), label=name, linewidth=2.5 if total else 1, color="black" if total else None
        )
    axes.set(xlabel="iteration", ylabel="loss", ylim=(0, None))
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(target, dpi=120)
