"""The record, the tables on given numbers, and one short training of each contender."""

import dataclasses
import json
import math
import statistics

import pytest
from pycocotools.mask import frPyObjects, merge

from benchmarks.recipes.__main__ import parse_arguments
from benchmarks.recipes.candidates import CANDIDATES
from benchmarks.recipes.contenders import PEER_GRID, Informed, Length, Recipe
from benchmarks.recipes.informed_detectron2 import informed_config
from benchmarks.recipes.judge import DETECTIONS, judge
from benchmarks.recipes.measured import Measurement, Record, Task
from benchmarks.recipes.tables import compare, list_contenders
from benchmarks.recipes.trainings import Trainings, own_splits, prepare_folds
from dataset_tools.dataset.folds import write_folds
from dataset_tools.errors import UserError
from tests.faults.trial import annotated_photos, convert, must, run


def measurement(dataset="a", fold=0, mask_ap=50.0, recipe=None, seconds=10.0):
    recipe = recipe or Recipe("ours")
    return Measurement(
        dataset,
        fold,
        f"{dataset}{fold}",
        "400 images",
        240,
        recipe.name,
        recipe.settings(),
        mask_ap,
        60.0,
        seconds,
        "some processor",
    )


def rows(table):
    """The cells of a table by the first one of their row."""
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    return {own[0]: dict(zip(cells[0], own, strict=True)) for own in cells[2:]}


def test_the_record_is_read_back_and_asks_for_the_same_settings(tmp_path):
    record = Record(tmp_path / "measured.json")
    task = Task(Recipe("ours"), "a", 0, "a0", Length(400), 240)
    assert record.find(task) is None
    record.add(measurement())
    record.add(measurement(fold=1, mask_ap=51.5))
    again = Record(tmp_path / "measured.json")
    assert again.find(task) == measurement()
    assert again.find(dataclasses.replace(task, fold=1, content="a1")).mask_ap == 51.5
    others = {
        "content": "other photos",
        "length": Length(minutes=400),
        "size": 320,
        "contender": Recipe("ours", ("SOLVER.BASE_LR", "1.")),
    }
    for field, other in others.items():
        assert again.find(dataclasses.replace(task, **{field: other})) is None
    assert again.find(dataclasses.replace(task, contender=Recipe("another name"))) is not None


def test_contenders_differ_in_their_settings():
    contenders = [*PEER_GRID, *CANDIDATES.values(), Recipe("ours")]
    digests = [contender.settings() for contender in contenders if contender.name != "ours"]
    assert len({*digests}) == len(digests)


def test_differences_are_paired_by_fold():
    aps = {("a", 0): (50, 40), ("a", 1): (30, 28), ("a", 2): (40, 25), ("b", 0): (10, 11), ("b", 1): (10, None)}
    ours = {key: measurement(*key, mask_ap=own) for key, (own, _) in aps.items()}
    peer = {key: measurement(*key, mask_ap=its, seconds=5) for key, (_, its) in aps.items() if its is not None}
    table = rows(compare(ours, peer))
    differences = [10, 2, 15]
    margin = 4.302653 * statistics.stdev(differences) / math.sqrt(3)  # Student's t, 2 degrees of freedom, 97.5 %
    expected = f"+9.0 [{9 - margin:+.1f}, {9 + margin:+.1f}]"
    assert table["a"]["mask AP minus peer's"] == expected
    assert table["b"]["mask AP minus peer's"] == "-1.0"
    assert (table["all"]["folds"], table["all"]["mask AP"]) == ("4", "32.5")
    assert (table["all but fold 0"]["folds"], table["all but fold 0"]["mask AP"]) == ("2", "35.0")
    assert (table["a"]["seconds"], table["a"]["peer: seconds"]) == ("10", "5")


def test_contenders_with_missing_trainings_have_no_mean():
    whole = {("a", 0): measurement("a", mask_ap=20), ("b", 0): measurement("b", mask_ap=40)}
    table = rows(list_contenders({"whole": whole, "half": {("a", 0): measurement("a", mask_ap=30)}, "none": {}}))
    assert (table["whole"]["a"], table["whole"]["mean"]) == ("20.0", "30.0")
    assert (table["half"]["a"], table["half"]["b"], table["half"]["mean"]) == ("30.0", "-", "-")
    assert table["none"]["mean"] == table["none"]["seconds"] == "-"


@pytest.fixture(scope="module")
def folds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recipes")
    must(run(convert(annotated_photos(folder / "photos", train=4, val=2), folder / "dataset")))
    return write_folds(folder / "dataset", folder / "folds", 2, seed=0).parts


