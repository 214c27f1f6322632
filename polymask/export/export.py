"""From a run to a file that finds the same without Detectron2: the steps in their order, or a refusal."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
from detectron2.modeling import GeneralizedRCNN

from dataset_tools.errors import EXIT_DATA, UserError
from dataset_tools.files import write_atomically
from dataset_tools.text import one_line
from polymask.config.load import load_config
from polymask.export.check import Check, Network, Precisions, check
from polymask.export.comparison import Unmatched
from polymask.export.description import Description, describe, encode_description
from polymask.export.onnx_format import OnnxNetwork, write_onnx
from polymask.export.photos import photos_in, photos_of_run
from polymask.export.torchscript_format import TorchScriptNetwork, write_torchscript
from polymask.inference.predictor import Predictor

log = logging.getLogger(__name__)

RECORD_NAME = "export.json"
# Of each format, what makes the bytes of a file, and what runs them.
FORMATS: dict[str, tuple[Callable[[GeneralizedRCNN, str], bytes], Callable[[bytes], Network]]] = {
    "onnx": (write_onnx, OnnxNetwork),
    "torchscript": (write_torchscript, TorchScriptNetwork),
}


class Parity(msgspec.Struct, frozen=True):
    """What a comparison has come to; the largest differences of all instances that both have found.

    Attributes:
        photos: the changed ones too.
        instances: compared ones.
        box: px of the photo.
        score: 0 to 1.
        mask: pixels.
        unmatched: what one of the two found alone.
    """

    photos: int
    instances: int
    box: float
    score: float
    mask: int
    unmatched: tuple[Unmatched, ...]


class ExportRecord(msgspec.Struct, frozen=True):
    """What ``export.json`` says of the last export into its folder.

    Attributes:
        file: its name.
        sha256: of it.
        format: ``onnx`` or ``torchscript``.
        description: also in the file itself.
        parity: of file and model.
        AP: COCO's, in percent, of boxes (``bbox``) and masks (``segm``), of model and file, on the test split.
    """

    file: str
    sha256: str
    format: str
    description: Description
    parity: Parity
    AP: Precisions


def export(
    config_file: Path, output: Path, kind: str = "onnx", photos: Path | None = None, opts: Sequence[str] = ()
) -> ExportRecord:
    """Writes the network of a run as one file, and ``export.json`` beside it, if it finds what the model finds.

    Args:
        config_file: the config.yaml of a run.
        output: the file to write.
        kind: one of ``FORMATS``.
        photos: a folder of photos to compare on. None: those of the run's VAL and TEST, on which the AP is measured.
        opts: configuration keys and their values.

    Raises:
        UserError: something in the arguments is wrong, or the file finds something else than the model; its exit code is
            ``EXIT_DATA`` then. Nothing is written.
    """
    if output.exists():
        raise UserError(
            "this exists already, so it is kept", file=output, remedy="Choose another --output, or delete it"
        )
    if not output.parent.is_dir():
        raise UserError("there is no such folder", file=output.parent, remedy="Make it, or correct --output")
    final = config_file.parent / "model_final.pth"
    weights = ["MODEL.WEIGHTS", str(final)] if final.is_file() else []  # before the user's, which replace them
    cfg = load_config(config_file, [*weights, *opts])
    cfg.MODEL.DEVICE = "cpu"
    if cfg.TEST.AUG.ENABLED:
        log.warning("TEST.AUG is not a part of the network: the file looks at a photo once.")
        cfg.TEST.AUG.ENABLED = False
    checked = photos_of_run(cfg) if photos is None else photos_in(photos)
    cfg.freeze()
    predictor, description = Predictor(cfg), describe(cfg, config_file.parent)
    write, open_network = FORMATS[kind]
    content = write(predictor.model, encode_description(description))
    result = check(predictor, open_network(content), checked)
    faults = list(result.comparison.faults())
    if faults:
        reason = f"this file was not written, since it does not find what the model finds: {'. '.join(faults)}"
        remedy = "Compare on other or more photos (--photos), or report this with the versions that you use"
        raise UserError(reason, file=output, remedy=remedy, exit_code=EXIT_DATA)
    record = ExportRecord(
        output.name, hashlib.sha256(content).hexdigest(), kind, description, _parity(result), result.AP
    )
    write_atomically(output.parent / RECORD_NAME, msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n")
    write_atomically(output, content)
    for found in record.parity.unmatched:
        words = f"{found.category} {found.score:.4f} in {found.photo}"
        log.warning("A tie: the %s alone finds %s.", found.finder, one_line(words))
    return record


def _parity(result: Check) -> Parity:
    comparison, differences = result.comparison, result.comparison.differences
    return Parity(
        photos=comparison.photos,
        instances=len(differences),
        box=max(difference.box for difference in differences),
        score=max(difference.score for difference in differences),
        mask=max(difference.pixels for difference in differences),
        unmatched=comparison.unmatched,
    )
