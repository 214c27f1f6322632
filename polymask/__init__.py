"""Mask R-CNN with a ResNet-18 FPN on Detectron2, from a dataset folder to a report."""

__version__ = "0.2.0"
