"""Loading and saving of weights and of states to resume from: whole or not at all, and with their class names."""

from __future__ import annotations

import io
import logging
import pickle
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.data import MetadataCatalog
from detectron2.utils import comm
from fvcore.common.checkpoint import Checkpointer as FvcoreCheckpointer
from iopath.common.file_io import PathManager

from dataset_tools.errors import UserError
from dataset_tools.files import read_file, write_atomically
from polymask.config.checks import check_supported
from polymask.modeling.build import build_model
from polymask.modeling.class_rows import CLASS_LAYERS, number_of_classes, take_rows
from polymask.modeling.weights import (
    BOTTOM_UP,
    TORCHVISION_PREFIX,
    from_torchvision,
    is_torchvision_resnet,
    local_weights,
)
from polymask.modeling.zoo_pickle import read_zoo_file

log = logging.getLogger(__name__)

CLASSES_KEY = "classes"
# Says in a loaded checkpoint that it holds the backbone alone, so that the rest keeps its random start.
BACKBONE_ONLY_KEY = "backbone_only"
LAST_CHECKPOINT = "last_checkpoint"
STATE_FILE = re.compile(r"model_\d{7,}\.pth")
_OTHER_CONFIG = "Use the config.yaml of the run that it comes from, or other weights"
MASK_HEAD = "roi_heads.mask_head."
# What Detectron2 wrote into checkpoints once, and takes from the configuration now.
FROM_CONFIG = re.compile(r"anchor_generator\.cell_anchors|^pixel_(mean|std)$")


class BrokenCheckpoint(UserError):
    """There is no such file, or it is not a checkpoint."""


