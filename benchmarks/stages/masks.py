"""``dataset_tools masks`` beside the plain way: each mask decoded at the size of the photo."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import numpy as np
from PIL import Image
from pycocotools.coco import COCO

from benchmarks.stages.labelme_folder import Layout, write_labelme_folder
from benchmarks.stages.options import Options
from benchmarks.stages.timing import Contender, DifferentWork, Pair, Stage
from dataset_tools.__main__ import main as dataset_tools
from dataset_tools.dataset.convert import ConvertOptions, convert

OURS, PEER = "dataset_tools masks", "full frame, pycocotools"
LAYOUT = Layout(size=(3000, 3000), polygons=1000, sides=(40, 100))


def masks(options: Options) -> Stage:
    """1,000 objects on one photo of 3,000 x 3,000 px: the photo with all else black, and the picture of numbers."""
    source, dataset = options.scratch / "many_objects", options.scratch / "many_objects_dataset"
    write_labelme_folder(source, 1, LAYOUT)
    convert(ConvertOptions(source=source, output=dataset, fractions=(1.0, 0.0, 0.0)))
    contenders = (
        Contender(OURS, lambda: _write(dataset, options.scratch / "our_masks")),
        Contender(PEER, lambda: _peer_write(dataset, source, options.scratch / "peer_masks")),
    )
    work = f"{LAYOUT.polygons} objects on {LAYOUT.size[0]} x {LAYOUT.size[1]} px, one process"
    # 15 is the aim against commit 3033d14, which is measured by hand, and not against this peer.
    return Stage(work, contenders, (Pair(OURS, PEER),), _check, warm_up=False, most_rounds=2)


def _write(dataset: Path, output: Path) -> Path:
    # Its findings: some of the many objects overlap.
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        code = dataset_tools(["masks", str(dataset), "--output", str(output), "--jobs", "1"])
    if code:
        raise RuntimeError(f"dataset_tools masks ended with {code}")
    return output


def _peer_write(dataset: Path, photos: Path, output: Path) -> Path:
    """The same pictures as people write them with pycocotools."""
    (output / "index").mkdir(parents=True, exist_ok=True)
    (output / "black").mkdir(exist_ok=True)
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(dataset / "train.json"))
    for image in coco.dataset["images"]:
        index = np.zeros((image["height"], image["width"]), dtype=np.uint16)
        for number, annotation in enumerate(coco.imgToAnns[image["id"]], start=1):
            index[coco.annToMask(annotation) == 1] = number
        name = Path(image["file_name"])
        photo = np.asarray(Image.open(photos / name.name).convert("RGB"))
        black = np.where((index > 0)[..., None], photo, 0).astype(np.uint8)
        Image.fromarray(black).save(output / "black" / f"{name.stem}.png")
        Image.fromarray(index).save(output / "index" / f"{name.stem}.png")
    return output


def _check(results: dict[str, Path]) -> str:
    ours, peer = results[OURS], results[PEER]
    for kind in ("index", "black"):
        differing = np.count_nonzero(_only_picture(ours / kind) != _only_picture(peer / kind))
        if differing:
            raise DifferentWork(f"{kind}: {differing} values differ")
    seen = len(np.unique(_only_picture(ours / "index"))) - 1
    return f"equal pictures; {seen} objects are not wholly covered by others"


def _only_picture(folder: Path) -> np.ndarray:
    (file,) = folder.rglob("*.png")
    return np.asarray(Image.open(file))
