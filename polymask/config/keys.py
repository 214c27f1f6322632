"""Our configuration keys, and the sentinels that mean "follow the dataset"."""

from __future__ import annotations

from collections.abc import Iterator

from detectron2.config import CfgNode

# Shares, epochs and minutes, and the other keys that say the same thing, with their sentinels.
ITERATIONS_OF = {
    "SOLVER.EPOCHS": {"SOLVER.MAX_ITER": "0", "SOLVER.MAX_MINUTES": "0"},
    "SOLVER.MAX_MINUTES": {"SOLVER.MAX_ITER": "0"},
    "SOLVER.STEP_SHARES": {"SOLVER.STEPS": "()"},
    "SOLVER.WARMUP_SHARE": {"SOLVER.WARMUP_ITERS": "-1"},
    "SOLVER.CHECKPOINT_EPOCHS": {"SOLVER.CHECKPOINT_PERIOD": "0"},
    "TEST.EVAL_EPOCHS": {"TEST.EVAL_PERIOD": "-1"},
}
# Who gives one of these keys means it, and not another key's value that is there already; with what takes that back.
LENGTHS = ("SOLVER.EPOCHS", "SOLVER.MAX_MINUTES", "SOLVER.MAX_ITER")
CONSEQUENCES = ITERATIONS_OF | {"SOLVER.BASE_LR": {"SOLVER.REFERENCE_IMS_PER_BATCH": "0"}}

# WRITERS: the packages that can follow a training.
TRACKERS = ("wandb", "mlflow")
AUTO = "auto"
# DATALOADER.NUM_WORKERS: as many as suit the machine (polymask.data.workers.number_of_workers).
FOLLOW_CORES = -1
# MODEL.RESNETS.NORM: instance normalisation (Ulyanov et al. 2016, https://arxiv.org/abs/1607.08022), as BatchNorm computes
# it in a training with one photo a batch, and then in predictions, too. Detectron2's get_norm does not have it.
INSTANCE_NORM = "IN"
# INPUT.COPY_PASTE.PROBABILITY: by the size of the objects (polymask.config.resolve.resolve_copy_paste).
FOLLOW_OBJECTS = -1.0
# INPUT.CACHE: where a training keeps its resized photos (polymask.data.cache).
MEMORY, DISK, OFF = "memory", "disk", "off"
CACHE_MODES = (AUTO, MEMORY, DISK, OFF)


def steps_of_shares(solver: CfgNode) -> tuple[int, ...]:
    """SOLVER.STEPS of a training of MAX_ITER iterations, by STEP_SHARES."""
    return tuple(round(share * solver.MAX_ITER) for share in solver.STEP_SHARES)


def warmup_of_share(solver: CfgNode) -> int:
    """SOLVER.WARMUP_ITERS of a training of MAX_ITER iterations, by WARMUP_SHARE."""
    return round(solver.WARMUP_SHARE * solver.MAX_ITER)


