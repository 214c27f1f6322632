"""The evaluation after the last iteration, on VAL and TEST."""

from __future__ import annotations

import logging
from pathlib import Path

from detectron2.engine import HookBase
from detectron2.evaluation.testing import flatten_results_dict
from detectron2.utils import comm

from polymask.engine.distributed import synchronise_buffers
from polymask.engine.hooks.validation import Validation
from polymask.evaluation.coco import evaluate
from polymask.evaluation.results import RESULTS_NAME, results_table, write_results

log = logging.getLogger(__name__)


class FinalEvaluation(HookBase):
    """Evaluates once when the training has come to its end, and writes ``OUTPUT_DIR/results.json``.

    Args:
        validation: its results are taken over where they are of the last iteration, unless nothing was left to train, or
            ``TEST.AUG`` is for this evaluation alone.
    """

    def __init__(self, validation: Validation):
        self._validation = validation

    def after_train(self) -> None:
        trainer = self.trainer
        if trainer.iter < trainer.max_iter:
            return  # interrupted: there is nothing final about these weights
        synchronise_buffers(trainer.evaluated_model)
        augmented = trainer.cfg.TEST.AUG.ENABLED
        on_val = {} if augmented else self._validation.results_after(trainer.iter)
        datasets = (*trainer.cfg.DATASETS.VAL, *trainer.cfg.DATASETS.TEST)
        remaining = [name for name in datasets if name not in on_val]
        results = on_val | evaluate(trainer.cfg, trainer.evaluated_model, remaining, augmented)
        if comm.is_main_process():
            trainer.storage.put_scalars(**flatten_results_dict(results), smoothing_hint=False)
            report(results, Path(trainer.cfg.OUTPUT_DIR))


def report(results: dict, output_dir: Path) -> None:
    """Shows the results as a table and writes ``results.json``."""
    if not results:
        return  # without a val and a test split, which the log has said at the beginning
    write_results(output_dir / RESULTS_NAME, results)
    log.info("Results, in percent (also in %s):\n%s", output_dir / RESULTS_NAME, results_table(results))
