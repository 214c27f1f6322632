"""The command, as a user starts it."""

import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

from tests.web.conftest import found_things
from web.__main__ import main


def free_port():
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return opened.getsockname()[1]


def test_the_page_is_served_to_this_machine_alone(model_file):
    port = free_port()
    command = [sys.executable, "-m", "web", "--model", found_things(model_file), "--port", str(port)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        try:
            page = wait_for(f"http://127.0.0.1:{port}/")
        finally:
            server.terminate()
        said = server.stderr.read()
    assert b"<title>polymask</title>" in page
    assert f"http://127.0.0.1:{port}" in said and "password" not in said


def wait_for(address):
    for _ in range(300):
        try:
            with urllib.request.urlopen(address) as answer:
                return answer.read()
        except urllib.error.URLError:
            time.sleep(0.1)
    raise TimeoutError(address)


def test_a_file_that_is_not_a_model(tmp_path):
    (tmp_path / "model.onnx").write_text("milk, bread")
    ended = subprocess.run(
        [sys.executable, "-m", "web", "--model", tmp_path / "model.onnx"], capture_output=True, text=True
    )
    assert ended.returncode == 2 and ended.stderr.count("\n") == 1
    assert "model.onnx" in ended.stderr and "polymask export" in ended.stderr


@pytest.mark.parametrize(
    ("flag", "value", "said"),
    [
        ("--jobs", "0", "1 or more"),
        ("--jobs", "-1", "1 or more"),
        ("--waiting", "-1", "0 or more"),
        ("--waiting", "0", "gone.onnx"),
        ("--megabytes", "0", "above 0"),
        ("--megabytes", "inf", "above 0"),
        ("--megapixels", "-3", "above 0"),
        ("--megapixels", "nan", "above 0"),
    ],
)
def test_limits_with_which_nothing_could_be_done(monkeypatch, capsys, flag, value, said):
    monkeypatch.setattr(sys, "argv", ["web", "--model", "gone.onnx", flag, value])
    assert main() == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1 and (flag in error) == (value != "0" or flag != "--waiting")
