"""What the commands say on the terminal when they are done."""

from __future__ import annotations

import json
import shutil
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from dataset_tools.commands.reporting import findings_by_rule, report, run_and_report
from dataset_tools.dataset.checks import CheckReport
from dataset_tools.dataset.make import ConversionResult
from dataset_tools.findings import Severity
from dataset_tools.formats.card import Card
from dataset_tools.text import one_line, visible
from dataset_tools.to_labelme.annotation_files import CLASSES_NAME
from dataset_tools.to_labelme.from_dataset import WriteReport


def diagnosis(folder: Path, checked: CheckReport, every_place: bool = False) -> str:
    """What ``check`` says to people: the findings, and what they were found in."""
    severities = Counter(finding.rule.severity for finding in checked.findings)
    counts = ", ".join(number(severities[severity], severity.value) for severity in Severity)
    instances = number(sum(checked.instances.values()), "instance")
    classes = number(len(checked.instances), "class", "classes")
    summary = f"{folder}: {number(checked.photos, 'photo')}, {instances}, {classes}: {counts}"
    return "\n".join(filter(None, [report(checked.findings, every_place), visible(summary)]))


def as_json(folder: Path, checked: CheckReport) -> str:
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


def run_conversion(conversion: Callable[[], ConversionResult], output: Path) -> int:
    """Run a conversion, and say what was found and what came of it; the exit code."""
    result, _ = run_and_report(conversion)  # files with errors are left out only where that was asked for
    print(summarise(result, output))
    return 0


def summarise(converted: ConversionResult, folder: Path) -> str:
    """A table of images and instances per split, where they are, and the next command."""
    card = converted.card
    lines = [f"{card.name}: {_count(card)} in {folder}"]
    if converted.skipped:
        lines.append(f"left out: {number(converted.skipped, 'file')} with errors")
    lines += [
        "",
        *_table(card),
        "",
        *_trainings(folder),
    ]
    return visible("\n".join(lines))


def _trainings(folder: Path) -> list[str]:
    """The commands that train on a dataset folder, the one for this machine first."""
    configurations = [("Without a GPU", "mini_scratch"), ("With a GPU", "mask_rcnn_R_18_FPN")]
    if _has_gpu():
        configurations.reverse()
    lines = ["Train on it (add --dry-run before DATASETS.ROOT to see how long it takes here)."]
    for title, name in configurations:
        command = f"{_python()} train_net.py --config-file configs/{name}.yaml DATASETS.ROOT {folder}"
        lines += [f"{title}:", f"    {command}"]
    return lines


def _has_gpu() -> bool:
    """Whether NVIDIA's driver is here. PyTorch knows better, but takes seconds to load."""
    return Path("/dev/nvidiactl").exists() or shutil.which("nvidia-smi") is not None


def _python() -> str:
    """This interpreter as one may type it here: ``python`` alone is another one where no environment is active."""
    interpreter, here = Path(sys.executable), Path.cwd()
    return str(interpreter.relative_to(here)) if interpreter.is_relative_to(here) else "python"


def summarise_files(written: WriteReport, output: Path) -> str:
    """What ``to-labelme`` has written, and what it left out or changed."""
    lines = [
        f"{number(written.files, 'file')} in {output}: {number(written.instances, 'instance')}, "
        f"{number(written.shapes, 'shape')}"
    ]
    if written.below_score:
        whose = "its" if written.below_score == 1 else "their"
        lines.append(f"left out for {whose} score: {number(written.below_score, 'prediction')}")
    if written.empty:
        who = "it covers" if written.empty == 1 else "they cover"
        lines.append(f"left out because {who} nothing: {number(written.empty, 'instance')}")
    if written.changed:
        least, where = written.least_overlap
        lines.append(
            f"{number(written.changed, 'mask')} became polygons of not quite the same pixels; the least alike "
            f"({where}) has an IoU of {least:.3f} with its mask"
        )
    lines.append(f"the classes in order, for convert's --classes: {output / CLASSES_NAME}")
    return visible("\n".join(lines))


def _count(card: Card) -> str:
    images = sum(split.images for split in card.splits.values())
    instances = sum(split.instances for split in card.splits.values())
    classes = number(len(card.classes), "class", "classes")
    return f"{number(images, 'image')}, {number(instances, 'instance')}, {classes}"


def number(count: int, one: str, more: str | None = None) -> str:
    """A count with its noun."""
    return f"{count} {one if count == 1 else more or one + 's'}"


def _table(card: Card) -> list[str]:
    rows = [["", *card.splits]]
    rows.append(["images", *(str(split.images) for split in card.splits.values())])
    rows.append(["instances", *(str(split.instances) for split in card.splits.values())])
    rows += [
        [f"  {one_line(name)}", *(str(split.instances_per_class.get(name, 0)) for split in card.splits.values())]
        for name in card.classes
    ]
    first = max(len(row[0]) for row in rows)
    return [row[0].ljust(first) + "".join(cell.rjust(8) for cell in row[1:]) for row in rows]
