"""Broken files end in a dataset or in a finding; ``python -m tests.fuzz`` tries many more of them."""

import ctypes
import json
import random
import time

import pytest

from dataset_tools.dataset.convert import ConvertOptions, convert
from dataset_tools.findings import BadData
from tests.fuzz import checks, mutations
from tests.fuzz.checks import Verdict, check_case, check_numbers
from tests.fuzz.mutations import broken_case
from tests.fuzz.valid_cases import SECRET, Case, valid_cases

MUTATIONS = 200


def test_mutations(tmp_path):
    verdicts = list(check_numbers(range(MUTATIONS), tmp_path))
    faults = [str(verdict) for verdict in verdicts if verdict.fault]
    assert not faults, "\n\n".join(faults)
    outcomes = [verdict.outcome for verdict in verdicts]
    assert len(outcomes) == MUTATIONS and min(map(outcomes.count, ("converted", "refused"))) > MUTATIONS / 4
    assert len(set().union(*(verdict.codes for verdict in verdicts))) > 20  # mutations get behind the JSON


def test_several_processes_give_the_same(tmp_path):
    for number in range(150):
        checks.lay_out(broken_case(number), tmp_path / "all" / f"{number}")
    made = {}
    for jobs in (1, 2):
        output = tmp_path / "dataset"
        options = ConvertOptions(source=tmp_path / "all", output=output, jobs=jobs, skip_bad=True, overwrite=True)
        found = convert(options).findings
        files = sorted(path for path in output.rglob("*") if path.is_file())
        made[jobs] = found, [(path.relative_to(output), path.read_bytes()) for path in files]
    assert made[1] == made[2]
    assert len(made[1][0]) > 150


@pytest.mark.parametrize("number", range(len(valid_cases())))
def test_valid_cases_are_converted(number, tmp_path):
    assert check_case(number, valid_cases()[number], tmp_path / "case").outcome == "converted"


def test_same_number_same_file():
    assert broken_case(7) == broken_case(7) != broken_case(8)


@pytest.mark.parametrize("change", dict.fromkeys(mutations.TREE_CHANGES), ids=lambda change: change.__name__)
def test_every_change_changes_a_valid_file(change):
    tree = json.loads(valid_cases()[2].content)
    before = json.dumps(tree)
    for number in range(5):
        change(random.Random(number), tree := json.loads(before))
        if json.dumps(tree) != before:
            return
    pytest.fail("nothing changed")


# About its only shape the converter has no finding.
ONE_SQUARE = Case("a.json", json.dumps(checks.WHOLE | {"imagePath": "a.jpg"}).encode(), valid_cases()[0].photos)


def _raise(options):
    raise ZeroDivisionError


def _take_too_long(options):
    end = time.process_time() + checks.SECONDS + 0.5
    while time.process_time() < end:
        pass


def _refuse_without_a_finding(options):
    raise BadData("no", [], remedy="none")


def _read_the_secret_photo(options):
    (options.source.parent / SECRET).read_bytes()


def _change_the_source(options):
    (options.source / "a.json").write_text("{}")


def _leave_a_file(options):
    (options.output.parent / "x.part").touch()
    return convert(options)


def _lose_an_instance(options):
    converted, file = convert(options), options.output / "train.json"
    content = json.loads(file.read_text())
    file.write_text(json.dumps(content | {"annotations": content["annotations"][1:]}))
    return converted


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (_raise, "ZeroDivisionError"),
        (_take_too_long, "it took"),
        (_refuse_without_a_finding, "without an error"),
        (_read_the_secret_photo, "secret"),
        (_change_the_source, "a.json"),
        (_leave_a_file, "x.part"),
        (_lose_an_instance, "no finding"),
    ],
)
def test_wrong_conversions_are_seen(wrong, said, tmp_path, monkeypatch):
    monkeypatch.setattr(checks, "convert", wrong)
    assert said in check_case(0, ONE_SQUARE, tmp_path / "case").fault


def _crash(number, folder):
    if number == 1:
        ctypes.string_at(0)
    return Verdict(number)


def _hang(number, folder):
    if number == 1:
        ctypes.PyDLL(None).sleep(600)  # as code in C does that does not let go of Python
    return Verdict(number)


@pytest.mark.parametrize("check", [_crash, _hang])
def test_a_crash_and_a_hang_are_found_and_the_rest_goes_on(check, tmp_path):
    found = list(check_numbers(range(3), tmp_path, check, patience=1))
    assert [(verdict.number, bool(verdict.fault)) for verdict in found] == [(0, False), (1, True), (2, False)]