def add_polymask_config(cfg: CfgNode) -> None:
    """Adds polymask's keys to Detectron2's, and replaces by sentinels the defaults that depend on the dataset.

    yacs cannot tell a user's value from a default; a sentinel is a value that no user could mean.
    """
    # The device of the model: a GPU where there is one, else the CPU.
    cfg.MODEL.DEVICE = AUTO
    # 0: as many classes as the dataset has.
    cfg.MODEL.ROI_HEADS.NUM_CLASSES = 0

    # The dataset folder, written by `python -m dataset_tools convert`. The rest follows from it.
    cfg.DATASETS.ROOT = ""
    # Empty: the folder's own splits. VAL is evaluated during training, TEST once afterwards and under --eval-only.
    cfg.DATASETS.TRAIN = ()
    cfg.DATASETS.VAL = ()
    cfg.DATASETS.TEST = ()
    # Empty: the dataset's classes, in its order. Saved with every run, so that its config.yaml needs no dataset.
    cfg.DATASETS.CLASSES = []
    # `auto`: bitmask where some annotation cannot be a polygon, else polygon.
    cfg.INPUT.MASK_FORMAT = AUTO
    # For MODEL.WEIGHTS of other classes, such as COCO's: of the layers that depend on the classes, the rows of classes
    # with the same name are kept, and the other classes start at random (polymask.modeling.class_rows).
    cfg.MODEL.NEW_HEADS = False
    # Classes that those weights know by another name: "ours=theirs,ours=theirs".
    cfg.MODEL.CLASS_SYNONYMS = ""

    # Copies of each annotated box, moved and resized at random, that the heads learn from besides the proposals.
    cfg.MODEL.ROI_HEADS.JITTERED_BOXES = 0

    # Where a training keeps its resized photos: memory, disk or off; `auto`: where all of them fit.
    cfg.INPUT.CACHE = AUTO
    # Processes that load photos. It belongs to the machine, and so stays open in a run's config.yaml.
    cfg.DATALOADER.NUM_WORKERS = FOLLOW_CORES

    # Large-scale jitter (Ghiasi et al. 2021, https://arxiv.org/abs/2012.07177), in the place of MIN_SIZE_TRAIN: each
    # photo is resized by a random factor of RANGE relative to a square of SIZE px, then cropped or padded to it.
    cfg.INPUT.SCALE_JITTER = CfgNode()
    cfg.INPUT.SCALE_JITTER.ENABLED = False
    cfg.INPUT.SCALE_JITTER.RANGE = (0.1, 2.0)
    cfg.INPUT.SCALE_JITTER.SIZE = 1024
    # Detectron2's random crop (INPUT.CROP), placed so that it holds the centre of an object where the photo has one.
    cfg.INPUT.CROP.KEEP_OBJECT = True
    # Brightness, contrast and saturation are multiplied by random factors from 1 - COLOR_JITTER to 1 + COLOR_JITTER.
    cfg.INPUT.COLOR_JITTER = 0.0
    # Simple copy-paste (the same paper): with this probability, objects of a second photo are pasted onto a photo.
    cfg.INPUT.COPY_PASTE = CfgNode()
    cfg.INPUT.COPY_PASTE.PROBABILITY = 0.0

    # SGD or AdamW, which takes BASE_LR, WEIGHT_DECAY and ADAM_BETAS.
    cfg.SOLVER.OPTIMIZER = "SGD"
    # How much of its averages of the gradient and of its square AdamW keeps at each update; PyTorch's defaults.
    cfg.SOLVER.ADAM_BETAS = (0.9, 0.999)
    # The batch that BASE_LR is meant for. With another IMS_PER_BATCH the rate is scaled linearly. 0: never.
    # A BASE_LR on the command line, or in a file that does not give this key, is taken as it is.
    cfg.SOLVER.REFERENCE_IMS_PER_BATCH = 0
    # The learning rate of the pretrained network under the feature pyramid is so many times the others'.
    cfg.SOLVER.BACKBONE_LR_FACTOR = 1.0
    # Whether the heads alone are trained: backbone, feature pyramid and RPN stay as MODEL.WEIGHTS has them.
    cfg.SOLVER.HEADS_ONLY = False
    # The IMS_PER_BATCH photos of an update are processed in so many parts, one after the other, to save memory.
    cfg.SOLVER.ACCUMULATION_STEPS = 1
    # The decay of the moving average of the weights that is evaluated and saved, such as 0.999. 0: no average.
    cfg.SOLVER.EMA_DECAY = 0.0
    # The length of the training in passes over the photos that remain after filtering; used while MAX_ITER is 0.
    cfg.SOLVER.EPOCHS = 50.0
    cfg.SOLVER.MAX_ITER = 0
    # In the place of EPOCHS: the minutes that the iterations may take, from which MAX_ITER is set once. 0: EPOCHS count.
    cfg.SOLVER.MAX_MINUTES = 0.0
    # Where the learning rate drops, as shares of the training; used while STEPS is empty. None: it never drops.
    cfg.SOLVER.STEP_SHARES = ()
    cfg.SOLVER.STEPS = ()
    # The warm-up as a share of the training; used while WARMUP_ITERS is negative.
    cfg.SOLVER.WARMUP_SHARE = 0.0
    cfg.SOLVER.WARMUP_ITERS = -1
    # Epochs between two checkpoints; used while CHECKPOINT_PERIOD is 0.
    cfg.SOLVER.CHECKPOINT_EPOCHS = 5.0
    cfg.SOLVER.CHECKPOINT_PERIOD = 0
    # Epochs between two evaluations on VAL; used while EVAL_PERIOD is negative. 0: none during training.
    cfg.TEST.EVAL_EPOCHS = 5.0
    cfg.TEST.EVAL_PERIOD = -1
    # Whether an evaluation on VAL during training also computes the losses there.
    cfg.TEST.VALIDATION_LOSS = True
    # The training ends after so many evaluations on VAL in a row without a better mask AP. 0: never.
    cfg.TEST.EARLY_STOPPING_PATIENCE = 0

    # Who gets the scalars of a training besides metrics.json and TensorBoard: wandb (Weights & Biases), mlflow.
    cfg.WRITERS = ()

    # Detectron2 draws a new seed for every run; a run that can be repeated is the better default.
    cfg.SEED = 17


def flat_items(node: CfgNode, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Every key of a configuration, as one writes it behind the options ("SOLVER.BASE_LR"), with its value."""
    for key, value in node.items():
        if isinstance(value, CfgNode):
            yield from flat_items(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value
