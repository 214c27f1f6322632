"""The table of rules."""

import re
from pathlib import Path

from dataset_tools.findings import BadData, Rule
from docs import findings


def test_codes_are_unique_and_in_order():
    codes = [rule.code for rule in Rule]
    assert codes == sorted(set(codes))
    assert all(re.fullmatch(r"LM\d{3}", code) for code in codes)


def test_every_rule_says_what_to_do():
    for rule in Rule:
        assert rule.title and rule.remedy and not rule.remedy.endswith(".")


def test_bad_data_is_exit_code_1():
    assert BadData("one file has errors", [], remedy="Correct it").exit_code == 1


def test_the_page_in_the_docs_is_current():
    assert findings.PAGE.read_text(encoding="utf-8") == findings.page(), "run python -m docs.findings"


def test_the_page_names_every_rule_once():
    assert re.findall(r"^\| (LM\d{3}) ", findings.page(), re.MULTILINE) == [rule.code for rule in Rule]


def test_every_rule_is_used():
    """A code that nothing finds any more must go from the table, too."""
    room = Path(__file__).parents[2] / "dataset_tools"
    source = "".join(path.read_text(encoding="utf-8") for path in room.rglob("*.py") if path.name != "findings.py")
    assert [rule.name for rule in Rule if not re.search(rf"Rule\.{rule.name}\b", source)] == []
