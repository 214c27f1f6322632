"""The one way from a photo to instances, for everything that looks at photos outside an evaluation."""

from __future__ import annotations

import logging
import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.engine import DefaultPredictor
from detectron2.modeling import GeneralizedRCNN
from detectron2.structures import Instances

from dataset_tools.errors import EXIT_DATA, UserError
from dataset_tools.findings import Rule
from dataset_tools.images.header import ImageError
from dataset_tools.images.pixels import read_pixels
from dataset_tools.text import one_line
from polymask.config.load import load_config
from polymask.config.resolve import resolve_device
from polymask.data.augmentation import ResizeShortestEdge
from polymask.inference.detections import Detections
from polymask.inference.pasting import detections_of
from polymask.inference.tta import AugmentedRCNN
from polymask.modeling.checkpoint import load_trained_model
from polymask.modeling.precision import autocast, compute_type

log = logging.getLogger(__name__)


class Predictor(DefaultPredictor):
    """Detectron2's ``DefaultPredictor`` for a run's ``config.yaml``: it needs no dataset, and weights that fit in full.

    Example:
        >>> found = Predictor.from_run("output/mine").predict("photos/a.jpg")
        >>> [(found.classes[instance.category], instance.score, instance.box) for instance in found]
        >>> Path("a.json").write_bytes(found.to_labelme("photos/a.jpg"))

    Args:
        cfg: a run's configuration, with ``DATASETS.CLASSES``, a resolved ``MODEL.DEVICE`` and the checkpoint in
            ``MODEL.WEIGHTS``.
        half: compute in half precision where the hardware has it (see ``polymask.modeling.precision``) and PyTorch's
            autocast holds it safe.

    Raises:
        UserError: the configuration or the checkpoint is not of a finished training.
    """

    def __init__(self, cfg: CfgNode, half: bool = False):
        # In the place of DefaultPredictor's constructor, which loads with warnings only.
        if not cfg.DATASETS.CLASSES:
            raise UserError(
                "DATASETS.CLASSES is empty", remedy="Use the config.yaml that the training wrote into its OUTPUT_DIR"
            )
        self.cfg = cfg.clone()
        self.compute_type = compute_type(cfg.MODEL.DEVICE, half, asked_by="--half")
        self.classes = tuple(cfg.DATASETS.CLASSES)
        self.model = cast(GeneralizedRCNN, load_trained_model(self.cfg))  # no other architecture is supported
        self.aug = ResizeShortestEdge(cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST)
        self.input_format = cfg.INPUT.FORMAT
        self._augmented = AugmentedRCNN(self.cfg, self.model) if cfg.TEST.AUG.ENABLED else None

    @classmethod
    def from_run(
        cls, folder: Path | str, confidence_threshold: float = 0.5, overrides: Sequence[str] = ()
    ) -> Predictor:
        """The model that a training has left in its ``OUTPUT_DIR``.

        Args:
            folder: holds ``config.yaml`` and ``model_final.pth``.
            confidence_threshold: what scores less is left out, 0 to 1.
            overrides: more ``KEY, VALUE, ...``, such as ``"MODEL.WEIGHTS", "output/mine/model_best.pth"``.

        Raises:
            UserError: one of these is missing, wrong or does not fit.
        """
        weights = ["MODEL.WEIGHTS", str(Path(folder, "model_final.pth"))]
        return cls(predictor_config(Path(folder, "config.yaml"), [*weights, *overrides], confidence_threshold))

    def predict(self, photo: str | os.PathLike[str] | np.ndarray) -> Detections:
        """What is found on one photo, best first.

        Args:
            photo: a file, which is turned as its EXIF orientation says; or (H, W, 3) uint8 in BGR, as ``cv2.imread``
                returns it.

        Raises:
            UserError: the file cannot be read, the array is another one, or it does not fit into the GPU's memory.
        """
        if isinstance(photo, str | os.PathLike):
            photo = read_photo(Path(photo))
        if not (isinstance(photo, np.ndarray) and photo.dtype == np.uint8 and photo.shape[2:] == (3,) and photo.size):
            given = (
                f"{photo.dtype} of the shape {photo.shape}" if isinstance(photo, np.ndarray) else type(photo).__name__
            )
            remedy = "Name the file of the photo, or pass an array (height, width, 3) of uint8 in the order BGR"
            raise UserError(f"this is not a photo: {given}", remedy=remedy)
        return self.detect([photo])[0]

    def __call__(self, original_image: np.ndarray) -> dict[str, Instances]:
        """What ``DefaultPredictor`` returns for a photo, (H, W, 3) uint8, BGR: without ``TEST.AUG``."""
        with self._autocast():
            return super().__call__(original_image)

    def detect(self, photos: Sequence[np.ndarray]) -> list[Detections]:
        """What is found on each of some photos, best first, held small: by ``DefaultPredictor``, or as ``TEST.AUG`` says.

        The model gets photos that have the same size after resizing together, and others apart: in one batch, the
        smaller ones would be padded, and what is seen at their right and lower edges would depend on the others.

        Args:
            photos: (H, W, 3) uint8, BGR; a batch.

        Raises:
            UserError: the batch does not fit into the GPU's memory.
        """
        inputs = [self.input_for(photo) if self._augmented is None else self._whole(photo) for photo in photos]
        of_one_size = defaultdict(list)
        for number, model_input in enumerate(inputs):
            of_one_size[model_input["image"].shape].append(number)
        found: dict[int, Detections] = {}
        try:
            for numbers in of_one_size.values():
                with torch.no_grad(), self._autocast():
                    raw = self._infer([inputs[number] for number in numbers])
                for number, instances in zip(numbers, raw, strict=True):
                    height, width = photos[number].shape[:2]
                    objects = tuple(detections_of(instances, (height, width)))
                    found[number] = Detections((width, height), self.classes, objects)
        except torch.OutOfMemoryError as error:
            raise UserError(
                f"{len(photos)} photos at a time do not fit into the GPU's memory",
                remedy="Use a smaller batch, half precision, tiles, or fewer TEST.AUG.MIN_SIZES",
            ) from error
        return [found[number] for number in range(len(photos))]

    def input_for(self, photo: np.ndarray, resize: ResizeShortestEdge | None = None) -> dict[str, torch.Tensor]:
        """The model's input for a photo, (H, W, 3) uint8, BGR: the one that ``__call__`` gives it, or one of another size.

        Pillow resizes channel by channel, and takes long to read pixels whose channels are in reverse: so these are put
        in order when they are few.
        """
        resized = (resize or self.aug).get_transform(photo).apply_image(photo)
        ordered = resized[:, :, ::-1] if self.input_format == "RGB" else resized
        return {"image": torch.as_tensor(ordered.astype("float32").transpose(2, 0, 1))}

    def _whole(self, photo: np.ndarray) -> dict[str, torch.Tensor]:
        """The input of the model with ``TEST.AUG``, which resizes the photo itself."""
        ordered = photo[:, :, ::-1] if self.input_format == "RGB" else photo
        return {"image": torch.as_tensor(np.ascontiguousarray(ordered.transpose(2, 0, 1)))}

    def _infer(self, inputs: list[dict[str, torch.Tensor]]) -> list[Instances]:
        if self._augmented is not None:
            return self._augmented(inputs)
        return self.model.inference(inputs, do_postprocess=False)

    def _autocast(self) -> torch.autocast:
        return autocast(self.cfg.MODEL.DEVICE, self.compute_type)


