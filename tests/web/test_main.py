"""The command, as a user starts it."""

import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

from tests.web.conftest import found_things


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
