"""A dry run, and the training that it spoke of, done in the same folder."""

import csv
import itertools

import cv2
import numpy as np
import pytest
import torch

from dataset_tools.errors import UserError
from polymask.config.load import load_config
from polymask.config.resolve import resolve_device
from polymask.data.loader import build_train_loader
from polymask.data.seeding import seed_everything
from polymask.engine.dry_run.rehearsal import MEASURED, PHOTOS_ON_SHEET, WARM_UP, Rehearsal, saved_bytes
from polymask.engine.dry_run.training_plan import checkpoint_bytes, evaluations_on_val

# Eight updates: VAL is evaluated and a state saved after 3, 6 and 8; the rate rises for two and drops at 5.
SCHEDULE = [
    "SOLVER.MAX_ITER", "8", "SOLVER.IMS_PER_BATCH", "2", "TEST.EVAL_PERIOD", "3", "SOLVER.CHECKPOINT_PERIOD", "3",
    "SOLVER.WARMUP_ITERS", "2", "SOLVER.STEPS", "(5,)", "SOLVER.LR_SCHEDULER_NAME", "WarmupMultiStepLR",
    "SOLVER.EMA_DECAY", "0.9",
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("dry") / "run"


@pytest.fixture(scope="module")
def dry(train_in, folder):
    """The files that a dry run leaves, before there is anything else but a link to somebody's file."""
    folder.mkdir()
    (folder.parent / "thesis").write_text("chapter 1")
    (folder / "dry_run.png").symlink_to(folder.parent / "thesis")
    train_in(folder, *SCHEDULE, flags=["--dry-run"])
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def trained(dry, train_in, folder):
    """The training itself, which the dry run must not be in the way of."""
    return train_in(folder, *SCHEDULE)


@pytest.fixture(scope="module")
def cfg(trained):
    cfg = load_config(trained / "config.yaml", [])
    resolve_device(cfg)
    return cfg


@pytest.fixture(scope="module")
def history(trained):
    with (trained / "history.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def rehearsed(cfg):
    """A rehearsal and what it cost; as in the training, everything random follows from the seed."""
    seed_everything(cfg.SEED)
    rehearsal = Rehearsal(cfg)
    return rehearsal, rehearsal.run()


def test_leaves_a_picture_and_the_log(dry, folder):
    assert set(dry) == {"dry_run.png", "log.txt", "run.lock"}
    assert (folder.parent / "thesis").read_text() == "chapter 1", "a link is not followed"


def test_says_what_the_training_will_be(dry):
    log = dry["log.txt"].decode()
    for words in (
        "photos                      |       6 |     2 |      2",
        "instances of disc           |       6 |     2 |      2",
        "8 in batches of 2, 2.7 epochs",
        "VAL (2 photos): 3; TEST (2 photos): 1",
        f"from {MEASURED} iterations of",
        "What looks wrong: nothing",
    ):
        assert words in log, words


def test_val_is_evaluated_as_often_as_it_says(cfg, history):
    assert evaluations_on_val(cfg) == sum(bool(row["validation/segm/AP"]) for row in history) == 3


def test_what_is_measured_is_what_runs(rehearsed, history):
    rehearsal, costs = rehearsed
    losses = [value for value, _ in rehearsal.storage.history("total_loss").values()]
    assert losses == pytest.approx([float(row["total_loss"]) for row in history[: WARM_UP + MEASURED]], rel=1e-9)
    assert costs.iterations == MEASURED and min(costs.iteration, costs.evaluation, costs.losses) > 0


def test_checkpoints_are_as_large_as_it_says(cfg, rehearsed, trained):
    _, costs = rehearsed
    assert costs.state == pytest.approx((trained / "model_0000007.pth").stat().st_size, rel=0.01)
    assert costs.weights == pytest.approx((trained / "model_final.pth").stat().st_size, rel=0.01)
    left = sum(path.stat().st_size for path in trained.glob("*.pth"))
    assert checkpoint_bytes(cfg, costs) == pytest.approx(left + costs.state, rel=0.01), "for a moment there are three"


def test_the_sheet_shows_the_first_photos_as_the_model_gets_them(cfg, rehearsed, dry):
    shown = rehearsed[0].watch.photos
    given = itertools.islice(itertools.chain.from_iterable(build_train_loader(cfg, 0)), PHOTOS_ON_SHEET)
    for one, other in zip(shown, given, strict=True):
        assert one["file_name"] == other["file_name"] and torch.equal(one["image"], other["image"])
    sheet = cv2.imdecode(np.frombuffer(dry["dry_run.png"], dtype=np.uint8), cv2.IMREAD_COLOR)
    assert sheet.shape == (3 * 360 + 2 * 8, 4 * 480 + 3 * 8, 3)


def test_impatience(cfg):
    """A rehearsal that takes too long has one iteration to measure."""
    rehearsal = Rehearsal(cfg, patience=0)
    costs = rehearsal.run()
    assert costs.iterations == 1 and len(rehearsal.watch.seconds) == WARM_UP + 1
    assert len(rehearsal.watch.photos) == PHOTOS_ON_SHEET


def test_a_backbone_and_no_other_splits(train, train_photos_only, torchvision_file):
    weights = ("MODEL.WEIGHTS", str(torchvision_file), "MODEL.RESNETS.NORM", "FrozenBN", "INPUT.FORMAT", "BGR")
    log = (
        train(*weights, "SOLVER.MAX_ITER", "4", flags=["--dry-run"], dataset=train_photos_only) / "log.txt"
    ).read_text()
    for words in (
        "which know photos in RGB, and INPUT.FORMAT is BGR",
        "There is no val split",
        "VAL (0 photos): 0; TEST (0 photos): 0",
    ):
        assert words in log, words


@pytest.mark.parametrize("iterations", [1, 2])
def test_a_training_that_is_shorter_than_the_rehearsal(train, iterations):
    steps = ("SOLVER.LR_SCHEDULER_NAME", "WarmupMultiStepLR", "SOLVER.WARMUP_SHARE", "0.0")
    log = (train(*steps, "SOLVER.MAX_ITER", str(iterations), flags=["--dry-run"]) / "log.txt").read_text()
    assert f"Trying {iterations} iterations" in log and "What looks wrong" in log


def test_weights_that_do_not_fit_are_an_error_now(train, trained, folder):
    weights = ("MODEL.WEIGHTS", str(trained / "model_final.pth"), "MODEL.FPN.OUT_CHANNELS", "32")
    with pytest.raises(UserError, match="does not fit the model"):
        train(*weights, flags=["--dry-run"])


def test_a_rate_at_which_the_model_breaks_is_an_error_now(train):
    rate = ("SOLVER.BASE_LR", "1e30", "SOLVER.CLIP_GRADIENTS.ENABLED", "False", "SOLVER.WARMUP_SHARE", "0.0")
    with pytest.raises(UserError, match="NaN or infinite"):
        train(*rate, "SOLVER.MAX_ITER", "20", flags=["--dry-run"])


def test_the_size_of_a_file_that_is_not_written(tmp_path):
    content = {"model": {"weight": torch.randn(100, 100)}, "iteration": 3}
    torch.save(content, tmp_path / "archive.pth")
    assert saved_bytes(content) == (tmp_path / "archive.pth").stat().st_size
