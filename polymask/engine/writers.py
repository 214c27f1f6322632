"""Weights & Biases and MLflow as Detectron2's event writers, imported only where ``WRITERS`` names them."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from pathlib import Path

from detectron2.config import CfgNode
from detectron2.utils.events import EventWriter, get_event_storage

from dataset_tools.errors import UserError
from dataset_tools.files import read_file, write_atomically
from polymask.config.keys import flat_items


class TrackingWriter(EventWriter):
    """Scalars to "wandb" or "mlflow", and the keys; goes on with the run that ``OUTPUT_DIR/<name>_run`` names."""

    def __init__(self, name: str, cfg: CfgNode):
        self._name, self._written = name, -1
        file = Path(cfg.OUTPUT_DIR) / f"{name}_run"
        try:
            run, self._log, self._end = _begin(name, cfg, read_file(file).decode() if file.exists() else None)
        except Exception as error:  # of many kinds: no account, no server, no such run
            raise UserError(f"WRITERS: {name}: {error}", remedy=f"Log in, use it offline, or delete {file}") from error
        write_atomically(file, run.encode())

    def write(self) -> None:
        latest = get_event_storage().latest_with_smoothing_hint()
        for step in sorted({at for _, at in latest.values() if at > self._written}):
            values = {re.sub(r"[^\w./ -]", "_", k): v for k, (v, at) in latest.items() if at == step}  # as MLflow wants
            self._try(self._log, values, step)
            self._written = step

    def close(self) -> None:
        self._try(self._end)

    def _try(self, call: Callable, *args: object) -> None:
        try:
            call(*args)
        except Exception as error:  # a server that does not answer must not end a training
            logging.getLogger(__name__).warning("%s misses what metrics.json has: %s", self._name, error)


def _begin(name: str, cfg: CfgNode, run: str | None) -> tuple:
    """The id of a new run or of the one that goes on, and how values are given to it and it is ended."""
    keys = dict(flat_items(cfg))
    if name == "wandb":
        import wandb

        begun = wandb.init(id=run, resume="allow", dir=cfg.OUTPUT_DIR, config=keys)
        return begun.id, begun.log, begun.finish
    import mlflow

    begun = mlflow.start_run(run_id=run)
    if not run:  # in a run that goes on, no parameter can change
        mlflow.log_params(keys)
    return begun.info.run_id, mlflow.log_metrics, mlflow.end_run