def test_the_judge_counts_masks_and_boxes(folds, tmp_path):
    truth = json.loads((folds[0] / "test.json").read_text())
    found = [
        {key: a[key] for key in ("image_id", "category_id", "bbox")} | {"score": 1.0} for a in truth["annotations"]
    ]
    sizes = {image["id"]: (image["height"], image["width"]) for image in truth["images"]}
    for one, annotation in zip(found, truth["annotations"], strict=True):
        height, width = sizes[one["image_id"]]
        one["segmentation"] = merge(frPyObjects(annotation["segmentation"], height, width))
        one["segmentation"]["counts"] = one["segmentation"]["counts"].decode()
    assert judge(folds[0], tmp_path) == {"segm": 0.0, "bbox": 0.0}
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / DETECTIONS).write_text(json.dumps(found))
    assert judge(folds[0], tmp_path) == {"segm": 100.0, "bbox": 100.0}
    for one in found:
        one["bbox"] = [0, 0, 1, 1]
    (tmp_path / "deep" / DETECTIONS).write_text(json.dumps(found))
    assert judge(folds[0], tmp_path) == {"segm": 100.0, "bbox": 0.0}


def test_the_peer_has_parts_and_values_of_its_own(folds, tmp_path):
    cfg = informed_config(folds[0], tmp_path, images=400, batch=4, rate=0.0004, size=240, seed=3)
    assert (cfg.SOLVER.MAX_ITER, cfg.SOLVER.WARMUP_ITERS, cfg.INPUT.MIN_SIZE_TRAIN) == (100, 10, (192, 216, 240))
    assert cfg.MODEL.BACKBONE.NAME == "build_resnet_fpn_backbone" and cfg.MODEL.RESNETS.DEPTH == 18
    assert (cfg.DATASETS.TRAIN, cfg.DATASETS.TEST) == (("dataset_fold_0_train",), ("dataset_fold_0_test",))


def test_what_is_missing_is_trained_once(folds, tmp_path):
    record = Record(tmp_path / "measured.json")
    trainings = Trainings({"dataset": folds}, tmp_path, record, end=math.inf)
    tasks = [Task(c, "dataset", 1, "content of 1", Length(2), 64) for c in (Recipe("ours"), Informed(2, 0.0004))]
    trainings.run_missing(tasks)
    for task in tasks:
        found = record.find(task)
        assert 0 <= found.mask_ap <= 100 and 0 <= found.box_ap <= 100 and found.processor_seconds > 1
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]
    other = dataclasses.replace(tasks[0], fold=0, content="content of 0")
    dataclasses.replace(trainings, end=-math.inf).run_missing([*tasks, other])
    assert record.find(other) is None  # there was no time


def test_a_loss_that_becomes_infinite_has_found_nothing(folds, tmp_path):
    record = Record(tmp_path / "measured.json")
    trainings = Trainings({"my.set": folds}, tmp_path, record, end=math.inf)
    endless = (Recipe("ours", ("SOLVER.BASE_LR", "1e30", "SOLVER.WARMUP_SHARE", "0.0")), Informed(1, 1e30))
    tasks = [Task(contender, "my.set", 1, "its content", Length(4), 64) for contender in endless]
    trainings.run_missing(tasks)
    assert [record.find(task).mask_ap for task in tasks] == [0.0, 0.0]
    assert len([*tmp_path.glob("my.set_*.log")]) == 2


def test_a_dataset_with_a_test_split_is_its_own_fold(folds, tmp_path):
    (name, (dataset,)), *others = own_splits(folds[:1]).items()
    assert (name, dataset, others) == ("dataset_fold_0", folds[0].resolve(), [])
    must(run(convert(annotated_photos(tmp_path / "photos", train=4, val=2), tmp_path / "dataset")))
    with pytest.raises(UserError, match="test split has no objects"):
        own_splits([folds[0], tmp_path / "dataset"])


def test_candidates_are_not_tried_on_test_splits(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["recipes", "a", "--candidate", next(iter(CANDIDATES)), "--test", "b"])
    with pytest.raises(SystemExit):
        parse_arguments()
    message = capsys.readouterr().err.splitlines()[-1]  # behind the usage, which names every option
    assert "--candidate" in message and "--test" in message


def test_a_fold_that_holds_out_nothing_is_refused(tmp_path):
    must(run(convert(annotated_photos(tmp_path / "photos", train=4, val=2), tmp_path / "dataset")))
    for split in ("train", "val", "test"):
        content = json.loads((tmp_path / f"dataset/{split}.json").read_text())
        content["annotations"] = content["annotations"][:1] if split == "train" else []
        (tmp_path / f"dataset/{split}.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match="nothing to measure"):
        prepare_folds([tmp_path / "dataset"], tmp_path, 2)
