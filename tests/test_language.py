"""What commands say in Chinese: no main sentence is left in English."""

import re
from html import unescape

import numpy as np
import pytest
from noted import notes_in_code
from test_report import MACHINE, X4, Builder, enlarged

from evalkit.comparisons.reasons import in_language
from evalkit.daily.compare import Comparison, View
from evalkit.daily.compare_page import as_html
from evalkit.daily.permitted import permitted_plan
from evalkit.errors import SettingError
from evalkit.images import write_image
from evalkit.report import FILES
from evalkit.restorers import load_restorer, restorers
from evalkit.restorers._routing import FEATURES, RULES, SCENES, decide
from evalkit.restorers.auto import fallback_note
from evalkit.study import open_run
from evalkit.study.answer_lines import answer_lines
from evalkit.tables import ANSWER, BUDGET, STABILITY
from evalkit.texts import spoken, texts_of

WORD = r"(?<![\w./@=\-])[A-Za-z]{2,}(?![\w./@=\-])"
ENGLISH = re.compile(rf"(?:{WORD},? ){{2,}}[A-Za-z]{{2,}}")
"""Three words in a row that are no names of files, conditions or columns."""

NAMES = ["CPU", "GPU", *(rule.name for rule in (*RULES, *SCENES))]


def left_in_english(words: str) -> list[str]:
    return ENGLISH.findall(re.sub("|".join(["`[^`]*`", *NAMES]), "", words))


def check_chinese(note: str) -> None:
    said = in_language(note, "zh")
    assert re.search("[\u4e00-\u9fff]", said), note
    assert not left_in_english(said), said


def without_errors(lines: str) -> str:
    """All but what is said of the broken file, which stays English as errors do."""
    return "\n".join(line for line in lines.splitlines() if "torn.png" not in line)


@pytest.fixture
def folder(astronaut, tmp_path):
    folder = tmp_path / "in"
    write_image(folder / "face.png", astronaut[60:124, 190:254])
    (folder / "torn.png").write_bytes(b"no picture")
    return folder


def test_english_that_is_left_is_found():
    assert left_in_english("已修复 3 restored and none failed")
    assert not left_in_english("gpen-512@runner=upstream：n_faces 3 > 0")


def test_restore_says_it_in_chinese(told, folder, tmp_path):
    out = tmp_path / "out"
    status, lines, errors = told(
        "restore", folder, "-o", out, "--lang", "zh", "--with", "lanczos@scale=2"
    )
    assert status == 3
    assert "修复 1 张，此前已完成 0 张，跳过 1 张" in lines
    assert errors.startswith("跳过：")
    assert not left_in_english(without_errors(lines))
    assert spoken() == "en"


def test_the_variable_is_the_default_of_the_option(told, folder, tmp_path, monkeypatch):
    monkeypatch.setenv("EVALKIT_LANG", "zh")
    asked = ("restore", folder, "-o", tmp_path / "out", "--with", "lanczos")
    assert "将修复 1 张" in told(*asked, "--dry-run")[1]
    assert "1 would be restored" in told(*asked, "--dry-run", "--lang", "en")[1]


def test_another_language_is_refused(monkeypatch):
    monkeypatch.setenv("EVALKIT_LANG", "fr")
    with pytest.raises(SettingError, match="must be en or zh; found 'fr'"):
        spoken()


def test_every_licence_is_told_in_chinese():
    told = texts_of("report")
    for spec in restorers().values():
        assert f"licence.{spec.licence}" in told or not left_in_english(spec.licence)


@pytest.mark.parametrize(
    ("asked", "language"),
    [("zh_CN", "zh"), ("zh-Hans", "zh"), ("zh_CN.UTF-8", "zh"), ("en_GB", "en")],
)
def test_a_region_says_nothing_more(monkeypatch, asked, language):
    monkeypatch.setenv("EVALKIT_LANG", asked)
    assert spoken() == language


def test_the_computer_s_language_decides_nothing(monkeypatch):
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    assert spoken() == "en"


def pictures_of_every_rule():
    plain = dict.fromkeys(FEATURES, 0.0) | {"folder_faces": 0.0}
    for rule in (*RULES, *SCENES):
        values = dict(plain)
        for test in rule.tests:
            step = abs(test.limit) / 10 + 0.05
            values[test.feature] = test.limit + (step if test.sign == ">" else -step)
        if rule.name == "people":
            yield values | {"n_faces": 2.0, "folder_faces": 1.0, "largest_face_px": 90}
        yield values
    yield plain | {"text_density": np.nan, "n_candidates": 2.0}


def test_every_reason_of_the_router_is_known_and_reads_in_english_as_before(
    monkeypatch,
):
    reasons = {r for values in pictures_of_every_rule() for r in decide(values).reasons}
    reasons |= {f"route gpen: {reason}" for reason in reasons}
    reasons.add(fallback_note("gpen"))
    assert {in_language(reason) for reason in reasons} == reasons
    monkeypatch.setenv("EVALKIT_LANG", "zh")
    for reason in reasons:
        check_chinese(reason)


def test_route_and_fit_say_it_in_chinese(told, folder):
    for asked in (
        ("route", folder),
        ("fit", "--size", "400x300", "--with", "lanczos"),
        ("fit", folder, "--device", "cuda", "--memory", "8GiB"),
    ):
        status, lines, errors = told(*asked, "--lang", "zh")
        assert status == 0, errors
        assert re.search("[\u4e00-\u9fff]", lines)
        assert not left_in_english(without_errors(lines)), lines


