"""make removes nothing that it did not make."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]


def make(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(["make", *arguments], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_an_environment_that_cannot_be_made_leaves_the_folder_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    done = make("setup", f"VENV={tmp_path}", "PYTHON=false")
    assert done.returncode == 2 and str(tmp_path) in done.stdout
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_clean_removes_a_run_and_no_other_folder(tmp_path):
    mine, run = tmp_path / "a folder", tmp_path / "run"
    for folder, name in ((mine, "thesis.txt"), (run, "config.yaml")):
        folder.mkdir()
        (folder / name).write_text("")
    dataset = tmp_path / "dataset"
    done = make("clean", f"OUTPUT={mine}", f"DATASET={dataset}")
    assert done.returncode == 2 and "not a run" in done.stdout
    assert (mine / "thesis.txt").exists()
    assert make("clean", f"OUTPUT={run}", f"DATASET={dataset}").returncode == 0
    assert not run.exists()
