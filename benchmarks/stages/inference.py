"""A photo to its instances, beside Detectron2's DefaultPredictor with the same weights."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pycocotools.mask
import torch
from detectron2.config import CfgNode
from detectron2.engine import DefaultPredictor
from detectron2.modeling import build_model
from detectron2.structures import Instances
from PIL import Image

from benchmarks.stages.detectron2_peer import demand_plain, detectron2_config
from benchmarks.stages.machine import device
from benchmarks.stages.options import PROJECT, Options, frozen_config
from benchmarks.stages.same_work import LEAST_SCORE, Found, check_detections
from benchmarks.stages.timing import Contender, Pair, Stage
from polymask.config.load import load_config
from polymask.data.seeding import seed_everything
from polymask.inference.detections import Detection
from polymask.inference.predictor import Predictor

OURS, PEER = "Predictor.detect", "DefaultPredictor"
OURS_RLE, PEER_RLE = "Predictor.detect and rle", "DefaultPredictor and pycocotools"

SIDE = 512  # px
AT_512 = ["INPUT.MIN_SIZE_TEST", str(SIDE), "INPUT.MAX_SIZE_TEST", str(SIDE)]
LARGE = (4000, 3000)  # (width, height) in pixels: 12 megapixels
OBJECTS = 30

# Standard deviation of the class scores before softmax, with weights that are made up: random weights alone give all
# regions nearly the same score, or all of them 1, and the order of such detections means nothing.
SPREAD = 2.0


def inference_mini(options: Options) -> Stage:
    """The mini network at 512 px."""
    return _inference(_mini_config(options, AT_512), photos=4, at_least=1.2)


def inference_full(options: Options) -> Stage:
    """The full network at 512 px; its weights are made up."""
    cfg = _with_made_up_weights("configs/mask_rcnn_R_18_FPN.yaml", options, AT_512)
    return _inference(cfg, photos=2, at_least=1.5)


def detect(options: Options) -> Stage:
    """The mini network on a decoded photo of 12 megapixels, with each mask as an RLE of the photo."""
    most = ["TEST.DETECTIONS_PER_IMAGE", str(OBJECTS), "MODEL.ROI_HEADS.SCORE_THRESH_TEST", "0.0"]
    ours, peer = _predictors(_mini_config(options, most))
    photos = [scenes(4, LARGE)]
    contenders = (
        Contender(OURS_RLE, lambda: [_our_found(found, photos[0]) for found in ours.detect(photos)]),
        Contender(PEER_RLE, lambda: [_detectron2_found(peer(photo)["instances"]) for photo in photos]),
    )

    def check(results: dict[str, list[list[Found]]]) -> str:
        counts = {name: len(found) for name, (found,) in results.items()}
        least = _least_score(results[PEER_RLE])
        return f"{check_detections(results[OURS_RLE], results[PEER_RLE], least)}; {counts}"

    work = f"one photo of {LARGE[0]} x {LARGE[1]} px, the best {OBJECTS} objects"
    return Stage(work, contenders, (Pair(OURS_RLE, PEER_RLE, at_least=4.0),), check)


def _inference(cfg: CfgNode, photos: int, at_least: float) -> Stage:
    ours, peer = _predictors(cfg)
    pictures = [scenes(4, (SIDE, SIDE), first=4 * number) for number in range(photos)]
    contenders = (
        Contender(OURS, lambda: [ours.detect([picture])[0] for picture in pictures]),
        Contender(PEER, lambda: [peer(picture)["instances"] for picture in pictures]),
    )

    def check(results: dict[str, list]) -> str:
        one = [_our_found(found, picture) for found, picture in zip(results[OURS], pictures, strict=True)]
        other = [_detectron2_found(found) for found in results[PEER]]
        return check_detections(one, other, _least_score(other))

    work = f"{photos} photos of {SIDE} x {SIDE} px, one after the other, float32"
    return Stage(work, contenders, (Pair(OURS, PEER, at_least),), check)


def _least_score(photos: Sequence[Sequence[Found]]) -> float:
    """The usual threshold; with weights that find nothing above it, the median score of the peer's."""
    scores = [found.score for photo in photos for found in photo]
    if not scores or max(scores) >= LEAST_SCORE:
        return LEAST_SCORE
    return round(float(np.median(scores)), 4)