class Checkpointer(FvcoreCheckpointer):
    """fvcore's checkpointer that saves in one step, reads nothing that can run, and refuses what doesn't fit.

    fvcore logs a warning for each tensor that it could not load and goes on with random values.
    Here every tensor of the model must be in the file (of a backbone's file: every tensor of the backbone), in its
    shape, and the file's class names, where it has them, must be the model's.

    Args:
        model: the model, bare or in DistributedDataParallel.
        save_dir: the folder that checkpoints are saved in and resumed from.
        classes: the class names in order, saved in every checkpoint.
        new_heads: whether weights of other classes, or of boxes alone, are welcome: of the layers that depend on the
            classes, a class that the file does not know keeps its random start (see ``class_rows``), and so does a
            mask head that is not there. A state that is resumed is loaded in full anyway.
        synonyms: for ``new_heads``, classes that the file knows by another name: ours to theirs.
        checkpointables: see fvcore's ``Checkpointer``.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        save_dir: str = "",
        *,
        classes: Sequence[str],
        new_heads: bool = False,
        synonyms: Mapping[str, str] | None = None,
        **checkpointables: Any,
    ):
        super().__init__(model, save_dir, save_to_disk=comm.is_main_process(), **checkpointables)
        self.path_manager = PathManager()  # knows files only; fvcore's also fetches from the web
        self.classes = list(classes)
        self.new_heads = new_heads
        self.synonyms = synonyms or {}
        self._wanted: Iterable[str] = ()  # the checkpointables of the file that is being loaded
        self._address = ""  # of that file, as the user gave it

    def save(self, name: str, **extra: Any) -> None:
        """Saves the state to resume from as ``<name>.pth`` and makes it the last one.

        Raises:
            UserError: the weights contain NaN or infinite values, or the disk refuses. The states before stay as they were.
        """
        states = {key: checkpointable.state_dict() for key, checkpointable in self.checkpointables.items()}
        self._write(name, {"model": self.model.state_dict(), **states, **extra})
        if self.save_to_disk:
            self.tag_last_checkpoint(f"{name}.pth")

    def save_weights(self, name: str, weights: dict[str, torch.Tensor] | None = None, **extra: Any) -> None:
        """Saves the weights alone as ``<name>.pth``, for use: the model's, or others under the same names.

        Raises:
            UserError: as :meth:`save`.
        """
        self._write(name, {"model": weights or self.model.state_dict(), **extra})

    def _write(self, name: str, content: dict[str, Any]) -> None:
        if not self.save_dir or not self.save_to_disk:
            return
        path = Path(self.save_dir) / f"{name}.pth"
        not_finite = [key for key, tensor in content["model"].items() if not torch.isfinite(tensor).all()]
        if not_finite:
            raise UserError(
                f"the weights contain NaN or infinite values: in {len(not_finite)} tensors, such as {not_finite[0]}",
                file=path,
                remedy="Go on from an earlier checkpoint with a lower SOLVER.BASE_LR",
            )
        buffer = io.BytesIO()  # torch's own writer hides the system's reason when the disk refuses
        torch.save({**content, CLASSES_KEY: self.classes}, buffer)
        log.info("Saving %s", path)
        try:
            # Left by what an error holds on to, the view would be freed behind the buffer, which Python 3.13 reports.
            with buffer.getbuffer() as view:
                write_atomically(path, view, to_disk=True)
        except OSError as error:
            states = states_in(Path(self.save_dir))
            last = f"the last whole state is {states[-1]}" if states else "there is no whole state so far"
            raise UserError(
                f"this file could not be saved ({error.strerror or error}); {last}",
                file=path,
                remedy="Make room on the disk, and go on with --resume",
            ) from error

    def tag_last_checkpoint(self, last_filename_basename: str) -> None:
        write_atomically(Path(self.save_dir) / LAST_CHECKPOINT, last_filename_basename.encode(), to_disk=True)

    def resume_or_load(self, path: str, *, resume: bool = True) -> dict[str, Any]:
        """See fvcore's ``Checkpointer.resume_or_load``.

        Raises:
            UserError: as :meth:`load`; in the place of a broken state to resume from it names another.
        """
        if not (resume and self.has_checkpoint()):
            return super().resume_or_load(path, resume=False)
        self.new_heads = False
        try:
            return super().resume_or_load(path, resume=True)
        except BrokenCheckpoint as error:
            folder = Path(self.save_dir)
            others = [name for name in states_in(folder) if str(folder / name) != error.file]
            remedy = "There is no other state: begin again in another OUTPUT_DIR"
            if others:
                remedy = f"Write {others[-1]} into {folder / LAST_CHECKPOINT} to go on from that state"
            raise UserError(error.reason, file=error.file, remedy=remedy) from error

    def has_checkpoint(self) -> bool:
        """Whether there is a state to resume from."""
        return super().has_checkpoint() or bool(self.save_dir and states_in(Path(self.save_dir)))

    def get_checkpoint_file(self) -> str:
        """The state that ``last_checkpoint`` names, or a newer one, which a process that was killed could not name.

        Raises:
            BrokenCheckpoint: it names none of this folder.
        """
        folder = Path(self.save_dir)
        states, last = states_in(folder), folder / LAST_CHECKPOINT
        if not last.exists():
            return str(folder / states[-1])
        name = read_file(last).decode(errors="replace").strip()
        if not STATE_FILE.fullmatch(name):
            raise BrokenCheckpoint(f"it names no state of this folder, but {name!r}", file=last, remedy="Correct it")
        # Who writes an earlier name into it, to go on from there, does so later than the other states were written.
        unnamed = [state for state in states if state > name and _written(folder / state) > _written(last)]
        return str(folder / [name, *unnamed][-1])

    def load(self, path: str, checkpointables: list[str] | None = None) -> dict[str, Any]:
        """See fvcore's ``Checkpointer.load``.

        Raises:
            UserError: there is no such file, it is not a checkpoint, or it is one of another model or other classes.
        """
        if not path:
            return super().load(path)
        file = local_weights(path)
        if not file.is_file():
            raise BrokenCheckpoint("there is no such checkpoint", file=path, remedy="Correct MODEL.WEIGHTS")
        self._address = path
        self._wanted = self.checkpointables if checkpointables is None else checkpointables
        try:
            return super().load(str(file), checkpointables)
        except (RuntimeError, ValueError, TypeError, KeyError) as error:  # of the optimizer, mostly
            raise UserError(
                f"the checkpoint does not fit: {_first_line(error)}", file=path, remedy=_OTHER_CONFIG
            ) from error

    def _load_file(self, filename: str) -> dict[str, Any]:
        try:
            loaded = self._read(filename)
        except pickle.UnpicklingError as error:  # torch's message recommends to run what is in the file
            reason = "not a checkpoint, or it holds more than weights, which could be anything and is not run"
            raise BrokenCheckpoint(reason, file=filename, remedy="Correct MODEL.WEIGHTS") from error
        except (EOFError, RuntimeError, ValueError, TypeError) as error:
            reason = "it is empty or ends too early" if isinstance(error, EOFError) else _first_line(error)
            raise BrokenCheckpoint(
                f"not a checkpoint: {reason}", file=filename, remedy="Correct MODEL.WEIGHTS"
            ) from error
        if not loaded.keys() >= set(self._wanted):
            reason = "it holds weights alone, and not the state of a training"
            raise BrokenCheckpoint(reason, file=filename, remedy="Name it with MODEL.WEIGHTS, without --resume")
        return loaded

    def _read(self, filename: str) -> dict[str, Any]:
        if filename.endswith(".pkl"):
            return read_zoo_file(filename)
        loaded = torch.load(filename, map_location="cpu", weights_only=True)  # said, or an environment variable decides
        if "model" not in loaded:
            loaded = {"model": loaded}
        if not isinstance(loaded["model"], dict):
            raise ValueError("it holds no weights by their names")
        if is_torchvision_resnet(loaded["model"]):
            return {"model": from_torchvision(loaded["model"]), BACKBONE_ONLY_KEY: True}
        return loaded

    def _load_model(self, checkpoint: dict[str, Any]) -> Any:
        theirs = {name: tensor for name, tensor in checkpoint["model"].items() if not FROM_CONFIG.search(name)}
        expected = self._expected_names(checkpoint.get(BACKBONE_ONLY_KEY, False))
        if self.new_heads:
            theirs = self._with_known_classes(theirs, checkpoint.get(CLASSES_KEY))
            expected = {name for name in expected if not CLASS_LAYERS.search(name)}
            if not (checkpoint.get(BACKBONE_ONLY_KEY) or any(name.startswith(MASK_HEAD) for name in theirs)):
                log.info("The weights are those of a detector of boxes: the mask head starts at random.")
                expected = {name for name in expected if not name.startswith(MASK_HEAD)}
        else:
            self._demand_classes(checkpoint.get(CLASSES_KEY, self.classes))
        checkpoint["model"] = theirs
        # Not fvcore's own list: FrozenBatchNorm2d puts default statistics in the place of missing ones without a word.
        missing = sorted(expected - theirs.keys())
        incompatible = super()._load_model(checkpoint)
        self._demand_everything(missing, incompatible.unexpected_keys, incompatible.incorrect_shapes)
        incompatible.missing_keys.clear()  # fvcore would warn of what starts at random
        return incompatible

    def _with_known_classes(self, theirs: dict[str, Any], classes: list[str] | None) -> dict[str, Any]:
        """The tensors of a file, whose class layers become the model's own, with what the file has for our classes."""
        self._convert_ndarray_to_tensor(theirs)
        trained = {name: theirs.pop(name) for name in list(theirs) if CLASS_LAYERS.search(name)}
        if classes is None and self._address.endswith(".pkl"):  # of Detectron2's zoo, which names no classes
            coco = MetadataCatalog.get("coco_2017_train").thing_classes
            classes = coco if number_of_classes(trained) == len(coco) else None
        if classes is not None and not (isinstance(classes, list) and all(isinstance(name, str) for name in classes)):
            raise ValueError("its classes are not a list of names")
        start = {name: tensor for name, tensor in self.model.state_dict().items() if CLASS_LAYERS.search(name)}
        return theirs | take_rows(start, trained, self.classes, classes, self.synonyms)

    def _expected_names(self, backbone_only: bool) -> set[str]:
        names = self.model.state_dict().keys()
        if not backbone_only:
            return set(names)
        # What is frozen must not keep its random start: with SOLVER.HEADS_ONLY all but the heads.
        frozen = {name for name, parameter in self.model.named_parameters() if not parameter.requires_grad}
        # A BatchNorm's counter is not in all files of torchvision, and matters only without a momentum.
        return frozen | {n for n in names if n.startswith(BOTTOM_UP) and not n.endswith(".num_batches_tracked")}

    def _demand_classes(self, classes: list[str]) -> None:
        if classes != self.classes:
            raise UserError(
                f"the checkpoint was trained on the classes {classes}, and here they are {self.classes}",
                file=self._address,
                remedy="Use the dataset that it was trained on, or other weights; to train on from it for other "
                "classes, add MODEL.NEW_HEADS True",
            )

    def _demand_everything(self, missing: list[str], unexpected: list[str], shapes: list[tuple]) -> None:
        shape_of = [f"{key} is {tuple(there)} there and {tuple(here)} here" for key, there, here in shapes]
        misfits = {"other shapes": shape_of, "missing there": missing, "unknown here": unexpected}
        found = [f"{len(names)} tensors {what}, such as {names[0]}" for what, names in misfits.items() if names]
        if not found:
            return
        remedy = _OTHER_CONFIG
        if not missing and not unexpected and all(CLASS_LAYERS.search(key) for key, _, _ in shapes):
            remedy = "Its classes are others: to train on from it for yours, add MODEL.NEW_HEADS True"
        raise UserError("the checkpoint does not fit the model: " + "; ".join(found), file=self._address, remedy=remedy)


