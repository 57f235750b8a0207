"""The catalogue of texts: both languages, nothing missing, nothing unused."""

import json
import re
from functools import cache

import pytest

from evalkit.errors import UnknownNameError
from evalkit.paths import PACKAGE, data_file
from evalkit.texts import text, texts_of

CATALOGUE = json.loads(data_file("texts.json").read_text(encoding="utf-8"))
KEYS = [(page, key) for page, texts in CATALOGUE.items() for key in texts]
SCRIPTS = {
    "rating": ["rating/widget.js"],
    "rating-pack": ["rating/pack.js"],
    "compare": ["daily/compare.html.jinja"],
    "report": ["report/page.html.jinja"],
    "service": ["service/page.js", "service/page.html.jinja"],
}
"""Of each page that fills in texts by itself, its scripts and templates."""

REWORDING = ("rating-pack", "trial")
"""Pages whose texts stand in the place of those of the rating, under the same keys."""

IN_PYTHON = re.compile(r"""(?<![.\w])(?:text|tell)\(\s*f?["']([^"']+)["']""")
IN_SCRIPT = re.compile(r"""\b(?:t|paragraph|main)\((?:"[^"]+", )??["`]([^"`]+)["`]""")


IN_PAGE = re.compile(r'data-t="([^"]+)"')


def source_of(page: str) -> str:
    """All that fills in a page's texts."""
    return "".join((PACKAGE / s).read_text(encoding="utf-8") for s in SCRIPTS[page])


@cache
def asked() -> frozenset[str]:
    """The keys that code asks for; one that is put together ends in ``*``."""
    keys = set()
    for path in PACKAGE.rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        keys |= {re.sub("{.*", "*", key) for key in IN_PYTHON.findall(source)}
    for page in SCRIPTS:
        found = IN_SCRIPT.findall(source_of(page)) + IN_PAGE.findall(source_of(page))
        found = {re.sub(r"\$.*|{{.*|(?<=\.)$", "*", key) for key in found}
        keys |= {f"{page}.{key}" for key in found}
    return frozenset(keys)


@pytest.mark.parametrize(("page", "key"), KEYS)
def test_every_text_is_there_in_both_languages(page, key):
    texts = CATALOGUE[page][key]
    assert set(texts) == {"en", "zh"}
    english, chinese = texts["en"], texts["zh"]
    assert english
    assert chinese
    fields = r"{\w+[^}]*}"
    plural = {"{s}"}  # which Chinese has none of
    assert {*re.findall(fields, english)} - plural == {*re.findall(fields, chinese)}
    has_words = re.search("[a-z]", re.sub(fields, "", english))
    if key != "language" and has_words:  # which names the other one
        assert re.search("[\u4e00-\u9fff]", chinese)
        assert english.isascii() or "…" in english or "−" in english


@pytest.mark.parametrize("key", sorted(asked()))
def test_every_text_that_code_asks_for_is_there(key):
    keys = {f"{page}.{name}" for page, name in KEYS}
    assert key in keys or any(
        key.endswith("*") and other.startswith(key[:-1]) for other in keys
    )


@pytest.mark.parametrize(("page", "key"), KEYS)
def test_no_text_is_unused(page, key):
    name = f"{page}.{key}"
    families = {other[:-1] for other in asked() if other.endswith("*")}
    if name in asked() or any(name.startswith(family) for family in families):
        return
    if page in REWORDING and key in CATALOGUE["rating"]:
        return
    script = source_of(page)
    family = key.partition(".")[0]
    assert re.search(f'"{re.escape(key)}"|`{family}\\.\\$|"{family}\\."', script)


def test_a_text_in_both_languages_with_its_values():
    assert text("rating.progress", "en", done=3, total=25) == "3 of 25 done"
    assert text("rating.progress", "zh", done=3, total=25) == "已完成 3 / 25"


def test_an_unknown_text_or_page_is_refused():
    with pytest.raises(UnknownNameError, match=r"did you mean rating\.progress"):
        text("rating.progres", "en")
    with pytest.raises(
        UnknownNameError, match="known: answer, caution, compare, diff, fit"
    ):
        texts_of("ratings")


def test_a_value_that_is_left_out_is_an_error():
    with pytest.raises(KeyError, match="total"):
        text("rating.progress", "en", done=3)
