"""The trainer: Detectron2's, wired for the CPU as well as the GPU, that can be left alone and resumed exactly."""

from __future__ import annotations

import logging
import time
import weakref
from pathlib import Path

import torch
from detectron2.config import CfgNode
from detectron2.engine import DefaultTrainer, HookBase, TrainerBase, hooks
from detectron2.solver import get_default_optimizer_params
from detectron2.solver.build import maybe_add_gradient_clipping
from detectron2.utils import comm
from detectron2.utils.events import EventStorage, EventWriter

from dataset_tools.errors import UserError
from polymask.config.refused_keys import refused_keys_reported
from polymask.data.loader import build_train_loader
from polymask.engine.distributed import wrap
from polymask.engine.hooks.best_checkpoint import BestCheckpoint
from polymask.engine.hooks.checkpoints import Checkpoints
from polymask.engine.hooks.early_stopping import EarlyStopping
from polymask.engine.hooks.ema import ExponentialMovingAverage
from polymask.engine.hooks.final_evaluation import FinalEvaluation, report
from polymask.engine.hooks.finite_loss import FiniteLoss
from polymask.engine.hooks.history import History
from polymask.engine.hooks.interruption import Interruption
from polymask.engine.hooks.loss_curve import LossCurve
from polymask.engine.hooks.progress_bar import ProgressBar
from polymask.engine.hooks.run_facts import RunFactsWriter
from polymask.engine.hooks.validation import Validation
from polymask.engine.run_files import CONFIG_NAME, facts_of_an_evaluation, read_facts, write_config, write_facts
from polymask.engine.update import UpdateTrainer
from polymask.engine.writers import TrackingWriter
from polymask.evaluation.coco import Metrics, evaluate
from polymask.memory import keep_freed_memory
from polymask.modeling.build import build_model, freeze_all_but_heads
from polymask.modeling.checkpoint import Checkpointer, load_trained_model
from polymask.modeling.class_rows import parse_synonyms
from polymask.modeling.precision import NAMES, compute_type
from polymask.modeling.weights import BOTTOM_UP

log = logging.getLogger(__name__)

# Iterations between two lines of the log and of metrics.json; Detectron2's own number.
LOG_PERIOD = 20


