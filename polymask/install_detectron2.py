"""Puts the real Detectron2 beside PyTorch: ``python -m polymask.install_detectron2``. Standard library only.

Detectron2 is not on PyPI under its own name, and building it from source needs a compiler and its repository.
PyPI's ``sal-detectron2`` 0.7.2 holds Detectron2's Python code as of commit a59f0563 (2024-04-17), but in a wheel
tagged for CPython 3.10 only, with a compiled extension that no other Python can load. Mask R-CNN needs nothing of that
extension (ROIAlign and NMS come from torchvision), so the wheel is written again without it, for every Python 3.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import logging
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

REQUIREMENT = "sal-detectron2==0.7.2"
SHA256 = "491af0c7f79bdb2d178e46f6cb16a97c4ac968d45c41ea3f6b6435d59bbee561"
REPACKED_NAME = "sal_detectron2-0.7.2-py3-none-any.whl"
# The extension for CPython 3.10, and a top-level package `tools` that isn't Detectron2's and would hide the user's own.
LEFT_OUT = re.compile(r"^(detectron2/_C\..*|tools/.*|.*\.dist-info/(RECORD|top_level\.txt))$")
# Demands that came with the wheel and do not hold: the code runs with numpy 2, and `black` is a formatter.
UNTRUE_DEMANDS = re.compile(r"^Requires-Dist: (numpy|black)\b.*\n", re.MULTILINE)
# Without it zipfile would store the time of the run: two machines would install different bytes.
FIXED_DATE = (2024, 4, 17, 0, 0, 0)

log = logging.getLogger("polymask.install_detectron2")


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    found = importlib.util.find_spec("detectron2")
    if found is not None:
        log.info("Detectron2 is there already (%s) and is left alone.", found.submodule_search_locations)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        try:
            wheel = repack(download(Path(folder)), Path(folder) / REPACKED_NAME)
            _pip("install", "--no-deps", str(wheel))
        except (subprocess.CalledProcessError, ValueError) as error:
            log.error(
                "Detectron2 could not be installed: %s.\nEither run 'make setup' again once Python packages can be "
                "downloaded from here, or build Detectron2 into .venv yourself (docs/install.md): an installation that "
                "is importable is used as it is.",
                error,
            )
            return 1
    return 0


def download(folder: Path) -> Path:
    """The published wheel in ``folder``.

    Raises:
        subprocess.CalledProcessError: pip could not download it.
        ValueError: it is not the file that this project was tested with.
    """
    # Without --python-version pip would refuse the wheel's cp310 tag on any other Python.
    _pip("download", "--no-deps", "--only-binary=:all:", "--python-version=3.10", f"--dest={folder}", REQUIREMENT)
    (wheel,) = folder.glob("*.whl")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if digest != SHA256:
        raise ValueError(f"{wheel.name} has the sha256 {digest}, and {SHA256} was expected")
    return wheel


def repack(source: Path, target: Path) -> Path:
    """Writes ``source`` as a wheel for every Python 3.

    It lacks the extension, demands only what holds, and has a new RECORD.
    """
    record = []
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as new:
        for name in sorted(old.namelist()):
            if LEFT_OUT.match(name) or name.endswith("/"):
                continue
            content = old.read(name)
            if name.endswith(".dist-info/METADATA"):
                content = UNTRUE_DEMANDS.sub("", content.decode()).encode()
            elif name.endswith(".dist-info/WHEEL"):
                content = re.sub(r"(?m)^Tag: .*$", "Tag: py3-none-any", content.decode()).encode()
                content = content.replace(b"Root-Is-Purelib: false", b"Root-Is-Purelib: true")
                record_name = name.replace("/WHEEL", "/RECORD")
            new.writestr(zipfile.ZipInfo(name, FIXED_DATE), content)
            # The format of RECORD: https://packaging.python.org/specifications/recording-installed-packages
            checksum = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            record.append(f"{name},sha256={checksum},{len(content)}")
        record.append(f"{record_name},,")
        new.writestr(zipfile.ZipInfo(record_name, FIXED_DATE), "\n".join(record) + "\n")
    return target


def _pip(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments], check=True)


if __name__ == "__main__":
    sys.exit(main())
