"""What a comparison looks like: one page, or the same within a notebook."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from evalkit.comparisons.reasons import in_language
from evalkit.paths import atomic_path
from evalkit.texts import Language, spoken, text, texts_of
from evalkit.viewer import policy_of, texts_of_viewer, with_viewer

if TYPE_CHECKING:
    from evalkit.daily.compare import Comparison

LANGUAGES: tuple[Language, ...] = ("en", "zh")

_FOLDER = Path(__file__).parent
SCRIPT = with_viewer((_FOLDER / "compare.js").read_text(encoding="utf-8"))
STYLE = (_FOLDER / "compare.css").read_text(encoding="utf-8")


def write_page(comparisons: Sequence["Comparison"], page: Path) -> None:
    """Write comparisons as one file of HTML that loads nothing."""
    html = _render(comparisons, script=Markup(SCRIPT), policy=Markup(policy_of(SCRIPT)))
    with atomic_path(page) as temporary:
        temporary.write_text(html, encoding="utf-8")


def as_html(
    comparisons: Sequence["Comparison"], language: Language | None = None
) -> str:
    """Comparisons as one element, which ``compare.js`` wires up.

    In a language, as a part of something that has a head and a caution of its own;
    else with these, and in the browser's language.
    """
    return _render(comparisons, language=language).strip()


def _render(comparisons: Sequence["Comparison"], **content: Any) -> str:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("compare.html.jinja").render(
        t=_both,
        noted=_noted,
        comparisons=comparisons,
        source_in_chinese=text("compare.source", "zh"),
        asked=os.environ.get("EVALKIT_LANG", "") and spoken(),
        script_texts={language: _of_script(language) for language in LANGUAGES},
        style=Markup(STYLE),
        **content,
    )


def _both(key: str, **values: object) -> Markup:
    return _spans(lambda language: text(f"compare.{key}", language, **values))


def _noted(note: str) -> Markup:
    return _spans(lambda language: in_language(note, language))


def _spans(words: Callable[[Language], str]) -> Markup:
    """What is said in each language, of which the page shows one."""
    span = Markup('<span lang="{}">{}</span>')
    return Markup("").join(span.format(each, words(each)) for each in LANGUAGES)


def _of_script(language: Language) -> Mapping[str, str]:
    texts = texts_of_viewer(language)
    own = {key: words[language] for key, words in texts_of("compare").items()}
    return texts | {key: own[key] for key in ("stage", "map", "map.said")}
