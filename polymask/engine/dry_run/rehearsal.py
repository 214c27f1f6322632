"""``train_net.py --dry-run``: the first iterations of a training, and what they tell of the whole."""

from __future__ import annotations

import io
import itertools
import logging
import shutil
import statistics
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import torch
from detectron2.config import CfgNode
from detectron2.engine import HookBase, hooks
from detectron2.evaluation.evaluator import inference_context
from detectron2.utils import comm
from detectron2.utils.events import EventStorage
from tqdm import tqdm

from dataset_tools.errors import UserError
from polymask.config.resolve import read_records
from polymask.data.loader import build_evaluation_loader, build_train_loader
from polymask.engine.distributed import reduce_flag
from polymask.engine.dry_run.config_warnings import training_warnings
from polymask.engine.dry_run.training_plan import TrainingCosts, checkpoint_bytes, dataset_table, plan_table
from polymask.engine.run_files import peak_memory_gib
from polymask.engine.trainer import Trainer
from polymask.inference.tta import AugmentedRCNN
from polymask.inference.visualizer import arrange, draw_training_item, metadata_of, write_png
from polymask.modeling.checkpoint import BACKBONE_ONLY_KEY
from polymask.modeling.precision import NAMES

log = logging.getLogger(__name__)

SHEET_NAME = "dry_run.png"
SHEET_COLUMNS, SHEET_CELL = 4, (480, 360)  # px: three rows of four photos fit a screen
PHOTOS_ON_SHEET = 12

# The first iteration, and the first photo of an evaluation, pay for workers, memory and the choice of algorithms.
WARM_UP = 1
MEASURED = 5
# Seconds of iterations after which no further one is begun: the full network may need a minute for each on a CPU.
PATIENCE = 120


def dry_run(cfg: CfgNode) -> None:
    """Does the first iterations of a training, throws them away, and says what the whole would be.

    It leaves ``dry_run.png`` (augmented training photos as the model gets them) in ``OUTPUT_DIR``, and nothing that
    stops a training there. To be called on all ranks.

    Args:
        cfg: what ``polymask.engine.setup`` makes of a training's command line.

    Raises:
        UserError: what the training would end with: weights that don't fit, a NaN loss, a full memory.
    """
    splits = {key: read_records(cfg, key) for key in ("TRAIN", "VAL", "TEST")}
    rehearsal = Rehearsal(cfg)
    loaded = rehearsal.checkpointer.resume_or_load(cfg.MODEL.WEIGHTS, resume=False)
    costs = rehearsal.run()
    if not comm.is_main_process():
        return
    log.info("The dataset %s:\n%s", cfg.DATASETS.ROOT, dataset_table(splits, cfg.DATASETS.CLASSES))
    log.info("The training:\n%s", plan_table(cfg, splits, costs, comm.get_world_size()))
    _draw(cfg, rehearsal.watch.photos)
    warnings = training_warnings(
        cfg,
        splits["TRAIN"],
        [*splits["VAL"], *splits["TEST"]],
        torchvision_weights=bool(loaded.get(BACKBONE_ONLY_KEY)),
        checkpoint_bytes=checkpoint_bytes(cfg, costs),
        free_bytes=shutil.disk_usage(cfg.OUTPUT_DIR).free,
    )
    for warning in warnings:
        log.warning("%s", warning)
    log.info("What looks wrong: %s.", "see the warnings above" if warnings else "nothing")


