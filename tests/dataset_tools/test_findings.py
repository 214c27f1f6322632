"""The table of rules."""

import re

from dataset_tools.findings import BadData, Rule


def test_codes_are_unique_and_in_order():
    codes = [rule.code for rule in Rule]
    assert codes == sorted(set(codes))
    assert all(re.fullmatch(r"LM\d{3}", code) for code in codes)


def test_every_rule_says_what_to_do():
    for rule in Rule:
        assert rule.title and rule.remedy and not rule.remedy.endswith(".")


def test_bad_data_is_exit_code_1():
    assert BadData("one file has errors", [], remedy="Correct it").exit_code == 1