def _predictors(cfg: CfgNode) -> tuple[Predictor, DefaultPredictor]:
    for name in ("fvcore", "detectron2"):
        logging.getLogger(name).setLevel(logging.ERROR)  # what they say of every checkpoint
    peer = DefaultPredictor(detectron2_config(cfg))
    demand_plain(peer.model)
    return Predictor(cfg), peer


def _mini_config(options: Options, overrides: list[str]) -> CfgNode:
    """Of a finished training where there is one, else with made-up weights."""
    if options.run is None:
        return _with_made_up_weights("configs/mini_scratch.yaml", options, overrides)
    weights = ["MODEL.WEIGHTS", str(options.run / "model_final.pth"), "MODEL.DEVICE", device()]
    cfg = load_config(options.run / "config.yaml", [*weights, *overrides])
    cfg.freeze()
    return cfg


def _with_made_up_weights(file: str, options: Options, overrides: list[str]) -> CfgNode:
    """Random weights of a fixed seed whose scores spread, so that there are instances to compare."""
    weights = options.scratch / f"{Path(file).stem}.pth"
    cfg = frozen_config(file, [*overrides, "MODEL.WEIGHTS", str(weights)])
    seed_everything(cfg.SEED)
    model = build_model(detectron2_config(cfg)).eval()
    _spread_scores(model)
    torch.save({"model": model.state_dict()}, weights)
    return cfg


def _spread_scores(model: torch.nn.Module) -> None:
    """Scales the layers that score classes, so that their outputs have the standard deviation ``SPREAD``."""
    layers = [module for name, module in model.named_modules() if name.endswith("cls_score")]
    deviations: dict[torch.nn.Module, float] = {}
    hooks = [
        layer.register_forward_hook(lambda layer, _, output: deviations.update({layer: output.std().item()}))
        for layer in layers
    ]
    photo = torch.from_numpy(scenes(4, (SIDE, SIDE)).transpose(2, 0, 1).copy())
    with torch.no_grad():
        model([{"image": photo}])
        for layer in layers:
            layer.weight *= SPREAD / deviations[layer]
    for hook in hooks:
        hook.remove()


def scenes(count: int, size: tuple[int, int], first: int = 0) -> np.ndarray:
    """Test scenes of the embedded sample in a square, as one photo of a (width, height)."""
    files = sorted((PROJECT / "data/sample/test").glob("*.jpg"))[first : first + count]
    columns = round(len(files) ** 0.5)
    tile = size[0] // columns, size[1] // columns
    photos = [np.asarray(Image.open(file).convert("RGB").resize(tile)) for file in files]
    rows = [np.hstack(photos[start : start + columns]) for start in range(0, len(photos), columns)]
    return np.ascontiguousarray(np.vstack(rows)[:, :, ::-1])


def _our_found(detections: Sequence[Detection], photo: np.ndarray) -> list[Found]:
    size = photo.shape[:2]
    codes = [found.mask.rle(size) for found in detections]
    masks = [{"size": list(code.size), "counts": code.counts} for code in codes]  # as pycocotools takes them
    return [Found(found.category, found.score, mask) for found, mask in zip(detections, masks, strict=True)]


def _detectron2_found(instances: Instances) -> list[Found]:
    """The masks encoded as Detectron2's ``instances_to_coco_json`` does."""
    instances = instances.to("cpu")
    masks = [
        pycocotools.mask.encode(np.array(mask[:, :, None], order="F", dtype="uint8"))[0]
        for mask in instances.pred_masks
    ]
    return [
        Found(category, score, mask)
        for category, score, mask in zip(instances.pred_classes.tolist(), instances.scores.tolist(), masks, strict=True)
    ]
