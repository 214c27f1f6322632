"""A clean copy of the project, in which the README's commands run as a user would run them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """The files that git knows or would know, elsewhere, until the module's last test.

    They use this environment: nothing is installed again.
    """
    target = tmp_path_factory.mktemp("checkout")
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    for name in listed.stdout.decode().split("\0"):
        if name and (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)  # with its time, by which make decides
    yield target
    shutil.rmtree(target)  # with the checkpoints of the trainings in it


@pytest.fixture(scope="module")
def run(checkout):
    """Runs a command line in the checkout and returns it finished; ``python`` is the interpreter of these tests."""

    def run(command: str, expect: int = 0) -> subprocess.CompletedProcess:
        environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        done = subprocess.run(
            command, shell=True, cwd=checkout, capture_output=True, text=True, env=environment, timeout=600
        )
        assert done.returncode == expect, f"{command}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr, done.stderr
        return done

    return run
