"""What a file says of itself in its metadata: all that a program needs that has nothing but the file."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
import onnxruntime
from detectron2.config import CfgNode
from msgspec import Struct

from dataset_tools.view.palette import Colour, class_colour
from polymask.engine.run_files import read_facts, versions
from polymask.modeling.weights import local_weights

# Readers refuse a higher one: what they would not understand comes with a new number.
FORMAT_VERSION = 1
# From this score on, instances are shown where nobody says otherwise: as in demo.py.
_SHOWN_FROM = 0.5


class Resize(Struct, frozen=True):
    """How a photo becomes the input: its shorter side to ``shortest`` px, and less where the longer one would have more
    than ``longest``; each side rounded half up, at least 1. The shorter side stays as it is where ``shortest`` is 0.

    Attributes:
        filter: Pillow's, on 8-bit pixels.
    """

    shortest: int
    longest: int
    filter: str = "bilinear"


class Run(Struct, frozen=True):
    """The training that the weights come from.

    Attributes:
        name: of its folder.
        weights: the name of the checkpoint.
        weights_sha256: of that file.
        iterations: of the training; 0 where its folder does not say.
    """

    name: str
    weights: str
    weights_sha256: str
    iterations: int


class Description(Struct, frozen=True):
    """What is in the metadata, as JSON.

    Attributes:
        format_version: of all this, and of inputs and outputs.
        classes: their names, by index.
        colours: of each class, RGB, 0 to 255.
        channels: the order of the input's channels, ``RGB`` or ``BGR``. Its pixels are 0 to 255.
        resize: from a photo, turned as its EXIF orientation says, to the input.
        score_threshold: the file finds nothing that scores less.
        nms_threshold: the IoU beyond which of two boxes of a class the one with the lower score is left out.
        most_instances: as many are found in a photo at most, the best ones.
        confidence_threshold: the score from which on to show instances.
        mask_threshold: from this value on, a pixel of a mask that is stretched over its box is the instance's.
        versions: of what has made the file.
        run: where the weights come from.
    """

    format_version: int
    classes: tuple[str, ...]
    colours: tuple[Colour, ...]
    channels: str
    resize: Resize
    score_threshold: float
    nms_threshold: float
    most_instances: int
    confidence_threshold: float
    mask_threshold: float
    versions: dict[str, str]
    run: Run


def describe(cfg: CfgNode, folder: Path) -> Description:
    """The description of the network of a run, in ``folder``, with the weights ``MODEL.WEIGHTS``."""
    weights, classes, facts = local_weights(cfg.MODEL.WEIGHTS), tuple(cfg.DATASETS.CLASSES), read_facts(folder)
    with open(weights, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Description(
        format_version=FORMAT_VERSION,
        classes=classes,
        colours=tuple(map(class_colour, range(len(classes)))),
        channels=cfg.INPUT.FORMAT,
        resize=Resize(cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST),
        score_threshold=cfg.MODEL.ROI_HEADS.SCORE_THRESH_TEST,
        nms_threshold=cfg.MODEL.ROI_HEADS.NMS_THRESH_TEST,
        most_instances=cfg.TEST.DETECTIONS_PER_IMAGE,
        confidence_threshold=_SHOWN_FROM,
        mask_threshold=0.5,
        versions=versions() | {"onnxruntime": onnxruntime.__version__},
        run=Run(folder.resolve().name, weights.name, digest, facts.iterations if facts else 0),
    )


def encode_description(description: Description) -> str:
    """As it stands in the metadata."""
    return msgspec.json.encode(description).decode()
