"""What every command that reads annotations does with what was found."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from dataset_tools.findings import Finding


class _WithFindings(Protocol):
    findings: list[Finding]


Done = TypeVar("Done", bound=_WithFindings)


def run_and_report(action: Callable[[], Done]) -> tuple[Done, int]:
    """Run an action and say on standard error what was found, also where that ends it; the second is the exit code."""
    from dataset_tools.commands.terminal import report
    from dataset_tools.errors import EXIT_DATA
    from dataset_tools.findings import BadData

    try:
        done = action()
    except BadData as error:
        print(report(error.findings), file=sys.stderr)
        raise
    if done.findings:
        print(report(done.findings), file=sys.stderr)
    return done, EXIT_DATA if any(finding.is_error for finding in done.findings) else 0