def read_photo(path: Path) -> np.ndarray:
    """A photo as (H, W, 3) uint8 in BGR, turned as its EXIF orientation says.

    Raises:
        UserError: there is no such file, or it is not a picture that can be used.
    """
    try:
        pixels = read_pixels(path, "BGR")
    except (OSError, ImageError) as error:
        rule = error.rule if isinstance(error, ImageError) else Rule.PHOTO_UNREADABLE
        reason = f"{rule.title}: {error}"
        raise UserError(reason, file=path, remedy=rule.remedy, exit_code=EXIT_DATA) from error
    if pixels.frames > 1:
        log.warning("%s has %d pages or frames: the first one is used.", one_line(str(path)), pixels.frames)
    return pixels.array


def check_threshold(confidence: float) -> None:
    """Refuses a confidence that is not from 0 to 1, such as one in percent.

    Raises:
        UserError: it is another number.
    """
    if not 0 <= confidence <= 1:
        raise UserError(f"--confidence-threshold is {confidence}", remedy="Use a number from 0 to 1")


def predictor_config(config_file: Path | str, overrides: list[str], confidence_threshold: float) -> CfgNode:
    """The frozen configuration of a run for prediction: a device that is here, and no instance below the threshold.

    Raises:
        UserError: see ``polymask.config.load_config``; or the threshold is not from 0 to 1.
    """
    check_threshold(confidence_threshold)
    cfg = load_config(config_file, overrides)
    resolve_device(cfg)
    cfg.MODEL.ROI_HEADS.SCORE_THRESH_TEST = confidence_threshold
    cfg.freeze()
    return cfg
