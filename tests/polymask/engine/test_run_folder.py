import os
import subprocess
import sys

import pytest

from dataset_tools.errors import UserError
from polymask.engine.run_folder import check_no_links, lock_folder

# A run with a worker, which lives until nobody holds its standard input any more.
HOLD = """
import os, sys
from pathlib import Path
from polymask.engine.run_folder import lock_folder

lock_folder(Path(sys.argv[1]))
if os.fork():
    print("locked", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("way", ["link", "dangling link", "pipe"])
@pytest.mark.parametrize(
    "name", ["run.lock", "log.txt", "log.txt.rank1", "metrics.json", "events.out.tfevents.17.lab.1.0", "inference", "pictures",
             "inference/a_test", "inference/a_test/instances_predictions.pth", "wandb"],
)  # fmt: skip
def test_what_a_run_writes_in_place_is_not_a_way_out_of_its_folder(tmp_path, name, way):
    run, path = tmp_path / "run", tmp_path / "run" / name
    path.parent.mkdir(parents=True)
    (run / "best.pth").symlink_to(tmp_path)  # no run writes there
    check_no_links(run)
    if way == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(tmp_path if way == "link" else tmp_path / "nowhere")
    with pytest.raises(UserError, match="link or a named pipe") as caught:
        check_no_links(run)
    assert caught.value.file == path


def test_a_folder_belongs_to_one_process_as_long_as_that_lives(tmp_path):
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "locked\n"
        with pytest.raises(UserError, match=rf"\bprocess {holder.pid} on ") as caught:
            lock_folder(tmp_path)
        assert caught.value.file == tmp_path
        holder.kill()
        holder.wait()
        lock_folder(tmp_path)  # although its worker lives
        lock_folder(tmp_path)
        holder.stdin.close()