def test_compare_says_it_in_chinese_and_its_page_begins_so(told, folder, tmp_path):
    page = tmp_path / "page.html"
    asked = ("compare", folder / "face.png", "-o", page, "--with", "lanczos")
    assert told(*asked, "--lang", "zh")[1].count("页面：") == 1
    assert 'data-asked="zh"' in page.read_text(encoding="utf-8")


PAGES = ["compare", "service", "restore", "fit", "diff", "note"]


@pytest.mark.parametrize("page", PAGES)
def test_no_main_sentence_of_a_page_or_command_is_left_in_english(page):
    for key, texts in texts_of(page).items():
        assert not left_in_english(texts["zh"]), key


def test_the_report_is_all_chinese(tmp_path, astronaut):
    run = Builder(tmp_path)
    run.picture("portrait", astronaut[:96, 150:278])
    told = {"condition": X4, "restorer": X4, "source": "portrait", "machine": MACHINE}
    row = {"experiment": "stability", "n_runs": 2, "outcomes": {"ok": 2}}
    row |= {"failure_low": 0.0, "failure_high": 0.658}
    STABILITY.write(STABILITY.frame([told | row]), run.path / "tables")
    row = {"longest_px": 500, "works_mib": 4000, "largest_mib": 9000}
    BUDGET.write(BUDGET.frame([told | row]), run.path / "tables")
    run.write([X4])
    html = (run.path / FILES["zh"]).read_text(encoding="utf-8")
    quoted = r"(?s)<(style|script|code|pre)\b.*?</\1>"
    words = re.sub(r"<[^>]+>", " | ", re.sub(quoted, " | ", html))
    assert "连续运行" in words
    lines = "\n".join(answer_lines(open_run(str(run.path)).read(ANSWER, "zh"), None))
    assert "连续运行" in lines  # what a study ends with
    assert not left_in_english(words)


@pytest.mark.parametrize("note", notes_in_code())
def test_every_note_that_code_can_leave_has_its_chinese(note):
    check_chinese(note)


def test_notes_are_found_in_code():
    found = notes_in_code()
    assert found["page 1 of 0: the others are left out"] == "daily/worker.py"
    assert len(found) > 60


GPEN = "gpen-256@runner=upstream,weights=random"


@pytest.mark.filterwarnings("ignore::evalkit.errors.RandomWeightsWarning")
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("gpen-256", {"runner": "upstream", "weights": "random"}),
        ("hybrid", {"faces": GPEN, "background": "lanczos", "memory_mib": 1}),
        ("hybrid", {"faces": GPEN, "background": "lanczos", "least_face_px": 200}),
    ],
)
def test_what_restorers_note_is_told_in_chinese(name, settings, astronaut):
    restorer, face = load_restorer(name, **settings), astronaut[:256, 128:384]
    deep = np.dstack([face, face[..., :1]]).astype(np.uint16) * 200
    for picture in (deep, np.zeros((40, 1300), np.uint8)):
        for note in restorer.restore(picture).notes:
            check_chinese(note)


def test_what_auto_must_leave_out_is_told_in_chinese():
    for note in permitted_plan({"name": "auto"}).notes:
        check_chinese(note)


def test_a_part_s_note_is_told_as_its_own():
    note = "background: 2 pictures at a time: out of memory at a tile: none left"
    said = "背景：改为每次 2 张图片：内存不足，正在处理 a tile：none left"
    assert in_language(note, "zh") == said
    assert in_language(note, "en") == note


def test_an_unknown_note_stays_as_it_is(monkeypatch):
    monkeypatch.setenv("EVALKIT_LANG", "zh")
    for note in ("of a plug-in: done and said", "", "lanczos"):
        assert in_language(note) == note


def test_restore_tells_notes_in_chinese_and_keeps_the_english(told, tmp_path, deep):
    out = tmp_path / "out"
    asked = ("restore", deep, "-o", out, "--with", "lanczos", "--name", "{stem}.jpg")
    lines = told(*asked, "--for-print", "100x150@30", "--lang", "zh")[1]
    assert "16 位已变为 8 位：JPEG 只支持 8 位" in lines
    assert not left_in_english(lines)
    journal = "".join(p.read_text(encoding="utf-8") for p in out.glob("*.jsonl"))
    assert "16 bits became 8" in journal


@pytest.fixture
def deep(tmp_path):
    path = tmp_path / "deep.png"
    write_image(path, np.full((20, 30, 4), 999, np.uint16))
    return path


def test_a_comparison_tells_notes_in_both_languages():
    view = View("lanczos", notes=["same bytes as <b>"])
    html = as_html([Comparison(name="face", views=[view])], "zh")
    assert '<span lang="en">same bytes as &lt;b&gt;</span>' in html
    assert '<span lang="zh">与 &lt;b&gt; 逐字节相同</span>' in html


def test_the_chinese_report_tells_notes_in_chinese(tmp_path, astronaut):
    run, face = Builder(tmp_path), astronaut[:96, 150:278]
    run.picture("portrait", face)
    notes = [*notes_in_code(), "route gpen: seen: noise_level 3"]
    run.output(X4, "portrait", enlarged(face), notes=notes)
    run.write([X4])
    english, chinese = (
        (run.path / FILES[language]).read_text(encoding="utf-8")
        for language in ("en", "zh")
    )
    assert "<li>same bytes as 0</li>" in english
    listed = {*map(unescape, re.findall("<li>(.*?)</li>", chinese))}
    assert {"与 0 逐字节相同", "路线 gpen：测得：noise_level 3"} <= listed
    assert {in_language(note, "zh") for note in notes} <= listed
    assert not listed & {*notes}
