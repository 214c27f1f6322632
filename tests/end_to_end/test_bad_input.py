"""Wrong usage ends with exit code 2, bad data with 1; the message names what and where, and is never a traceback."""

import shutil

import pytest

CONVERT = "python -m dataset_tools convert"
MINI = "python train_net.py --config-file configs/mini_scratch.yaml"


@pytest.fixture(scope="module")
def dataset(run, checkout):
    run(f"{CONVERT} data/sample --output datasets/bad_input")
    return "datasets/bad_input"


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (f"{CONVERT} nowhere --output datasets/x", "nowhere"),
        (f"{CONVERT} configs --output datasets/x", "configs"),
        (f"{MINI} DATASETS.ROOT nowhere", "nowhere"),
        (f"{MINI} DATASETS.ROOT data/sample", "dataset folder"),
        (MINI, "DATASETS.ROOT"),
        (f"{MINI} DATASETS.ROOT x SOLVER.BASE_RL 1", "SOLVER.BASE_LR"),
        ("python train_net.py --config-file nowhere.yaml", "nowhere.yaml"),
        (f"{MINI} --num-gpus 99", "--num-gpus"),
        (
            "python demo.py --config-file configs/mini_scratch.yaml --input data/sample/test --output x --opts MODEL.WEIGHTS x.pth",
            "config.yaml",
        ),
        ("python demo.py --config-file configs/mini_scratch.yaml --input nowhere.jpg --output x", "nowhere.jpg"),
        ("python -m polymask compare nowhere", "nowhere"),
    ],
)
def test_wrong_usage(run, checkout, command, words):
    before = set(checkout.rglob("*"))
    done = run(command, expect=2)
    assert done.stderr.count("error:") == 1 and words in done.stderr
    assert {path for path in set(checkout.rglob("*")) - before if "__pycache__" not in path.parts} == set()


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ("MODEL.ROI_HEADS.NUM_CLASSES 5", "NUM_CLASSES"),
        ("MODEL.WEIGHTS nowhere.pth", "nowhere.pth"),
        ("MODEL.WEIGHTS README.md", "README.md"),
        ("SOLVER.BASE_LR 0", "BASE_LR"),
        ("SOLVER.IMS_PER_BATCH 500", "260"),
        ("INPUT.COLOR_JITTER 3", "INPUT.COLOR_JITTER"),
        ("SOLVER.STEP_SHARES '(0.5,)'", "SOLVER.STEPS"),
    ],
)
def test_a_contradiction_ends_before_training(run, dataset, overrides, words):
    done = run(f"{MINI} DATASETS.ROOT {dataset} OUTPUT_DIR output/never {overrides}", expect=2)
    assert words in done.stderr
    assert "Starting training" not in done.stdout


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda folder: (folder / "a.json").write_text("{"), "a.json"),
        (lambda folder: next(folder.glob("*.jpg")).unlink(), "scene_"),
        (
            lambda folder: [path.unlink() for path in folder.glob("*.json")] and (folder / "a.json").write_text("[]"),
            "a.json",
        ),
    ],
    ids=["malformed JSON", "photo missing", "nothing left"],
)
def test_bad_data_writes_nothing(run, checkout, tmp_path, damage, words):
    folder = tmp_path / "photos"
    folder.mkdir()
    for path in sorted((checkout / "data/sample/train").iterdir())[:4]:
        shutil.copy(path, folder)
    damage(folder)
    done = run(f"{CONVERT} {folder} --output {tmp_path / 'dataset'}", expect=1)
    assert words in done.stdout + done.stderr
    assert not (tmp_path / "dataset").exists()


def test_an_unknown_label_is_a_data_error(run, tmp_path):
    done = run(f"{CONVERT} data/sample --output {tmp_path / 'dataset'} --classes Cars,'Sign Board'", expect=1)
    assert "'Car'" in done.stdout + done.stderr and "'Cars'" in done.stdout + done.stderr
    assert not (tmp_path / "dataset").exists()
