"""Warnings of libraries that say nothing to a user of polymask, silenced at one place."""

from __future__ import annotations

import logging
import warnings

# Loggers that tell a machine without a GPU that it has none, and developers of PyTorch of a function's new name.
TALKATIVE = ("torch.utils.cpp_extension", "torch.fx._symbolic_trace")

KNOWN = (
    # Detectron2 decorates some functions with torch.jit.script; PyTorch would rather have torch.compile.
    r"`torch\.jit\.script` is deprecated",
    r"`torch\.jit\.script_method` is deprecated",
    # Detectron2's anchors call torch.meshgrid in the order that is still the default.
    r"torch\.meshgrid: in an upcoming release",
    # Detectron2's AMPTrainer uses the older name of torch.amp.
    r"`torch\.cuda\.amp\..*` is deprecated",
    # Its LRMultiplier is stepped by a hook, which PyTorch's check of the order does not see.
    r"Detected call of `lr_scheduler\.step\(\)` before `optimizer\.step\(\)`",
    # pycocotools' masks do not know an argument of numpy 2 yet.
    r"__array__ implementation doesn't accept a copy keyword",
)


def silence_known_warnings() -> None:
    """To be called before Detectron2 is imported: some of them come at the import."""
    for message in KNOWN:
        warnings.filterwarnings("ignore", message=message)
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.ERROR)
