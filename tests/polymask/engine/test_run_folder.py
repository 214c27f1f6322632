import os

import pytest

from dataset_tools.errors import UserError
from polymask.engine.run_folder import check_no_links


@pytest.mark.parametrize("way", ["link", "dangling link", "pipe"])
@pytest.mark.parametrize(
    "name", ["log.txt", "log.txt.rank1", "metrics.json", "events.out.tfevents.17.lab.1.0", "inference", "pictures",
             "inference/a_test", "inference/a_test/instances_predictions.pth"],
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
