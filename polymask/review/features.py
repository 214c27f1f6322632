"""What a model sees in a photo, and how it sees the photo as a whole: both of one pass through the network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from polymask.inference.detections import Detection
from polymask.inference.predictor import Predictor


@dataclass(frozen=True, slots=True)
class Observation:
    """A photo as the model sees it.

    Attributes:
        size: (width, height) in pixels.
        features: (C,) float32, the same scale for all photos of one model.
        detections: what was found, best first.
    """

    size: tuple[int, int]
    features: np.ndarray
    detections: list[Detection]


class Observer:
    """A predictor that also tells the features of a photo.

    These are the mean over the coarsest feature map that the heads look at: with a feature pyramid ``p5``, at a 32nd of
    the size. It is read off while the predictor is at work.

    Args:
        predictor: the model.
    """

    def __init__(self, predictor: Predictor):
        self.predictor = predictor
        self._level = predictor.cfg.MODEL.ROI_HEADS.IN_FEATURES[-1]
        self._features: torch.Tensor | None = None
        predictor.model.backbone.register_forward_hook(self._keep)

    def _keep(self, _module: torch.nn.Module, _inputs: tuple, levels: dict[str, torch.Tensor]) -> None:
        self._features = levels[self._level].mean(dim=(2, 3))

    def observe(self, photo: np.ndarray) -> Observation:
        """One photo.

        Args:
            photo: (H, W, 3) uint8, BGR.
        """
        (detections,) = self.predictor.detect([photo])
        height, width = photo.shape[:2]
        return Observation((width, height), self._pooled(), detections)

    def features(self, photo: np.ndarray) -> np.ndarray:
        """The features of ``observe`` alone, without the heads: in less than half of the time.

        Args:
            photo: (H, W, 3) uint8, BGR.
        """
        model = self.predictor.model
        with torch.no_grad():
            model.backbone(model.preprocess_image([self.predictor.input_for(photo)]).tensor)
        return self._pooled()

    def _pooled(self) -> np.ndarray:
        return self._features[0].float().cpu().numpy()
