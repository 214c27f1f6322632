"""The report's pages: templates filled with records. Jinja escapes everything that comes from a file or a user."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from polymask.engine.run_files import RunFacts
from polymask.evaluation.records import Analysis
from polymask.report import plots
from polymask.report.advice import advise, outcomes, summary
from polymask.report.dataset import overview
from polymask.report.gallery import Gallery
from polymask.report.run import RunRecord, command_in_words, path_in_words
from polymask.report.runs_compared import Comparison, signed

TEMPLATES = Path(__file__).parent / "template"


def report_page(run: RunRecord, analysis: Analysis, on_val: Analysis | None, gallery: Gallery) -> str:
    """The report on one run as HTML.

    Args:
        run: the run.
        analysis: of the split that it is about.
        on_val: of VAL, where that is another split and was evaluated.
        gallery: photos of the split.
    """
    environment = page_environment()
    names = [c.name for c in analysis.classes]
    files = sorted(card.photo.file_name for card in gallery.cards)
    environment.filters["indices"] = lambda classes: " ".join(str(names.index(name)) for name in classes)
    environment.filters["place"] = files.index
    losses = [lost for c in analysis.classes for lost in c.errors.values()] + list(analysis.errors.values())
    environment.globals["most_lost"] = max([1.0, *losses])
    return rendered(
        environment,
        "report.html",
        script_name="gallery.js",
        run=run,
        analysis=analysis,
        on_val=on_val,
        gallery=gallery,
        summary=summary(analysis),
        advice=advise(analysis, run),
        outcomes=outcomes(analysis),
        class_plots=plots.class_plots(analysis.classes),
        training=plots.training_plots(run.curves),
        evaluated_at=_day_and_time(run.detections_of(analysis.split)),
        dataset=overview(run),
    )


def comparison_page(runs: Sequence[RunRecord], comparison: Comparison) -> str:
    """The comparison of runs as HTML."""
    facts = [run.facts or RunFacts() for run in runs]
    return rendered(
        page_environment(), "comparison.html", None, comparison=comparison, dataset=runs[0].card.name, facts=facts
    )


def page_environment() -> Environment:
    """The templates, and what all of them use."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["fixed"] = lambda value, digits: f"{value:.{digits}f}"
    environment.filters["signed"] = signed
    environment.filters["duration"] = duration
    environment.filters["path"] = path_in_words
    environment.filters["command"] = command_in_words
    environment.filters["breakable"] = _breakable
    environment.filters["with_code"] = _with_code
    environment.globals["plots"] = plots
    return environment


def _breakable(key: str) -> Markup:
    """A long key that a narrow column may break where it has a dot or a line."""
    return Markup(str(escape(key)).replace(".", ".<wbr>").replace("_", "_<wbr>"))


def _with_code(sentence: str) -> Markup:
    """What is between backticks is set as code."""
    parts = sentence.split("`")
    return Markup("").join(Markup("<code>{}</code>").format(p) if i % 2 else escape(p) for i, p in enumerate(parts))


def rendered(environment: Environment, template: str, script_name: str | None, **content: Any) -> str:
    """A page; its one script is allowed by its hash, so that no other can run whatever gets into the page."""
    script = (TEMPLATES / script_name).read_text() if script_name else ""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template(template).render(
        style=Markup((TEMPLATES / "style.css").read_text()),
        script=Markup(script),
        script_hash=f"sha256-{digest}",
        **content,
    )


def duration(seconds: float) -> str:
    """Seconds for people."""
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _day_and_time(file: Path) -> str:
    return datetime.fromtimestamp(file.stat().st_mtime).strftime("%Y-%m-%d %H:%M")
