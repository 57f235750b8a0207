"""What commands say in Chinese: no main sentence is left in English."""

import re

import numpy as np
import pytest
from test_report import MACHINE, X4, Builder

from evalkit.comparisons.reasons import in_language
from evalkit.errors import SettingError
from evalkit.images import write_image
from evalkit.report import FILES
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
    return ENGLISH.findall(re.sub("|".join(NAMES), "", words))


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
        said = in_language(reason)
        assert re.search("[\u4e00-\u9fff]", said), reason
        assert not left_in_english(said), said


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


@pytest.mark.parametrize("page", ["compare", "service", "restore", "fit", "diff"])
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
