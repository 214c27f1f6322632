import json
import math
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace

import pytest
from detectron2.utils import comm

import train_net
from dataset_tools.errors import UserError
from polymask.engine.hooks.finite_loss import FiniteLoss
from polymask.engine.hooks.history import HISTORY_NAME, read_history
from polymask.engine.hooks.interruption import Interruption
from polymask.engine.launch import launch, launch_each
from tests.polymask.conftest import TINY
from tests.polymask.engine.processes import NOT_GIVEN, two_processes

ROOT = Path(train_net.__file__).parent


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"num_gpus": 0}, "--num-gpus is 0"),
        ({"num_gpus": 1000}, "--num-gpus is 1000"),
        ({"num_machines": 2}, "--dist-url"),
        ({"num_machines": 2, "machine_rank": 2}, "--machine-rank is 2"),
        ({"machine_rank": -1}, "--machine-rank is -1"),
    ],
)
def test_impossible_flags(flags, words):
    with pytest.raises(UserError, match=words):
        launch(fail_in_one, Namespace(**NOT_GIVEN | flags))


def fail_in_one(args):
    """An error in one process, while the other waits for it; and when that is in vain, saves something for a second."""
    if comm.get_rank() == args.rank:
        args.fail()
    try:
        comm.synchronize()
    finally:
        time.sleep(1)
        (args.folder / "saved").touch()


def be_killed():
    os.kill(os.getpid(), signal.SIGKILL)


def fail_in_words():
    raise UserError("this photo is broken", file="a.jpg", remedy="Replace it", exit_code=1)


@two_processes
def test_the_error_of_one_process_ends_all_in_good_order(tmp_path):
    with pytest.raises(UserError, match=r"a\.jpg: this photo is broken") as error:
        launch(fail_in_one, Namespace(**NOT_GIVEN | {"num_gpus": 2}, rank=1, fail=fail_in_words, folder=tmp_path))
    assert error.value.exit_code == 1
    assert (tmp_path / "saved").exists()


@two_processes
def test_the_sudden_end_of_a_process_has_words(tmp_path):
    with pytest.raises(UserError, match="SIGKILL") as error:
        launch(fail_in_one, Namespace(**NOT_GIVEN | {"num_gpus": 2}, rank=0, fail=be_killed, folder=tmp_path))
    assert error.value.exit_code == 137


def hear_bad_news_in_one(args):
    """What two hooks make of a loss, and of a signal, of the second process alone; saved as ``<rank>.json``."""
    rank = comm.get_rank()
    loss = math.nan if rank == 1 else 1.0
    trainer = SimpleNamespace(
        iter=4,
        max_iter=9,
        cfg=SimpleNamespace(OUTPUT_DIR=str(args.folder)),
        losses={"loss_mask": loss},
        batch=[{"file_name": f"{rank}.jpg"}],
        has_finite_gradients=lambda: True,
    )
    checkpoints = SimpleNamespace(save=lambda: (args.folder / f"{rank} saved").touch())
    guard, interruption = FiniteLoss(), Interruption(checkpoints)
    guard.trainer = interruption.trainer = trainer
    with pytest.raises(UserError) as refused:
        guard.after_backward()
    interruption.before_train()
    if rank == 1:
        os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(SystemExit) as ended:
        interruption.after_step()
    (args.folder / f"{rank}.json").write_text(json.dumps([str(refused.value), ended.value.code]))


@two_processes
def test_bad_news_of_one_process_ends_all(tmp_path):
    """One that went on alone would wait for the others for ever."""
    launch(hear_bad_news_in_one, Namespace(**NOT_GIVEN | {"num_gpus": 2}, folder=tmp_path))
    for rank in (0, 1):
        words, code = json.loads((tmp_path / f"{rank}.json").read_text())
        assert "loss_mask became NaN or infinite in iteration 4" in words and code == 128 + signal.SIGTERM
        assert (tmp_path / f"{rank} saved").exists()
    report = json.loads((tmp_path / "non_finite_loss.json").read_text())
    assert [process["photos"] for process in report["processes"]] == [["0.jpg"], ["1.jpg"]]


def answer_signals(command_line):
    """Writes down its command line, and the signal that ends it; the one named ``fails`` ends in an error."""
    folder, name = Path(command_line[0]), command_line[1]

    def end(number, _frame):
        (folder / f"{name} {number}").touch()
        sys.exit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    (folder / name).write_text(" ".join(sys.argv[1:]))
    if name == "fails":
        while not (folder / "waits").exists():
            time.sleep(0.05)
        fail_in_words()
    while name == "waits":
        time.sleep(0.05)


@two_processes
def test_the_first_error_ends_those_that_run_and_begins_no_other(tmp_path):
    command_lines = [[str(tmp_path), name] for name in ("waits", "fails", "comes later")]
    with pytest.raises(UserError, match="this photo is broken"):
        launch_each(answer_signals, command_lines, at_a_time=2)
    assert (tmp_path / "waits").read_text() == f"{tmp_path} waits"
    assert sorted(os.listdir(tmp_path)) == ["fails", "waits", f"waits {int(signal.SIGTERM)}"]


def test_a_signal_ends_the_one_that_runs_and_begins_no_other(tmp_path):
    def interrupt():
        while not (tmp_path / "waits").exists():
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    command_lines = [[str(tmp_path), name] for name in ("first", "waits", "comes later")]
    thread = threading.Thread(target=interrupt)
    thread.start()
    assert launch_each(answer_signals, command_lines, at_a_time=1) == 130
    thread.join()
    assert sorted(os.listdir(tmp_path)) == ["first", "waits", f"waits {int(signal.SIGINT)}"]


