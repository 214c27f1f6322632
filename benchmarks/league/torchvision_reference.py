"""torchvision's Mask R-CNN from random weights, for some minutes, as its references/detection train it.

Its rate and decay (0.02 for 16 photos), its batch of 2 a process, its flips and its drops at 16 and 22 of 26 epochs.
The backbone has 18 layers and photos have the size of the comparison, since 50 layers and 800 px would see a few dozen
photos in ten minutes.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pycocotools.mask
import torch
from torch.optim.lr_scheduler import LambdaLR
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.ops import masks_to_boxes
from torchvision.transforms.v2.functional import hflip

from benchmarks.recipes.informed_detectron2 import LONGEST
from benchmarks.recipes.judge import DETECTIONS
from dataset_tools.formats.card import read_card
from dataset_tools.images.pixels import read_pixels

BATCH = 2
RATE = 0.02 / 16 * BATCH  # references/detection/README.md, linearly scaled
DROPS = (16 / 26, 22 / 26)
WARM_UP = 1000  # iterations, or one epoch where that is shorter


class Photos:
    """The photos and objects of a split.

    Args:
        dataset: a dataset folder.
        split: "train" or "test".
    """

    def __init__(self, dataset: Path, split: str):
        card = read_card(dataset)
        content = json.loads((dataset / card.splits[split].annotations).read_text())
        self.images = content["images"]
        self._root = dataset / card.image_root
        self._annotations: dict[int, list[dict]] = {image["id"]: [] for image in self.images}
        for annotation in content["annotations"]:
            self._annotations[annotation["image_id"]].append(annotation)

    def pixels(self, image: dict) -> torch.Tensor:
        """(3, H, W) float32 RGB, 0 to 1."""
        photo = read_pixels(str(self._root / image["file_name"]), "RGB").array
        return torch.from_numpy(np.ascontiguousarray(photo.transpose(2, 0, 1))).float() / 255

    def target(self, image: dict) -> dict[str, torch.Tensor]:
        """What torchvision learns from: boxes (N, 4) XYXY in pixels, labels from 1, masks (N, H, W) uint8."""
        own = [a for a in self._annotations[image["id"]] if not a.get("iscrowd")]
        shape = (image["height"], image["width"])
        masks = np.array([decode(annotation["segmentation"], shape) for annotation in own], dtype=np.uint8)
        masks = torch.from_numpy(masks.reshape(-1, *shape))
        kept = masks.flatten(1).bool().any(dim=1)  # what covers no pixel has no box
        labels = torch.tensor([annotation["category_id"] for annotation in own], dtype=torch.int64)[kept]
        boxes = masks_to_boxes(masks[kept])
        boxes[:, 2:] += 1  # of the last pixel, too: a box has to have an area
        return {"boxes": boxes, "labels": labels, "masks": masks[kept]}


def decode(segmentation: list | dict, shape: tuple[int, int]) -> np.ndarray:
    """(H, W) uint8 of COCO's polygons or run lengths."""
    if isinstance(segmentation, list):
        segmentation = pycocotools.mask.merge(pycocotools.mask.frPyObjects(segmentation, *shape))
    return pycocotools.mask.decode(segmentation)


def batches(photos: Photos, generator: torch.Generator) -> Iterator[tuple[list, list]]:
    """Without end: each epoch has its own order; half of the photos are flipped."""
    order = (
        photos.images[index]
        for _ in itertools.count()
        for index in torch.randperm(len(photos.images), generator=generator).tolist()
    )
    while True:
        pixels, targets = [], []
        for image in itertools.islice(order, BATCH):
            photo, target = photos.pixels(image), photos.target(image)
            if torch.rand((), generator=generator) < 0.5:
                photo, target["masks"] = hflip(photo), hflip(target["masks"])
                target["boxes"][:, [0, 2]] = image["width"] - target["boxes"][:, [2, 0]]
            pixels.append(photo)
            targets.append(target)
        yield pixels, targets


def train(model: MaskRCNN, photos: Photos, minutes: float, seed: int) -> int:
    """Trains for so many minutes, and returns the number of iterations.

    The drops of the rate are shares of the time, since the number of iterations is not known before.
    """
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE, momentum=0.9, weight_decay=1e-4)
    warm_up = min(WARM_UP, max(1, len(photos.images) // BATCH - 1))
    begin, end = time.monotonic(), 60 * minutes

    def factor(iteration: int) -> float:
        passed = (time.monotonic() - begin) / end
        return min(1.0, 0.001 + 0.999 * iteration / warm_up) * 0.1 ** sum(passed > drop for drop in DROPS)

    schedule = LambdaLR(optimizer, factor)
    generator = torch.Generator().manual_seed(seed)
    for iteration, (pixels, targets) in enumerate(batches(photos, generator)):
        if time.monotonic() - begin > end:
            return iteration
        loss = sum(model(pixels, targets).values())
        if not torch.isfinite(loss):
            raise FloatingPointError(f"the loss became infinite in iteration {iteration}")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    raise AssertionError  # the batches have no end


@torch.inference_mode()
def detect(model: MaskRCNN, photos: Photos) -> Iterator[dict]:
    """COCO's results."""
    for image in photos.images:
        (found,) = model([photos.pixels(image)])
        for box, label, score, mask in zip(
            *(found[key] for key in ("boxes", "labels", "scores", "masks")), strict=True
        ):
            code = pycocotools.mask.encode(np.asfortranarray(mask[0].numpy() > 0.5, dtype=np.uint8))
            left, top, right, bottom = box.tolist()
            yield {
                "image_id": image["id"], "category_id": int(label), "score": float(score),
                "bbox": [left, top, right - left, bottom - top],
                "segmentation": {"size": code["size"], "counts": code["counts"].decode()},
            }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--size", type=int, required=True, help="short side in pixels")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    backbone = resnet_fpn_backbone(
        backbone_name="resnet18", weights=None, trainable_layers=5, norm_layer=torch.nn.BatchNorm2d
    )
    classes = 1 + len(read_card(args.dataset).classes)
    model = MaskRCNN(backbone, classes, min_size=args.size, max_size=round(args.size * LONGEST))
    args.output.mkdir(parents=True)
    try:
        print(f"{train(model.train(), Photos(args.dataset, 'train'), args.minutes, args.seed)} iterations")
    except FloatingPointError as error:  # nothing is found
        print(error)
        return
    found = list(detect(model.eval(), Photos(args.dataset, "test")))
    (args.output / DETECTIONS).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
