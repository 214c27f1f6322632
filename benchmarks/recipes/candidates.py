"""Variants of our recipe that were compared on fold 0: those of _candidate before mini_scratch.yaml became what it is."""

from __future__ import annotations

from benchmarks.recipes.contenders import Recipe

# What mini_scratch.yaml was before, which its own values may not change any more.
BEFORE = {
    "MODEL.RESNETS.NORM": "BN",
    "MODEL.FPN.NORM": "",
    "MODEL.ROI_MASK_HEAD.NORM": "",
    "SOLVER.IMS_PER_BATCH": "1",
    "SOLVER.BASE_LR": "0.0006",
    "INPUT.COPY_PASTE.PROBABILITY": "0.5",
    "INPUT.COLOR_JITTER": "0.3",
    "INPUT.MIN_SIZE_TRAIN": "(240,)",
    "MODEL.ANCHOR_GENERATOR.SIZES": "[[16], [32], [64], [128], [256]]",
    "MODEL.RPN.IOU_THRESHOLDS": "[0.3, 0.7]",
    "MODEL.ROI_HEADS.JITTERED_BOXES": "0",
    "MODEL.ROI_HEADS.NAME": "CascadeROIHeads",
}
# No object covers another one, and three sizes.
WHOLE_OBJECTS = {"INPUT.COPY_PASTE.PROBABILITY": "0.0", "INPUT.MIN_SIZE_TRAIN": "(192, 216, 240)"}
# As in Detectron2's configurations for training from nothing (configs/Misc/scratch_mask_rcnn_R_50_FPN_3x_gn.yaml), after
# He et al. 2019, https://arxiv.org/abs/1811.08883; the box head has no convolutions here.
GROUP_NORM = {"MODEL.RESNETS.NORM": "GN", "MODEL.FPN.NORM": "GN", "MODEL.ROI_MASK_HEAD.NORM": "GN"}
# With the values before, one to three of 96 regions lie on an object, and two anchors a photo: more of both, and plain photos.
MORE_OBJECTS = {
    "MODEL.ANCHOR_GENERATOR.SIZES": "[[16, 32], [32, 64], [64, 128], [128, 256], [256, 512]]",
    "MODEL.RPN.IOU_THRESHOLDS": "[0.3, 0.5]",
    "MODEL.ROI_HEADS.JITTERED_BOXES": "6",
    "INPUT.COPY_PASTE.PROBABILITY": "0.0",
    "INPUT.COLOR_JITTER": "0.0",
}
THREE_SIZES = {"INPUT.MIN_SIZE_TRAIN": "(192, 216, 240)"}
BY_PHOTO = {"MODEL.RESNETS.NORM": "IN"}
COPY_PASTE = {"INPUT.COPY_PASTE.PROBABILITY": "0.5"}
PLAIN_HEADS = {"MODEL.ROI_HEADS.NAME": "StandardROIHeads"}


def _candidate(name: str, batch: int, rate: float, *changes: dict[str, str]) -> Recipe:
    values = BEFORE | {"SOLVER.IMS_PER_BATCH": str(batch), "SOLVER.BASE_LR": str(rate)}
    for change in changes:
        values |= change
    return Recipe(name, tuple(word for pair in values.items() for word in pair))


CANDIDATES = {
    recipe.name: recipe
    for recipe in (
        _candidate("before", 1, 0.0006),
        _candidate("batch 4", 4, 0.0006, WHOLE_OBJECTS),
        _candidate("GroupNorm, batch 2", 2, 0.0004, WHOLE_OBJECTS, GROUP_NORM),
        _candidate("more objects, plain heads", 1, 0.0006, MORE_OBJECTS, PLAIN_HEADS),
        _candidate("more objects", 1, 0.0006, MORE_OBJECTS),
        _candidate("more objects, batch 4", 4, 0.0006, MORE_OBJECTS),
        _candidate("more objects, by photo", 1, 0.0006, MORE_OBJECTS, BY_PHOTO),
        _candidate("more objects, by photo, three sizes", 1, 0.0006, MORE_OBJECTS, BY_PHOTO, THREE_SIZES),
        _candidate("more objects, by photo, copy-paste", 1, 0.0006, MORE_OBJECTS, BY_PHOTO, COPY_PASTE),
        Recipe("five sizes", ("INPUT.MIN_SIZE_TRAIN", "(192, 216, 240, 264, 288)")),
    )
}
