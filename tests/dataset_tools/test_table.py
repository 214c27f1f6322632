import csv

from dataset_tools.table import write_table


def test_numbers_stay_numbers_and_text_is_no_formula(tmp_path):
    write_table(tmp_path / "a.csv", ("name", "value"), [("=1+1", -2.5), ("a,b", 3), ("@x\n", "-1"), ("ä", "")])
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows == [["name", "value"], ["'=1+1", "-2.5"], ["a,b", "3"], ["'@x\n", "'-1"], ["ä", ""]]
