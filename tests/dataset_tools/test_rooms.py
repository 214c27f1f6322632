"""Which room of dataset_tools imports which: the picture in docs/architecture.md, from the left to the right."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2] / "dataset_tools"
ORDER = ("commands", "view", "dataset", "sources", "to_labelme", "instances", "images", "formats", "geometry")

# The files at the top that import a room, and the leftmost that each may import.
AT_THE_TOP = {"__main__.py": "commands", "catalog.py": "formats", "records.py": "geometry"}


def imported_rooms(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dataset_tools."):
            room = node.module.split(".")[1]
            if (ROOT / room).is_dir():
                yield room


def test_every_room_has_its_place():
    assert sorted(ORDER) == sorted(path.parent.name for path in ROOT.glob("*/__init__.py"))


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_imports_go_one_way(path):
    room = path.relative_to(ROOT).parts[0]
    if room in ORDER:
        allowed = ORDER[ORDER.index(room) :]
    else:
        allowed = ORDER[ORDER.index(AT_THE_TOP[room]) :] if room in AT_THE_TOP else ()
    assert set(imported_rooms(path)) <= set(allowed)
