"""Spoilt files end in a dataset or in a finding; the long run is ``python -m benchmarks.fuzz``."""

import ctypes
import json
import time

import pytest

from benchmarks import fuzz
from benchmarks.fuzz import Verdict, judge_case, verdicts
from benchmarks.mutations import SECRET, case, unspoilt
from dataset_tools.dataset.convert import ConvertOptions, convert
from dataset_tools.findings import BadData

MUTATIONS = 500


def test_mutations(tmp_path):
    found = list(verdicts(range(MUTATIONS), tmp_path))
    faults = [str(verdict) for verdict in found if verdict.fault]
    assert not faults, "python -m benchmarks.fuzz --only NUMBER repeats one:\n" + "\n\n".join(faults)
    outcomes = [verdict.outcome for verdict in found]
    assert len(outcomes) == MUTATIONS and min(map(outcomes.count, ("converted", "refused"))) > MUTATIONS / 4
    assert len(set().union(*(verdict.codes for verdict in found))) > 20  # mutations get behind the JSON


def test_several_processes_come_to_the_same(tmp_path):
    for number in range(150):
        fuzz.lay_out(case(number), tmp_path / "all" / f"{number}")
    made = {}
    for jobs in (1, 2):
        output = tmp_path / f"{jobs}" / "dataset"
        found = convert(ConvertOptions(source=tmp_path / "all", output=output, jobs=jobs, skip_bad=True)).findings
        files = sorted(path for path in output.rglob("*") if path.is_file())
        made[jobs] = found, [(path.relative_to(output), path.read_bytes()) for path in files]
    assert made[1] == made[2]
    assert len(made[1][0]) > 150


@pytest.mark.parametrize("number", range(len(list(unspoilt()))))
def test_what_is_spoilt_was_whole(number, tmp_path):
    assert judge_case(number, list(unspoilt())[number], tmp_path / "case").outcome == "converted"


def test_same_number_same_file():
    assert case(7) == case(7) != case(8)


# Without a shape that a finding speaks of.
_WHOLE = next(whole for whole in unspoilt() if len(json.loads(whole.content)["shapes"]) == 1)


def _raises(options):
    raise ZeroDivisionError


def _takes_its_time(options):
    end = time.process_time() + fuzz.SECONDS + 0.5
    while time.process_time() < end:
        pass


def _refuses_without_a_reason(options):
    raise BadData("no", [], remedy="none")


def _looks_outside(options):
    (options.source.parent / SECRET).read_bytes()


def _changes_the_source(options):
    (options.source / "a.json").write_text("{}")


def _leaves_something(options):
    (options.output.parent / "x.part").touch()
    return convert(options)


def _loses_an_instance(options):
    converted, file = convert(options), options.output / "train.json"
    content = json.loads(file.read_text())
    file.write_text(json.dumps(content | {"annotations": content["annotations"][1:]}))
    return converted


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (_raises, "ZeroDivisionError"),
        (_takes_its_time, "it took"),
        (_refuses_without_a_reason, "without an error"),
        (_looks_outside, "outside was read"),
        (_changes_the_source, "a.json"),
        (_leaves_something, "x.part"),
        (_loses_an_instance, "were drawn"),
    ],
)
def test_what_a_conversion_must_not_do_is_seen(wrong, said, tmp_path, monkeypatch):
    monkeypatch.setattr(fuzz, "convert", wrong)
    assert said in judge_case(0, _WHOLE, tmp_path / "case").fault


def _crash(number, folder):
    if number == 1:
        ctypes.string_at(0)
    return Verdict(number)


def _hang(number, folder):
    if number == 1:
        ctypes.PyDLL(None).sleep(600)  # as code in C does that does not let go of Python
    return Verdict(number)


@pytest.mark.parametrize(("judge", "said"), [(_crash, "Segmentation fault"), (_hang, "Timeout")])
def test_a_crash_and_a_hang_are_pinned_on_their_case_and_the_rest_goes_on(judge, said, tmp_path):
    found = list(verdicts(range(3), tmp_path, judge, patience=1))
    assert [verdict.number for verdict in found] == [0, 1, 2]
    assert [said in verdict.fault for verdict in found] == [False, True, False]
