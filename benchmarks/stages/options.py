"""What a stage gets: the command line's wishes, the machine, and configurations that need no dataset."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import torch
from detectron2.config import CfgNode

from polymask.config.load import load_config
from polymask.modeling.precision import NAMES, half_type

PROJECT = Path(__file__).resolve().parents[2]
CLASSES = ("Car", "Sign Board")  # those of the embedded sample
# Of a configuration that is resolved from a dataset otherwise.
WITHOUT_DATASET = [
    "DATASETS.CLASSES", str(list(CLASSES)), "MODEL.ROI_HEADS.NUM_CLASSES", str(len(CLASSES)),
    "INPUT.MASK_FORMAT", "bitmask", "MODEL.WEIGHTS", "",
]  # fmt: skip
# Variables that change what the processor may use, or how its threads wait.
VARIABLES = (
    "ONEDNN_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY", "OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT",
)  # fmt: skip
PACKAGES = ("torch", "torchvision", "numpy", "pillow", "pycocotools")


@dataclass(frozen=True)
class Options:
    """What a stage gets.

    Attributes:
        scratch: a folder for what a stage generates, empty at the start and removed at the end.
        run: the output folder of a finished training of the mini network; None for weights that are made up.
        peers: a folder for programs that need their own environment, which are installed there; None for none.
    """

    scratch: Path
    run: Path | None = None
    peers: Path | None = None


def frozen_config(file: str | Path, overrides: list[str]) -> CfgNode:
    """A configuration of ``configs/`` for this machine, as it is without a dataset."""
    cfg = load_config(PROJECT / file, [*WITHOUT_DATASET, "MODEL.DEVICE", device(), *overrides])
    cfg.freeze()
    return cfg


def device() -> str:
    """``cuda`` where there is a GPU, else ``cpu``."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def describe_machine() -> dict[str, object]:
    """What a reader has to know to compare two tables."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": names[0] if names else platform.processor() or platform.machine(),
        "GPU": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "half precision": NAMES.get(half_type(device())),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES},
        "variables": {name: os.environ[name] for name in VARIABLES if name in os.environ},
        "load": os.getloadavg()[0],
    }
