"""Mask R-CNN with a ResNet-18 FPN on Detectron2, from a dataset folder to a report."""

import polymask.threads  # noqa: F401  (before any module of ours loads PyTorch)

__version__ = "0.2.0"
