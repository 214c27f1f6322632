"""The commands as a user types them: exit codes, what is said where, and never a traceback."""

import subprocess
import sys
from operator import attrgetter
from pathlib import Path

import pytest

import dataset_tools.dataset.scan
import dataset_tools.to_labelme.from_dataset
from dataset_tools.__main__ import main

PROJECT = Path(__file__).resolve().parents[2]


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "dataset_tools", *map(str, arguments)],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=600,
    )


def test_convert_and_preview(folder, square, tmp_path):
    for index in range(10):
        folder.pair(f"{index}", [square(), square("bus", left=30)], seed=index)
    done = run("convert", folder.root, "--output", folder.dataset, "--classes", "car,bus", "--split", 0.5, 0.25, 0.25)
    assert (done.returncode, done.stderr) == (0, "")
    assert "10 images, 20 instances" in done.stdout
    for name in ("mini_scratch", "mask_rcnn_R_18_FPN"):
        assert f"train_net.py --config-file configs/{name}.yaml DATASETS.ROOT {folder.dataset}" in done.stdout
    drawn = run("preview", folder.dataset, "--output", tmp_path / "out", "--max", 1)
    assert (drawn.returncode, drawn.stderr) == (0, "")
    assert (tmp_path / "out" / "preview.png").is_file()


def test_bad_data(folder, square, capsys):
    folder.pair("a", [square("cra")])
    folder.pair("b", [square("car")], seed=1)
    arguments = ["convert", str(folder.root), "--output", str(folder.dataset), "--classes", "car"]
    assert main(arguments) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "error LM052" in said.err and "a.json, shapes[0]: 'cra': did you mean 'car'?" in said.err
    assert "--skip-bad" in said.err.splitlines()[-1]
    assert main([*arguments, "--skip-bad"]) == 0
    assert "left out: 1 file with errors" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["convert"],
        ["convert", "nowhere"],
        ["convert", "nowhere", "--output", "x"],
        ["convert", ".", "--output", "x", "--split", "1", "1"],
        ["convert", ".", "--output", "x", "--split", "1", "1", "1"],
        ["convert", ".", "--output", "x", "--classes", "gone.txt"],
        ["preview", "nowhere", "--output", "x"],
        ["sing"],
    ],
)
def test_wrong_usage(arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    try:
        code = main(arguments)
    except SystemExit as error:  # argparse's own way out
        code = error.code
    assert code == 2
    assert "error: " in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_interruption(folder, square, monkeypatch, capsys):
    folder.pair("a", [square()])

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("dataset_tools.dataset.write.encode_card", interrupt)
    assert main(["convert", str(folder.root), "--output", str(folder.dataset)]) == 130
    assert capsys.readouterr().err == "interrupted\n"
    assert [path.name for path in folder.root.parent.iterdir()] == ["photos"]


@pytest.mark.parametrize("command", ["convert", "adopt", "masks", "preview", "stats", "to-labelme", "preview sheet"])
def test_what_somebody_saves_during_a_command_is_kept(folder, square, command, tmp_path, monkeypatch, capsys):
    """Between the look at the output and its swap, which may be minutes apart."""
    folder.pair("a", [square()])
    folder.convert()
    output = tmp_path / ("out.png" if command == "preview sheet" else "out")
    saved = output if command == "preview sheet" else output / "saved"

    def save_and_read(*arguments):
        saved.parent.mkdir(exist_ok=True)
        saved.write_text("work of minutes")
        return read(*arguments)

    place = "to_labelme.from_dataset.read_split" if command == "to-labelme" else "dataset.scan._read_keys"
    read = attrgetter(place)(dataset_tools)
    monkeypatch.setattr(f"dataset_tools.{place}", save_and_read)
    source = folder.root if command == "convert" else folder.dataset
    overwrite = ["--overwrite"] if command in ("convert", "adopt") else []
    assert main([command.split()[0], str(source), "--output", str(output), *overwrite]) == 2
    assert str(output) in capsys.readouterr().err
    assert saved.read_text() == "work of minutes"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dataset", output.name, "photos"]


def test_output_that_cannot_be_made(folder, square, capsys):
    folder.pair("a", [square()])
    assert main(["convert", str(folder.root), "--output", str(folder.root / "a.jpg" / "dataset")]) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_labels_cannot_steer_the_terminal(folder, square):
    folder.pair("a", [square(" \x1b[2Jcar")])
    done = run("convert", folder.root, "--output", folder.dataset)
    assert "\x1b" not in done.stdout + done.stderr


@pytest.mark.parametrize("command", ["check", "stats", "preview", "masks"])
def test_a_table_of_boxes_can_be_looked_at_as_the_help_says(folder, command, tmp_path, capsys):
    folder.photo("a.jpg")
    (folder.root / "boxes.csv").write_text("car,8,8,16,16,a.jpg,64,48\n")
    output = ["--output", str(tmp_path / "out")] if command in ("preview", "masks") else []
    assert main([command, str(folder.root / "boxes.csv"), *output]) == 0
    with pytest.raises(SystemExit):
        main([command, "--help"])
    assert "or a CSV file" in " ".join(capsys.readouterr().out.split())


def test_a_conversion_that_is_terminated_leaves_nothing(folder, square):
    for index in range(30):  # enough for two processes
        folder.pair(str(index), [square()], seed=index)
    code = (
        "import os, sys, time\n"
        "from dataset_tools.dataset import write\n"
        "from dataset_tools.__main__ import main\n"
        "write._write_photo = lambda state, copy: os.write(1, b'writing\\n') and time.sleep(1)\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    command = ["convert", str(folder.root), "--output", str(folder.dataset), "--images", "copy", "--jobs", "2"]
    process = subprocess.Popen([sys.executable, "-c", code, *command], cwd=PROJECT, stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"writing\n"
    process.terminate()
    process.communicate(timeout=120)  # ends with the last process that holds the other end
    assert process.returncode == 143
    assert [path.name for path in folder.root.parent.iterdir()] == ["photos"]


def test_help_loads_nothing():
    """Everything heavy is imported by the command that needs it."""
    code = "import sys\nfrom dataset_tools.__main__ import _parser\n_parser().format_help()\nprint(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"numpy", "PIL", "shapely", "msgspec", "torch", "detectron2"} & set(loaded)


def test_conversion_loads_neither_torch_nor_detectron2():
    names = ("dataset.convert", "view.preview", "commands.conversion", "instances.labels")
    modules = ", ".join(f"dataset_tools.{name}" for name in names)
    code = f"import sys, {modules}\nprint(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert "dataset_tools.dataset.convert" in loaded
    assert not {"torch", "detectron2", "labelme", "cv2", "matplotlib"} & set(loaded)
