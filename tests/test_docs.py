"""The site: its pictures are those of today's house, and its links are checked."""

import re
import runpy
import shlex

import pytest
import typer

from evalkit import cli
from evalkit.paths import CLONE
from evalkit.tables import VERDICTS

pytestmark = pytest.mark.skipif(CLONE is None, reason="not a clone")

HOUSE = runpy.run_path(str(CLONE / "docs" / "house.py")) if CLONE else {}
BUILD = runpy.run_path(str(CLONE / "docs" / "build.py")) if CLONE else {}


@pytest.mark.parametrize("name", HOUSE.get("PICTURES", {}))
def test_a_picture_is_drawn_of_what_is_there(name):
    drawn = (CLONE / "docs" / name).read_text(encoding="utf-8")
    assert drawn == HOUSE["PICTURES"][name](), "run `python docs/house.py`"


def test_every_process_of_the_picture_names_files_that_are_there():
    text = " ".join([*(place for _, place, *_ in HOUSE["PROCESSES"]), HOUSE["BESIDE"]])
    places = re.findall(r"[\w./]+(?:\.py|/)|Makefile|Snakefile", text)
    assert len(places) > len(HOUSE["PROCESSES"])
    for place in places:
        folders = (CLONE, CLONE / "evalkit")
        assert any((folder / place).exists() for folder in folders), place


@pytest.mark.parametrize(
    ("link", "said"),
    [
        ('<a href="other.html#place">', None),
        ('<a href="other.html#nowhere">', "no such place"),
        ('<a href="gone.html">', "no such file"),
        ('<a href="#here">', "no such place"),
        ('<a href="https://example.org/">', None),
        ('<script src="https://example.org/a.js">', "loads https://example.org/a.js"),
        ('<link href="https://example.org/a.css">', "loads https://example.org/a.css"),
        ('<img src="gone.png">', "no such file"),
    ],
)
def test_a_broken_link_and_what_comes_from_elsewhere_are_told(tmp_path, link, said):
    (tmp_path / "other.html").write_text('<p id="place">', encoding="utf-8")
    (tmp_path / "index.html").write_text(link, encoding="utf-8")
    wrong = BUILD["broken_links"](tmp_path)
    assert len(wrong) == (said is not None)
    assert all(said in sentence for sentence in wrong)


def test_every_room_has_a_page_with_what_it_offers():
    page = BUILD["reference_page"]("stats")
    assert ".. autofunction:: mean_opinion_scores" in page
    assert ".. autoclass:: BradleyTerry" in page
    assert "_" not in {line.rpartition(" ")[2][:1] for line in page.splitlines()}
    assert ".. autofunction:: psnr" in BUILD["reference_page"]("metrics")
    assert ".. autoclass:: Monitor" in BUILD["reference_page"]("profiling")
    assert "``metrics``: ``condition``" in BUILD["reference_page"]("tables")


def test_a_notebook_of_the_site_names_no_folder_of_a_machine(tmp_path, monkeypatch):
    run = tmp_path / "home" / "of-anna" / "runs" / "album"
    run.mkdir(parents=True)
    (tmp_path / "latest").symlink_to(run)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    text = f"{run}/report.html {run.parent}/other {tmp_path}/home/.cache"
    told = BUILD["without_paths"](text, tmp_path / "latest")
    assert told == "runs/album/report.html runs/other ~/.cache"
    monkeypatch.setenv("HOME", "/")
    assert BUILD["without_paths"]("/dev/null", run) == "/dev/null"


def test_without_a_finished_run_it_says_how_to_make_one(tmp_path):
    with pytest.raises(SystemExit, match=r"found none in .*make study IMAGES=quick"):
        BUILD["main"](tmp_path)


@pytest.mark.parametrize(
    ("page", "n"),
    [
        ("docs/daily.md", 4),
        ("docs/panel.md", 9),
        ("docs/rating.md", 7),
        ("README.md", 9),
    ],
)
def test_every_command_of_a_page_is_one(page, n):
    text = (CLONE / page).read_text(encoding="utf-8")
    lines = re.findall(r"^(?:\.venv/bin/)?evalkit (.+)$", text, re.M)
    assert len(lines) >= n
    for line in lines:
        command = typer.main.get_command(cli.app)
        arguments = shlex.split(line, comments=True)
        while hasattr(command, "commands"):
            command = command.commands[arguments.pop(0)]
        command.make_context("evalkit", arguments)  # raises UsageError


def told(text):
    """Of each section: its level, commands, code in the text, links, and numbers."""
    text = re.sub(r"<!-- answer .*?<!-- end -->", "", text, flags=re.S)
    for section in re.split(r"^(?=#+ )", text, flags=re.M):
        blocks = re.findall(r"^```\w+\n(.*?)^```", section, re.M | re.S)
        prose = re.sub(r"^```\w+\n.*?^```", "", section, flags=re.M | re.S)
        spans = re.findall(r"`([^`]+)`", prose)
        links = [to for to in re.findall(r"\]\((.+?)\)", prose) if "README" not in to]
        prose = re.sub(r"`[^`]+`|\]\(.+?\)", "", prose)
        yield {
            "level": len(section) - len(section.lstrip("#")),
            "commands": [re.sub(r" +# .*", "", block) for block in blocks],
            "code": sorted(" ".join(span.split()) for span in spans),
            "links": sorted(links),
            "numbers": sorted(re.findall(r"\d+(?:[.,]\d+)*", prose)),
        }


def test_the_readme_says_in_chinese_what_it_says_in_english():
    english, chinese = (
        [*told((CLONE / name).read_text(encoding="utf-8"))]
        for name in ("README.md", "README.zh-CN.md")
    )
    assert len(english) > 6
    assert chinese == english


def test_what_a_cpu_says_to_the_article_is_in_the_table():
    tables = CLONE / "figures" / "intel-xeon-2c" / "verdicts" / "tables"
    verdicts = VERDICTS.read(VERDICTS.path(tables)).set_index("claim")["verdict"]
    page = (CLONE / "docs" / "measuring.md").read_text(encoding="utf-8")
    told = re.search(r"of 80 claims (.+?)\. ", page, re.DOTALL)[1]
    counts = re.findall(
        r"(\d+)\s+(?:are\s+)?([a-z ]+?)(?:,| and|$)", " ".join(told.split())
    )
    assert {verdict: int(n) for n, verdict in counts} == dict(verdicts.value_counts())
    named = page.partition("Contradicted:")[2].partition("Reproduced:")[0]
    is_contradicted = verdicts == "contradicted"
    assert {*re.findall(r"\b[A-Z]\d+\b", named)} == {*verdicts.index[is_contradicted]}
