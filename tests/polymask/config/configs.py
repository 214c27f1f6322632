"""Configurations that are resolved against a card alone, without a dataset."""

from dataset_tools.formats.card import Card, SplitSummary
from polymask.config.load import load_config
from polymask.config.resolve import resolve_copy_paste, resolve_dataset, resolve_schedule

BASE = "configs/Base-RCNN-R18-FPN.yaml"
DOCUMENTED = "configs/mask_rcnn_R_18_FPN_documented.yaml"


def card(classes=("Car", "Sign Board"), mask_format="polygon", train=82, val=14, test=14):
    splits = {
        name: SplitSummary(f"{name}.json", images, images)
        for name, images in (("train", train), ("val", val), ("test", test))
    }
    return Card(name="street", classes=list(classes), image_root=".", mask_format=mask_format, splits=splits)


def resolved(config=BASE, *overrides, images=82, **card_values):
    cfg = load_config(config, list(overrides))
    resolve_dataset(cfg, card(**card_values))
    resolve_schedule(cfg, images)
    return cfg


def scheduled(*overrides, images=40):
    """The mini configuration with its schedule in iterations, and with a VAL."""
    cfg = load_config(
        "configs/mini_scratch.yaml",
        ["DATASETS.VAL", "('street_val',)", "DATASETS.CLASSES", "['Car', 'Sign Board']", *overrides],
    )
    resolve_copy_paste(cfg, [])
    resolve_schedule(cfg, images)
    return cfg
