"""Findings and counts as text, and what every command that reads annotations does with findings."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, TypeVar

from dataset_tools.errors import EXIT_DATA
from dataset_tools.findings import BadData, Finding, Rule, Severity
from dataset_tools.text import one_line, visible

# Places shown of one rule before "and N more": enough to see a pattern, few enough to keep the rules on one screen.
PLACES_SHOWN = 5


class _WithFindings(Protocol):
    @property
    def findings(self) -> Sequence[Finding]: ...


Done = TypeVar("Done", bound=_WithFindings)


def run_and_report(action: Callable[[], Done]) -> tuple[Done, int]:
    """Run an action and say on standard error what was found, also where that ends it; the second is the exit code."""
    try:
        done = action()
    except BadData as error:
        print(report(error.findings), file=sys.stderr)
        raise
    if done.findings:
        print(report(done.findings), file=sys.stderr)
    return done, EXIT_DATA if any(finding.is_error for finding in done.findings) else 0


def report(findings: Iterable[Finding], every_place: bool = False) -> str:
    """The findings as text: grouped by rule, errors first, with counts, a few places or all, and the remedy.

    The number of places that are not shown is always said.
    """
    return visible("\n".join(_describe_rule(rule, group, every_place) for rule, group in findings_by_rule(findings)))


def findings_by_rule(findings: Iterable[Finding]) -> list[tuple[Rule, list[Finding]]]:
    """The findings of each rule, the worst first."""
    groups: dict[Rule, list[Finding]] = {}
    for finding in findings:
        groups.setdefault(finding.rule, []).append(finding)
    severities = list(Severity)
    return sorted(groups.items(), key=lambda item: (severities.index(item[0].severity), item[0].code))


def _describe_rule(rule: Rule, group: list[Finding], every_place: bool) -> str:
    lines = [f"{rule.severity.value} {rule.code}: {rule.title} ({len(group)})"]
    shown = group if every_place else group[:PLACES_SHOWN]
    lines += [f"    {one_line(text)}" for text in map(str, shown) if text]
    if len(group) > len(shown):
        lines.append(f"    and {len(group) - len(shown)} more")
    lines.append(f"    -> {rule.remedy}.")
    return "\n".join(lines)


def number(count: int, one: str, more: str | None = None) -> str:
    """A count with its noun."""
    return f"{count} {one if count == 1 else more or one + 's'}"