def begin(command, dataset, output, *overrides):
    """Starts ``command`` with a tiny configuration; one thread a process, on which the last digits depend."""
    common = ["--config-file", "configs/mini_scratch.yaml", "DATASETS.ROOT", str(dataset), "OUTPUT_DIR", str(output)]
    common += [*TINY, "DATASETS.TEST", "('tiny_train',)", "SOLVER.IMS_PER_BATCH", "2", "SOLVER.MAX_ITER", "3"]
    return subprocess.Popen(
        [sys.executable, *command, *common, *overrides],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def ended(process, expect=0):
    """Standard output and error of a process that has ended."""
    try:
        output, errors = process.communicate(timeout=600)
    finally:
        process.kill()
    assert process.returncode == expect, output + errors
    return output, errors


@pytest.fixture(scope="module")
def trained(tiny_dataset, tmp_path_factory):
    """The output folder of a training in two processes, with averaged weights."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    _, errors = ended(begin(["train_net.py", "--num-gpus", "2"], tiny_dataset, folder, "SOLVER.EMA_DECAY", "0.9"))
    assert errors.splitlines() == ["There is no GPU here: --num-gpus 2 starts 2 processes on the CPU."]
    return folder


@pytest.fixture(scope="module")
def evaluated(tiny_dataset, trained, tmp_path_factory):
    """The output folder of an evaluation of these weights in one process."""
    folder = tmp_path_factory.mktemp("evaluated") / "run"
    ended(begin(["train_net.py", "--eval-only"], tiny_dataset, folder, *weights_of(trained)))
    return folder


def weights_of(trained):
    return ["MODEL.WEIGHTS", str(trained / "model_final.pth")]


def detections(folder):
    return (folder / "inference/tiny_train/coco_instances_results.json").read_bytes()


@two_processes
def test_a_training_has_one_writer(trained):
    records = [json.loads(line) for line in (trained / "metrics.json").read_text().splitlines()]
    assert len({record["iteration"] for record in records}) == len(records)
    assert len(list(trained.glob("events.out.tfevents.*"))) == 1
    assert {path.name for path in trained.glob("log.txt*")} == {"log.txt", "log.txt.rank1"}


@two_processes
def test_the_processes_of_a_training_evaluate_what_is_saved(trained, evaluated):
    """One with other weights, or other statistics of BatchNorm, would find other boxes on its photos."""
    assert len(json.loads(detections(evaluated))) > 0
    assert detections(trained) == detections(evaluated)
    of_training, alone = (json.loads((folder / "results.json").read_text()) for folder in (trained, evaluated))
    assert of_training["tiny_train"] == alone["tiny_train"]


@two_processes
def test_torchrun_evaluates_as_one_process_does(tiny_dataset, trained, evaluated, tmp_path):
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    ended(begin([*torchrun, "train_net.py", "--eval-only"], tiny_dataset, tmp_path, *weights_of(trained)))
    assert detections(tmp_path) == detections(evaluated)
    assert (tmp_path / "results.json").read_bytes() == (evaluated / "results.json").read_bytes()


@two_processes
def test_two_machines_evaluate_as_one_process_does(tiny_dataset, trained, evaluated, tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
    command = ["train_net.py", "--eval-only", "--num-machines", "2", "--dist-url", url, "--machine-rank"]
    machines = [begin([*command, rank], tiny_dataset, tmp_path, *weights_of(trained)) for rank in ("0", "1")]
    for machine in machines:
        ended(machine)
    assert (tmp_path / "results.json").read_bytes() == (evaluated / "results.json").read_bytes()


@two_processes
def test_machines_that_do_not_share_their_checkpoints_are_told_so(tiny_dataset, trained, tmp_path):
    """Instead of waiting for each other: one would go on with iteration 4, the other start from the beginning."""
    shutil.copytree(trained, tmp_path / "0")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
    command = ["train_net.py", "--resume", "--num-machines", "2", "--dist-url", url, "--machine-rank"]
    longer = ("SOLVER.MAX_ITER", "9", "SOLVER.EMA_DECAY", "0.9")
    machines = [begin([*command, rank], tiny_dataset, tmp_path / rank, *longer) for rank in ("0", "1")]
    for machine in machines:
        _, errors = ended(machine, expect=2)
        assert "different iterations" in errors and "OUTPUT_DIR that all machines share" in errors


@two_processes
def test_ctrl_c_leaves_one_checkpoint(tiny_dataset, tmp_path):
    training = begin(["train_net.py", "--num-gpus", "2"], tiny_dataset, tmp_path, "SOLVER.MAX_ITER", "10000")
    history = tmp_path / HISTORY_NAME
    while training.poll() is None and not (history.exists() and history.stat().st_size):
        time.sleep(0.1)
    os.killpg(training.pid, signal.SIGINT)
    _, errors = ended(training, expect=130)
    assert "Traceback" not in errors and "error:" not in errors
    [state] = tmp_path.glob("model_*.pth")
    rows = read_history(history)[1]
    assert state.name == f"model_{len(rows) - 1:07d}.pth"


@two_processes
def test_an_error_of_all_processes_is_said_once(tiny_dataset, tmp_path):
    command = ["train_net.py", "--eval-only", "--num-gpus", "2"]
    output, errors = ended(begin(command, tiny_dataset, tmp_path, "MODEL.WEIGHTS", "nowhere.pth"), expect=2)
    assert (output + errors).count("error:") == 1 and "nowhere.pth" in errors
    assert "Traceback" not in errors


@two_processes
def test_torchrun_and_its_own_flags_contradict(tiny_dataset, tmp_path):
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    _, errors = ended(begin([*torchrun, "train_net.py", "--num-gpus", "2"], tiny_dataset, tmp_path), expect=1)
    assert errors.count("error: torchrun starts the processes, and --num-gpus would too") == 1
