import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.modeling import build_model
from detectron2.solver import build_optimizer
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import train_net
from dataset_tools.errors import EXIT_DATA, EXIT_USAGE, UserError
from polymask.config.load import load_config
from polymask.engine.hooks.checkpoints import CHECKPOINTS_TO_KEEP
from polymask.engine.hooks.history import read_history
from polymask.engine.setup import setup
from polymask.engine.trainer import Trainer
from polymask.modeling.precision import half_type
from tests.polymask.conftest import TINY

SHORT = ("TEST.EVAL_PERIOD", "0", "SOLVER.IMS_PER_BATCH", "2")
AUG = ("TEST.AUG.ENABLED", "True", "TEST.AUG.MIN_SIZES", "(96, 128)")
ON_TRAIN = ("DATASETS.TEST", "('tiny_train',)")


def read_results(folder):
    return json.loads((folder / "results.json").read_text())


def weights_of(folder, name="model_final.pth"):
    return torch.load(folder / name, weights_only=True)


def test_overfits_a_handful_of_photos(overfitted):
    metrics = read_results(overfitted)["tiny_train"]
    assert metrics["segm"]["AP"] > 80
    assert metrics["bbox"]["AP"] > 80
    for task in ("bbox", "segm"):
        per_class = [metrics[task]["AP-bar"], metrics[task]["AP-disc"]]
        assert metrics[task]["AP"] == pytest.approx(sum(per_class) / 2)


def test_leaves_what_a_user_looks_for(overfitted):
    names = ("config.yaml", "model_final.pth", "last_checkpoint", "history.csv", "metrics.json", "log.txt")
    for name in (*names, "loss_curve.png"):
        assert (overfitted / name).stat().st_size > 0, name
    lines = [json.loads(line) for line in (overfitted / "metrics.json").read_text().splitlines()]
    metrics = read_results(overfitted)["tiny_train"]
    assert lines[-1]["tiny_train/segm/AP"] == pytest.approx(metrics["segm"]["AP"])
    detections = json.loads((overfitted / "inference/tiny_train/coco_instances_results.json").read_text())
    assert {"image_id", "category_id", "score", "bbox", "segmentation"} <= detections[0].keys()


def test_class_names_travel_with_config_and_checkpoint(overfitted):
    assert yaml.safe_load((overfitted / "config.yaml").read_text())["DATASETS"]["CLASSES"] == ["bar", "disc"]
    assert weights_of(overfitted)["classes"] == ["bar", "disc"]


def test_results_are_pycocotools_own(overfitted, tiny_dataset):
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truth = COCO(str(tiny_dataset / "train.json"))
    found = truth.loadRes(str(overfitted / "inference/tiny_train/coco_instances_results.json"))
    for task in ("bbox", "segm"):
        judge = COCOeval(truth, found, task)
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
        for name, value in zip(("AP", "AP50", "AP75"), judge.stats[:3], strict=True):
            assert read_results(overfitted)["tiny_train"][task][name] == pytest.approx(100 * value, abs=1e-9)


def test_eval_only_gives_the_same_to_the_last_digit(overfitted, train, tmp_path):
    weights = str(overfitted / "model_final.pth")
    output = train(*ON_TRAIN, "MODEL.WEIGHTS", weights, flags=["--eval-only"], output=tmp_path / "evaluation")
    assert set(read_results(output)) == {"tiny_train"}
    assert read_results(output)["tiny_train"] == read_results(overfitted)["tiny_train"]


def test_eval_only_leaves_the_config_of_the_training(overfitted, train):
    before = (overfitted / "config.yaml").read_bytes()
    train(*ON_TRAIN, "MODEL.WEIGHTS", str(overfitted / "model_final.pth"), flags=["--eval-only"], output=overfitted)
    assert (overfitted / "config.yaml").read_bytes() == before


@pytest.mark.parametrize("flag", ["--eval-only", "--dry-run"])
def test_a_log_that_leads_elsewhere_is_not_followed(train, tmp_path, flag):
    (tmp_path / "run").mkdir()
    (tmp_path / "thesis").write_text("chapter 1")
    (tmp_path / "run/log.txt").symlink_to(tmp_path / "thesis")
    with pytest.raises(UserError, match="log.txt"):
        train(flags=[flag])
    assert (tmp_path / "thesis").read_text() == "chapter 1"
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["log.txt"]


