"""Writes docs/licences.md from what the installed packages say of themselves.

python -m docs.licences
"""

from __future__ import annotations

import re
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PAGE = Path(__file__).with_name("licences.md")
REQUIREMENTS = Path(__file__).parents[1] / "requirements.txt"

# Packages that say nothing, and where their licence stands.
_UNSAID = {"cuda-toolkit": "NVIDIA's, as its parts", "sal-detectron2": "Apache-2.0 (Detectron2's repository)"}

_INTRODUCTION = """\
<!-- Written by python -m docs.licences; do not edit. -->
# Licences

polymask is under Apache-2.0 and hands out none of these packages: pip fetches them from PyPI. This is what each says of itself.

## What polymask runs with

All of these go together with Apache-2.0. tqdm is partly under MPL-2.0, which asks something of those who change tqdm's files. NVIDIA's libraries
may be used with PyTorch, and not be changed; they come with PyPI's PyTorch for Linux, and a build of PyTorch without CUDA needs none of them. The wheel of
opencv-python holds FFmpeg and Qt, that of Pillow and numpy some libraries more; their licences, the LGPL among them, are in the wheels.
"""

_LABELME = """
## LabelMe, and what only LabelMe needs

LabelMe and PyQt5 are under GPL-3. LabelMe is a program beside polymask: what polymask runs reads its files and never imports it. The tests import LabelMe to compare
with it, and `docs/labelme_window.py` draws its window: whoever hands these on together with LabelMe follows the GPL.
"""


def runs_with() -> dict[str, str]:
    """The licence of each installed package that polymask runs with, by its name."""
    names = re.findall(r"^([\w.-]+)==", REQUIREMENTS.read_text(encoding="utf-8"), re.MULTILINE)
    return _licences([name for name in names if name not in ("labelme", "PyQt5-Qt5")] + ["sal-detectron2"])


def labelme_needs() -> dict[str, str]:
    """The same for LabelMe and what it needs besides."""
    return {name: licence for name, licence in _licences(["labelme"]).items() if name not in runs_with()}


def page() -> str:
    """The text of docs/licences.md."""
    return "".join([_INTRODUCTION, _table(runs_with()), _LABELME, _table(labelme_needs())])


def _licences(names: list[str]) -> dict[str, str]:
    """The licences of some packages and of all that they require on this machine."""
    found = {}
    waiting = [Requirement(name) for name in names]
    asked = set()
    while waiting:
        asked_for = waiting.pop()
        if str(asked_for) in asked:
            continue
        asked.add(str(asked_for))
        try:
            package = distribution(asked_for.name)
        except PackageNotFoundError:  # Detectron2 from elsewhere, or the CUDA libraries of a build without CUDA
            continue
        found[canonicalize_name(asked_for.name)] = _licence(package)
        for requirement in map(Requirement, package.requires or []):
            extras = asked_for.extras or {""}
            if requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in extras):
                waiting.append(requirement)
    return dict(sorted(found.items()))


def _licence(package: Distribution) -> str:
    """The first of three fields that says something; the last one may hold the whole text, which begins with a title."""
    said = package.metadata
    classifiers = [line.split(" :: ")[-1] for line in said.get_all("Classifier", []) if line.startswith("License ::")]
    text = said.get("License", "").split("\n")[0]
    return said.get("License-Expression") or ", ".join(classifiers) or text or _UNSAID[canonicalize_name(said["Name"])]


def _table(licences: dict[str, str]) -> str:
    return "\n".join(
        ["", "| package | licence |", "|---|---|", *(f"| {row[0]} | {row[1]} |" for row in licences.items()), ""]
    )


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
