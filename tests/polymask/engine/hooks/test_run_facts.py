import csv
import time

import pytest
from detectron2.engine import HookBase

from polymask.config.load import load_config
from polymask.engine.hooks.run_facts import RunFactsWriter
from polymask.engine.run_files import command_line, read_facts

STEPS = [{"total_loss": 1.0}] * 6


def hook(folder, period=2, evaluated=True, precision="float32"):
    keys = ["OUTPUT_DIR", str(folder), "MODEL.DEVICE", "cpu", "SOLVER.CHECKPOINT_PERIOD", str(period)]
    test = "('street_test',)" if evaluated else "()"
    return RunFactsWriter(load_config("configs/mini_scratch.yaml", [*keys, "DATASETS.TEST", test]), precision)


class Evaluation(HookBase):
    """An evaluation that takes a while."""

    def after_train(self):
        time.sleep(0.1)


def test_a_training_leaves_its_facts(scripted, tmp_path):
    scripted(STEPS, Evaluation(), hook(tmp_path))
    facts = read_facts(tmp_path)
    assert facts.iterations == 6 and facts.command_lines == (command_line(),)
    assert facts.training_seconds > 0 and facts.evaluation_seconds >= 0.1 and facts.peak_memory_gib > 0


def test_a_resumed_training_adds_up(scripted, tmp_path):
    scripted(STEPS, hook(tmp_path), max_iter=4)
    before = read_facts(tmp_path)
    scripted(STEPS, hook(tmp_path), start=4)
    after = read_facts(tmp_path)
    assert after.iterations == 6 and after.command_lines == (command_line(),) * 2
    assert after.training_seconds > before.training_seconds


def test_a_killed_training_counts_up_to_its_checkpoint(scripted, tmp_path):
    killed = hook(tmp_path)
    killed.after_train = lambda: None  # a process that is killed has no time for it
    scripted(STEPS, killed, max_iter=5)
    assert read_facts(tmp_path).iterations == 4


def test_another_precision_after_a_resume_is_said(scripted, tmp_path, caplog):
    scripted(STEPS, hook(tmp_path, precision="bfloat16"), max_iter=2)
    scripted(STEPS, hook(tmp_path, precision="bfloat16"), start=2, max_iter=4)
    assert not caplog.records and read_facts(tmp_path).precision == "bfloat16"
    scripted(STEPS, hook(tmp_path, precision="float32"), start=4)
    assert "bfloat16" in caplog.text and "float32" in caplog.text and read_facts(tmp_path).precision == "float32"


def test_a_new_training_begins_anew(scripted, tmp_path):
    scripted(STEPS, hook(tmp_path))
    scripted(STEPS, hook(tmp_path, evaluated=False), max_iter=1)
    facts = read_facts(tmp_path)
    assert facts.iterations == 1 and len(facts.command_lines) == 1 and facts.evaluation_seconds is None


def test_the_folder_of_a_real_training_has_facts_and_report(train):
    output = train("SOLVER.MAX_ITER", "2", "TEST.EVAL_PERIOD", "0")
    facts = read_facts(output)
    assert facts.iterations == 2 and facts.evaluation_seconds > 0 and "torch" in facts.versions
    with (output / "history.csv").open() as file:
        assert "seconds" not in " ".join(csv.DictReader(file).fieldnames)
    page = (output / "report.html").read_text()
    assert "2 iterations in" in page
    train("MODEL.WEIGHTS", str(output / "model_final.pth"), flags=["--eval-only"])
    evaluated = read_facts(output)
    assert evaluated.evaluation_command_line and evaluated.training_seconds == facts.training_seconds


@pytest.mark.parametrize("evaluated", [True, False])
def test_only_an_evaluation_has_a_time(scripted, tmp_path, evaluated):
    scripted(STEPS, hook(tmp_path, evaluated=evaluated))
    assert (read_facts(tmp_path).evaluation_seconds is not None) == evaluated
