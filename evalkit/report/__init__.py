"""The report of a run: one file of HTML, made of what the run folder holds."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

from evalkit.article import evaluate, load_article
from evalkit.errors import StudyError
from evalkit.paths import atomic_path
from evalkit.report._answer import Answer, answer
from evalkit.report._charts import charts, frontier
from evalkit.report._pictures import Section, sections
from evalkit.report._roles import roles
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
from evalkit.report._text import in_verdict, kind_of
from evalkit.report._views import show, shown_in
from evalkit.study.answer_lines import MOST_CAUTIONS
from evalkit.tables import ANSWER, VERDICTS
from evalkit.texts import Language, text, texts_of
from evalkit.viewer import policy_of, texts_of_viewer, with_viewer

__all__ = ["FILES", "MAX_BYTES", "answer", "write_report", "write_verdicts"]

MAX_BYTES = 8_000_000
"""The limit of each file; pictures are made smaller until it holds."""

FILES: Mapping[Language, str] = {"en": "report.html", "zh": "report.zh.html"}

TAG_BYTES = 900
"""Room for the tags around one view, which are longer when it is filled."""

MAX_SHOWN, MAX_NAMED = 200, 300
"""The most pictures with views, and the most names of pictures without."""

_FOLDER = Path(__file__).parent


def write_report(run: Path) -> Path:
    """Write ``report.html`` and, in Chinese, ``report.zh.html`` into a run folder.

    Reads ``study.yaml``, ``environment.json``, ``timing.json``, ``crops.json``,
    ``records.jsonl``, ``ratings.sqlite``, the figures of maps and the tables
    ``images``, ``cost``, ``memory``, ``metrics``, ``scores_mos`` and ``verdicts``,
    where they exist, and the pictures that they name.

    Parameters
    ----------
    run
        The run folder.

    Returns
    -------
    Path
        The English report: one file of at most 8 MB that fetches nothing, as is the
        Chinese one. Pictures are WebP views of up to 1280 px and crops at full size,
        both reduced, in steps that the report names, until they fit; full outputs are
        linked. The evidence of claims and messages of errors stand in the English one
        alone.

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
    in_chinese = RunFolder(run, language="zh")
    answer_in_chinese = answer(run, language="zh")
    folder.write(ANSWER, answer_in_chinese.frame, "zh")
    chinese = _Page(in_chinese, answer_in_chinese)
    shown = shown_in(sections(in_chinese), visible)
    names = {section.facts["source"] for section in shown}
    unshown = [s for s in sections(in_chinese) if s.facts["source"] not in names]
    pages = {FILES["en"]: html, FILES["zh"]: chinese.render(shown, unshown)}
    for name, content in pages.items():
        with atomic_path(run / name) as temporary:
            temporary.write_bytes(content)
    return run / FILES["en"]


class _Texts:
    """The page's texts in one language: ``t("key", name=value)``."""

    def __init__(self, language: Language) -> None:
        self.tag, self.other_tag = ("en", "zh") if language == "en" else ("zh", "en")
        self.comma, self.stop = (", ", ".") if language == "en" else ("、", "。")
        self._language: Language = language

    def __call__(self, key: str, **values: object) -> str:
        if "n" in values:
            values["s"] = "" if values["n"] == 1 else "s"
        return text(f"report.{key}", self._language, **values)


def write_verdicts(run: Path) -> None:
    """Judge every claim anew on what lies in a run folder; write its verdicts there."""
    RunFolder(run).write(VERDICTS, evaluate(run))


class _Page:
    """The template and all that is in it but the pictures."""

    def __init__(self, folder: RunFolder, run_answer: Answer) -> None:
        import jinja2

        language = folder.language
        environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(_FOLDER),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.filters["breakable"] = _breakable
        environment.globals |= {
            "t": _Texts(language),
            "kind_in_words": partial(kind_of, language=language),
            "verdict_in_words": partial(in_verdict, language=language),
            "claim_kind_in_words": partial(_claim_kind, language=language),
        }
        script = with_viewer((_FOLDER / "page.js").read_text(encoding="utf-8"))
        self._template = environment.get_template("page.html.jinja")
        self._content: dict[str, Any] = {
            "is_english": language == "en",
            "other_file": FILES["zh" if language == "en" else "en"],
            "viewer_texts": texts_of_viewer(language),
            "style": Markup((_FOLDER / "page.css").read_text(encoding="utf-8")),
            "script": Markup(script),
            "policy": Markup(policy_of(script)),
            "headline": headline(folder),
            "machine": machine_line(folder),
            "weights": weights_lines(folder),
            "answer": run_answer,
            "most_cautions": MOST_CAUTIONS,
            "article": load_article() if folder.shows_claims else None,
            "charts": charts(folder),
            "frontier": frontier(folder),
            "roles": roles(folder),
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
            "again": _again(folder),
            "megabytes": round(MAX_BYTES / 1e6),
            "max_named": MAX_NAMED,
        }
        self._language: Language = language

    def render(self, visible: list[Section], hidden: list[Section]) -> bytes:
        """The page in UTF-8; without views as long as `visible` has none."""
        steps = sorted({section.step for section in visible if section.step})
        content = self._template.render(
            **self._content,
            shown=visible,
            unshown=hidden,
            steps=[step.said(self._language) for step in steps],
            is_reduced=bool(steps and steps[-1].level > 0),
        )
        return content.encode()


def _claim_kind(kind: str, language: Language) -> str:
    """A claim's kind in the reader's language; itself, where it is not ours."""
    key = f"claim-kind.{kind}"
    is_ours = key in texts_of("report")
    return text(f"report.claim-kind.{kind}", language) if is_ours else kind


def _again(folder: RunFolder) -> str:
    """The command that runs the study again; of a folder, with its place left open."""
    command = "make study STUDY=study.yaml"
    if not folder.is_album:
        return command
    album = text("report.again.folder", folder.language, name=folder.images_name)
    return f'{command} IMAGES="{album}"'


def _breakable(name: str) -> Markup:
    """A condition's name that may break behind ``@``, commas and hyphens."""
    text = escape(name)
    for mark in ("@", ",", "-"):
        text = text.replace(mark, Markup(mark + "<wbr>"))
    return text
