"""Loading and saving of weights: with their class names, and nothing loaded by half."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.config import CfgNode
from detectron2.modeling import build_model
from detectron2.utils.file_io import PathManager

import polymask.modeling.backbone  # noqa: F401  (registers it)
from dataset_tools.errors import UserError
from polymask.modeling.weights import BOTTOM_UP, TORCHVISION_PREFIX, from_torchvision, is_torchvision_resnet

CLASSES_KEY = "classes"
# Says in a loaded checkpoint that it holds the backbone alone, so that the rest keeps its random start.
BACKBONE_ONLY_KEY = "backbone_only"


class Checkpointer(DetectionCheckpointer):
    """Detectron2's checkpointer that also reads torchvision's files, and refuses a checkpoint that doesn't fit.

    Detectron2 logs a warning for each tensor that it could not load and goes on with random values.
    Here every tensor of the model must be in the file (of a backbone's file: every tensor of the backbone), in its
    shape, and the file's class names, where it has them, must be the model's.

    Args:
        model: the model, bare or in DistributedDataParallel.
        save_dir: the folder that checkpoints are saved in and resumed from.
        classes: the class names in order, saved in every checkpoint.
        checkpointables: see fvcore's ``Checkpointer``.
    """

    def __init__(self, model: torch.nn.Module, save_dir: str = "", *, classes: Sequence[str], **checkpointables: Any):
        super().__init__(model, save_dir, **checkpointables)
        self.classes = list(classes)

    def save(self, name: str, **extra: Any) -> None:
        super().save(name, **{CLASSES_KEY: self.classes}, **extra)

    def load(self, path: str, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """See fvcore's ``Checkpointer.load``.

        Raises:
            UserError: no such file, no checkpoint, or one of another model or other classes.
        """
        if path and not PathManager.isfile(PathManager.get_local_path(path.partition("?")[0])):
            raise UserError("there is no such checkpoint", file=path, remedy="Correct MODEL.WEIGHTS")
        try:
            return super().load(path, *args, **kwargs)
        except (pickle.UnpicklingError, EOFError, RuntimeError, ValueError) as error:
            raise UserError(
                f"this is no checkpoint: {_first_line(error)}", file=path, remedy="Correct MODEL.WEIGHTS"
            ) from error
        finally:
            self._parsed_url_during_load = None  # fvcore's own reset is skipped by an exception

    def _load_file(self, filename: str) -> dict[str, Any]:
        loaded = super()._load_file(filename)
        if is_torchvision_resnet(loaded["model"]):
            return {"model": from_torchvision(loaded["model"]), BACKBONE_ONLY_KEY: True}
        return loaded

    def _load_model(self, checkpoint: dict[str, Any]) -> Any:
        classes = checkpoint.get(CLASSES_KEY, self.classes)
        if classes != self.classes:
            raise UserError(
                f"the checkpoint was trained on the classes {classes}, and here they are {self.classes}",
                file=self._path(),
                remedy="Use the dataset that it was trained on, or other weights",
            )
        backbone_only = checkpoint.get(BACKBONE_ONLY_KEY, False)
        # Not fvcore's own list: FrozenBatchNorm2d puts default statistics in the place of missing ones without a word.
        missing = sorted(self._expected_names(backbone_only) - checkpoint["model"].keys())
        incompatible = super()._load_model(checkpoint)
        self._demand_everything(missing, incompatible.unexpected_keys, incompatible.incorrect_shapes)
        incompatible.missing_keys.clear()  # fvcore would warn of the heads, which a backbone's file cannot have
        return incompatible

    def _expected_names(self, backbone_only: bool) -> set[str]:
        names = self.model.state_dict().keys()
        if backbone_only:
            # A BatchNorm's counter is not in all files of torchvision, and matters only without a momentum.
            return {n for n in names if n.startswith(BOTTOM_UP) and not n.endswith(".num_batches_tracked")}
        return set(names)

    def _demand_everything(self, missing: list[str], unexpected: list[str], shapes: list[tuple]) -> None:
        shape_of = [f"{key} is {tuple(there)} there and {tuple(here)} here" for key, there, here in shapes]
        misfits = {"other shapes": shape_of, "missing there": missing, "unknown here": unexpected}
        found = [f"{len(names)} tensors {what}, such as {names[0]}" for what, names in misfits.items() if names]
        if found:
            raise UserError(
                "the checkpoint does not fit the model: " + "; ".join(found),
                file=self._path(),
                remedy="Use the config.yaml of the run that it comes from, or other weights",
            )

    def _path(self) -> str:
        return Path(self._parsed_url_during_load.geturl()).as_posix() if self._parsed_url_during_load else ""


def load_trained_model(cfg: CfgNode) -> torch.nn.Module:
    """The model of a finished training in evaluation mode, on ``MODEL.DEVICE``, with the weights ``MODEL.WEIGHTS``.

    Raises:
        UserError: there are no such weights, they don't fit, or they are a backbone's alone.
    """
    trained = "Add MODEL.WEIGHTS OUTPUT_DIR/model_final.pth"
    if not cfg.MODEL.WEIGHTS:
        raise UserError("MODEL.WEIGHTS is empty, and an untrained model would see nothing", remedy=trained)
    model = build_model(cfg)
    checkpoint = {BACKBONE_ONLY_KEY: True}
    if not cfg.MODEL.WEIGHTS.startswith(TORCHVISION_PREFIX):  # no download for a refusal
        checkpoint = Checkpointer(model, classes=cfg.DATASETS.CLASSES).load(cfg.MODEL.WEIGHTS)
    if checkpoint.get(BACKBONE_ONLY_KEY, False):
        raise UserError(
            "these are the weights of a backbone and not of a trained model", file=cfg.MODEL.WEIGHTS, remedy=trained
        )
    return model.eval()


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
