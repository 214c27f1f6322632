import json
import math

import pytest

from dataset_tools.errors import UserError
from polymask.evaluation.coco import COCOS_AP
from polymask.evaluation.results import read_results, results_table, write_results

RESULTS = {"x_test": {"bbox": {"AP": 50.25, "AP-a": math.nan}, "segm": {"AP": 40.0, "AP-a": 40.0}}}


def test_results_are_valid_json_with_null_for_what_is_not_defined(tmp_path):
    write_results(tmp_path / "results.json", RESULTS)

    def refuse(constant):
        raise ValueError(f"{constant} is not JSON")

    read = json.loads((tmp_path / "results.json").read_text(), parse_constant=refuse)
    assert read == {"x_test": {"bbox": {"AP": 50.25, "AP-a": None}, "segm": {"AP": 40.0, "AP-a": 40.0}}}


def test_what_is_written_is_read(tmp_path):
    write_results(tmp_path / "results.json", RESULTS)
    assert results_table(read_results(tmp_path / "results.json")) == results_table(RESULTS)


@pytest.mark.parametrize("content", ["", "[]", '{"x": 1}', '{"x": {"segm": {"AP": "high"}}}', "[" * 100_000])
def test_other_files_are_no_results(tmp_path, content):
    (tmp_path / "results.json").write_text(content)
    with pytest.raises(UserError, match="results.json"):
        read_results(tmp_path / "results.json")


def test_results_keep_every_digit(tmp_path):
    value = 100 / 3
    write_results(tmp_path / "results.json", {"d": {"segm": {"AP": value}}})
    assert json.loads((tmp_path / "results.json").read_text())["d"]["segm"]["AP"] == value


def test_table_has_a_row_for_each_task():
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in results_table(RESULTS).splitlines()]
    assert rows[0] == ["dataset", "task", "AP", "AP-a"]
    assert rows[2:] == [["x_test", "bbox", "50.2", "-"], ["x_test", "segm", "40.0", "40.0"]]


def test_cocos_own_ap_is_explained_where_it_is_another():
    assert "100 of a photo and class" not in results_table(RESULTS)
    table = results_table({"x_test": {"segm": {"AP": 100.0, COCOS_AP: 66.3}}})
    assert "66.3" in table and f"{COCOS_AP} is COCO's own AP, which counts 100 of a photo and class" in table


def test_names_do_not_break_the_table():
    table = results_table({"x\n_test": {"bbox": {"AP": 50.25, "AP-\x1b[2J\n": 1.0}}})
    assert [line for line in table.splitlines() if not line.isprintable()] == []
    assert len(table.splitlines()) == 3 and r"AP-\x1b[2J\n" in table and r"x\n_test" in table
