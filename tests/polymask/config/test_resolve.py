from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset_tools.errors import EXIT_USAGE, UserError
from polymask.config.load import load_config
from polymask.config.resolve import (
    epochs_to_iterations,
    resolve_copy_paste,
    resolve_dataset,
    resolve_device,
    resolve_learning_rate,
    resolve_schedule,
)
from tests.polymask.config.configs import BASE, DOCUMENTED, card, resolved


def test_documented_solver_to_the_letter():
    # 110 photos split 75 / 12.5 / 12.5: 82 to train on.
    cfg = resolved(DOCUMENTED)
    solver = cfg.SOLVER
    assert (solver.BASE_LR, solver.MOMENTUM, solver.WEIGHT_DECAY) == (0.00001, 0.9, 0.0005)
    assert (solver.IMS_PER_BATCH, solver.EPOCHS) == (2, 50)
    assert solver.MAX_ITER == 50 * 82 / 2
    assert (cfg.INPUT.MIN_SIZE_TRAIN, cfg.INPUT.MAX_SIZE_TRAIN) == ((1024,), 1024)
    assert (cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST) == (1024, 1024)
    assert cfg.MODEL.WEIGHTS == "torchvision://resnet18"


def test_documented_learning_rate_is_constant():
    import torch
    from detectron2.solver import build_lr_scheduler, build_optimizer

    cfg = resolved(DOCUMENTED)
    layer = torch.nn.Linear(2, 2)
    optimizer = build_optimizer(cfg, layer)
    assert isinstance(optimizer, torch.optim.SGD)
    scheduler = build_lr_scheduler(cfg, optimizer)
    rates = set()
    for _ in range(cfg.SOLVER.MAX_ITER):
        rates.add(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert rates == {0.00001}


@pytest.mark.parametrize("config", [DOCUMENTED, "configs/mini_scratch.yaml"])
@pytest.mark.parametrize("optimizer", ["SGD", "AdamW"])
def test_norms_are_not_decayed_and_everything_else_is(config, optimizer):
    import torch
    from detectron2.modeling import build_model

    import polymask.modeling.resnet18_fpn  # noqa: F401  (registers it)
    from polymask.engine.trainer import Trainer

    cfg = resolved(
        config, "SOLVER.OPTIMIZER", optimizer, "MODEL.DEVICE", "cpu", "MODEL.RESNETS.NORM", "BN", "MODEL.FPN.NORM", "GN"
    )
    model = build_model(cfg)
    optimizer = Trainer.build_optimizer(cfg, model)
    decay_of = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    kinds = {0.0: set(), cfg.SOLVER.WEIGHT_DECAY: set()}
    for module in model.modules():
        for parameter in module.parameters(recurse=False):
            if parameter.requires_grad:
                kinds[decay_of.pop(id(parameter))].add(type(module))
    assert not decay_of
    assert kinds[0.0] == {torch.nn.BatchNorm2d, torch.nn.GroupNorm}
    assert {torch.nn.Linear, torch.nn.ConvTranspose2d} <= kinds[cfg.SOLVER.WEIGHT_DECAY]
    assert not kinds[0.0] & kinds[cfg.SOLVER.WEIGHT_DECAY]


@pytest.mark.parametrize(
    "config",
    [
        DOCUMENTED,
        "configs/mask_rcnn_R_18_FPN.yaml",
        "configs/mask_rcnn_R_18_FPN_scratch.yaml",
        "configs/mini_scratch.yaml",
    ],
)
def test_every_config_resolves_and_sees_pixels_as_torchvision_does(config):
    cfg = resolved(config)
    assert cfg.INPUT.FORMAT == "RGB"
    # torchvision documents mean 0.485, 0.456, 0.406 and deviation 0.229, 0.224, 0.225 for pixels of 0..1.
    assert cfg.MODEL.PIXEL_MEAN == pytest.approx([255 * value for value in (0.485, 0.456, 0.406)])
    assert cfg.MODEL.PIXEL_STD == pytest.approx([255 * value for value in (0.229, 0.224, 0.225)])
    assert cfg.MODEL.BACKBONE.NAME == "build_resnet18_fpn_backbone"
    assert 0 <= cfg.SOLVER.WARMUP_ITERS <= cfg.SOLVER.MAX_ITER / 5
    assert (cfg.MODEL.WEIGHTS == "") == ("scratch" in config)
    assert (cfg.MODEL.BACKBONE.FREEZE_AT == 0) == ("scratch" in config)


def test_everything_follows_the_dataset():
    cfg = resolved(BASE)
    assert cfg.DATASETS.TRAIN == ("street_train",)
    assert cfg.DATASETS.VAL == ("street_val",)
    assert cfg.DATASETS.TEST == ("street_test",)
    assert cfg.DATASETS.CLASSES == ["Car", "Sign Board"]
    assert cfg.MODEL.ROI_HEADS.NUM_CLASSES == 2
    assert cfg.INPUT.MASK_FORMAT == "polygon"
    assert resolved(BASE, mask_format="bitmask").INPUT.MASK_FORMAT == "bitmask"


def test_an_empty_split_is_left_out():
    cfg = resolved(BASE, val=0, test=0)
    assert cfg.DATASETS.VAL == () and cfg.DATASETS.TEST == ()


def test_a_resolved_config_resolves_to_itself():
    cfg = resolved("configs/mask_rcnn_R_18_FPN.yaml")
    again = cfg.clone()
    resolve_dataset(again, card())
    resolve_schedule(again, 82)
    assert again == cfg


def test_values_of_the_user_stay():
    cfg = resolved(
        BASE, "SOLVER.MAX_ITER", "90", "SOLVER.STEPS", "(60,)", "SOLVER.WARMUP_ITERS", "0", "TEST.EVAL_PERIOD", "0",
        "SOLVER.CHECKPOINT_PERIOD", "7", "DATASETS.TEST", "('street_val',)", "MODEL.ROI_HEADS.NUM_CLASSES", "2",
        "INPUT.MASK_FORMAT", "bitmask",
    )  # fmt: skip
    assert (cfg.SOLVER.MAX_ITER, cfg.SOLVER.STEPS, cfg.SOLVER.WARMUP_ITERS) == (90, (60,), 0)
    assert (cfg.TEST.EVAL_PERIOD, cfg.SOLVER.CHECKPOINT_PERIOD) == (0, 7)
    assert cfg.DATASETS.TEST == ("street_val",)
    assert cfg.INPUT.MASK_FORMAT == "bitmask"


def test_shares_become_iterations():
    cfg = resolved(
        BASE, "SOLVER.EPOCHS", "10", "SOLVER.IMS_PER_BATCH", "4", "SOLVER.STEP_SHARES", "(0.6, 0.9)",
        "SOLVER.WARMUP_SHARE", "0.1",
        "SOLVER.CHECKPOINT_EPOCHS", "2", "TEST.EVAL_EPOCHS", "0.5", images=80,
    )  # fmt: skip
    assert cfg.SOLVER.MAX_ITER == 200
    assert cfg.SOLVER.STEPS == (120, 180)
    assert cfg.SOLVER.WARMUP_ITERS == 20
    assert cfg.SOLVER.CHECKPOINT_PERIOD == 40
    assert cfg.TEST.EVAL_PERIOD == 10


@pytest.mark.parametrize(
    ("epochs", "images", "batch", "iterations"),
    [(50, 82, 2, 2050), (1, 3, 2, 2), (0.1, 30, 1, 3), (0.5, 5, 2, 2), (1, 1, 16, 1), (0, 100, 2, 0)],
)
def test_epochs_to_iterations(epochs, images, batch, iterations):
    assert epochs_to_iterations(epochs, images, batch) == iterations


@given(st.integers(1, 2000), st.integers(1, 500), st.integers(1, 64))
def test_a_training_sees_all_of_its_epochs_and_less_than_a_batch_more(tenths, images, batch):
    wanted = Fraction(tenths, 10) * images
    seen = epochs_to_iterations(tenths / 10, images, batch) * batch
    assert wanted <= seen < wanted + batch


@pytest.mark.parametrize(
    ("overrides", "card_values", "words"),
    [
        (["MODEL.ROI_HEADS.NUM_CLASSES", "3"], {}, "NUM_CLASSES is 3.* 2 classes"),
        (["DATASETS.CLASSES", "['Sign Board', 'Car']"], {}, "DATASETS.CLASSES"),
        (["INPUT.MASK_FORMAT", "polygon"], {"mask_format": "bitmask"}, "MASK_FORMAT"),
        (["INPUT.MASK_FORMAT", "rle"], {}, "auto, polygon or bitmask"),
        (["SOLVER.EPOCHS", "0.0"], {}, "0 iterations"),
        (["SOLVER.IMS_PER_BATCH", "0"], {}, "IMS_PER_BATCH"),
        (["SOLVER.CHECKPOINT_EPOCHS", "0.0"], {}, "CHECKPOINT_EPOCHS"),
    ],
)
def test_contradictions_are_errors_in_words(overrides, card_values, words):
    with pytest.raises(UserError, match=words) as caught:
        resolved(BASE, *overrides, **card_values)
    assert caught.value.exit_code == EXIT_USAGE


@pytest.mark.parametrize(
    ("optimizer", "batch", "expected"),
    [("SGD", 8, 0.01), ("SGD", 2, 0.0025), ("SGD", 4, 0.005), ("AdamW", 16, 0.02), ("AdamW", 1, 0.00125)],
)
def test_the_learning_rate_follows_the_batch(tmp_path, optimizer, batch, expected):
    config = tmp_path / "config.yaml"
    config.write_text(
        f"SOLVER: {{BASE_LR: 0.005, REFERENCE_IMS_PER_BATCH: 4, IMS_PER_BATCH: {batch}, OPTIMIZER: {optimizer}}}\n"
    )
    cfg = load_config(config, [])
    resolve_learning_rate(cfg)
    assert cfg.SOLVER.BASE_LR == pytest.approx(expected)
    (tmp_path / "again.yaml").write_text(cfg.dump())
    again = load_config(tmp_path / "again.yaml", [])
    resolve_learning_rate(again)
    assert again.SOLVER.BASE_LR == cfg.SOLVER.BASE_LR, "a run's configuration resolves to itself"


@pytest.mark.parametrize("length", [["SOLVER.MAX_ITER", "1000"], ["SOLVER.EPOCHS", "100"]])
def test_another_length_of_a_run_has_the_schedule_of_a_new_training_of_this_length(tmp_path, length):
    shares = ["SOLVER.LR_SCHEDULER_NAME", "WarmupMultiStepLR", "SOLVER.STEP_SHARES", "(0.6, 0.9)"]

    def schedule(config_file, values):
        cfg = load_config(config_file, values)
        resolve_schedule(cfg, images=10)
        return cfg, (cfg.SOLVER.MAX_ITER, cfg.SOLVER.STEPS, cfg.SOLVER.WARMUP_ITERS)

    run, _ = schedule(BASE, [*shares, "SOLVER.MAX_ITER", "300"])
    (tmp_path / "config.yaml").write_text(run.dump())
    assert schedule(tmp_path / "config.yaml", length)[1] == schedule(BASE, [*shares, *length])[1]
    _, kept = schedule(tmp_path / "config.yaml", ["SOLVER.STEPS", "(7,)", "SOLVER.WARMUP_ITERS", "5", *length])
    assert kept[1:] == ((7,), 5)
    own, _ = schedule(BASE, [*shares[:2], "SOLVER.MAX_ITER", "300", "SOLVER.STEPS", "(70,)"])
    (tmp_path / "own.yaml").write_text(own.dump())
    assert schedule(tmp_path / "own.yaml", length)[1][1] == (70,), "the user's own, and no share of a length"


def test_a_batch_below_nothing_is_no_reference():
    with pytest.raises(UserError, match="REFERENCE_IMS_PER_BATCH is -2"):
        resolve_learning_rate(load_config(BASE, ["SOLVER.REFERENCE_IMS_PER_BATCH", "-2"]))


def test_a_learning_rate_of_the_command_line_is_meant_as_it_is(tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text("SOLVER: {BASE_LR: 0.005, REFERENCE_IMS_PER_BATCH: 4, IMS_PER_BATCH: 8}\n")
    cfg = load_config(config, ["SOLVER.BASE_LR", "0.003"])
    resolve_learning_rate(cfg)
    assert cfg.SOLVER.BASE_LR == 0.003


@pytest.mark.parametrize(("keys", "expected"), [("", 0.001), (", REFERENCE_IMS_PER_BATCH: 2", 0.002)])
def test_a_learning_rate_of_a_file_is_not_meant_for_the_batch_of_its_base(tmp_path, keys, expected):
    base = Path("configs/mini_scratch.yaml").resolve()
    content = f"_BASE_: {base}\nSOLVER: {{IMS_PER_BATCH: 4, BASE_LR: 0.001{keys}}}\n"
    (tmp_path / "mine.yaml").write_text(content)
    cfg = load_config(tmp_path / "mine.yaml", [])
    resolve_learning_rate(cfg)
    assert cfg.SOLVER.BASE_LR == pytest.approx(expected)


def test_the_documented_learning_rate_is_never_scaled():
    cfg = load_config("configs/mask_rcnn_R_18_FPN_documented.yaml", ["SOLVER.IMS_PER_BATCH", "16"])
    resolve_learning_rate(cfg)
    assert cfg.SOLVER.BASE_LR == 0.00001


def test_a_device_that_there_is_not():
    with pytest.raises(UserError, match="MODEL.DEVICE is gpu"):
        resolve_device(load_config(BASE, ["MODEL.DEVICE", "gpu"]))


def test_the_device_is_one_that_is_here():
    import torch

    expected = "cuda" if torch.cuda.is_available() else "cpu"
    for wanted in ("auto", "cuda"):
        cfg = load_config(BASE, ["MODEL.DEVICE", wanted])
        resolve_device(cfg)
        assert cfg.MODEL.DEVICE == expected


def test_a_warm_up_before_the_beginning_is_an_error():
    for share in ("-0.5", "1.0"):
        with pytest.raises(UserError, match=f"WARMUP_SHARE is {share}"):
            resolved("configs/mini_scratch.yaml", "SOLVER.WARMUP_SHARE", share)


def test_an_empty_split_is_left_out_also_where_it_is_named():
    cfg = resolved(BASE, "DATASETS.VAL", "('street_val',)", "DATASETS.TEST", "('street_val', 'street_test')", val=0)
    assert cfg.DATASETS.VAL == () and cfg.DATASETS.TEST == ("street_test",)


def photo(*boxes, crowds=()):
    objects = [{"bbox": box} for box in boxes] + [{"bbox": box, "iscrowd": 1} for box in crowds]
    return {"width": 20, "height": 10, "annotations": objects}


SMALL, LARGE = [3, 0, 8, 5], [0, 0, 10, 5]  # a fifth and a quarter of the photo


@pytest.mark.parametrize(
    "records, expected",
    [
        ([photo(SMALL), photo(SMALL), photo(LARGE)], 0.5),
        ([photo(SMALL), photo(SMALL, LARGE), photo(LARGE)], 0.0),
        ([photo(SMALL, crowds=[LARGE]), photo()], 0.5),
        ([photo(SMALL, SMALL), photo(LARGE), photo(SMALL)], 0.5),
        ([photo()], 0.0),
        ([], 0.0),
    ],
)
def test_copy_paste_follows_the_largest_object_of_a_photo(records, expected):
    cfg = load_config(BASE, ["INPUT.COPY_PASTE.PROBABILITY", "-1"])
    resolve_copy_paste(cfg, records)
    assert cfg.INPUT.COPY_PASTE.PROBABILITY == expected


def test_a_copy_paste_that_the_user_sets_is_kept():
    cfg = load_config(BASE, ["INPUT.COPY_PASTE.PROBABILITY", "0.25"])
    resolve_copy_paste(cfg, [photo(LARGE)])
    assert cfg.INPUT.COPY_PASTE.PROBABILITY == 0.25
