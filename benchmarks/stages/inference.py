"""A photo to its instances, beside Detectron2's DefaultPredictor with the same weights."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.engine import DefaultPredictor
from detectron2.evaluation.coco_evaluation import instances_to_coco_json
from detectron2.modeling import build_model
from PIL import Image

from benchmarks.stages.detectron2_peer import demand_plain, detectron2_config
from benchmarks.stages.layers import layers_alone, record_layers
from benchmarks.stages.options import PROJECT, Options, device, frozen_config
from benchmarks.stages.same_work import LEAST_SCORE, Results, check_detections
from benchmarks.stages.timing import Contender, Pair, Stage
from polymask.config.load import load_config
from polymask.data.seeding import seed_everything
from polymask.inference.detections import Detection
from polymask.inference.predictor import Predictor

OURS, PEER, LIMIT = "Predictor.detect", "DefaultPredictor", "the layers alone"
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
    return _small_photos(_mini_config(options, AT_512), photos=4, at_least=1.2)


def inference_full(options: Options) -> Stage:
    """The full network at 512 px; its weights are made up."""
    cfg = _with_made_up_weights("configs/mask_rcnn_R_18_FPN.yaml", options, AT_512)
    return _small_photos(cfg, photos=2, at_least=1.5)


def detect(options: Options) -> Stage:
    """The mini network on a decoded photo of 12 megapixels, with each mask as an RLE of the photo."""
    most = ["TEST.DETECTIONS_PER_IMAGE", str(OBJECTS), "MODEL.ROI_HEADS.SCORE_THRESH_TEST", "0.0"]
    ours, peer = _predictors(_mini_config(options, most))
    photo = scenes(4, LARGE)
    contenders = (
        Contender(OURS_RLE, lambda: [_our_results(ours.detect([photo])[0], photo)]),
        Contender(PEER_RLE, lambda: [instances_to_coco_json(peer(photo)["instances"].to("cpu"), 0)]),
    )
    pairs = (Pair(OURS_RLE, PEER_RLE, at_least=4.0),)
    work = f"one photo of {LARGE[0]} x {LARGE[1]} px, the best {OBJECTS} objects"
    return Stage(work, contenders, pairs, lambda results: _check(results[OURS_RLE], results[PEER_RLE]))


def _small_photos(cfg: CfgNode, photos: int, at_least: float) -> Stage:
    ours, peer = _predictors(cfg)
    pictures = [scenes(4, (SIDE, SIDE), first=4 * number) for number in range(photos)]
    peer.model.requires_grad_(False)  # the layers alone would be run backward, too
    calls = record_layers(peer.model, lambda: [peer(picture) for picture in pictures])
    contenders = (
        Contender(OURS, lambda: [ours.detect([picture])[0] for picture in pictures]),
        Contender(PEER, lambda: [peer(picture)["instances"] for picture in pictures]),
        Contender(LIMIT, layers_alone(calls, torch.float32)),
    )

    def check(results: dict[str, list]) -> str:
        one = [_our_results(found, picture) for found, picture in zip(results[OURS], pictures, strict=True)]
        return _check(one, [instances_to_coco_json(found.to("cpu"), 0) for found in results[PEER]])

    work = f"{photos} photos of {SIDE} x {SIDE} px, one after the other, float32"
    return Stage(work, contenders, (Pair(OURS, PEER, at_least, LIMIT),), check)


def _check(ours: Sequence[Results], peer: Sequence[Results]) -> str:
    """Compares from the usual score on; with weights that find nothing above it, from the median score of the peer."""
    scores = [found["score"] for photo in peer for found in photo]
    least = LEAST_SCORE if max(scores, default=1) >= LEAST_SCORE else round(float(np.median(scores)), 4)
    return check_detections(ours, peer, least)


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

    def record(layer: torch.nn.Module, inputs: object, output: torch.Tensor) -> None:
        deviations[layer] = output.std().item()

    hooks = [layer.register_forward_hook(record) for layer in layers]
    photo = torch.from_numpy(scenes(4, (SIDE, SIDE)).transpose(2, 0, 1).copy())
    with torch.no_grad():
        model([{"image": photo}])
        for layer, hook in zip(layers, hooks, strict=True):
            layer.weight *= SPREAD / deviations[layer]
            hook.remove()


def scenes(count: int, size: tuple[int, int], first: int = 0) -> np.ndarray:
    """Test scenes of the embedded sample in a square, as one photo (BGR) of a (width, height)."""
    files = sorted((PROJECT / "data/sample/test").glob("*.jpg"))[first : first + count]
    columns = round(len(files) ** 0.5)
    tile = size[0] // columns, size[1] // columns
    photos = [np.asarray(Image.open(file).convert("RGB").resize(tile)) for file in files]
    rows = [np.hstack(photos[start : start + columns]) for start in range(0, len(photos), columns)]
    return np.ascontiguousarray(np.vstack(rows)[:, :, ::-1])


def _our_results(detections: Iterable[Detection], photo: np.ndarray) -> Results:
    results = []
    for found in detections:
        code = found.mask.rle(photo.shape[:2])
        mask = {"size": list(code.size), "counts": code.counts}
        results.append({"category_id": found.category, "score": found.score, "segmentation": mask})
    return results
