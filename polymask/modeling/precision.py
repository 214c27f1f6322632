"""Half precision where the hardware has it, and nowhere else: the one place that decides."""

from __future__ import annotations

import logging

import torch

log = logging.getLogger(__name__)

NAMES = {torch.float32: "float32", torch.float16: "float16", torch.bfloat16: "bfloat16"}


def half_type(device: str) -> torch.dtype | None:
    """The type with half the bits in which a device computes faster than in float32; None if it has none.

    On a GPU it is float16, as in Detectron2's AMPTrainer: every GPU that PyTorch supports has it, and its 10 bits of
    fraction keep more digits than bfloat16's 7. Gradients are scaled, because its range is small.

    On a CPU it is bfloat16, which has float32's range, but only if the processor has instructions for it (AVX512-BF16
    or AMX). Others emulate it, many times more slowly than float32. oneDNN's answer alone is not enough: it is yes on every
    AVX-512 processor. It is asked because it obeys ``ONEDNN_MAX_CPU_ISA``.

    Args:
        device: "cpu" or "cuda...".
    """
    if torch.device(device).type == "cuda":
        return torch.float16
    in_hardware = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.bfloat16 if in_hardware and torch.ops.mkldnn._is_mkldnn_bf16_supported() else None


def compute_type(device: str, half: bool, asked_by: str) -> torch.dtype:
    """The type to compute in: half precision if it is asked for and the hardware has it, else float32.

    Args:
        device: as for :func:`half_type`.
        half: whether it is asked for.
        asked_by: the key or option that asks, for the line that says why it gets float32.
    """
    if not half:
        return torch.float32
    found = half_type(device)
    if found is None:
        log.info("%s: this processor has no instructions for bfloat16, so float32 is used, which is faster.", asked_by)
    return found or torch.float32


def autocast(device: str, dtype: torch.dtype) -> torch.autocast:
    """PyTorch's autocast to a type; for float32 it does nothing."""
    kind = torch.device(device).type
    enabled = dtype != torch.float32
    return torch.autocast(kind, dtype if enabled else None, enabled=enabled)
