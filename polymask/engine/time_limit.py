"""``SOLVER.MAX_MINUTES``: how many iterations of a training fit into so many minutes."""

from __future__ import annotations

import logging
import statistics

from detectron2.config import CfgNode
from detectron2.utils import comm

from polymask.config.checks import check_training_keys
from polymask.config.resolve import resolve_shares
from polymask.data.seeding import seed_everything
from polymask.engine.dry_run.rehearsal import Rehearsal

log = logging.getLogger(__name__)

# Iterations of the trial, whose second half is measured, unless so large a share of the minutes is over before.
TRIAL = 40
MOST_OF_THE_TIME = 0.1
# The trial begins as a training of so many iterations does: a rate that rises, from a warm-up that is a share of them.
TRIAL_SCHEDULE = 1000


def limit_by_time(cfg: CfgNode) -> None:
    """Sets ``SOLVER.MAX_ITER``, and what are shares of it. From then on nothing depends on the clock.

    The first iterations are done on trial and thrown away. So the training has its schedule from its first iteration on,
    and ends as one with this ``MAX_ITER`` and without a clock. The time of the trial counts. To be called on all ranks.

    Args:
        cfg: resolved, but for these keys; changed.

    Raises:
        UserError: what the training would end with at once, or its keys contradict each other with this length.
    """
    cfg.defrost()
    trial = cfg.clone()
    _set_length(trial, TRIAL_SCHEDULE)
    seconds = _seconds_on_trial(trial)
    measured = statistics.fmean(seconds[len(seconds) // 2 :])
    fitting = max(1, int((60 * cfg.SOLVER.MAX_MINUTES - sum(seconds)) / measured))
    _set_length(cfg, min(comm.all_gather(fitting)))
    check_training_keys(cfg, comm.get_world_size())
    cfg.freeze()
    seed_everything(cfg.SEED)  # as before the trial
    log.info("SOLVER.MAX_MINUTES: an iteration takes %.3g s, so that SOLVER.MAX_ITER is %d for %g minutes.",
             measured, cfg.SOLVER.MAX_ITER, cfg.SOLVER.MAX_MINUTES)  # fmt: skip


def _set_length(cfg: CfgNode, iterations: int) -> None:
    cfg.SOLVER.MAX_ITER = iterations
    resolve_shares(cfg)


def _seconds_on_trial(cfg: CfgNode) -> list[float]:
    rehearsal = Rehearsal(cfg, TRIAL, patience=MOST_OF_THE_TIME * 60 * cfg.SOLVER.MAX_MINUTES)
    rehearsal.checkpointer.resume_or_load(cfg.MODEL.WEIGHTS, resume=False)
    rehearsal.iterate()
    return rehearsal.watch.seconds
