"""Sets up polymask and runs its demo and its tests: ``python bootstrap.py setup|demo|test|pictures|clean``.

Standard library only, because it runs before anything is installed. The Makefile calls it, for those who have make.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

PYTHONS = (3, 11), (3, 13)
LOCK = Path("requirements.lock")
INSTALLER = Path("polymask/install_detectron2.py")
# Of these PyPI has source code only. Their set-up scripts run on this machine, with the setuptools of the lock file.
SOURCE_ONLY = "antlr4-python3-runtime,fvcore,iopath"
PIP = ("-m", "pip", "--disable-pip-version-check", "install", "--require-hashes", "--no-build-isolation")
# What PyPI's PyTorch brings along on Linux; a build of PyTorch from elsewhere brings what it needs.
CUDA = re.compile(r"(cuda|nvidia)-|triton==")
DEMO_ENDS = """
What this model learned from are drawings of street scenes, not photographs (data/sample/README.md).
  the dataset            {dataset}/dataset.json, train.json, val.json, test.json
  what it comes to       {output}/report.html: open it in a browser
  mask AP                {output}/results.json
  the curve of the loss  {output}/loss_curve.png
  truth and prediction   {output}/pictures/overview.png, and a picture for each test scene beside it
  the model              {output}/config.yaml and model_final.pth, for demo.py"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("setup", "demo", "test", "pictures", "clean"))
    parser.add_argument("--venv", default=".venv", type=Path, help="the virtual environment (default: %(default)s)")
    parser.add_argument("--dataset", default="datasets/sample", type=Path, help="of the demo (default: %(default)s)")
    parser.add_argument("--output", default="output/demo", type=Path, help="of the demo (default: %(default)s)")
    parser.add_argument("--opts", nargs="*", default=[], metavar="KEY VALUE", help="more keys for the demo's training")
    args = parser.parse_args()
    os.chdir(Path(__file__).resolve().parent)
    if args.command == "clean":
        remove(args.dataset, "a dataset folder", "dataset.json")
        remove(args.output, "a run", "config.yaml")
        return
    python = set_up(args.venv)
    if args.command == "demo":
        demo(python, args)
    elif args.command == "test":
        run(python, "-m", "ruff", "format", "--check", ".")
        run(python, "-m", "ruff", "check", ".")
        run(python, "-m", "mypy")
        # Two files of tests at a time, in their order: those that take longest do not come last.
        run(python, "-m", "pytest", "-n", "2", "--dist", "loadfile", "--no-loadscope-reorder")
    elif args.command == "pictures":  # of README.md and docs/, from the last demo
        run(python, "-m", "docs.pictures", "--run", args.output, "--dataset", args.dataset)


def set_up(venv: Path) -> Path:
    """The Python of an environment in which all is installed."""
    python = venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    # Newer than what it was made from: a second call installs nothing.
    stamp = venv / "ready"
    sources = (LOCK, INSTALLER)
    if python.exists() and stamp.exists() and all(stamp.stat().st_mtime >= path.stat().st_mtime for path in sources):
        return python
    make_environment(venv, python)
    print(f"Installing PyTorch, LabelMe and what they need into {venv}: about 6 GB, once.", flush=True)
    install(venv, python, lambda package: package.startswith("setuptools=="))
    command = [python, "-c", "import importlib.metadata as m; print(m.version('torch'))"]
    found = subprocess.run(command, capture_output=True, text=True).stdout
    install(venv, python, lambda package: not ("+" in found and CUDA.match(package)))
    run(python, "-m", "polymask.install_detectron2")
    if subprocess.run([python, "-c", "import cv2"]).returncode:
        fail("OpenCV lacks a system library, named above. Install it (Debian: libgl1 and libglib2.0-0) and try again.")
    stamp.touch()
    return python


def make_environment(venv: Path, python: Path) -> None:
    """Makes an environment, unless there is one with pip; what is in a folder stays."""
    if python.exists() and not subprocess.run([python, "-m", "pip", "--version"], stdout=subprocess.DEVNULL).returncode:
        return
    if not PYTHONS[0] <= sys.version_info[:2] <= PYTHONS[1]:
        first, last = ("{}.{}".format(*version) for version in PYTHONS)
        fail(
            f"this is Python {sys.version.split()[0]}, and polymask needs {first} to {last} (make: PYTHON=python{first})."
        )
    if venv.exists() and not (venv.is_dir() and ((venv / "pyvenv.cfg").exists() or not any(venv.iterdir()))):
        fail(f"{venv} is not a virtual environment. Move it away, or choose another folder (make: VENV=...).")
    if subprocess.run([sys.executable, "-m", "venv", venv]).returncode:
        fail(
            f"{sys.executable} cannot make a virtual environment in {venv}. Install its venv package (Debian: python3.11-venv), "
            f"remove {venv} if it is half made, and try again."
        )


def install(venv: Path, python: Path, wanted) -> None:
    """Installs the packages of the lock file that are wanted; pip refuses a file whose hash is not in it."""
    packages = re.findall(r"^\w.*(?:\n .*)*", LOCK.read_text(encoding="utf-8"), re.MULTILINE)
    part = venv / LOCK.name
    part.write_text("\n".join(filter(wanted, packages)), encoding="utf-8")
    run(python, *PIP, "--only-binary=:all:", f"--no-binary={SOURCE_ONLY}", "-r", part)


def demo(python: Path, args: argparse.Namespace) -> None:
    remove(args.output, "a run", "config.yaml")
    run(python, "-m", "dataset_tools", "convert", "data/sample", "--output", args.dataset, "--overwrite")
    paths = ("DATASETS.ROOT", args.dataset, "OUTPUT_DIR", args.output)
    run(python, "train_net.py", "--config-file", "configs/mini_scratch.yaml", *paths, *args.opts)
    run(python, "-m", "polymask", "compare", args.output)
    print(DEMO_ENDS.format(dataset=args.dataset.as_posix(), output=args.output.as_posix()))


def remove(folder: Path, kind: str, mark: str) -> None:
    """Removes a folder only if it is what it should be: it may be named on the command line."""
    if folder.is_symlink() or folder.exists() and not (folder / mark).is_file():
        fail(
            f"{folder} is not {kind} (no {mark} in it). Move it away, or choose another folder (make: OUTPUT=... DATASET=...)."
        )
    if folder.exists():
        shutil.rmtree(folder)


def run(*command: str | Path) -> None:
    """Runs a command, and ends with its exit code if that is not 0.

    The command answers signals, and may need a while for it: a training saves its state. Ctrl-C reaches it anyway.
    """
    print("$", shlex.join(map(str, command)), flush=True)
    process = subprocess.Popen(command)
    signal.signal(signal.SIGINT, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda number, _: process.send_signal(number))
    code = process.wait()
    if code:
        sys.exit(code if code > 0 else 128 - code)


def fail(message: str) -> None:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main()
