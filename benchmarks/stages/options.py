"""What the command line says, and configurations that need no dataset."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from detectron2.config import CfgNode

from benchmarks.stages.machine import device
from polymask.config.load import load_config

PROJECT = Path(__file__).resolve().parents[2]
CLASSES = ("Car", "Sign Board")  # those of the embedded sample
# Of a configuration that is resolved from a dataset otherwise.
WITHOUT_DATASET = [
    "DATASETS.CLASSES", str(list(CLASSES)), "MODEL.ROI_HEADS.NUM_CLASSES", str(len(CLASSES)),
    "INPUT.MASK_FORMAT", "bitmask", "MODEL.WEIGHTS", "",
]  # fmt: skip


@dataclass(frozen=True)
class Options:
    """What a stage is told.

    Attributes:
        scratch: a folder for what a stage generates, empty at the start and removed at the end.
        run: the output folder of a finished training of the mini network; None for weights that are made up.
        peers: a folder for programs that need an environment of their own, which are installed there; None for none.
    """

    scratch: Path
    run: Path | None = None
    peers: Path | None = None


def frozen_config(file: str | Path, overrides: list[str]) -> CfgNode:
    """A configuration of ``configs/`` for this machine, as it is without a dataset."""
    cfg = load_config(PROJECT / file, [*WITHOUT_DATASET, "MODEL.DEVICE", device(), *overrides])
    cfg.freeze()
    return cfg
