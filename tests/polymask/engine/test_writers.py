"""W&B and MLflow in their offline modes where they are installed, and what a writer does whoever is behind it."""

import csv
import sys
from types import SimpleNamespace

import pytest
from detectron2.utils.events import EventStorage

from dataset_tools.errors import EXIT_USAGE, UserError
from polymask.config import checks
from polymask.config.load import load_config
from polymask.engine.writers import TrackingWriter
from tests.polymask.config.configs import scheduled

SHORT = ("TEST.EVAL_PERIOD", "0", "DATASETS.TEST", "('tiny_train',)")


class Server:
    """In the place of the package wandb: keeps what it is given, or refuses it."""

    def __init__(self):
        self.begun, self.logged, self.refuses = [], [], False

    def init(self, **given):
        self._refuse()
        self.begun.append(given)
        return SimpleNamespace(id=given["id"] or "abc123", log=self.log, finish=self._refuse)

    def log(self, values, step):
        self._refuse()
        self.logged.append((step, values))

    def _refuse(self):
        if self.refuses:
            raise ConnectionError("no route to host")


@pytest.fixture
def server(monkeypatch):
    fake = Server()
    monkeypatch.setitem(sys.modules, "wandb", fake)
    return fake


@pytest.fixture
def cfg(tmp_path):
    return load_config("configs/mini_scratch.yaml", ["OUTPUT_DIR", str(tmp_path)])


def test_each_value_is_given_once_with_its_iteration(server, cfg):
    writer = TrackingWriter("wandb", cfg)
    with EventStorage(7) as storage:
        storage.put_scalar("validation/segm/AP-50 € $", 20.0, smoothing_hint=False)
        for loss in (3.0, 1.0):
            storage.put_scalar("lr", loss, smoothing_hint=False)
            storage.step()
        storage.iter = 8
        writer.write()
        storage.iter = 9
        storage.put_scalar("lr", 0.5, smoothing_hint=False)
        writer.write()
        writer.write()
    assert server.logged == [(7, {"validation/segm/AP-50 _ _": 20.0}), (8, {"lr": 1.0}), (9, {"lr": 0.5})]


def test_goes_on_with_its_run(server, cfg, tmp_path):
    TrackingWriter("wandb", cfg)
    assert (tmp_path / "wandb_run").read_text() == "abc123"
    TrackingWriter("wandb", cfg)
    assert [run["id"] for run in server.begun] == [None, "abc123"]
    assert server.begun[0]["dir"] == str(tmp_path) and server.begun[0]["config"]["SOLVER.BASE_LR"] == cfg.SOLVER.BASE_LR


def test_a_server_that_does_not_answer_ends_no_training(server, cfg, caplog):
    writer = TrackingWriter("wandb", cfg)
    server.refuses = True
    with EventStorage(7) as storage:
        storage.put_scalar("lr", 1.0)
        writer.write()
        writer.close()
    assert caplog.text.count("wandb misses what metrics.json has: no route to host") == 2


def test_a_run_that_cannot_begin_is_an_error_before_the_training(server, cfg, tmp_path):
    server.refuses = True
    with pytest.raises(UserError, match="wandb: no route to host"):
        TrackingWriter("wandb", cfg)
    assert not (tmp_path / "wandb_run").exists()


@pytest.mark.parametrize(
    ("trackers", "name", "words"),
    [
        (checks.TRACKERS, "tensorboard", "WRITERS names tensorboard.*wandb or mlflow"),
        (("no_such_package",), "no_such_package", "not installed.*pip install no_such_package"),
        (("configs",), "configs", "not installed"),
    ],
    ids=["another", "missing", "a folder of that name"],
)
def test_a_writer_that_is_not_there_is_an_error_before_the_training(monkeypatch, trackers, name, words):
    monkeypatch.setattr(checks, "TRACKERS", trackers)
    with pytest.raises(UserError, match=words) as caught:
        checks.check_training_keys(scheduled("WRITERS", f"('{name}',)"), processes=1)
    assert caught.value.exit_code == EXIT_USAGE


def train_and_resume(train, name):
    """The run's id, which stays, and the iterations and rates of history.csv that a writer is given."""
    output = train(*SHORT, "SOLVER.MAX_ITER", "2", "WRITERS", f"('{name}',)")
    first = (output / f"{name}_run").read_text()
    train(*SHORT, "SOLVER.MAX_ITER", "3", "WRITERS", f"('{name}',)", flags=["--resume"])
    assert (output / f"{name}_run").read_text() == first
    with (output / "history.csv").open() as file:
        rates = {int(row["iteration"]): float(row["lr"]) for row in csv.DictReader(file)}
    return first, {iteration: rates[iteration] for iteration in (1, 2)}


def test_mlflow_in_a_folder(train, tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow.set_tracking_uri((tmp_path / "tracked").as_uri())
    run, rates = train_and_resume(train, "mlflow")
    found = mlflow.MlflowClient()
    assert {metric.step: metric.value for metric in found.get_metric_history(run, "lr")} == pytest.approx(rates)
    assert found.get_run(run).data.params["SOLVER.OPTIMIZER"] == "AdamW"
    assert found.get_metric_history(run, "tiny_train/segm/AP-bar")


def test_wandb_offline(train, tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    run, _ = train_and_resume(train, "wandb")
    parts = sorted((tmp_path / "run/wandb").glob(f"offline-run-*-{run}/run-{run}.wandb"))
    assert len(parts) == 2, "of one run, which `wandb sync` puts together"
    assert all(b"total_loss" in part.read_bytes() for part in parts)
