import numpy as np
from PIL import Image

import train_net
from benchmarks.deployment.__main__ import rows_of
from benchmarks.deployment.programs import Job, Measured, measure, write_network
from tests.polymask.conftest import arguments_for, make_dataset


def test_a_network_is_measured_in_pytorch_and_onnxruntime(tmp_path):
    run = tmp_path / "run"
    overrides = ("SOLVER.MAX_ITER", "1", "TEST.EVAL_PERIOD", "0")
    dataset = make_dataset(tmp_path / "measured", train=2)
    train_net.main(train_net.parse_arguments(arguments_for(dataset, run, overrides=overrides)))
    photos = [tmp_path / f"{number}.png" for number in range(2)]
    for photo in photos:
        Image.fromarray(np.full((60, 80, 3), 128, dtype=np.uint8)).save(photo)
    job = Job(run, tmp_path / "model.onnx", size=64, longest=107, photos=photos, threads=1)
    write_network(job)
    for program in ("PyTorch", "onnxruntime"):
        found = measure(program, job)
        assert found.seconds > 0 and found.memory > 10


def test_ratios_are_taken_within_rounds():
    seconds = ({"PyTorch": 2.0, "onnxruntime": 1.0}, {"PyTorch": 9.0, "onnxruntime": 3.0})
    rounds = [{name: Measured(value, 100.4) for name, value in one.items()} for one in (*seconds, seconds[1])]
    first, second = rows_of("mini", rounds)
    assert first["PyTorch / program"] == 1 and second["PyTorch / program"] == 3
    assert (second["seconds a photo"], second["MiB"]) == (3, 100)