def test_a_folder_into_which_another_process_writes_is_left_alone(train, tmp_path):
    (tmp_path / "run").mkdir()
    lock = (
        "import fcntl, sys; file = open(sys.argv[1], 'w'); fcntl.lockf(file, fcntl.LOCK_EX); print(flush=True); input()"
    )
    command = [sys.executable, "-c", lock, str(tmp_path / "run/run.lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        other.stdout.readline()
        for flags in ([], ["--resume"], ["--eval-only"], ["--dry-run"]):
            with pytest.raises(UserError, match="another process writes"):
                train(flags=flags)
        other.communicate("\n")
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["run.lock"]


def test_names_and_values_forge_no_entry_of_the_log(train, tmp_path, capsys):
    output = tmp_path / "run\n[11/28 18:30:55] polymask INFO: forged\x1b[2J"
    with pytest.raises(UserError, match="missing.pth"):
        train("MODEL.WEIGHTS", "missing.pth", flags=["--resume"], output=output)
    for said in ((output / "log.txt").read_text(), capsys.readouterr().out):
        assert "no checkpoint in" in said and "forged" in said and "\x1b[2J" not in said
        assert not [line for line in said.splitlines() if line.startswith("[11/28 18:30:55] ")]


@pytest.fixture
def copied(overfitted, tmp_path):
    """A run that was copied; its config.yaml has the OUTPUT_DIR of the first."""
    return Path(shutil.copytree(overfitted, tmp_path / "copied"))


def begin(*arguments):
    return setup(train_net.parse_arguments(["--config-file", *map(str, arguments)]))


def test_the_config_of_a_run_means_the_folder_that_it_lies_in(overfitted, copied, tmp_path):
    before = _files_of(overfitted)
    (copied / "results.json").unlink()
    evaluated = ("--eval-only", "MODEL.WEIGHTS", overfitted / "model_final.pth", "MODEL.DEVICE", "cpu")
    train_net.main(train_net.parse_arguments(["--config-file", str(copied / "config.yaml"), *map(str, evaluated)]))
    assert read_results(copied)["tiny_train"] == read_results(overfitted)["tiny_train"]
    assert begin(copied / "config.yaml", "--resume").OUTPUT_DIR == str(copied)
    other = begin(copied / "config.yaml", "OUTPUT_DIR", tmp_path / "other")
    assert other.OUTPUT_DIR == str(tmp_path / "other"), "the command line comes first"
    assert _files_of(overfitted) == before


@pytest.mark.parametrize("name", ["config.yaml", "strange.yaml"])
def test_a_config_from_elsewhere_does_not_replace_the_results_of_a_run(overfitted, tmp_path, name):
    shutil.copy(overfitted / "config.yaml", tmp_path / name)
    before = _files_of(overfitted)
    with pytest.raises(UserError, match=f"OUTPUT_DIR {overfitted}") as caught:
        begin(tmp_path / name, "--eval-only", "MODEL.WEIGHTS", overfitted / "model_final.pth")
    assert caught.value.exit_code == EXIT_USAGE and _files_of(overfitted) == before
    named = begin(tmp_path / name, "--eval-only", "OUTPUT_DIR", overfitted)
    assert named.OUTPUT_DIR == str(overfitted)


def test_weights_that_came_alone_with_their_config_are_kept(overfitted, tmp_path):
    for name in ("config.yaml", "model_final.pth"):
        shutil.copy(overfitted / name, tmp_path / name)
    before = _files_of(tmp_path)
    with pytest.raises(UserError, match="another run"):
        begin(tmp_path / "config.yaml")
    assert _files_of(tmp_path) == before


@pytest.mark.parametrize("weights", ["", "backbone"])
def test_eval_only_refuses_untrained_weights(weights, train, torchvision_file):
    weights = str(torchvision_file) if weights else ""
    with pytest.raises(UserError, match="model_final.pth") as caught:
        train("MODEL.WEIGHTS", weights, "MODEL.RESNETS.NORM", "BN", flags=["--eval-only"])
    assert caught.value.exit_code == EXIT_USAGE


def test_resume_goes_on_where_it_stopped(train, tmp_path):
    """Six iterations that are broken off in the fifth: the steps, the rates and the weights of a whole training."""
    steps = ("SOLVER.MAX_ITER", "6", "SOLVER.CHECKPOINT_PERIOD", "4")
    whole = train(*SHORT, *steps, output=tmp_path / "whole")
    interrupted = tmp_path / "interrupted"
    with pytest.raises(KeyboardInterrupt):
        train_until_interrupted(train, interrupted, 5, *SHORT, *steps)
    assert (interrupted / "last_checkpoint").read_text() == "model_0000003.pth"
    train(*SHORT, *steps, flags=["--resume"], output=interrupted)

    states = [weights_of(folder, "model_0000005.pth") for folder in (whole, interrupted)]
    # AdamW counts its steps itself: an optimizer that started again would have made two.
    optimizers = [state["trainer"]["_trainer"]["optimizer"] for state in states]
    assert {entry["step"].item() for entry in optimizers[1]["state"].values()} == {6}
    rates = [[group["lr"] for group in optimizer["param_groups"]] for optimizer in optimizers]
    assert rates[0] == rates[1]
    assert all(torch.equal(tensor, states[1]["model"][name]) for name, tensor in states[0]["model"].items())
    assert (whole / "history.csv").read_bytes() == (interrupted / "history.csv").read_bytes()
    log = (interrupted / "log.txt").read_text()
    assert "Starting training from iteration 4" in log and "before --resume" not in log


def test_the_final_weights_hold_nothing_else(overfitted):
    final = weights_of(overfitted)
    assert set(final) == {"model", "classes", "iteration"} and final["iteration"] == 299
    assert set(final["model"]) == set(weights_of(overfitted, "model_0000299.pth")["model"])


def train_until_interrupted(train, output, iteration, *overrides):
    """Ctrl-C while this iteration runs."""
    run_step = Trainer.run_step

    def interrupt(self):
        if self.iter == iteration:
            raise KeyboardInterrupt
        run_step(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "run_step", interrupt)
        train(*overrides, output=output)


def test_resume_without_a_checkpoint_says_so(train, tmp_path):
    output = train(*SHORT, "SOLVER.MAX_ITER", "1", flags=["--resume"])
    assert "--resume: " in (output / "log.txt").read_text()


def test_another_run_in_the_output_folder_is_kept(train):
    output = train(*SHORT, "SOLVER.MAX_ITER", "1")
    before = _files_of(output)
    with pytest.raises(UserError, match="another run"):
        train(*SHORT, "SOLVER.MAX_ITER", "1")
    assert _files_of(output) == before


def test_checkpoints_of_detectron2_in_the_output_folder_are_kept(train, tmp_path):
    """It writes no history.csv."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run/model_0004999.pth").write_bytes(b"trained for days")
    before = _files_of(tmp_path / "run")
    with pytest.raises(UserError, match="another run"):
        train(*SHORT, "SOLVER.MAX_ITER", "1")
    assert _files_of(tmp_path / "run") == before


def _files_of(folder):
    # Not the log, which in this process, unlike in a new one, the first run still has open; nor who was there last.
    files = [path for path in folder.rglob("*") if path.is_file() and path.name not in ("log.txt", "run.lock")]
    return {path: path.read_bytes() for path in files}


def test_a_failed_start_leaves_the_config_of_the_training(train, overfitted, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(overfitted, run)
    before = (run / "config.yaml").read_bytes()
    with pytest.raises(UserError, match="does not fit"):
        train("MODEL.FPN.OUT_CHANNELS", "32", flags=["--resume"], output=run)
    assert (run / "config.yaml").read_bytes() == before


def test_a_resume_follows_the_configuration(train, tmp_path):
    """The rate, the decay and the length: without a change those of the state, and so do the weights."""
    steps = ("SOLVER.MAX_ITER", "4", "SOLVER.CHECKPOINT_PERIOD", "2", "SOLVER.LR_SCHEDULER_NAME", "WarmupMultiStepLR",
             "SOLVER.WARMUP_SHARE", "0.0", "SOLVER.BASE_LR", "0.001")  # fmt: skip
    output = train(*SHORT, *steps, output=tmp_path / "run")
    slower = (*steps, "SOLVER.MAX_ITER", "6", "SOLVER.BASE_LR", "0.0002", "SOLVER.WEIGHT_DECAY", "0.01")
    train(*SHORT, *slower, flags=["--resume"], output=output)
    _, rows = read_history(output / "history.csv")
    assert [float(row["lr"]) for row in rows] == [0.001] * 4 + [0.0002] * 2
    (group, *_) = weights_of(output, "model_0000005.pth")["trainer"]["_trainer"]["optimizer"]["param_groups"]
    assert group["lr"] == group["initial_lr"] == 0.0002 and group["weight_decay"] == 0.01
    assert "SOLVER.BASE_LR is 0.0002; it was 0.001 before --resume" in (output / "log.txt").read_text()


def test_a_resume_with_another_rate_is_at_the_same_place_of_its_schedule(train, tmp_path):
    """The cosine at half the rate, from the third iteration on."""
    steps = ("SOLVER.MAX_ITER", "6", "SOLVER.CHECKPOINT_PERIOD", "2", "SOLVER.WARMUP_SHARE", "0.0")
    whole = train(*SHORT, *steps, "SOLVER.BASE_LR", "0.001", output=tmp_path / "whole")
    halved = tmp_path / "halved"
    with pytest.raises(KeyboardInterrupt):
        train_until_interrupted(train, halved, 2, *SHORT, *steps, "SOLVER.BASE_LR", "0.001")
    train(*SHORT, *steps, "SOLVER.BASE_LR", "0.0005", flags=["--resume"], output=halved)
    rates = [[float(row["lr"]) for row in read_history(folder / "history.csv")[1]] for folder in (whole, halved)]
    assert rates[1] == pytest.approx([*rates[0][:2], *(rate / 2 for rate in rates[0][2:])])


def test_a_resume_of_a_longer_training_is_refused(train, tmp_path):
    output = train(*SHORT, "SOLVER.MAX_ITER", "3", output=tmp_path / "run")
    with pytest.raises(UserError, match="has seen 3 iterations, and the training would have 2"):
        train(*SHORT, "SOLVER.MAX_ITER", "2", flags=["--resume"], output=output)


@pytest.mark.parametrize(
    ("key", "value"),
    [("SOLVER.OPTIMIZER", "SGD"), ("SEED", "3"), ("SOLVER.IMS_PER_BATCH", "1"), ("SOLVER.BACKBONE_LR_FACTOR", "0.1")],
)
def test_a_resume_with_what_the_state_does_not_fit_is_refused(train, tmp_path, key, value):
    output = train(*SHORT, "SOLVER.MAX_ITER", "1", output=tmp_path / "run")
    before = _files_of(output)
    with pytest.raises(UserError, match=f"{key} is {value}, and was"):
        train(*SHORT, "SOLVER.MAX_ITER", "2", key, value, flags=["--resume"], output=output)
    assert _files_of(output) == before


def rates_of(optimizer, model):
    """The learning rate of each parameter, by its name."""
    names = {parameter: name for name, parameter in model.named_parameters()}
    return {names[p]: group["lr"] for group in optimizer.param_groups for p in group["params"]}


@pytest.mark.parametrize("optimizer", ["SGD", "AdamW"])
def test_the_backbone_can_learn_more_slowly(optimizer):
    """The network under the pyramid alone; a factor for biases multiplies, and without factors all is Detectron2's."""
    keys = ["MODEL.DEVICE", "cpu", "MODEL.ROI_HEADS.NUM_CLASSES", "2", "SOLVER.OPTIMIZER", optimizer]
    cfg = load_config("configs/mini_scratch.yaml", [*keys, "SOLVER.BASE_LR", "0.5"])
    model = build_model(cfg)
    built, theirs = Trainer.build_optimizer(cfg, model), build_optimizer(cfg, model)
    assert [group["params"] for group in built.param_groups] == [group["params"] for group in theirs.param_groups]
    assert set(rates_of(built, model).values()) == {0.5}
    assert optimizer == "AdamW" or built.defaults == theirs.defaults
    for bias_factor in (1.0, 2.0):
        cfg.SOLVER.BACKBONE_LR_FACTOR, cfg.SOLVER.BIAS_LR_FACTOR = 0.1, bias_factor
        rates = rates_of(Trainer.build_optimizer(cfg, model), model)
        assert rates.keys() == dict(model.named_parameters()).keys()
        for name, rate in rates.items():
            factor = (0.1 if "bottom_up" in name else 1) * (bias_factor if name.endswith("bias") else 1)
            assert rate == pytest.approx(0.5 * factor), name


def test_a_resume_follows_the_rate_also_of_the_backbone(train, tmp_path):
    steps = ("SOLVER.LR_SCHEDULER_NAME", "WarmupMultiStepLR", "SOLVER.WARMUP_SHARE", "0.0",
             "SOLVER.BACKBONE_LR_FACTOR", "0.1")  # fmt: skip
    output = train(*SHORT, *steps, "SOLVER.MAX_ITER", "1", "SOLVER.BASE_LR", "0.001", output=tmp_path / "run")
    train(*SHORT, *steps, "SOLVER.MAX_ITER", "2", "SOLVER.BASE_LR", "0.002", flags=["--resume"], output=output)
    groups = weights_of(output, "model_0000001.pth")["trainer"]["_trainer"]["optimizer"]["param_groups"]
    assert sorted({group["lr"] for group in groups}) == pytest.approx([0.0002, 0.002])


def test_the_heads_alone(train, overfitted, tmp_path):
    """All else keeps its weights and statistics, to the bit, in the average too; an interruption changes nothing."""
    weights = ("MODEL.WEIGHTS", str(overfitted / "model_final.pth"), "SOLVER.HEADS_ONLY", "True")
    steps = (*SHORT, *weights, "SOLVER.MAX_ITER", "6", "SOLVER.CHECKPOINT_PERIOD", "4", "SOLVER.EMA_DECAY", "0.5")
    train(*steps, flags=["--dry-run"], output=tmp_path / "whole")
    whole = train(*steps, output=tmp_path / "whole")
    interrupted = tmp_path / "interrupted"
    with pytest.raises(KeyboardInterrupt):
        train_until_interrupted(train, interrupted, 5, *steps)
    train(*steps, flags=["--resume"], output=interrupted)
    state = weights_of(whole, "model_0000005.pth")
    start, now, average, again = (
        weights_of(overfitted)["model"], state["model"], weights_of(whole)["model"], weights_of(interrupted)["model"]
    )  # fmt: skip
    for name, tensor in start.items():
        assert torch.equal(average[name], again[name]), name
        assert torch.equal(tensor, now[name]) == (not name.startswith("roi_heads.")), name
        assert torch.equal(average[name], now[name]) == (not name.startswith("roi_heads.")), name
    trained = state["trainer"]["_trainer"]["optimizer"]["state"]
    assert len(trained) == sum(name.startswith("roi_heads.") for name in start)
    evaluated = train(
        "MODEL.WEIGHTS", str(whole / "model_final.pth"), flags=["--eval-only"], output=tmp_path / "evaluation"
    )
    assert read_results(evaluated)["tiny_test"] == read_results(whole)["tiny_test"]


def test_the_heads_alone_need_weights_for_all_else(train, torchvision_file):
    with pytest.raises(UserError, match="missing there, such as backbone.fpn"):
        train("MODEL.WEIGHTS", str(torchvision_file), "SOLVER.HEADS_ONLY", "True")


def test_heads_for_other_classes_come_with_synonyms(train, overfitted):
    new = ("MODEL.WEIGHTS", str(overfitted / "model_final.pth"), "MODEL.NEW_HEADS", "True", "MODEL.CLASS_SYNONYMS")
    log = (train(*new, "Bar=disc", "SOLVER.MAX_ITER", "1", flags=["--dry-run"]) / "log.txt").read_text()
    assert "from the checkpoint come the background, bar (disc), disc (disc); at random start none" in log
    with pytest.raises(UserError, match="MODEL.CLASS_SYNONYMS 'bar' is not old=new"):
        train(*new, "bar")


def test_an_average_that_is_switched_on_with_a_resume_begins_with_the_weights(train, tmp_path):
    """After iteration 5 nothing has been averaged yet."""
    output = train(*SHORT, "SOLVER.MAX_ITER", "5", output=tmp_path / "run")
    trained = weights_of(output)["model"]
    train(*SHORT, "SOLVER.MAX_ITER", "6", "SOLVER.EMA_DECAY", "0.9", flags=["--resume"], output=output)
    averaged = weights_of(output)["model"]
    assert all(torch.equal(tensor, averaged[name]) for name, tensor in trained.items())


def test_what_is_said_before_there_is_a_log_is_in_the_log(train, tmp_path):
    output = train(*SHORT, "SOLVER.MAX_ITER", "1", output=tmp_path / "run")
    log = (output / "log.txt").read_text()
    assert "SOLVER.BASE_LR 0.0006 is meant for 1 images a batch: for 2 it becomes 0.0012" in log


def test_val_is_not_test(train):
    with pytest.raises(UserError, match="tiny_test is in DATASETS.VAL and in DATASETS.TEST"):
        train("DATASETS.VAL", "('tiny_test',)")


def test_half_a_state_is_removed(train, tmp_path):
    """As ``kill -9`` leaves it while a state is saved."""
    output = tmp_path / "run"
    output.mkdir()
    (output / ".x7f3.polymask").write_bytes(b"half")
    train(*SHORT, "SOLVER.MAX_ITER", "1", flags=["--resume"], output=output)
    assert not [path.name for path in output.iterdir() if path.name.startswith(".")]


def _cut(photo):
    photo.write_bytes(photo.read_bytes()[:-2000])


def _enlarge(photo):
    Image.new("RGB", (64, 64)).save(photo)


@pytest.mark.parametrize(
    ("damage", "words"), [(_enlarge, "is 64 x 64, and was 128 x 128"), (Path.unlink, "is missing")]
)
@pytest.mark.parametrize("split", ["train", "test"])
def test_a_photo_that_is_not_what_was_converted_ends_before_the_training(train, make, tmp_path, split, damage, words):
    dataset = make(tmp_path / "moved", train=2, test=1)
    photo = next((tmp_path / "moved" / "labelme" / split).glob("*.png"))
    damage(photo)
    with pytest.raises(UserError, match=f"{photo.name}: this photo of DATASETS.{split.upper()} {words}") as caught:
        train(*SHORT, dataset=dataset)
    assert caught.value.exit_code == EXIT_DATA
    _forget("moved")


@pytest.mark.parametrize("workers", ["0", "2"])
@pytest.mark.parametrize(("split", "period"), [("train", "0"), ("val", "1"), ("test", "0")])
def test_half_a_photo_is_named(train, make, tmp_path, split, period, workers):
    """Its header is in order; whoever decodes it, in whichever process, names it."""
    dataset = make(tmp_path / "halved", train=2, val=1, test=1)
    photo = next((tmp_path / "halved" / "labelme" / split).glob("*.png"))
    _cut(photo)
    with pytest.raises(UserError, match=f"{photo.name}: this photo cannot be used: image file is truncated") as caught:
        train("SOLVER.MAX_ITER", "2", "TEST.EVAL_PERIOD", period, "DATALOADER.NUM_WORKERS", workers, dataset=dataset)
    assert caught.value.exit_code == EXIT_DATA
    _forget("halved")


def _forget(dataset):
    for name in ("train", "val", "test"):
        DatasetCatalog.remove(f"{dataset}_{name}")
        MetadataCatalog.remove(f"{dataset}_{name}")


def test_val_is_evaluated_during_the_training(train):
    output = train("SOLVER.MAX_ITER", "5", "TEST.EVAL_PERIOD", "2")
    log = (output / "log.txt").read_text()
    # After the second, the fourth and the last iteration; TEST at the end only, and VAL not once more.
    evaluations = [log.count(f"Evaluating on tiny_{split} ") for split in ("val", "test")]
    assert evaluations == [3, 1]
    assert set(read_results(output)) == {"tiny_val", "tiny_test"}
    columns, rows = read_history(output / "history.csv")
    assert [bool(row["validation/total_loss"]) for row in rows] == [False, True, False, True, True]
    assert float(rows[-1]["validation/segm/AP"]) == read_results(output)["tiny_val"]["segm"]["AP"]


def test_the_final_evaluation_alone_is_augmented(train):
    output = train("SOLVER.MAX_ITER", "2", "TEST.EVAL_PERIOD", "1", *AUG)
    evaluations = re.findall(r"Evaluating on tiny_(.*?) \.\.\.", (output / "log.txt").read_text())
    assert evaluations == ["val", "val", "val with TEST.AUG", "test with TEST.AUG"]


def test_the_best_weights_are_those_of_the_best_evaluation(train, tmp_path):
    """On the training photos, so that there is an AP to compare; the weights of the file give it again."""
    on_train = ("DATASETS.VAL", "('tiny_train',)", "TEST.VALIDATION_LOSS", "False")
    output = train(*on_train, "SOLVER.MAX_ITER", "120", "TEST.EVAL_PERIOD", "40", "SOLVER.EMA_DECAY", "0.5")
    _, rows = read_history(output / "history.csv")
    aps = {int(row["iteration"]): float(row["validation/segm/AP"]) for row in rows if row["validation/segm/AP"]}
    assert set(aps) == {39, 79, 119} and max(aps.values()) > 5
    best = weights_of(output, "model_best.pth")
    assert aps[best["iteration"]] == max(aps.values())
    again = train(
        *ON_TRAIN, "MODEL.WEIGHTS", str(output / "model_best.pth"), flags=["--eval-only"], output=tmp_path / "e"
    )
    assert read_results(again)["tiny_train"]["segm"]["AP"] == pytest.approx(max(aps.values()), abs=1e-9)


HOLD = """
import sys, train_net
from polymask.engine.setup import setup
from polymask.engine.trainer import Trainer

trainer = Trainer(setup(train_net.parse_arguments(sys.argv[1:])))
trainer.resume_or_load(resume=False)
trainer.train()
trainer.held = trainer  # to the end of the program
"""
# A fault of the program's own, in a worker: it ends with a traceback.
BREAK = """
import sys, train_net
from polymask.data.mapper import TrainMapper

def broken(self, record):
    raise RuntimeError("broken")

TrainMapper.__call__ = broken
train_net.main(train_net.parse_arguments(sys.argv[1:]))
"""


@pytest.mark.parametrize(("program", "flags"), [(HOLD, []), (BREAK, []), (BREAK, ["--dry-run"])])
def test_the_workers_of_the_loader_end_with_the_program(make, tmp_path, program, flags):
    """They ignore SIGTERM: a program that still holds their loader, or its traceback does, would wait for ever."""
    dataset = make(tmp_path / "data", train=2, val=1, test=1)
    options = ["--config-file", "configs/mini_scratch.yaml", *flags, "DATASETS.ROOT", str(dataset), *TINY, *SHORT]
    options += ["OUTPUT_DIR", str(tmp_path / "run"), "SOLVER.MAX_ITER", "1", "DATALOADER.NUM_WORKERS", "2"]
    ended = subprocess.run(
        [sys.executable, "-c", program, *options],
        capture_output=True,
        text=True,
        timeout=600,
        cwd=Path(train_net.__file__).parent,
        start_new_session=True,
    )
    breaks = program == BREAK
    assert ended.returncode == breaks, ended.stderr
    assert ("RuntimeError: broken" in ended.stderr) == ("Traceback" in ended.stderr) == breaks


def test_an_average_of_the_weights_is_evaluated_and_saved(train, tmp_path):
    one, averaged = (
        train(*SHORT, "SOLVER.MAX_ITER", "4", "SOLVER.EMA_DECAY", decay, output=tmp_path / decay)
        for decay in ("0.0", "0.9")
    )
    raw, raw_too = (weights_of(folder, "model_0000003.pth")["model"] for folder in (one, averaged))
    assert all(torch.equal(tensor, raw_too[name]) for name, tensor in raw.items()), "it changes nothing in the training"
    name = "roi_heads.mask_head.predictor.weight"
    assert torch.equal(weights_of(one)["model"][name], raw[name])
    assert not torch.equal(weights_of(averaged)["model"][name], raw[name])
    state = weights_of(averaged, "model_0000003.pth")["trainer"]["hooks"]["ExponentialMovingAverage"]
    assert torch.equal(weights_of(averaged)["model"][name], state["module." + name])


def test_early_stopping_ends_like_any_training(train, tmp_path):
    """An untrained model has no AP, and so does not get better."""
    output = train(
        "SOLVER.MAX_ITER", "50", "TEST.EVAL_PERIOD", "2", "TEST.EARLY_STOPPING_PATIENCE", "2", "SOLVER.BASE_LR", "1e-9",
        "TEST.VALIDATION_LOSS", "False", output=tmp_path / "run",
    )  # fmt: skip
    log = (output / "log.txt").read_text()
    assert "Early stopping after 6 of 50 iterations" in log or "Early stopping after 4 of 50 iterations" in log
    _, rows = read_history(output / "history.csv")
    assert weights_of(output)["iteration"] == int(rows[-1]["iteration"])
    assert (output / "last_checkpoint").read_text() == f"model_{int(rows[-1]['iteration']):07d}.pth"
    assert set(read_results(output)) == {"tiny_val", "tiny_test"}


def test_tensorboard_gets_the_losses_and_the_ap(train):
    output = train("SOLVER.MAX_ITER", "4", "TEST.EVAL_PERIOD", "2")
    events = EventAccumulator(str(output))
    events.Reload()
    tags = set(events.Tags()["scalars"])
    assert {"total_loss", "loss_mask", "lr", "validation/segm/AP", "validation/total_loss", "tiny_test/segm/AP"} <= tags
    _, rows = read_history(output / "history.csv")
    assert events.Scalars("validation/total_loss")[-1].value == pytest.approx(float(rows[-1]["validation/total_loss"]))


def test_a_drawn_seed_is_kept_for_the_resume(train):
    first = train(*SHORT, "SOLVER.MAX_ITER", "2", "SEED", "-1")
    seed = yaml.safe_load((first / "config.yaml").read_text())["SEED"]
    assert seed >= 0
    train(*SHORT, "SOLVER.MAX_ITER", "3", "SEED", "-1", flags=["--resume"])
    assert yaml.safe_load((first / "config.yaml").read_text())["SEED"] == seed


def test_old_checkpoints_go_also_after_a_resume(train):
    steps = ("SOLVER.CHECKPOINT_PERIOD", "1")
    output = train(*SHORT, *steps, "SOLVER.MAX_ITER", "3")
    train(*SHORT, *steps, "SOLVER.MAX_ITER", "5", flags=["--resume"])
    kept = sorted(path.name for path in output.glob("model_0*.pth"))
    assert kept == ["model_0000003.pth", "model_0000004.pth"] and len(kept) == CHECKPOINTS_TO_KEEP


def test_same_seed_same_weights_other_seed_others(train, tmp_path):
    one, same, other = (
        weights_of(train(*SHORT, "SOLVER.MAX_ITER", "2", "SEED", seed, output=tmp_path / name))["model"]
        for name, seed in (("one", "3"), ("same", "3"), ("other", "4"))
    )
    name = "roi_heads.mask_head.predictor.weight"
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert not torch.equal(one[name], other[name])


def test_without_autocast_the_loss_is_nearly_the_same(train, tmp_path):
    losses = []
    for enabled in ("True", "False"):
        output = train(*SHORT, "SOLVER.MAX_ITER", "1", "SOLVER.AMP.ENABLED", enabled, output=tmp_path / enabled)
        losses.append(float(read_history(output / "history.csv")[1][0]["total_loss"]))
    # bfloat16 has 8 bits of mantissa: where the hardware has it, the two are close and not equal.
    assert (losses[0] != losses[1]) == (half_type("cpu") is not None)
    assert losses[0] == pytest.approx(losses[1], rel=0.1)


def test_empty_splits_are_skipped_in_words(train_photos_only, train):
    output = train("SOLVER.MAX_ITER", "1", "SOLVER.IMS_PER_BATCH", "2", dataset=train_photos_only)
    log = (output / "log.txt").read_text()
    assert "The val split is empty" in log and "The test split is empty" in log
    assert not (output / "results.json").exists()
    with pytest.raises(UserError, match="test split is empty"):
        train(
            "MODEL.WEIGHTS",
            str(output / "model_final.pth"),
            flags=["--eval-only"],
            dataset=train_photos_only,
            output=output,
        )


def test_no_dataset_folder_is_wrong_usage(train, tmp_path):
    with pytest.raises(UserError, match="not a dataset folder") as caught:
        train(dataset=tmp_path)
    assert caught.value.exit_code == EXIT_USAGE


def test_an_unregistered_dataset_is_wrong_usage(train):
    with pytest.raises(UserError, match="coco_2099"):
        train("DATASETS.TRAIN", "('coco_2099',)")
