import logging
import os
import subprocess
import sys

import pytest
import torch

from polymask.modeling import precision
from polymask.modeling.precision import autocast, compute_type, half_type

ON_AVX2 = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}


def test_a_gpu_has_float16():
    assert half_type("cuda") == half_type("cuda:1") == torch.float16


def test_a_processor_that_is_told_to_be_older_has_none():
    """In a separate process: oneDNN reads its variable once."""
    code = "import torch; from polymask.modeling.precision import half_type; print(half_type('cpu'))"
    done = subprocess.run([sys.executable, "-c", code], env=os.environ | ON_AVX2, capture_output=True, text=True)
    assert done.stdout.strip() == "None", done.stderr


@pytest.mark.parametrize(
    ("onednn", "avx512_bf16", "amx", "expected"),
    [
        (True, True, False, torch.bfloat16),
        (True, False, True, torch.bfloat16),
        (True, False, False, None),  # AVX-512 without bfloat16
        (False, True, True, None),  # ONEDNN_MAX_CPU_ISA
    ],
)
def test_a_processor_has_bfloat16_only_if_it_computes_in_it(monkeypatch, onednn, avx512_bf16, amx, expected):
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: onednn)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512_bf16)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    assert half_type("cpu") == expected


@pytest.mark.parametrize(
    ("half", "there", "expected", "lines"),
    [
        (False, torch.bfloat16, torch.float32, 0),
        (True, torch.bfloat16, torch.bfloat16, 0),
        (True, None, torch.float32, 1),
    ],
)
def test_float32_in_its_place_is_said(monkeypatch, caplog, half, there, expected, lines):
    monkeypatch.setattr(precision, "half_type", lambda device: there)
    caplog.set_level(logging.INFO)
    assert compute_type("cpu", half, asked_by="--half") == expected
    assert len(caplog.records) == lines and all("--half" in text and "float32" in text for text in caplog.messages)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_autocast_computes_in_the_type(dtype):
    layer = torch.nn.Linear(2, 2)
    with autocast("cpu", dtype):
        assert layer(torch.ones(1, 2)).dtype == dtype