class Rehearsal(Trainer):
    """A trainer with those hooks alone that change an iteration or a checkpoint: it saves and evaluates nothing."""

    def __init__(self, cfg: CfgNode, iterations: int = WARM_UP + MEASURED, patience: float = PATIENCE):
        self.watch = Watch(patience)
        super().__init__(cfg)
        self.max_iter = min(iterations, cfg.SOLVER.MAX_ITER)

    def build_hooks(self) -> list[HookBase]:
        return [hook for hook in (hooks.LRScheduler(), self._finite_loss, self._average, self.watch) if hook]

    def run(self) -> TrainingCosts:
        """The first iterations of the training, and the first photos of an evaluation."""
        try:
            batches = self.iterate()
            evaluation, final, losses = self._seconds_a_photo()
        except torch.OutOfMemoryError as error:
            raise UserError(
                f"the GPU's memory does not suffice: {str(error).splitlines()[0]}",
                remedy="Lower SOLVER.IMS_PER_BATCH, raise SOLVER.ACCUMULATION_STEPS, or use smaller photos "
                "(INPUT.MIN_SIZE_TRAIN)",
            ) from error
        photos = self.watch.photos
        while len(photos) < PHOTOS_ON_SHEET:
            photos += next(batches)[: PHOTOS_ON_SHEET - len(photos)]
        measured = self.watch.seconds[WARM_UP:] or self.watch.seconds
        weights = {"model": self.evaluated_model.state_dict()}
        state = {name: part.state_dict() for name, part in self.checkpointer.checkpointables.items()}
        return TrainingCosts(
            NAMES[self.compute_type],
            statistics.median(measured),
            len(measured),
            evaluation,
            final,
            losses,
            peak_memory_gib(self.cfg.MODEL.DEVICE),
            saved_bytes({"model": self.checkpointer.model.state_dict(), **state}),
            saved_bytes(weights),
        )

    def iterate(self) -> Iterator[list[dict]]:
        """Does the first iterations, and returns the batches that follow."""
        log.info("Trying %d iterations ...", self.max_iter)
        batches = iter(build_train_loader(self.cfg, 0))
        self._trainer.data_loader = batches
        self.run_loop()
        return batches

    def _seconds_a_photo(self) -> tuple[float, float, float]:
        names = (*self.cfg.DATASETS.VAL, *self.cfg.DATASETS.TEST)
        if not names:
            return 0.0, 0.0, 0.0
        model = self.evaluated_model
        held_out = build_evaluation_loader(self.cfg, names[0])
        with torch.no_grad(), inference_context(model):
            evaluation = _median_seconds(model(photo) for photo in itertools.islice(held_out, WARM_UP + MEASURED))
            final = evaluation
            if self.cfg.TEST.AUG.ENABLED:  # which takes many times as long
                augmented, photos = (
                    AugmentedRCNN(self.cfg, model),
                    build_evaluation_loader(self.cfg, names[0], whole=True),
                )
                final = _median_seconds(augmented(photo) for photo in itertools.islice(photos, WARM_UP + 1))
        with torch.no_grad(), EventStorage():
            losses = _median_seconds(model.train()([photo]) for photo in self.watch.photos[: WARM_UP + MEASURED])
        return evaluation, final, losses


class Watch(HookBase):
    """Times every iteration, keeps its photos for the sheet, and ends a rehearsal that takes too long.

    Args:
        patience: seconds after which no further iteration is begun, if there is one beside the first.
    """

    def __init__(self, patience: float):
        self._patience = patience
        self.seconds: list[float] = []
        self.photos: list[dict] = []

    def before_train(self) -> None:
        self._bar = tqdm(total=self.trainer.max_iter, unit="it", disable=None)

    def before_step(self) -> None:
        self._start = time.perf_counter()

    def after_step(self) -> None:
        trainer = self.trainer
        _synchronise()
        self.seconds.append(time.perf_counter() - self._start)
        self.photos += trainer.batch[: PHOTOS_ON_SHEET - len(self.photos)]
        self._bar.update()
        if reduce_flag(len(self.seconds) > WARM_UP and sum(self.seconds) > self._patience):
            trainer.max_iter = trainer.iter + 1

    def after_train(self) -> None:
        self._bar.close()


def _median_seconds(steps: Iterable) -> float:
    """The median time of the steps, without the first; of the first where there is no other, and 0 without any."""
    times = [time.perf_counter()]
    for _ in steps:
        _synchronise()
        times.append(time.perf_counter())
    seconds = [later - earlier for earlier, later in itertools.pairwise(times)]
    return statistics.median(seconds[WARM_UP:] or seconds or [0.0])


def _synchronise() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def saved_bytes(content: dict) -> int:
    """How large ``torch.save`` makes a file of it."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.tell()


def _draw(cfg: CfgNode, photos: Sequence[dict]) -> None:
    """Writes the sheet of training photos."""
    sheet = Path(cfg.OUTPUT_DIR) / SHEET_NAME
    metadata = metadata_of(cfg.DATASETS.CLASSES)
    pictures = [draw_training_item(photo, cfg.INPUT.FORMAT, metadata, SHEET_CELL) for photo in photos]
    write_png(sheet, arrange(pictures, SHEET_COLUMNS, SHEET_CELL))
    log.info("Look at %s: training photos as the model gets them.", sheet)
