"""Which room of polymask imports which: the arrows in docs/architecture.md."""

import ast
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
ROOT = PROJECT / "polymask"

# Each room with the rooms that it may import, which all stand above it: so there is no circle.
MAY_IMPORT = {
    "config": (),
    "modeling": ("config",),
    "data": ("config",),
    "inference": ("config", "data", "modeling"),
    "evaluation": ("data", "inference"),
    "engine": ("config", "data", "evaluation", "inference", "modeling"),
    "export": ("config", "data", "engine", "evaluation", "inference", "modeling"),
    "report": ("config", "engine", "evaluation", "inference"),
    "review": ("evaluation", "inference", "report"),
    "demo": ("inference",),
}
# The files at the top that import a room.
AT_THE_TOP = {"__main__.py": ("export", "report", "review")}


def imported_modules(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            yield node.module or ""
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def imported_rooms(path):
    """The rooms of polymask that a file imports, without its own."""
    for module in imported_modules(path):
        package, _, rest = module.partition(".")
        room = rest.partition(".")[0]
        if package == "polymask" and (ROOT / room).is_dir():
            yield room


def test_every_room_has_its_place():
    assert sorted(MAY_IMPORT) == sorted(path.parent.name for path in ROOT.glob("*/__init__.py"))


def test_there_is_no_circle():
    rooms = list(MAY_IMPORT)
    for room, others in MAY_IMPORT.items():
        assert set(others) <= set(rooms[: rooms.index(room)])


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_imports_go_one_way(path):
    room = path.relative_to(ROOT).parts[0]
    allowed = (room, *MAY_IMPORT[room]) if room in MAY_IMPORT else AT_THE_TOP.get(room, ())
    assert set(imported_rooms(path)) <= set(allowed)


@pytest.mark.parametrize("path", sorted((ROOT / "engine/hooks").glob("*.py")), ids=lambda path: path.name)
def test_a_hook_does_not_import_the_trainer(path):
    below = ("polymask.engine.distributed", "polymask.engine.run_files")
    for name in imported_modules(path):
        assert not name.startswith("polymask.engine.") or name.startswith(("polymask.engine.hooks.", *below))


def test_dataset_tools_does_not_import_polymask():
    for path in (PROJECT / "dataset_tools").rglob("*.py"):
        assert not [name for name in imported_modules(path) if name.split(".")[0] == "polymask"], path
