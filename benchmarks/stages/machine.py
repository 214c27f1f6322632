"""The machine and the libraries that a benchmark ran on, and its precision."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path

import torch

# Variables that change what the processor may use, or how its threads wait.
VARIABLES = (
    "ONEDNN_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY", "OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT",
)  # fmt: skip
PACKAGES = ("torch", "torchvision", "numpy", "pillow", "pycocotools")


def device() -> str:
    """``cuda`` where there is a GPU, else ``cpu``."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def has_half_precision() -> bool:
    """Whether this machine computes faster in half precision: a GPU, or a processor with bfloat16 in hardware."""
    if torch.cuda.is_available():
        return True
    # The first is also true of AVX-512 without bfloat16. It obeys ONEDNN_MAX_CPU_ISA; the others do not.
    bfloat16 = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.ops.mkldnn._is_mkldnn_bf16_supported() and bfloat16


def describe_machine() -> dict[str, object]:
    """What a reader has to know to compare two tables."""
    return {
        "processor": _processor(),
        "GPU": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "half precision in hardware": has_half_precision(),
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
