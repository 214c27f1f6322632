"""Writes docs/findings.md from the table of rules in dataset_tools/findings.py.

python -m docs.findings
"""

from __future__ import annotations

from pathlib import Path

from dataset_tools.findings import Rule

PAGE = Path(__file__).with_name("findings.md")

_INTRODUCTION = """\
<!-- Written by python -m docs.findings from dataset_tools/findings.py; do not edit. -->
# Findings

What `python -m dataset_tools check` and `convert` may say about a folder. **Errors** keep a file out of the dataset: `convert` stops before it
writes anything, or leaves these files out with `--skip-bad`; the exit code of both is 1. **Warnings** say what was left out or guessed, **notes** what
is worth knowing. Every finding names its file and the place in it.

`check` reports all of them; `convert` all but those that need every photo decoded (LM063, LM064).
"""

# Each section: the first of its codes, its title, and what its rows have in common.
_SECTIONS = (
    ("LM001", "The annotation file", ""),
    (
        "LM010",
        "The photo",
        "[datasets.md](datasets.md) says which photo belongs to a file. Sizes are those of the photo as it is shown, EXIF "
        "orientation applied.",
    ),
    ("LM030", "Shapes", "A place such as `shapes[3]` counts from 0, in the order of the file."),
    ("LM050", "Labels and classes", ""),
    ("LM060", "Splits", ""),
    ("LM070", "Files of other programs", ""),
    (
        "LM091",
        "Values",
        "Numbers and ids as text or whole floats, polygons as one list or as pairs, names that are numbers.",
    ),
)


def page() -> str:
    """The text of docs/findings.md."""
    parts = [_INTRODUCTION]
    ends = [first for first, _, _ in _SECTIONS[1:]] + ["LM999"]
    for (first, title, note), end in zip(_SECTIONS, ends):
        rows = [rule for rule in Rule if first <= rule.code < end]
        lines = ["| code | | what | what to do |", "|---|---|---|---|"]
        lines += [f"| {rule.code} | {rule.severity.value} | {rule.title} | {rule.remedy} |" for rule in rows]
        parts.append("\n\n".join(filter(None, [f"## {title}", note, "\n".join(lines)])) + "\n")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
