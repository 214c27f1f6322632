"""The one way from a photo to instances, for everything that looks at photos outside an evaluation."""

from __future__ import annotations

from pathlib import Path

import detectron2.data.transforms as T
import numpy as np
from detectron2.config import CfgNode
from detectron2.data.detection_utils import read_image
from detectron2.engine import DefaultPredictor
from detectron2.structures import Instances
from PIL import UnidentifiedImageError

from dataset_tools.errors import EXIT_DATA, UserError
from polymask.config import load_config, resolve_device
from polymask.engine.checkpoint import load_trained_model


class Predictor(DefaultPredictor):
    """Detectron2's ``DefaultPredictor`` for a run's ``config.yaml``: it needs no dataset, and weights that fit in full.

    Args:
        cfg: a run's configuration, with ``DATASETS.CLASSES``, a resolved ``MODEL.DEVICE`` and the checkpoint in
        ``MODEL.WEIGHTS``.

    Raises:
        UserError: the configuration or the checkpoint is not of a finished training.
    """

    def __init__(self, cfg: CfgNode):
        # In the place of DefaultPredictor's constructor, which loads with warnings only. __call__ is inherited.
        if not cfg.DATASETS.CLASSES:
            raise UserError(
                "DATASETS.CLASSES is empty", remedy="Use the config.yaml that the training wrote into its OUTPUT_DIR"
            )
        self.cfg = cfg.clone()
        self.classes = tuple(cfg.DATASETS.CLASSES)
        self.model = load_trained_model(self.cfg)
        self.aug = T.ResizeShortestEdge(cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST)
        self.input_format = cfg.INPUT.FORMAT

    def predict(self, photo: np.ndarray) -> Instances:
        """The instances in a photo, best first, on the CPU.

        Args:
            photo: (H, W, 3) uint8, BGR.

        Returns:
            ``pred_boxes`` (N boxes, XYXY in pixels of the photo), ``scores`` (N), ``pred_classes`` (N indices into
            ``classes``) and ``pred_masks`` ((N, H, W) bool).
        """
        return self(photo)["instances"].to("cpu")


def read_photo(path: Path) -> np.ndarray:
    """A photo as (H, W, 3) uint8 in BGR, turned as its EXIF orientation says.

    Raises:
        UserError: the file is no image.
    """
    try:
        return read_image(str(path), format="BGR")
    except (OSError, UnidentifiedImageError) as error:
        raise UserError(
            f"this photo cannot be read ({error})", file=path, remedy="Repair or remove it", exit_code=EXIT_DATA
        ) from error


def predictor_config(config_file: Path | str, overrides: list[str], confidence_threshold: float) -> CfgNode:
    """The frozen configuration of a run for prediction: a device that is here, and no instance below the threshold.

    Raises:
        UserError: see ``polymask.config.load_config``; or the threshold is no probability.
    """
    if not 0 <= confidence_threshold <= 1:
        raise UserError(f"--confidence-threshold is {confidence_threshold}", remedy="Use a number from 0 to 1")
    cfg = load_config(config_file, overrides)
    resolve_device(cfg)
    cfg.MODEL.ROI_HEADS.SCORE_THRESH_TEST = confidence_threshold
    cfg.freeze()
    return cfg
