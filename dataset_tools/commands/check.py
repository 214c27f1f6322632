"""``check``: what is wrong with a LabelMe folder or a dataset folder."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from dataset_tools.commands.reporting import findings_by_rule, number, report
from dataset_tools.commands.source_options import add_folder, add_reading_options, open_from_options
from dataset_tools.errors import EXIT_DATA
from dataset_tools.findings import Severity
from dataset_tools.text import visible

if TYPE_CHECKING:
    from dataset_tools.dataset.checks import CheckReport


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "check",
        help="say what is wrong with a LabelMe folder or a dataset folder",
        description="Say everything that is wrong or odd in a LabelMe folder or a dataset folder: grouped by code, "
        "with counts, places and what to do. Nothing is changed. docs/findings.md explains every code.",
        epilog="Exit code 0: no errors; 1: the data have errors; 2: the command is wrong.",
    )
    add_folder(parser)
    parser.add_argument(
        "--training-size",
        metavar="PX",
        type=int,
        help="the short side of a photo in training, at which instances may be too small (default: 800)",
    )
    parser.add_argument("--format", choices=("text", "json"), default="text", help="(default: text)")
    parser.add_argument("--all", action="store_true", help="name every place, not the first five of each code")
    add_reading_options(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from dataset_tools.dataset.checks import check_source

    source, reading = open_from_options(options)
    checked = check_source(source, replace(reading, hash_photos=True))
    if options.format == "json":
        print(_as_json(options.folder, checked))
    else:
        print(_diagnosis(options.folder, checked, options.all))
    return EXIT_DATA if any(finding.is_error for finding in checked.findings) else 0


def _diagnosis(folder: Path, checked: CheckReport, every_place: bool) -> str:
    """What ``check`` says to people: the findings, and what they were found in."""
    severities = Counter(finding.rule.severity for finding in checked.findings)
    counts = ", ".join(number(severities[severity], severity.value) for severity in Severity)
    instances = number(sum(checked.instances.values()), "instance")
    classes = number(len(checked.instances), "class", "classes")
    summary = f"{folder}: {number(checked.photos, 'photo')}, {instances}, {classes}: {counts}"
    return "\n".join(filter(None, [report(checked.findings, every_place), visible(summary)]))


def _as_json(folder: Path, checked: CheckReport) -> str:
    """What ``check`` says to programs, with every place."""
    groups = [
        {
            "code": rule.code,
            "severity": rule.severity.value,
            "title": rule.title,
            "remedy": rule.remedy,
            "count": len(group),
            "places": [{"file": item.file, "place": item.place, "message": item.message} for item in group],
        }
        for rule, group in findings_by_rule(checked.findings)
    ]
    content = {"folder": str(folder), "photos": checked.photos, "instances": checked.instances, "findings": groups}
    return json.dumps(content, indent=2)  # in ASCII: a file's name may be no Unicode text
