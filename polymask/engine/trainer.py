"""The trainer: Detectron2's, wired for the CPU as well as the GPU and evaluated with COCO mask AP."""

from __future__ import annotations

import logging
import time
import weakref
from pathlib import Path

import torch
from detectron2.config import CfgNode
from detectron2.engine import AMPTrainer, DefaultTrainer, HookBase, SimpleTrainer, TrainerBase, create_ddp_model, hooks
from detectron2.modeling import build_model
from detectron2.solver import build_optimizer, get_default_optimizer_params
from detectron2.solver.build import maybe_add_gradient_clipping
from detectron2.utils import comm

from dataset_tools.errors import UserError
from polymask.engine.checkpoint import Checkpointer, load_trained_model
from polymask.engine.hooks.final_evaluation import FinalEvaluation, report
from polymask.engine.hooks.loss_curve import LossCurve
from polymask.engine.hooks.progress_bar import ProgressBar
from polymask.engine.setup import CONFIG_NAME, write_config
from polymask.evaluation.coco import Metrics, evaluate

log = logging.getLogger(__name__)

# A checkpoint of the full model with its optimizer weighs 250 MB: an older one is deleted when a newer one is whole.
CHECKPOINTS_TO_KEEP = 2
# Iterations between two lines of the log and of metrics.json; Detectron2's own number.
LOG_PERIOD = 20


class Trainer(DefaultTrainer):
    """Detectron2's ``DefaultTrainer`` for a resolved configuration (see ``polymask.config``).

    Its differences: autocast works on the CPU too (``SOLVER.AMP.ENABLED``), checkpoints carry their class names and
    must fit in full, VAL is evaluated during the training and TEST once at its end, with the last weights.
    """

    def __init__(self, cfg: CfgNode):
        # DefaultTrainer's constructor names its checkpointer and its inner trainers itself: this stands in its place,
        # in the same order.
        TrainerBase.__init__(self)
        cfg = DefaultTrainer.auto_scale_workers(cfg, comm.get_world_size())
        model = self.build_model(cfg)
        optimizer = self.build_optimizer(cfg, model)
        data_loader = self.build_train_loader(cfg)
        model = create_ddp_model(model, broadcast_buffers=False)
        self._trainer = _inner_trainer_class(cfg)(model, data_loader, optimizer)
        self.scheduler = self.build_lr_scheduler(cfg, optimizer)
        self.checkpointer = Checkpointer(
            model, cfg.OUTPUT_DIR, classes=cfg.DATASETS.CLASSES, trainer=weakref.proxy(self)
        )
        self.start_iter = 0
        self.max_iter = cfg.SOLVER.MAX_ITER
        self.cfg = cfg
        self.register_hooks(self.build_hooks())

    @classmethod
    def build_model(cls, cfg: CfgNode) -> torch.nn.Module:
        model = build_model(cfg)
        millions = sum(parameter.numel() for parameter in model.parameters()) / 1e6
        log.info("The model has %.1f million parameters and runs on %s.", millions, cfg.MODEL.DEVICE)
        log.debug("Model:\n%s", model)
        return model

    @classmethod
    def build_optimizer(cls, cfg: CfgNode, model: torch.nn.Module) -> torch.optim.Optimizer:
        """``SOLVER.OPTIMIZER`` with Detectron2's groups of parameters and its clipping of gradients."""
        solver = cfg.SOLVER
        if solver.OPTIMIZER == "SGD":
            return build_optimizer(cfg, model)
        if solver.OPTIMIZER != "AdamW":
            raise UserError(f"SOLVER.OPTIMIZER is {solver.OPTIMIZER}", remedy="Use SGD or AdamW")
        groups = get_default_optimizer_params(
            model,
            base_lr=solver.BASE_LR,
            weight_decay_norm=solver.WEIGHT_DECAY_NORM,
            bias_lr_factor=solver.BIAS_LR_FACTOR,
            weight_decay_bias=solver.WEIGHT_DECAY_BIAS,
        )
        optimizer_class = maybe_add_gradient_clipping(cfg, torch.optim.AdamW)
        return optimizer_class(groups, lr=solver.BASE_LR, weight_decay=solver.WEIGHT_DECAY)

    def resume_or_load(self, resume: bool = True) -> None:
        """See ``DefaultTrainer.resume_or_load``; says so where there is nothing to resume."""
        if resume and not self.checkpointer.has_checkpoint():
            log.warning("--resume: %s has no checkpoint, so the training starts at its beginning.", self.cfg.OUTPUT_DIR)
        super().resume_or_load(resume)
        write_config(self.cfg)

    def build_hooks(self) -> list[HookBase]:
        cfg = self.cfg
        built = [hooks.IterationTimer(), hooks.LRScheduler()]
        if comm.is_main_process():
            built.append(self._build_periodic_checkpointer())
        # After the checkpointer: should an evaluation fail, the weights are on disk.
        built.append(
            hooks.EvalHook(
                cfg.TEST.EVAL_PERIOD if cfg.DATASETS.VAL else 0,
                lambda: evaluate(cfg, self.model, cfg.DATASETS.VAL),
                eval_after_train=False,
            )
        )
        built.append(FinalEvaluation())
        if comm.is_main_process():
            # Behind the evaluations, so that their metrics are written.
            built.append(hooks.PeriodicWriter(self.build_writers(), period=LOG_PERIOD))
            built += [LossCurve(cfg.OUTPUT_DIR), ProgressBar()]
        return built

    def _build_periodic_checkpointer(self) -> hooks.PeriodicCheckpointer:
        checkpointer = hooks.PeriodicCheckpointer(
            self.checkpointer, self.cfg.SOLVER.CHECKPOINT_PERIOD, max_to_keep=CHECKPOINTS_TO_KEEP
        )
        # Those of the run that is resumed count as well; "model_0000099.pth" sorts by iteration.
        checkpointer.recent_checkpoints = sorted(
            file for file in self.checkpointer.get_all_checkpoint_files() if not file.endswith("model_final.pth")
        )
        return checkpointer

    @classmethod
    def test(cls, cfg: CfgNode, model: torch.nn.Module, evaluators: None = None) -> dict[str, Metrics]:
        """COCO metrics of the model on every dataset of ``DATASETS.TEST``, by the dataset's name."""
        return evaluate(cfg, model, cfg.DATASETS.TEST)