def states_in(folder: Path) -> list[str]:
    """The names of the states in an output folder, the last one at the end; none where there is no such folder."""
    return sorted(path.name for path in folder.glob("model_*.pth") if STATE_FILE.fullmatch(path.name))


def load_trained_model(cfg: CfgNode) -> torch.nn.Module:
    """The model of a finished training in evaluation mode, on ``MODEL.DEVICE``, with the weights ``MODEL.WEIGHTS``.

    Raises:
        UserError: there is no such model, there are no such weights, they don't fit, or they are a backbone's alone.
    """
    trained = "Add MODEL.WEIGHTS OUTPUT_DIR/model_final.pth"
    if not cfg.MODEL.WEIGHTS:
        raise UserError("MODEL.WEIGHTS is empty, and an untrained model would see nothing", remedy=trained)
    check_supported(cfg)
    model = build_model(cfg)
    checkpoint = {BACKBONE_ONLY_KEY: True}
    if not cfg.MODEL.WEIGHTS.startswith(TORCHVISION_PREFIX):  # no download for a refusal
        checkpoint = Checkpointer(model, classes=cfg.DATASETS.CLASSES).load(cfg.MODEL.WEIGHTS)
    if checkpoint.get(BACKBONE_ONLY_KEY, False):
        raise UserError(
            "these are the weights of a backbone and not of a trained model", file=cfg.MODEL.WEIGHTS, remedy=trained
        )
    return model.eval()


def _written(file: Path) -> int:
    return file.stat().st_mtime_ns


def _first_line(error: Exception) -> str:
    """The first sentence of PyTorch's several."""
    return re.split(r"(?<=\w)\.\s|\n", str(error))[0] if str(error) else type(error).__name__
