"""Test-time augmentation (``TEST.AUG``): a photo is looked at in several sizes and flipped, and the views are merged."""

from __future__ import annotations

from typing import Any

import detectron2.data.transforms as T
import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.modeling import GeneralizedRCNN, GeneralizedRCNNWithTTA
from detectron2.structures import Instances
from fvcore.transforms import HFlipTransform

from polymask.data.augmentation import ResizeShortestEdge

Views = list[dict[str, Any]]  # of one photo: inputs of the model, or with "transforms" how they came about


class AugmentedRCNN(GeneralizedRCNNWithTTA):
    """Detectron2's test-time augmentation, before post-processing.

    The boxes of all views go through one non-maximum suppression. The mask of a box is the mean of the small masks that
    the views have in it. What differs from Detectron2's class:

    - A view is resized from the photo, and not from the photo in the size of an evaluation.
    - Views are in one batch only if they have one size. What is seen at the edges of a smaller one depends on padding.
    - The features are kept until the boxes are merged, and not computed once more for the masks.

    Args:
        cfg: with ``TEST.AUG``.
        model: in whatever mode; it is evaluated in evaluation mode.
    """

    def __init__(self, cfg: CfgNode, model: GeneralizedRCNN):
        super().__init__(cfg, model, _ViewMapper(cfg), batch_size=2 if cfg.TEST.AUG.FLIP else 1)
        self.training = model.training  # which ``inference_on_dataset`` restores, for the model too

    def __call__(self, photos: list[dict[str, Any]]) -> list[Instances]:
        """What ``model.inference(inputs, do_postprocess=False)`` returns, in pixels of the photos.

        Args:
            photos: of each ``image``, (C, H, W) uint8, in the size of the photo.
        """
        return [self._inference_one_image(photo) for photo in photos]

    def _inference_one_image(self, photo: dict[str, Any]) -> Instances:
        views, transforms = self._get_augmented_inputs(photo)
        heads = self.model.roi_heads
        heads.mask_on = False
        try:
            boxes_scores_classes = self._get_augmented_boxes(views, transforms)
        finally:  # Detectron2's own switch stays off after an error
            heads.mask_on = True
        merged = self._merge_detections(*boxes_scores_classes, photo["image"].shape[1:])
        on_views = self._rescale_detected_boxes(views, merged, transforms)
        merged.pred_masks = self._reduce_pred_masks(self._batch_inference(views, on_views), transforms)
        return merged

    def _batch_inference(self, views: Views, instances: list[Instances] | None = None) -> list[Instances]:
        """Boxes; or, given the instances on each view, their masks, once, from the features that the boxes left."""
        outputs: list[Instances] = []
        for start in range(0, len(views), self.batch_size):
            batch = slice(start, start + self.batch_size)
            if instances is None:
                outputs += self._detect_boxes(views[batch])
            else:
                features = views[start].pop("features")
                given = [some.to(self.model.device) for some in instances[batch]]
                outputs += self.model.roi_heads.forward_with_given_boxes(features, given)
        return outputs

    def _detect_boxes(self, views: Views) -> list[Instances]:
        """As ``GeneralizedRCNN.inference``; the first view keeps the features of all."""
        model = self.model
        images = model.preprocess_image(views)
        views[0]["features"] = features = model.backbone(images.tensor)
        proposals, _ = model.proposal_generator(images, features, None)
        return model.roi_heads(images, features, proposals, None)[0]


class _ViewMapper:
    """The views of a photo: in each of ``TEST.AUG.MIN_SIZES``, and behind it the same flipped, if ``FLIP`` is set."""

    def __init__(self, cfg: CfgNode):
        augmentation = cfg.TEST.AUG
        self._resizes = [ResizeShortestEdge(size, augmentation.MAX_SIZE) for size in augmentation.MIN_SIZES]
        self._flip = augmentation.FLIP

    def __call__(self, photo: dict[str, Any]) -> Views:
        pixels = np.ascontiguousarray(photo["image"].permute(1, 2, 0).numpy())
        views = []
        for resize in self._resizes:
            transform = resize.get_transform(pixels)
            resized = transform.apply_image(pixels)
            views.append(_view(resized, transform))
            if self._flip:
                flip = HFlipTransform(resized.shape[1])
                views.append(_view(flip.apply_image(resized), transform, flip))
        return views


def _view(image: np.ndarray, *transforms: T.Transform) -> dict[str, Any]:
    pixels = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
    return {"image": pixels, "transforms": T.TransformList(list(transforms))}
