"""Work shared out among processes comes back whole and in order."""

import os
import signal
import subprocess
import sys

import pytest

from dataset_tools.errors import UserError
from dataset_tools.parallel import in_order


def _square(state, number):
    return state + number**2


def _process(state, number):
    return os.getpid()


def _dies(state, number):
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("jobs", [1, 2, 3, 16])
@pytest.mark.parametrize("count", [0, 1, 24, 25, 500])
def test_results_in_order(count, jobs):
    assert list(in_order(_square, 7, range(count), jobs, "", "")) == [7 + number**2 for number in range(count)]


def test_a_process_is_worth_it_for_many_items_only():
    assert set(in_order(_process, None, range(24), 4, "", "")) == {os.getpid()}
    assert os.getpid() not in in_order(_process, None, range(25), 2, "", "")


def test_a_process_that_is_killed_is_no_reason_to_wait():
    with pytest.raises(UserError, match="ended.*--jobs"):
        list(in_order(_dies, None, range(100), 2, "", ""))


def test_a_signal_that_comes_while_processes_are_begun_is_heard():
    """Python drops what a signal's handler raises in the middle of a fork."""
    code = (
        "import os, signal, sys\n"
        "from dataset_tools.errors import run_command\n"
        "from dataset_tools.parallel import in_order\n"
        "os.register_at_fork(before=lambda: os.kill(os.getpid(), signal.SIGTERM))\n"
        "work = lambda state, number: number\n"
        "sys.exit(run_command(lambda: print(len(list(in_order(work, None, range(100), 2, '', ''))))))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (143, "", "interrupted\n")


def test_no_process_outlives_the_first():
    """All of them hold the other end of the pipe, which ends with the last."""
    code = (
        "import os, time\n"
        "from dataset_tools.parallel import in_order\n"
        "work = lambda state, number: os.write(1, b'%d\\n' % os.getpid()) and time.sleep(600)\n"
        "list(in_order(work, None, range(100), 2, '', ''))\n"
    )
    first = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert len({first.stdout.readline() for _ in range(2)}) == 2
    first.kill()
    first.communicate(timeout=120)
