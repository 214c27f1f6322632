import base64
import hashlib
import subprocess
import sys
import zipfile

import pytest

from polymask import install_detectron2
from polymask.install_detectron2 import REPACKED_NAME, repack

METADATA = """Metadata-Version: 2.1
Name: sal-detectron2
Version: 0.7.2
Requires-Dist: Pillow>=7.1
Requires-Dist: numpy<2,>=1.21
Requires-Dist: black
Requires-Dist: numpydoc; extra == "docs"
"""
INFO = "sal_detectron2-0.7.2.dist-info"


@pytest.fixture
def published(tmp_path):
    """A wheel with the parts that the published one has."""
    path = tmp_path / "sal_detectron2-0.7.2-cp310-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("detectron2/__init__.py", "__version__ = '0.7.2'\n")
        wheel.writestr("detectron2/_C.cpython-310-x86_64-linux-gnu.so", "a library")
        wheel.writestr("detectron2/model_zoo/configs/tools/x.yaml", "a: 1\n")
        wheel.writestr("tools/train_net.py", "")
        wheel.writestr(f"{INFO}/METADATA", METADATA)
        wheel.writestr(f"{INFO}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: cp310-none-any\n")
        wheel.writestr(f"{INFO}/top_level.txt", "detectron2\ntools\n")
        wheel.writestr(f"{INFO}/RECORD", "of the old wheel\n")
    return path


def test_the_new_wheel_holds_the_python_code_and_a_true_record(published, tmp_path):
    with zipfile.ZipFile(repack(published, tmp_path / REPACKED_NAME)) as wheel:
        names = set(wheel.namelist())
        contents = {name: wheel.read(name) for name in names}
    package = {"detectron2/__init__.py", "detectron2/model_zoo/configs/tools/x.yaml"}
    assert names == package | {f"{INFO}/METADATA", f"{INFO}/WHEEL", f"{INFO}/RECORD"}
    assert b"Tag: py3-none-any" in contents[f"{INFO}/WHEEL"] and b"Root-Is-Purelib: true" in contents[f"{INFO}/WHEEL"]
    demands = [line for line in contents[f"{INFO}/METADATA"].decode().splitlines() if line.startswith("Requires-Dist")]
    assert demands == ["Requires-Dist: Pillow>=7.1", 'Requires-Dist: numpydoc; extra == "docs"']
    for line in contents[f"{INFO}/RECORD"].decode().splitlines():
        name, checksum, size = line.split(",")
        if name != f"{INFO}/RECORD":
            digest = base64.urlsafe_b64encode(hashlib.sha256(contents[name]).digest()).decode().rstrip("=")
            assert (checksum, int(size)) == (f"sha256={digest}", len(contents[name])), name


def test_the_same_wheel_gives_the_same_bytes(published, tmp_path):
    assert repack(published, tmp_path / "a.whl").read_bytes() == repack(published, tmp_path / "b.whl").read_bytes()


def test_pip_installs_the_new_wheel(published, tmp_path):
    wheel = repack(published, tmp_path / REPACKED_NAME)
    target = tmp_path / "site"
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        f"--target={target}",
        str(wheel),
    ]
    subprocess.run(command, check=True)
    assert (target / "detectron2/__init__.py").read_text() == "__version__ = '0.7.2'\n"
    assert not (target / "tools").exists()


def test_an_importable_detectron2_is_left_alone(monkeypatch):
    def refuse(folder):
        raise AssertionError("it was downloaded")

    monkeypatch.setattr(install_detectron2, "download", refuse)
    assert install_detectron2.main() == 0


def run_installer_without_detectron2(tmp_path, pip):
    """Runs the installer in an interpreter that has no site-packages, with a stand-in for pip."""
    (tmp_path / "pip").mkdir()
    (tmp_path / "pip" / "__init__.py").touch()
    (tmp_path / "pip" / "__main__.py").write_text(pip)
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from polymask.install_detectron2 import main; sys.exit(main())"
    environment = {"PYTHONPATH": str(tmp_path)}
    return subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, env=environment)


@pytest.mark.parametrize(
    ("pip", "reason"),
    [
        ("raise SystemExit(1)", "exit status 1"),
        (
            "import sys, pathlib; d = [a for a in sys.argv if a.startswith('--dest=')][0][7:]; pathlib.Path(d, 'x.whl').write_text('no')",
            "sha256",
        ),
    ],
    ids=["no network", "another file"],
)
def test_a_failed_download_says_what_to_do(tmp_path, pip, reason):
    done = run_installer_without_detectron2(tmp_path, pip)
    assert done.returncode == 1
    assert reason in done.stderr and "make setup" in done.stderr and "docs/install.md" in done.stderr
    assert "Traceback" not in done.stderr
