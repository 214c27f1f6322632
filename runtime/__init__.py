"""Predicts from an exported file with onnxruntime, NumPy and Pillow alone. The folder works wherever it is copied.

`Model("model.onnx").predict("photo.jpg").scoring(0.5).instances` are the objects in a photo.
"""

from .model import Instance, Model, Prediction
from .photos import RuntimeProblem

__all__ = ["Instance", "Model", "Prediction", "RuntimeProblem"]
