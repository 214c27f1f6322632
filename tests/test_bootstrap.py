"""What runs before anything is installed."""

import hashlib
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import bootstrap

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def signals():
    """Those of pytest, which bootstrap's commands replace."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before):
        signal.signal(number, handler)


def run_bootstrap(*arguments):
    return subprocess.run([sys.executable, ROOT / "bootstrap.py", *arguments], capture_output=True, text=True)


def test_a_folder_that_is_not_an_environment_is_kept(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    done = run_bootstrap("setup", "--venv", tmp_path)
    assert done.returncode == 2 and str(tmp_path) in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_other_pythons_are_refused_before_anything_is_made(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bootstrap, "PYTHONS", ((3, 98), (3, 99)))
    with pytest.raises(SystemExit) as ended:
        bootstrap.make_environment(tmp_path / "new", tmp_path / "new/bin/python")
    assert ended.value.code == 2 and "3.98 to 3.99" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


@pytest.mark.skipif(os.name == "nt", reason="another name of the interpreter")
def test_a_second_setup_installs_nothing(tmp_path):
    (tmp_path / "bin").mkdir()
    for name in ("bin/python", "ready"):
        (tmp_path / name).touch()
    done = run_bootstrap("setup", "--venv", tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def write_wheel(folder, name):
    """A package without files, as (path, line of a lock file)."""
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        information = f"{name}-1.0.dist-info"
        wheel.writestr(f"{information}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        wheel.writestr(f"{information}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{information}/RECORD", "")
    return f"{name} @ {path.as_uri()} \\\n    --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n    # via us\n"


@pytest.mark.parametrize("changed", [False, True])
def test_only_files_with_a_hash_of_the_lock_file_are_installed(tmp_path, monkeypatch, changed):
    lock = write_wheel(tmp_path, "wanted") + write_wheel(tmp_path, "other")
    if changed:
        with zipfile.ZipFile(tmp_path / "wanted-1.0-py3-none-any.whl", "a") as wheel:
            wheel.writestr("wanted.py", "import os")
    monkeypatch.setattr(bootstrap, "LOCK", tmp_path / "all.lock")
    (tmp_path / "all.lock").write_text(f"# a comment\n{lock}")
    monkeypatch.setenv("PIP_TARGET", str(tmp_path / "site"))
    (tmp_path / "venv").mkdir()
    arguments = (tmp_path / "venv", Path(sys.executable), lambda package: package.startswith("wanted"))
    if changed:
        with pytest.raises(SystemExit):
            bootstrap.install(*arguments)
    else:
        bootstrap.install(*arguments)
    installed = {path.name for path in (tmp_path / "site").glob("*")}
    assert installed == (set() if changed else {"wanted-1.0.dist-info"})


SLOW_TO_SAVE = """
import signal, sys, time
def save(number, _):
    time.sleep(1)  # longer than subprocess.run would wait
    print("saved", flush=True)
    sys.exit(130)
signal.signal(signal.SIGINT, save)
signal.signal(signal.SIGTERM, save)
print("begun", flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(os.name == "nt", reason="signals of a terminal")
@pytest.mark.parametrize(
    "send", [lambda process: os.killpg(process.pid, signal.SIGINT), lambda process: process.terminate()]
)
def test_a_command_that_is_interrupted_may_save_what_it_has(send):
    code = f"import sys, bootstrap; bootstrap.run(sys.executable, '-c', {SLOW_TO_SAVE!r})"
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    for line in process.stdout:
        if line == "begun\n":
            break
    send(process)
    output, _ = process.communicate(timeout=30)
    assert output == "saved\n" and process.returncode == 130


def test_the_exit_code_of_a_command_is_that_of_bootstrap():
    with pytest.raises(SystemExit) as ended:
        bootstrap.run(sys.executable, "-c", "raise SystemExit(7)")
    assert ended.value.code == 7


def test_a_link_is_not_removed(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/config.yaml").touch()
    (tmp_path / "link").symlink_to(tmp_path / "run")
    with pytest.raises(SystemExit):
        bootstrap.remove(tmp_path / "link", "a run", "config.yaml")
    assert (tmp_path / "link").exists()
