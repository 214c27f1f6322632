"""A training on a processor without bfloat16 in hardware, as most laptops have, and on the one at hand."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from polymask.modeling.precision import NAMES, half_type

ROOT = Path(__file__).resolve().parents[3]
# oneDNN and PyTorch then behave as on a processor with AVX2 and without AVX-512.
ON_AVX2 = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}


@pytest.mark.parametrize("variables", [ON_AVX2, {}], ids=["AVX2", "as it is"])
def test_half_precision_runs_where_the_processor_has_it(tiny_dataset, tmp_path, variables):
    """In a separate process: both libraries read their variables once."""
    keys = ["DATASETS.ROOT", str(tiny_dataset), "OUTPUT_DIR", str(tmp_path / "run"), "MODEL.DEVICE", "cpu"]
    keys += ["SOLVER.AMP.ENABLED", "True", "SOLVER.MAX_ITER", "2"]
    command = [sys.executable, "train_net.py", "--config-file", "configs/mini_scratch.yaml", *keys]
    subprocess.run(command, cwd=ROOT, env=os.environ | variables, check=True, capture_output=True, timeout=600)
    expected = None if variables else half_type("cpu")
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    assert facts["precision"] == NAMES[expected or torch.float32]
