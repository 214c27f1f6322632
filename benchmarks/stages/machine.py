"""The machine and the libraries that a benchmark ran on, and its precision."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path

import torch

from polymask.modeling.precision import NAMES, half_type

# Variables that change what the processor may use, or how its threads wait.
VARIABLES = (
    "ONEDNN_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY", "OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT",
)  # fmt: skip
PACKAGES = ("torch", "torchvision", "numpy", "pillow", "pycocotools")


def device() -> str:
    """``cuda`` where there is a GPU, else ``cpu``."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def describe_machine() -> dict[str, object]:
    """What a reader has to know to compare two tables."""
    return {
        "processor": _processor(),
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


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
