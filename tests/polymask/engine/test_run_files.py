import subprocess
import sys

import pytest
import torch

from dataset_tools.errors import UserError
from polymask.engine.run_files import (
    FACTS_NAME,
    PROJECT,
    RunFacts,
    command_line,
    device_in_words,
    facts_of_an_evaluation,
    read_facts,
    versions,
    write_facts,
)


def test_facts_are_read_as_they_were_written(tmp_path):
    facts = RunFacts(("python train_net.py",), {"torch": "2"}, "CPU", "float32", 2, 10, 1.5, None, 0.25)
    write_facts(tmp_path, facts)
    assert read_facts(tmp_path) == facts
    assert read_facts(tmp_path / "elsewhere") is None


def test_a_damaged_file_is_an_error_in_words(tmp_path):
    (tmp_path / FACTS_NAME).write_text("{")
    with pytest.raises(UserError, match=FACTS_NAME):
        read_facts(tmp_path)


def test_versions_are_those_that_run():
    found = versions()
    assert found["torch"] == torch.__version__ and found["Python"] == sys.version.split()[0]
    git = ["git", "-C", str(PROJECT), "rev-parse", "HEAD"]
    commit = subprocess.run(git, capture_output=True, text=True).stdout.strip()
    assert found.get("polymask", "").rstrip("+") == commit[:12]


def test_the_command_line_can_be_typed_again(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["train_net.py", "DATASETS.TEST", "('a_val',)"])
    assert command_line() == """python train_net.py DATASETS.TEST '('"'"'a_val'"'"',)'"""


@pytest.mark.parametrize(("threads", "words"), [(1, "), 1 thread"), (2, "), 2 threads")])
def test_the_cpu_in_words(monkeypatch, threads, words):
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    assert device_in_words("cpu").startswith("CPU (") and device_in_words("cpu").endswith(words)


def test_an_evaluation_leaves_the_training_as_it_was():
    trained = RunFacts(("python train_net.py",), {"torch": "2"}, "GPU", "float16", 1, 10, 100.0, 5.0, 3.0)
    evaluated = facts_of_an_evaluation(trained, 7.0, "cpu")
    assert (evaluated.training_seconds, evaluated.device, evaluated.evaluation_seconds) == (100.0, "GPU", 7.0)
    assert evaluated.evaluation_command_line == command_line()
    alone = facts_of_an_evaluation(None, 7.0, "cpu")
    assert alone.iterations == 0 and alone.device.startswith("CPU") and alone.peak_memory_gib > 0
