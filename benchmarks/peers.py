"""The programs that polymask's converter is measured against, each where it cannot disturb another one's versions."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

LABELME2COCO = "labelme2coco==0.2.6"
LABELME = "labelme==6.3.1"  # its sdist holds the example, with the script and what the script made of it


def labelme2coco_python(folder: Path) -> Path:
    """The interpreter of a virtual environment that has labelme2coco; made on the first call, which takes a minute."""
    environment = folder / LABELME2COCO
    python = environment / "bin" / "python"
    if not (environment / "ready").exists():
        shutil.rmtree(environment, ignore_errors=True)
        _run(sys.executable, "-m", "venv", environment)
        _run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", LABELME2COCO)
        (environment / "ready").touch()
    return python


def labelme_example(folder: Path) -> Path:
    """labelme's example of instance segmentation: its annotated photos, its script, and its golden COCO file."""
    sources = folder / LABELME
    if not sources.exists():
        download = folder / "download"
        options = ("--quiet", "--disable-pip-version-check", "--no-deps", "--no-binary", ":all:")
        _run(sys.executable, "-m", "pip", "download", *options, "--dest", download, LABELME)
        (archive,) = download.glob("labelme-*.tar.gz")
        with tarfile.open(archive) as content:
            content.extractall(folder / "part", filter="data")
        next((folder / "part").iterdir()).rename(sources)
        shutil.rmtree(folder / "part")
    return sources / "examples" / "instance_segmentation"


def _run(*command: object) -> None:
    subprocess.run([str(part) for part in command], check=True)
