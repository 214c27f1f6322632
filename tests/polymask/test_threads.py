import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")


def settings_after_import(**given):
    code = f"import polymask.threads, os; print([os.environ.get(name) for name in {SETTINGS}])"
    environment = {name: value for name, value in os.environ.items() if name not in SETTINGS} | given
    done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, text=True)
    return ast.literal_eval(done.stdout)


def test_threads_soon_sleep():
    passive, turns, blocktime = settings_after_import()
    assert int(turns) <= 10_000 and passive is blocktime is None, "GNU's default is 300,000 turns"


@pytest.mark.parametrize("name", SETTINGS)
def test_what_the_user_has_set_stays(name):
    assert settings_after_import(**{name: "1"}) == ["1" if other == name else None for other in SETTINGS]


def test_it_loads_nothing():
    """Not even numpy: the setting is read when a library with OpenMP is loaded."""
    code = "import sys; before = set(sys.modules); import polymask.threads; print(sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert ast.literal_eval(done.stdout) == ["polymask", "polymask.threads"]


@pytest.mark.parametrize("file", ["polymask/__init__.py", "benchmarks/__init__.py", "tests/conftest.py"])
def test_it_comes_first(file):
    statements = ast.parse((ROOT / file).read_text()).body
    first = next(node for node in statements if isinstance(node, ast.Import | ast.ImportFrom))
    assert [alias.name for alias in first.names] == ["polymask.threads"]


@pytest.mark.parametrize(
    ("before", "given", "times"), [("torch", {}, 1), ("torch", {"GOMP_SPINCOUNT": "9"}, 0), ("json", {}, 0)]
)
def test_it_says_once_that_it_comes_too_late(before, given, times):
    code = f"import {before}; import polymask; from polymask import memory, threads"
    environment = {name: value for name, value in os.environ.items() if name not in SETTINGS} | given
    done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, text=True)
    assert done.stderr.count("loaded before polymask") == times and not done.returncode


@pytest.mark.parametrize("entry", ["train_net", "demo", "polymask.__main__"])
def test_no_entry_point_loads_torch_before_it(entry):
    code = f"import sys, {entry}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "False\n"
