"""The requirements name what is imported, and the lock file holds them with hashes."""

import ast
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RUN_TIME = ("dataset_tools", "polymask", "train_net.py", "demo.py")
DEVELOPMENT = ("benchmarks", "data/sample", "docs", "tests")
# Detectron2 is installed in a second step (polymask/install_detectron2.py).
OURS = {
    "benchmarks",
    "bootstrap",
    "dataset_tools",
    "demo",
    "detectron2",
    "docs",
    "polymask",
    "runtime",
    "street",
    "tests",
    "train_net",
    "web",
}

# The names of packages that are not imported by them.
PACKAGES = {"PIL": "pillow", "cv2": "opencv-python", "yaml": "PyYAML"}

DETECTRON2 = "Detectron2 imports it"
COMMAND = "a command of make test"
# What is required and imported in none of these files, and why.
RUN_TIME_REASONS = {
    "labelme": "a program beside polymask: GPL-3, so nothing that runs may import it",
    "pyqt5-qt5": "labelme's, which PyPI has in different versions for Windows and others",
    "setuptools": "builds the three packages that PyPI has as source code only",
    "cloudpickle": DETECTRON2,
    "hydra-core": DETECTRON2,
    "omegaconf": DETECTRON2,
    "packaging": DETECTRON2,
    "scipy": DETECTRON2,
    "tensorboard": DETECTRON2,
    "termcolor": DETECTRON2,
    "yacs": DETECTRON2,
}
DEVELOPMENT_REASONS = {
    "mypy": COMMAND,
    "ruff": COMMAND,
    "pytest-xdist": COMMAND,
    "playwright": "imported by pytest.importorskip: a machine without Chromium skips these tests",
}
# What is imported and not required: one long command alone needs it, and says how to install it.
ONE_COMMAND = {"atheris", "openvino", "ultralytics"}
# What WRITERS may name. Some thirty packages come with them, so that their tests run where the two are installed.
ON_REQUEST = {"mlflow", "wandb"}


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(name):
    """The lines of a requirements file, as (package, version)."""
    found = re.findall(r"^([\w.-]+)==([^\s;]+)", (ROOT / name).read_text(), re.MULTILINE)
    return {(canonical(package), version) for package, version in found}


def required(name):
    return {package for package, _ in pins(name)}


def imported(places):
    """The packages that the Python files of some places import."""
    modules = set()
    for place in places:
        for path in [ROOT / place] if place.endswith(".py") else (ROOT / place).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_bytes())):
                if isinstance(node, ast.Import):
                    modules |= {alias.name.split(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and not node.level:
                    modules.add(node.module.split(".")[0])
    return {canonical(PACKAGES.get(name, name)) for name in modules - OURS - sys.stdlib_module_names}


def test_what_runs_imports_what_is_required():
    """Not labelme, which is GPL-3."""
    found = imported(RUN_TIME) - ON_REQUEST
    assert not found & set(RUN_TIME_REASONS)
    assert found | set(RUN_TIME_REASONS) == required("requirements.txt")


def test_what_develops_imports_what_is_required_for_it():
    found = (imported(DEVELOPMENT) | imported(["web"])) - required("requirements.txt") - ONE_COMMAND - ON_REQUEST
    assert not found & set(DEVELOPMENT_REASONS)
    assert found | set(DEVELOPMENT_REASONS) == required("requirements-dev.txt")


def test_the_runtime_imports_what_is_required_for_it_in_the_locked_versions():
    assert imported(["runtime"]) == required("requirements-runtime.txt")
    assert pins("requirements-runtime.txt") <= pins("requirements.txt")


def test_the_page_imports_what_is_required_for_it_in_the_locked_versions():
    assert imported(["web"]) - {"pillow"} == required("requirements-web.txt")
    assert pins("requirements-web.txt") <= pins("requirements-dev.txt")


def test_the_lock_file_holds_all_that_is_required():
    missing = (pins("requirements.txt") | pins("requirements-dev.txt")) - pins("requirements.lock")
    assert not missing, "docs/install.md says how the lock file is written again"


def test_the_lock_file_names_a_hash_for_each_package_and_no_place_to_get_it_from():
    lock = (ROOT / "requirements.lock").read_text()
    packages = re.findall(r"^\w.*(?:\n .*)*", lock, re.MULTILINE)
    assert len(packages) > 100
    assert [package for package in packages if "--hash=sha256:" not in package] == []
    assert "://" not in lock and "index" not in lock