def evaluate_only(cfg: CfgNode) -> None:
    """Measures ``MODEL.WEIGHTS`` on every dataset of ``DATASETS.TEST``: ``train_net.py --eval-only``."""
    model = load_trained_model(cfg)
    if not (Path(cfg.OUTPUT_DIR) / CONFIG_NAME).exists():  # an evaluation leaves the configuration of the training
        write_config(cfg)
    results = Trainer.test(cfg, model)
    if comm.is_main_process():
        report(results, Path(cfg.OUTPUT_DIR))


class CPUAutocastTrainer(SimpleTrainer):
    """Detectron2's ``SimpleTrainer`` with the forward pass in bfloat16 where PyTorch holds that safe.

    bfloat16 has the range of float32, so unlike ``AMPTrainer``'s float16 it needs no scaling of the loss.
    """

    def run_step(self) -> None:
        start = time.perf_counter()
        data = next(self._data_loader_iter)
        data_time = time.perf_counter() - start
        with torch.autocast("cpu", dtype=torch.bfloat16):
            losses = self.model(data)
        self.optimizer.zero_grad()
        sum(losses.values()).backward()
        self.after_backward()
        self._write_metrics(losses, data_time)
        self.optimizer.step()


def _inner_trainer_class(cfg: CfgNode) -> type[SimpleTrainer]:
    if not cfg.SOLVER.AMP.ENABLED:
        return SimpleTrainer
    return AMPTrainer if torch.device(cfg.MODEL.DEVICE).type == "cuda" else CPUAutocastTrainer