class Trainer(DefaultTrainer):
    """Detectron2's ``DefaultTrainer`` for a resolved configuration (see ``polymask.config.resolve``).

    Its differences: a training that is interrupted at any moment and resumed ends as if it had not been; half
    precision works on the CPU too, where the hardware has it (``SOLVER.AMP.ENABLED``); gradients can be accumulated; a
    hook can end the training early, by lowering ``max_iter``; VAL is evaluated during the training and TEST once at its
    end.
    """

    def __init__(self, cfg: CfgNode):
        # DefaultTrainer's constructor names its checkpointer and its inner trainer itself. This replaces it, in the same
        # order, except that the data loader is built later, when the iteration to start from is known.
        TrainerBase.__init__(self)
        keep_freed_memory()
        model = self.build_model(cfg)
        with refused_keys_reported("SOLVER", "optimizer with a schedule"):
            optimizer = self.build_optimizer(cfg, model)
            self.scheduler = self.build_lr_scheduler(cfg, optimizer)
        self.compute_type = compute_type(cfg.MODEL.DEVICE, cfg.SOLVER.AMP.ENABLED, asked_by="SOLVER.AMP.ENABLED True")
        self._trainer = UpdateTrainer(
            wrap(model),
            None,
            optimizer,
            device=cfg.MODEL.DEVICE,
            compute_type=self.compute_type,
            parts=cfg.SOLVER.ACCUMULATION_STEPS,
            seed=cfg.SEED,
        )
        self._trainer.register_hooks([_TellTheHooks(self)])
        self.checkpointer = Checkpointer(
            model,
            cfg.OUTPUT_DIR,
            classes=cfg.DATASETS.CLASSES,
            new_heads=cfg.MODEL.NEW_HEADS,
            synonyms=parse_synonyms(cfg.MODEL.CLASS_SYNONYMS),
            trainer=weakref.proxy(self),
        )
        self.start_iter = 0
        self.max_iter = cfg.SOLVER.MAX_ITER
        self.cfg = cfg
        self._finite_loss = FiniteLoss()
        self._average = ExponentialMovingAverage(model, cfg.SOLVER.EMA_DECAY) if cfg.SOLVER.EMA_DECAY else None
        self.register_hooks(self.build_hooks())

    @property
    def evaluated_model(self) -> torch.nn.Module:
        """The model that is evaluated and saved for use, never in DistributedDataParallel: averaged, or as trained."""
        return self._average.model if self._average else self.checkpointer.model

    @property
    def batch(self) -> list[dict]:
        """This process's photos of the current iteration, as the model gets them."""
        return self._trainer.batch

    @property
    def losses(self) -> dict[str, float]:
        """The components of this process's loss in the current iteration."""
        return self._trainer.losses

    def has_finite_gradients(self) -> bool:
        """See ``UpdateTrainer.has_finite_gradients``."""
        return self._trainer.has_finite_gradients()

    @classmethod
    def build_model(cls, cfg: CfgNode) -> torch.nn.Module:
        model = build_model(cfg)
        if cfg.SOLVER.HEADS_ONLY:
            freeze_all_but_heads(model)
        millions = [parameter.numel() / 1e6 for parameter in model.parameters()]
        trained = [parameter.numel() / 1e6 for parameter in model.parameters() if parameter.requires_grad]
        log.info("The model has %.1f million parameters, of which %.1f are trained, and runs on %s.",
                 sum(millions), sum(trained), cfg.MODEL.DEVICE)  # fmt: skip
        log.debug("Model:\n%s", model)
        return model

    @classmethod
    def build_optimizer(cls, cfg: CfgNode, model: torch.nn.Module) -> torch.optim.Optimizer:
        """``SOLVER.OPTIMIZER`` with Detectron2's groups of parameters and its clipping of gradients.

        ``SOLVER.BACKBONE_LR_FACTOR`` is for the network under the feature pyramid; without a pyramid, for the backbone.
        """
        solver = cfg.SOLVER
        network = BOTTOM_UP if hasattr(model.backbone, "bottom_up") else "backbone."

        def rate_factor(name: str) -> float:
            # Detectron2's own bias_lr_factor would take the place of another factor, and not multiply it.
            of_backbone = solver.BACKBONE_LR_FACTOR if name.startswith(network) else 1.0
            return of_backbone * (solver.BIAS_LR_FACTOR if name.endswith(".bias") else 1.0)

        groups = get_default_optimizer_params(
            model,
            base_lr=solver.BASE_LR,
            weight_decay_norm=solver.WEIGHT_DECAY_NORM,
            weight_decay_bias=solver.WEIGHT_DECAY_BIAS,
            lr_factor_func=rate_factor,
        )
        if solver.OPTIMIZER == "SGD":
            optimizer_class = maybe_add_gradient_clipping(cfg, torch.optim.SGD)
            options = {"momentum": solver.MOMENTUM, "nesterov": solver.NESTEROV, "foreach": True}
        else:
            optimizer_class = maybe_add_gradient_clipping(cfg, torch.optim.AdamW)
            # fused: one pass over the weights instead of ten, which on a CPU is a quarter of an iteration of the mini
            # network. On a GPU it would undo the scaling of float16's gradients itself, after they were clipped.
            options = {"betas": tuple(solver.ADAM_BETAS), "fused": cfg.MODEL.DEVICE == "cpu"}
        return optimizer_class(groups, lr=solver.BASE_LR, weight_decay=solver.WEIGHT_DECAY, **options)

    def build_hooks(self) -> list[HookBase]:
        """The hooks in their order: what changes a checkpoint's content comes before the one that saves it."""
        cfg = self.cfg
        main = comm.is_main_process()
        validated = bool(cfg.DATASETS.VAL)
        validation, checkpoints = Validation(), Checkpoints()
        built = [hooks.IterationTimer(), hooks.LRScheduler(), self._finite_loss, self._average]
        if validated:
            built += [validation, BestCheckpoint()]
        if cfg.TEST.EARLY_STOPPING_PATIENCE:
            built.append(EarlyStopping(cfg.TEST.EARLY_STOPPING_PATIENCE))
        if main:
            built.append(History(cfg.OUTPUT_DIR, validated))
        built += [checkpoints, FinalEvaluation(validation)]
        if main:
            # Behind the evaluations, so that their metrics are written.
            built.append(hooks.PeriodicWriter(self.build_writers(), period=LOG_PERIOD))
            built += [LossCurve(), ProgressBar(), RunFactsWriter(cfg, NAMES[self.compute_type])]
        return [hook for hook in (*built, Interruption(checkpoints)) if hook]

    def build_writers(self) -> list[EventWriter]:
        """Detectron2's, for the console, ``metrics.json`` and TensorBoard, and those that ``WRITERS`` names."""
        return [*super().build_writers(), *(TrackingWriter(name, self.cfg) for name in self.cfg.WRITERS)]

    def resume_or_load(self, resume: bool = True) -> None:
        """See ``DefaultTrainer.resume_or_load``; warns where there is nothing to resume.

        Raises:
            UserError: the checkpoint is of a longer training; or some processes have one and others none, or another
                one: they would wait for each other for ever.
        """
        if resume and not self.checkpointer.has_checkpoint():
            log.warning("--resume: no checkpoint in %s; training starts from scratch.", self.cfg.OUTPUT_DIR)
        groups = self._trainer.optimizer.param_groups
        configured = [{key: value for key, value in group.items() if key != "params"} for group in groups]
        super().resume_or_load(resume)
        if self.start_iter > self.max_iter:
            raise UserError(
                f"the last checkpoint has seen {self.start_iter} iterations, and the training would have "
                f"{self.max_iter}",
                file=self.cfg.OUTPUT_DIR,
                remedy="Raise SOLVER.MAX_ITER (or SOLVER.EPOCHS), or evaluate a checkpoint with --eval-only",
            )
        if self.start_iter > 0:
            self._follow(configured)
        starts = comm.all_gather(self.start_iter)
        if len(set(starts)) > 1:
            raise UserError(
                f"the processes would begin at different iterations: {', '.join(map(str, starts))}",
                file=self.cfg.OUTPUT_DIR,
                remedy="Use an OUTPUT_DIR that all machines share, or copy the checkpoints to each of them",
            )
        write_config(self.cfg)

    def _follow(self, configured: list[dict]) -> None:
        """Rates, decays and the like are those of the configuration, and not those that a state was saved with.

        Without a change in the configuration they are the same numbers.

        Args:
            configured: the optimizer's groups as they were before the state was loaded, without their parameters.
        """
        groups = self._trainer.optimizer.param_groups
        self.scheduler.base_lrs = [group["initial_lr"] for group in configured]
        for group, fresh, rate in zip(groups, configured, self.scheduler.get_lr(), strict=True):
            group.update(fresh, lr=rate)

    def train(self) -> None:
        """From ``start_iter`` until ``max_iter``, and the final evaluation."""
        log.info("Starting training from iteration %d", self.start_iter)
        self._trainer.data_loader = build_train_loader(self.cfg, self.start_iter)
        self.run_loop()

    def run_loop(self) -> None:
        """The hooks' four verbs around every iteration, until ``max_iter``, which a hook may lower on the way.

        ``TrainerBase.train`` fixes the end before the first iteration, and logs a traceback of errors that a user can mend.
        """
        self.iter = self.start_iter
        with EventStorage(self.start_iter) as self.storage:
            try:
                self.before_train()
                while self.iter < self.max_iter:
                    self.before_step()
                    self.run_step()
                    self.after_step()
                    self.iter += 1  # it equals max_iter only when the training has come to its end
            finally:
                self.after_train()

    def run_step(self) -> None:
        try:
            super().run_step()
        except FloatingPointError as error:
            self._finite_loss.stop(error)

    def save_weights(self, name: str) -> None:
        """Saves the weights of ``evaluated_model`` as ``OUTPUT_DIR/<name>.pth``; the main process does."""
        self.checkpointer.save_weights(name, self.evaluated_model.state_dict(), iteration=self.iter)

    def state_dict(self) -> dict:
        return super().state_dict() | {"max_iter": self.cfg.SOLVER.MAX_ITER}

    def load_state_dict(self, state_dict: dict) -> None:
        """Takes over the state of a training.

        Raises:
            UserError: without the ``config.yaml`` of the training, the clock has given it another length.
        """
        super().load_state_dict(state_dict)
        length, cfg = state_dict.get("max_iter"), self.cfg  # None in a state of an earlier version
        known = (Path(cfg.OUTPUT_DIR) / CONFIG_NAME).exists() or not cfg.SOLVER.MAX_MINUTES
        if not known and length != cfg.SOLVER.MAX_ITER:
            raise UserError(
                f"there is no {CONFIG_NAME}, and the training that is resumed has {length} iterations, "
                f"of which SOLVER.MAX_MINUTES made {cfg.SOLVER.MAX_ITER} now",
                file=cfg.OUTPUT_DIR,
                remedy=f"Put the file back, or give SOLVER.MAX_ITER {length} in the place of SOLVER.MAX_MINUTES",
            )

    @classmethod
    def test(cls, cfg: CfgNode, model: torch.nn.Module, evaluators: None = None) -> dict[str, Metrics]:
        """COCO metrics of the model on every dataset of ``DATASETS.TEST``, by the dataset's name."""
        return evaluate(cfg, model, cfg.DATASETS.TEST, augmented=cfg.TEST.AUG.ENABLED)


def evaluate_only(cfg: CfgNode) -> None:
    """Measures ``MODEL.WEIGHTS`` on every dataset of ``DATASETS.TEST``: ``train_net.py --eval-only``."""
    model = load_trained_model(cfg)
    if not (Path(cfg.OUTPUT_DIR) / CONFIG_NAME).exists():  # an evaluation leaves the configuration of the training
        write_config(cfg)
    begin = time.monotonic()
    results = Trainer.test(cfg, model)
    if comm.is_main_process():
        folder = Path(cfg.OUTPUT_DIR)
        seconds = time.monotonic() - begin
        write_facts(folder, facts_of_an_evaluation(read_facts(folder), seconds, cfg.MODEL.DEVICE))
        report(results, folder)


class _TellTheHooks(HookBase):
    """Passes the backward pass of the inner trainer on to the hooks of the outer one, which Detectron2 does not do."""

    def __init__(self, outer: Trainer):
        self._outer = weakref.proxy(outer)

    def after_backward(self) -> None:
        self._outer.after_backward()
