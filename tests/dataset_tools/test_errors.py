"""What a user reads, and the exit code that goes with it."""

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from dataset_tools.errors import EXIT_DATA, EXIT_USAGE, UserError, run_command


def test_message_says_where_what_and_what_to_do():
    error = UserError("it is empty", remedy="Fill it", file="a.json", place="shapes[3]")
    assert str(error) == "a.json, shapes[3]: it is empty. Fill it."
    assert str(UserError("it is empty", remedy="Fill it")) == "it is empty. Fill it."


@pytest.mark.parametrize("code", [EXIT_DATA, EXIT_USAGE])
def test_user_error_becomes_a_message_and_its_exit_code(code, capsys):
    def command():
        raise UserError("it is empty", remedy="Fill it", exit_code=code)

    assert run_command(command) == code
    assert capsys.readouterr().err == "error: it is empty. Fill it.\n"


def test_no_name_steers_the_terminal_or_forges_a_line(capsys):
    name = "a\x1b[2J\nerror: forged\u202e"

    def command():
        raise UserError(f"it holds\n  {name}", remedy=f"Rename {name}", file=Path(name), place=name)

    def refused():
        raise PermissionError(13, "denied", name)

    for each in (command, refused):
        run_command(each)
        said = capsys.readouterr().err
        assert said.removesuffix("\n").isprintable() and r"a\x1b[2J\nerror: forged\u202e: " in said


def test_a_message_of_megabytes_is_shortened():
    error = UserError("\t" * 2_000_000, remedy="Fill it", file="a.json")
    assert str(error).startswith("a.json") and str(error).endswith("Fill it.") and len(str(error)) < 5000


def test_success_is_0():
    assert run_command(lambda: None) == 0
    assert run_command(lambda: 1) == 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_command_that_is_ended_cleans_up(number, code, capsys):
    cleaned = []

    def command():
        try:
            os.kill(os.getpid(), number)
        finally:
            cleaned.append(True)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # tests in the background may ignore it
    try:
        assert run_command(command) == code and cleaned
    finally:
        signal.signal(signal.SIGINT, before)
    assert capsys.readouterr().err == "interrupted\n"
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_in_a_destructor_is_not_lost(number, code, capsys):
    class Destroyed:
        def __del__(self):
            os.kill(os.getpid(), number)

    def command():
        destroyed = Destroyed()
        del destroyed  # Python drops what is raised here
        time.sleep(10)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # tests in the background may ignore it
    hook = sys.unraisablehook
    try:
        assert run_command(command) == code
    finally:
        signal.signal(signal.SIGINT, before)
    assert capsys.readouterr().err == "interrupted\n" and sys.unraisablehook is hook


def test_what_somebody_does_about_sigterm_is_left_to_them():
    received = []
    previous = signal.signal(signal.SIGTERM, lambda *_: received.append(True))
    try:
        assert run_command(lambda: os.kill(os.getpid(), signal.SIGTERM)) == 0
    finally:
        signal.signal(signal.SIGTERM, previous)
    assert received


def test_a_command_runs_in_any_thread():
    codes = []
    thread = threading.Thread(target=lambda: codes.append(run_command(lambda: 0)))
    thread.start()
    thread.join()
    assert codes == [0]
