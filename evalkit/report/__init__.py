"""The report of a run: one file of HTML, made of what the run folder holds."""

from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

from evalkit.article import evaluate, load_article
from evalkit.errors import StudyError
from evalkit.paths import atomic_path
from evalkit.report._answer import Answer, answer
from evalkit.report._pictures import Section, sections
from evalkit.report._run_folder import RunFolder
from evalkit.report._summary import headline, machine_line, weights_lines
from evalkit.report._tables import (
    article_note,
    chance_line,
    cost_table,
    failures,
    metric_table,
    time_split,
    verdict_counts,
    verdict_rows,
)
from evalkit.report._views import show
from evalkit.study.answer_lines import MOST_CAUTIONS
from evalkit.tables import ANSWER, VERDICTS
from evalkit.viewer import policy_of, with_viewer

__all__ = ["MAX_BYTES", "answer", "write_report", "write_verdicts"]

MAX_BYTES = 15_000_000
"""The limit of ``report.html``; pictures are made smaller until it holds."""

TAG_BYTES = 600
"""Room for the tags around one view, which are longer when it is filled."""

MAX_SHOWN, MAX_NAMED = 200, 300
"""The most pictures with views, and the most names of pictures without."""

_FOLDER = Path(__file__).parent


def write_report(run: Path) -> Path:
    """Write ``report.html`` into a run folder, from what lies there.

    Reads ``study.yaml``, ``environment.json``, ``timing.json``, ``crops.json``,
    ``records.jsonl``, ``ratings.sqlite`` and the tables ``images``, ``cost``,
    ``metrics`` and ``verdicts``, where they exist, and the pictures that they name.

    Parameters
    ----------
    run
        The run folder.

    Returns
    -------
    Path
        The report: one file of at most 15 MB that fetches nothing. Pictures are WebP
        views of up to 1280 px and crops at full size, both reduced, in steps that the
        report names, until they fit; full outputs are linked.

    Raises
    ------
    StudyError
        There is no such folder.

    """
    if not run.is_dir():
        raise StudyError(f"expected a run folder, found none at {run}")
    folder = RunFolder(run)
    every = sections(folder)
    visible, hidden = every[:MAX_SHOWN], every[MAX_SHOWN:]
    run_answer = answer(run)
    folder.write(ANSWER, run_answer.frame)
    page = _Page(folder, run_answer)
    n_views = sum(len(section.views) for section in visible)
    room = MAX_BYTES - len(page.render(visible, hidden)) - n_views * TAG_BYTES
    visible, dropped = show(visible, room)
    html = page.render(visible, [*dropped, *hidden])
    while len(html) > MAX_BYTES and visible:
        dropped = [visible.pop(), *dropped]
        html = page.render(visible, [*dropped, *hidden])
    with atomic_path(run / "report.html") as temporary:
        temporary.write_bytes(html)
    return run / "report.html"


def write_verdicts(run: Path) -> None:
    """Judge every claim anew on what lies in a run folder; write its verdicts there."""
    RunFolder(run).write(VERDICTS, evaluate(run))


class _Page:
    """The template and all that is in it but the pictures."""

    def __init__(self, folder: RunFolder, run_answer: Answer) -> None:
        import jinja2

        environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(_FOLDER),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.filters["breakable"] = _breakable
        script = with_viewer((_FOLDER / "page.js").read_text(encoding="utf-8"))
        self._template = environment.get_template("page.html.jinja")
        self._content: dict[str, Any] = {
            "style": Markup((_FOLDER / "page.css").read_text(encoding="utf-8")),
            "script": Markup(script),
            "policy": Markup(policy_of(script)),
            "headline": headline(folder),
            "machine": machine_line(folder),
            "weights": weights_lines(folder),
            "answer": run_answer,
            "most_cautions": MOST_CAUTIONS,
            "article": load_article() if folder.shows_claims else None,
            "cost": cost_table(folder),
            "article_note": article_note(),
            "metrics": metric_table(folder),
            "verdicts": verdict_rows(folder),
            "verdict_counts": verdict_counts(folder),
            "chance": chance_line(folder),
            "failures": failures(folder),
            "time_split": time_split(folder),
            "environment": folder.environment,
            "study_text": folder.study_text,
            "max_named": MAX_NAMED,
        }

    def render(self, visible: list[Section], hidden: list[Section]) -> bytes:
        """The page in UTF-8; without views as long as `visible` has none."""
        steps = sorted({section.step for section in visible if section.step})
        text = self._template.render(
            **self._content, shown=visible, unshown=hidden, steps=steps
        )
        return text.encode()


def _breakable(name: str) -> Markup:
    """A condition's name that may break behind ``@``, commas and hyphens."""
    text = escape(name)
    for mark in ("@", ",", "-"):
        text = text.replace(mark, Markup(mark + "<wbr>"))
    return text
