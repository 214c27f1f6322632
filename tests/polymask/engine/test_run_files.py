import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from dataset_tools.errors import UserError
from polymask.engine import run_files
from polymask.engine.run_files import (
    FACTS_NAME,
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
    for content in ("{", '{"other": ' + "[" * 100_000 + "]" * 100_000 + "}"):
        (tmp_path / FACTS_NAME).write_text(content)
        with pytest.raises(UserError, match=FACTS_NAME):
            read_facts(tmp_path)
    os.truncate(tmp_path / FACTS_NAME, 40 << 30)
    with pytest.raises(UserError, match=FACTS_NAME):
        read_facts(tmp_path)


def test_versions_are_those_that_run():
    found = versions()
    assert found["torch"] == torch.__version__ and found["Python"] == sys.version.split()[0]


@pytest.fixture
def hostile(tmp_path):
    """A repository whose fsmonitor leaves a file ``ran`` beside it; one file of it is changed."""
    repository, hook = tmp_path / "hostile", tmp_path / "hook"
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path / 'ran'}\n")
    hook.chmod(0o755)
    repository.mkdir()
    (repository / "file").write_text("1")
    names = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    for command in (
        ["init", "-q", "--initial-branch=main"],
        ["add", "file"],
        [*names, "commit", "-q", "-m", "1"],
        ["config", "core.fsmonitor", str(hook)],
    ):
        subprocess.run(["git", *command], cwd=repository, check=True)
    (repository / "file").write_text("2")
    return repository


def test_the_commit_is_the_project_s_with_a_sign_for_changes(hostile, monkeypatch):
    monkeypatch.setattr(run_files, "PROJECT", hostile)
    commit = (hostile / ".git/refs/heads/main").read_text()[:12]
    assert versions()["polymask"] == f"{commit}+"
    (hostile / "file").write_text("1")
    assert versions()["polymask"] == commit


def test_git_does_not_ask_the_repository_that_the_environment_names(hostile, monkeypatch):
    before = versions().get("polymask")
    monkeypatch.setenv("GIT_DIR", str(hostile / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(hostile))
    assert versions().get("polymask") == before
    assert not (hostile.parent / "ran").exists()


@pytest.mark.parametrize(("place", "is_known"), [("", True), ("unpacked", False)])
def test_git_runs_nothing_that_a_repository_names(hostile, monkeypatch, place, is_known):
    (hostile / place).mkdir(exist_ok=True)
    monkeypatch.setattr(run_files, "PROJECT", hostile / place)
    assert versions().get("polymask", "").endswith("+") == is_known, "a repository around the project is another one"
    assert not (hostile.parent / "ran").exists()


def test_a_git_that_does_not_end_is_not_waited_for(tmp_path, monkeypatch):
    (tmp_path / "git").write_text("#!/bin/sh\nexec sleep 600\n")
    (tmp_path / "git").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(run_files, "GIT_TIMEOUT", 0.1)
    assert "polymask" not in versions()


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


def test_a_system_that_does_not_know_a_process_s_memory():
    """Windows has no ``resource``."""
    code = (
        "import sys, detectron2.engine, torchvision\n"
        "sys.modules['resource'] = None\n"
        "from polymask.engine.run_files import peak_memory_gib\n"
        "print(peak_memory_gib('cpu'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).resolve().parents[3],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "0.0\n"
