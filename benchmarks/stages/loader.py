"""Photos and annotations to training inputs, beside Detectron2's DatasetMapper: large JPEGs, in one process."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator

import numpy as np
from detectron2.config import CfgNode
from detectron2.data import DatasetMapper, build_detection_train_loader, get_detection_dataset_dicts
from detectron2.data.samplers import TrainingSampler

from benchmarks.stages.labelme_folder import Layout, write_labelme_folder
from benchmarks.stages.options import PROJECT, Options
from benchmarks.stages.timing import Contender, DifferentWork, Pair, Stage
from dataset_tools.catalog import register
from dataset_tools.dataset.convert import ConvertOptions, convert
from polymask.config.load import load_config
from polymask.config.resolve import resolve_dataset
from polymask.data.loader import build_train_loader

OURS, CACHED, PEER = "polymask, first epoch", "polymask, second epoch", "Detectron2's DatasetMapper"

PHOTOS = 12
LAYOUT = Layout(size=(4000, 3000), polygons=8, sides=(300, 900))
OVERRIDES = [
    "INPUT.MIN_SIZE_TRAIN", "(800,)", "SOLVER.IMS_PER_BATCH", "1", "DATALOADER.NUM_WORKERS", "0", "MODEL.DEVICE", "cpu",
    "INPUT.CACHE", "memory",
]  # fmt: skip

# Mean difference of two pictures of one photo, in levels of 0 to 255: two ways to make it smaller.
PIXEL_TOLERANCE = 3.0

Epoch = dict[str, dict]  # the items of an epoch, by the names of their photos


def loader(options: Options) -> Stage:
    """12-megapixel JPEGs to a short side of 800 px; the second epoch comes from the cache."""
    cfg = _config(options)
    ours = _OurEpochs(cfg)
    contenders = (
        Contender(OURS, ours.epoch, prepare=ours.restart),
        Contender(CACHED, ours.epoch),
        Contender(PEER, lambda: _peer_epoch(cfg)),
    )
    pairs = (Pair(OURS, PEER, at_least=3.0), Pair(CACHED, PEER, at_least=12.0))
    work = f"{PHOTOS} photos of {LAYOUT.size[0]} x {LAYOUT.size[1]} px with {LAYOUT.polygons} polygons each"
    return Stage(work, contenders, pairs, _check, warm_up=False)


def _config(options: Options) -> CfgNode:
    logging.getLogger("detectron2").setLevel(logging.WARNING)  # what it says of every dataset
    source, dataset = options.scratch / "large_photos", options.scratch / "large_dataset"
    write_labelme_folder(source, PHOTOS, LAYOUT)
    card = convert(ConvertOptions(source=source, output=dataset, fractions=(1.0, 0.0, 0.0))).card
    register(dataset)
    cfg = load_config(PROJECT / "configs/mask_rcnn_R_18_FPN.yaml", [*OVERRIDES, "DATASETS.ROOT", str(dataset)])
    resolve_dataset(cfg, card)
    cfg.freeze()
    return cfg


class _OurEpochs:
    """Epochs of our loader; ``restart`` begins again without a cache."""

    def __init__(self, cfg: CfgNode):
        self._cfg = cfg
        self._batches: Iterator[list[dict]] = iter(())

    def restart(self) -> None:
        self._batches = iter(build_train_loader(self._cfg, 0))

    def epoch(self) -> Epoch:
        return _take_epoch(self._batches)


def _peer_epoch(cfg: CfgNode) -> Epoch:
    records = get_detection_dataset_dicts(list(cfg.DATASETS.TRAIN), filter_empty=False)
    sampler, mapper = TrainingSampler(len(records), seed=cfg.SEED), DatasetMapper(cfg, is_train=True)
    batches = build_detection_train_loader(records, mapper=mapper, sampler=sampler, total_batch_size=1, num_workers=0)
    return _take_epoch(iter(batches))


def _take_epoch(batches: Iterator[list[dict]]) -> Epoch:
    return {item["file_name"]: item for (item,) in itertools.islice(batches, PHOTOS)}


def _check(results: dict[str, Epoch]) -> str:
    theirs, worst = results[PEER], 0.0
    for name in (OURS, CACHED):
        ours = results[name]
        if ours.keys() != theirs.keys() or len(ours) != PHOTOS:
            raise DifferentWork(f"{name}: {len(ours)} photos; the peer: {len(theirs)} photos; {PHOTOS} are wanted")
        worst = max([worst, *(_difference(file, ours[file], theirs[file]) for file in ours)])
    return f"{PHOTOS} photos with their instances on each side; pixels differ by {worst:.2f} levels or less in the mean"


def _difference(file: str, ours: dict, peer: dict) -> float:
    """The mean difference of the pixels, in levels. Each side flips at random."""
    sizes = [(*item["image"].shape, len(item["instances"])) for item in (ours, peer)]
    if sizes[0] != sizes[1]:
        raise DifferentWork(f"{file}: channels, height, width and instances are {sizes[0]} and {sizes[1]}")
    one, other = (item["image"].numpy().astype(np.int16) for item in (ours, peer))
    difference = min(np.abs(one - turned).mean() for turned in (other, other[:, :, ::-1]))
    if difference > PIXEL_TOLERANCE:
        raise DifferentWork(f"the pixels of {file} differ by {difference:.1f} levels in the mean")
    return float(difference)
