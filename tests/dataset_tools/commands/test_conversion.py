"""What is said on the terminal: nothing is cut in silence, and nothing can steer it."""

import json
import shlex
import sys

import numpy as np
import pytest

from dataset_tools.__main__ import main
from dataset_tools.commands.conversion import summarise
from dataset_tools.commands.reporting import PLACES_SHOWN, report
from dataset_tools.dataset.scan import ReadOptions
from dataset_tools.findings import Finding, Rule
from dataset_tools.sources.open import open_source
from dataset_tools.text import LONGEST_LINE
from dataset_tools.view.stats import count, table


def test_report_groups_counts_and_says_what_it_leaves_out():
    findings = [Finding(Rule.SPACE_AROUND_LABEL, "b.json", "shapes[0]", "'a '")]
    findings += [Finding(Rule.EMPTY_LABEL, f"{index:02}.json", "shapes[1]") for index in range(PLACES_SHOWN + 12)]
    text = report(findings)
    assert text.index("error LM050") < text.index("warning LM051")
    assert f"({PLACES_SHOWN + 12})" in text and "and 12 more" in text
    assert text.count("shapes[1]") == PLACES_SHOWN
    assert "    b.json, shapes[0]: 'a '" in text.splitlines()


def test_report_cuts_nothing_that_fits():
    text = report([Finding(Rule.EMPTY_LABEL, f"{index}.json") for index in range(PLACES_SHOWN)])
    assert "more" not in text and all(f"{index}.json" in text for index in range(PLACES_SHOWN))


def test_report_is_safe_to_print():
    text = report([Finding(Rule.BAD_FILE_NAME, "a\udcff\x1b[31m\n.json")])
    assert text.encode() and "\x1b" not in text
    assert "    a\\udcff\\x1b[31m\\n.json" in text.splitlines()


def test_summary(folder, square):
    for name, label in [("train/a", "car"), ("train/b", "bus"), ("val/c", "car")]:
        folder.pair(name, [square(label), square(label, left=30)], seed=ord(name[-1]))
    text = summarise(folder.convert(), folder.dataset)
    lines = [line.split() for line in text.splitlines()]
    assert text.startswith(f"dataset: 3 images, 6 instances, 2 classes in {folder.dataset}")
    assert ["train", "val", "test"] in lines
    assert ["images", "2", "1", "0"] in lines and ["instances", "4", "2", "0"] in lines
    assert ["bus", "2", "0", "0"] in lines and ["car", "2", "2", "0"] in lines
    assert text.endswith(f"DATASETS.ROOT {folder.dataset}")


@pytest.mark.parametrize(
    ("interpreter", "typed"), [(".venv/bin/python", ".venv/bin/python"), ("/usr/bin/python3", "python")]
)
def test_the_next_command_runs_in_the_same_environment(folder, square, monkeypatch, interpreter, typed):
    folder.pair("train/a", [square("car")])
    monkeypatch.chdir(folder.root)
    monkeypatch.setattr(sys, "executable", str(folder.root / interpreter))
    assert f"    {typed} train_net.py --config-file" in summarise(folder.convert(), folder.dataset)


def test_the_next_command_can_be_pasted(folder, square):
    folder.pair("train/a", [square("car")])
    output = folder.root / "it's; a set"
    command = summarise(folder.convert(output=output, name="set"), output).splitlines()[-1]
    assert shlex.split(command)[-2:] == ["DATASETS.ROOT", str(output)]


def test_a_label_of_megabytes_is_shortened(folder, square):
    folder.pair("train/a", [square("car" * 1_000_000), square("bus" * 1_000_000)])
    converted = folder.convert()
    assert len(summarise(converted, folder.dataset)) < 2000
    assert len(report(converted.findings)) < 20 * LONGEST_LINE
    assert len(table(count(open_source(folder.dataset), ReadOptions()).stats)) < 3000


def test_a_class_with_the_end_of_a_line_in_it_stays_on_its_line(folder, square):
    folder.pair("train/a", [square("bus\n"), square("car", left=30)])
    text = summarise(folder.convert(), folder.dataset)
    counted = count(open_source(folder.root), ReadOptions()).stats
    for lines in text.splitlines(), table(counted).splitlines():
        assert ["bus\\n", "1"] in [line.split()[:2] for line in lines]
        assert len({len(line) for line in lines if line.startswith(("  bus", "  car"))}) == 1


def test_a_file_with_the_end_of_a_line_in_its_name_stays_on_its_line(folder, mask_shape, tmp_path, capsys):
    ragged = np.random.default_rng(0).random((40, 40)) > 0.5
    folder.pair("a\nforged", [mask_shape("car", ragged)])
    folder.convert()
    assert main(["to-labelme", str(folder.dataset), "--output", str(tmp_path / "out"), "--shapes", "polygon"]) == 0
    said = capsys.readouterr().out
    assert r"a\nforged.json" in said and not [line for line in said.splitlines() if line.startswith("forged")]


def test_statistics_as_json_cannot_steer_a_terminal(folder, square, capsys):
    folder.pair("a", [square("car\u009b2J")])
    assert main(["stats", str(folder.root), "--format", "json"]) == 0
    said = capsys.readouterr().out
    assert said.isascii() and json.loads(said)["splits"]["all"]["instances"] == {"car\u009b2J": 1}
