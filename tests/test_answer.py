"""The answer of a run: each rule on a small run, each number from its table."""

import json
import re
import runpy
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from answers import choices, fill, scores
from test_report import ENVIRONMENT, MACHINE, X4, Builder, Page, enlarged
from typer.testing import CliRunner

from evalkit.article import load_claims
from evalkit.cli import app
from evalkit.comparisons import analyse_scores, compare_outputs
from evalkit.errors import UnknownNameError
from evalkit.images.album import KINDS
from evalkit.report import answer
from evalkit.restorers import restorers
from evalkit.restorers._routing import FEATURES, RULES, SCENES
from evalkit.study import open_run, ratings_store
from evalkit.study.answer_lines import answer_lines
from evalkit.tables import (
    AGREEMENT,
    ANSWER,
    BACKENDS,
    BUDGET,
    CONCURRENCY,
    COST,
    EXPERIMENTS,
    FLOORS,
    LOOKS,
    METRICS,
    PATHOLOGIES,
    SCORES_KINDS,
    SCORES_PAIRS,
    STABILITY,
    VERDICTS,
    Table,
)
from evalkit.texts import texts_of

CLONE = Path(__file__).parent.parent

UPSTREAM = f"{X4}@runner=upstream"
GPEN = "gpen-512"


@pytest.fixture
def run(tmp_path) -> Builder:
    made = Builder(tmp_path)
    (made.path / "environment.json").write_text(
        json.dumps(ENVIRONMENT), encoding="utf-8"
    )
    return made


@pytest.fixture
def face(astronaut) -> np.ndarray:
    return astronaut[:96, 150:278]


def said(run: Builder, *rules: str, part: str = "answer", **told: str) -> list[str]:
    return [row["text"] for row in answer(run.path, *rules, **told).of(part)]


def again(run: Builder) -> Page:
    """The report anew, of the same records."""
    run.records.clear()
    return run.write()


def costs(run: Builder, **rows: dict) -> None:
    """Costs of one picture by condition; a dash in a name stands as an underscore."""
    told = {
        "source": "portrait",
        "machine": MACHINE,
        "weights_kind": "package",
        "source_width_px": 500,
        "source_height_px": 400,
        "n_runs": 3,
        "n_failed": 0,
        "peak_rss_mib": 2048.0,
    }
    frame = COST.frame([told | {"condition": name} | row for name, row in rows.items()])
    COST.write(frame, run.path / "tables")


TIMES = {
    "lanczos": {"restorer": "lanczos", "wall_time_s": 0.5},
    UPSTREAM: {
        "restorer": X4,
        "wall_time_s": 8.0,
        "wall_time_low_s": 7.0,
        "wall_time_high_s": 9.0,
        "peak_rss_mib": 3072.0,
    },
    X4: {
        "restorer": X4,
        "wall_time_s": 2.0,
        "wall_time_low_s": 1.75,
        "wall_time_high_s": 2.5,
    },
    GPEN: {"restorer": GPEN, "wall_time_s": 1.0, "weights_kind": "random"},
}


def two_of_x4(run: Builder, face: np.ndarray, change: int = 0) -> None:
    """Outputs of both runners; of ours, one value in four is `change` levels off."""
    run.picture("portrait", face)
    facts = {"restorer": X4, "weights_kind": "package"}
    for name, off in ((UPSTREAM, 0), (X4, change)):
        made = enlarged(face)
        made[::2, ::2] ^= np.uint8(off)
        size = {"output_width_px": made.shape[1], "output_height_px": made.shape[0]}
        run.output(name, "portrait", made, output_sha256=f"{off}", **size, **facts)


def test_a_run_without_results_says_that_in_one_sentence(run):
    run.write(["lanczos"])
    assert said(run) == ["This run holds no result yet."]
    assert said(run, part="label") == []


def test_where_nobody_rated_the_label_says_what_it_is_not(run, face):
    two_of_x4(run, face)
    costs(run, **TIMES)
    run.write([UPSTREAM, X4])
    assert said(run, part="label") == [
        "Nobody has rated these pictures: this is arithmetic and measurement, not a "
        "judgement of beauty."
    ]


def test_what_each_costs_file_to_file_and_a_megapixel(run, face):
    run.picture("portrait", face)
    costs(run, **TIMES)
    run.write([*TIMES])
    assert said(run, "cost") == [
        "portrait (500x400 px), from file to file on Workshop CPU, 2 cores: "
        "lanczos 0.5 s, 2.5 s a megapixel; realesrgan-x4plus 2 s [1.75, 2.5], 10 s a "
        "megapixel; gpen-512 1 s, 5 s a megapixel (random weights: cost only)."
    ]


def test_of_few_runs_the_range_is_told_and_called_so(run, face):
    run.picture("portrait", face)
    times = {"wall_time_s": 0.5, "wall_time_min_s": 0.4, "wall_time_max_s": 0.9}
    costs(run, lanczos={"restorer": "lanczos"} | times)
    run.write(["lanczos"])
    assert "lanczos 0.5 s (range 0.4 to 0.9 of 3 runs)" in said(run, "cost")[0]


def test_what_another_machine_cost_is_not_told_of_this_one(run, face):
    run.picture("portrait", face)
    costs(run, lanczos=TIMES["lanczos"])
    ours = COST.read(COST.path(run.path / "tables"))
    other = ours.assign(machine="another", wall_time_s=99.0)
    COST.write(pd.concat([other, ours]), run.path / "tables")
    run.write(["lanczos"])
    assert "lanczos 0.5 s" in said(run, "cost")[0]


@pytest.mark.parametrize(
    ("change", "how"),
    [(0, "equal pixels on 1 picture"), (1, r"5\d\.\d dB or more on")],
)
def test_the_same_picture_is_told_once_with_the_gain(run, face, change, how):
    two_of_x4(run, face, change)
    costs(run, **TIMES)
    run.write([UPSTREAM, X4])
    compare_outputs(open_run(str(run.path)))
    row = {"source": "portrait", "metric": "psnr", "value": 24.0, "unit": "dB"}
    rows = [row | {"condition": name, "resampling": "area"} for name in (UPSTREAM, X4)]
    METRICS.write(METRICS.frame(rows), run.path / "tables")
    (sentence,) = said(run, "same")
    assert re.search(how, sentence)
    if change:  # a bound is never rounded up
        least = compare_outputs(open_run(str(run.path)))["psnr_db"].min()
        assert float(re.search(r"([\d.]+) dB or more", sentence)[1]) <= least
    assert sentence.startswith(f"{X4} makes the same picture as {UPSTREAM} (")
    assert sentence.endswith("4 [2.8, 5.1] times as fast.")  # 8/2, 7/2.5, 9/1.75
    page = again(run)
    assert len([src for src in page.attributes("img", "src") if src]) == 4
    assert page.says(f"the same picture as that of {UPSTREAM}")
    assert page.says(f"Not repeated for the same pictures: {X4}: as {UPSTREAM}.")


def test_pictures_that_differ_are_both_shown_and_no_gain_is_told(run, face):
    two_of_x4(run, face, change=64)
    costs(run, **TIMES)
    run.write([UPSTREAM, X4])
    agreement = compare_outputs(open_run(str(run.path)))
    assert agreement["is_same"].tolist() == [False]
    assert said(run, "same") == ["This run holds no result yet."]
    assert len([src for src in again(run).attributes("img", "src") if src]) == 6


def test_an_output_that_cannot_be_read_is_a_row_with_a_note(run, face):
    two_of_x4(run, face, change=1)
    run.write([UPSTREAM, X4])
    (run.path / f"outputs/{X4}/portrait.png").write_bytes(b"no picture")
    rows = compare_outputs(open_run(str(run.path)))
    assert rows["is_same"].isna().all()
    assert rows["note"].notna().all()
    assert said(run, "same") == ["This run holds no result yet."]


def test_what_fits_and_what_did_not(run, face):
    run.picture("portrait", face)
    costs(run, **TIMES)
    run.write([*TIMES])
    assert said(run, "fits") == [
        "4 conditions fit 23.5 GiB of memory here: the most was 3 GiB, by "
        f"{UPSTREAM} on a picture of 500x400 px."
    ]
    run.records.clear()
    run.record(UPSTREAM, "portrait", outcome="oom", error="out of memory")
    run.write()
    assert said(run, "fits") == [f"{UPSTREAM} ran out of memory in 1 run."]


def test_what_was_done_to_blocks_colour_and_text(run, face):
    two_of_x4(run, face)
    run.picture("page", face, kind="text")
    row = {"condition": UPSTREAM, "region": "whole"}
    values = {
        "blockiness_change": {"portrait": -6.2, "page": -0.4},
        "colour_shift": {"portrait": 0.5, "page": 1.5},
        "text_agreement": {"page": 97.0},
    }
    rows = [
        row | {"metric": metric, "source": source, "value": value}
        for metric, of_sources in values.items()
        for source, value in of_sources.items()
    ]
    PATHOLOGIES.write(PATHOLOGIES.frame(rows), run.path / "tables")
    run.write([UPSTREAM, X4])
    assert said(run, "defects") == [
        f"Against its sources, {UPSTREAM} changed JPEG's blocks by -3.3 [-6.2, -0.4] "
        "dB on 2 pictures, where less than 0 is fewer; colour by 1 [0.5, 1.5] in CIE "
        "Lab on 2; text so that 97 % reads as before on 1 (medians, with the least and "
        "the most)."
    ]


def test_who_redraws_faces_and_that_it_is_a_guess_only_where_one_was(run, face):
    run.picture("portrait", face)
    run.record(GPEN, "portrait", restorer=GPEN, weights_kind="random")
    run.output("lanczos", "portrait", face, restorer="lanczos")
    run.write([GPEN, "lanczos"])
    drawn = "Faces are drawn anew, from what was learned of faces, by gpen-512, and "
    assert said(run, "faces") == [f"{drawn}never by lanczos."]
    assert said(run, part="label")[1:] == []
    run.records.clear()
    facts = {"restorer": GPEN, "weights_kind": "released", "key": "new"}
    run.output(GPEN, "portrait", face, **facts)
    run.write()
    assert said(run, "guess")[0].startswith("A restored face is a guess")
    assert said(run, part="label")[1:] == said(run, "guess")
    whole = str(answer(run.path))
    assert whole.count("a guess") == 1


def verdicts(run: Builder, **by_claim: str) -> None:
    rows = [
        {
            "claim": claim.id,
            "section": claim.section,
            "subject": claim.subject,
            "setting": claim.setting,
            "quantity": claim.quantity,
            "claimed": str(claim.claimed),
            "unit": claim.unit,
            "kind": claim.kind,
            "verdict": by_claim.get(claim.id, "not yet tested"),
        }
        for claim in load_claims()
    ]
    VERDICTS.write(VERDICTS.frame(rows), run.path / "tables")


def test_what_is_said_of_the_article_and_its_advice(run, face):
    run.picture("portrait", face)
    verdicts(run, D5="contradicted", G1="not testable here", R1="reproduced")
    row = {"figure": "G10", "experiment": "article", "quantity": "peak memory"}
    row |= {
        "restorer": X4,
        "value": 4915.2,
        "floor": 6208.0,
        "unit": "MiB",
        "is_below": True,
    }
    row |= {"n_pictures": 1, "precision": "fp32"}
    # Winograd's algorithm could pass the floor of a time: it contradicts nothing
    time = {"figure": "G11", "quantity": "wall time", "value": 1.0, "floor": 9.0}
    FLOORS.write(FLOORS.frame([row, row | time]), run.path / "tables")
    run.write(["lanczos"])
    (sentence,) = said(run, "claims")
    assert "wall time" not in sentence
    assert "Of the 80 claims of 张小明's article: 77 not yet tested, 1 " in sentence
    assert "Contradicted: D5 (default precision)." in sentence
    assert "memory of realesrgan-x4plus (G10) is too low in single prec" in sentence
    assert "at least 6.06 GiB" in sentence
    assert "gpen for identity card or passport photo (R1), reproduced" in sentence


def test_of_an_album_no_claim_is_told_unless_asked(run, face):
    run.picture("portrait", face)
    verdicts(run, D5="contradicted")
    page = run.write(["lanczos"], images="/home/reader/album")
    assert not page.says("claims of")
    assert not page.says("not yet tested")
    assert "the article" not in page.text
    assert not [s for s in said(run, part="next") if "claims" in s]
    study = run.path / "study.yaml"
    study.write_text(
        study.read_text(encoding="utf-8") + "claims: true\n", encoding="utf-8"
    )
    page = again(run)
    assert page.says("Of the 80 claims of 张小明's article")
    assert page.says("GPEN与Real-ESRGAN对比评测")


SEEN = {
    "family": {"n_faces": 4, "largest_face_px": 90, "face_share": 0.08},
    "letter": {"n_faces": 0, "text_density": 0.6},
    "cat": {"n_faces": 0, "text_density": 0.0},
}


def test_of_an_album_it_says_what_is_in_it_and_what_suits_what(run, face):
    for name, kind in (("family", "group"), ("letter", "text"), ("cat", "other")):
        run.picture(name, face, kind=kind, width_px=1000, height_px=500)
    plain = dict.fromkeys(FEATURES, 0.0)
    looks = [
        {"sha256": f"sha of {name}", "code": "c", **plain, **values}
        for name, values in SEEN.items()
    ]
    LOOKS.write(LOOKS.frame(looks), run.path / "tables")
    for name, seconds in (("letter", 4.0), ("cat", 6.0)):
        facts = {"restorer": X4, "weights_kind": "package", "peak_rss_mib": 2048.0}
        run.output(X4, name, enlarged(face), **facts)
        run.records[-1]["wall_time_s"] = seconds
    run.write([X4], images="/home/reader/album")
    told = said(run)
    assert told[0] == (
        "Pictures: 3. With faces: 1 (4 faces in all); text without a face: 1; "
        "something else: 1."
    )
    (of_x4,) = [s for s in told if s.startswith(f"{X4} suits ")]
    assert "letter (text, which a face model does not read)" in of_x4
    assert "cat (no face in it, and GPEN changes faces only)" in of_x4
    assert "took 10 s for them here, 6 s at most for one, and up to 2 GiB." in of_x4
    (of_family,) = [s for s in told if s.startswith("hybrid suits family (faces, and ")]
    assert of_family.endswith("has no picture by it, so its cost here is not known.")


def simulated(run: Builder, better: str, subjects: int = 6, sources: int = 6) -> None:
    """Simulated subjects, who give `better` two points more, with some noise."""
    rng = np.random.default_rng(0)
    rows = []
    for subject in range(subjects):
        for source in range(sources):
            for name in (GPEN, "lanczos"):
                score = int(rng.integers(2, 4)) + 2 * (name == better)
                told = {"subject": f"simulated-{subject}", "score": score}
                rows.append(told | {"source": f"p{source}", "condition": name})
    run_folder = open_run(str(run.path))
    fill(ratings_store(run_folder), scores(pd.DataFrame(rows)))
    analyse_scores(run_folder, say=lambda _: None)


def rated(run: Builder, face: np.ndarray) -> None:
    for n in range(6):
        run.picture(f"p{n}", face, kind=("portrait", "text")[n % 2])
        for name in (GPEN, "lanczos"):
            facts = {"restorer": name, "weights_kind": "released"}
            run.output(name, f"p{n}", enlarged(face), **facts)
    run.write([GPEN, "lanczos"])


def test_where_people_rated_it_says_what_wins_for_which_kind_and_how_sure(run, face):
    rated(run, face)
    simulated(run, better=GPEN)
    told = said(run, "preferred")
    assert len(told) == 3
    read = open_run(str(run.path)).read
    pairs = read(SCORES_KINDS).set_index("kind")
    pairs.loc["all"] = read(SCORES_PAIRS).iloc[0]
    for sentence, kind in zip(told, ("all", "portrait", "text"), strict=True):
        where = texts_of("answer")[f"kind.{kind}"]["en"]
        row = pairs.loc[kind]
        bounds = sorted((abs(row["ci_low"]), abs(row["ci_high"])))
        assert sentence.startswith(
            f"On {where}, people preferred {GPEN} to lanczos by "
            f"{abs(row['difference']):.3g} [{bounds[0]:.3g}, {bounds[1]:.3g}] on the "
        )
        assert f"6 subjects, {row['n_sources']} pictures" in sentence
    assert said(run, part="label") == said(run, "guess")
    assert said(run)[:3] == told
    assert not [s for s in said(run, part="next") if "raters" in s]


def test_where_people_do_not_agree_no_preference_is_told(run, face):
    rated(run, face)
    simulated(run, better="neither")
    assert all("no preference is shown" in s for s in said(run, "preferred"))


def test_choices_of_two_are_told_as_odds(run, face):
    rated(run, face)
    rows = [
        {"subject": f"simulated-{n % 8}", "source": f"p{n % 6}", "tied": 0}
        | ({"winner": GPEN, "loser": "lanczos"} if n % 5 else {})
        for n in range(96)
    ]
    frame = pd.DataFrame(rows).fillna({"winner": "lanczos", "loser": GPEN})
    run_folder = open_run(str(run.path))
    fill(ratings_store(run_folder), choices(frame))
    analyse_scores(run_folder, say=lambda _: None)
    (sentence,) = said(run, "chosen")
    odds = float(re.search(r"odds of ([\d.]+) \[", sentence)[1])
    assert odds == pytest.approx(76 / 20, rel=0.02)
    assert "(96 choices)" in sentence


def test_choices_that_tell_nothing_apart_are_no_preference(run, face):
    rated(run, face)
    rows = [
        {"subject": f"simulated-{n % 4}", "source": f"p{n % 6}", "tied": 0}
        | {"winner": (GPEN, "lanczos")[n % 2], "loser": ("lanczos", GPEN)[n % 2]}
        for n in range(24)
    ]
    run_folder = open_run(str(run.path))
    fill(ratings_store(run_folder), choices(pd.DataFrame(rows)))
    analyse_scores(run_folder, say=lambda _: None)
    assert "do not tell them apart for sure" in said(run, "chosen")[0]


def test_what_settles_most_stands_first_with_a_command_that_there_is(run, face):
    two_of_x4(run, face)
    run.record(GPEN, "portrait", restorer=GPEN, weights_kind="random")
    verdicts(run)
    run.write([UPSTREAM, X4, GPEN])
    rows = answer(run.path).of("next")
    assert [row["rule"] for row in rows] == ["weights", "people", "gpu"]
    for row in rows:
        program, *words = row["command"].split()
        assert program in ("make", "evalkit")
        if program == "evalkit":
            result = CliRunner().invoke(app, [*words, "--help"])
            assert result.exit_code == 0, row["command"]


def test_with_weights_people_and_a_gpu_other_pictures_and_experiments_are_next(
    run, face
):
    rated(run, face)
    simulated(run, better=GPEN)
    machine = ENVIRONMENT["machine"] | {"gpus": [{"name": "G", "memory_mib": 1e5}]}
    (run.path / "environment.json").write_text(
        json.dumps(ENVIRONMENT | {"machine": machine}), encoding="utf-8"
    )
    rules = [row["rule"] for row in answer(run.path).of("next")]
    assert rules == ["set", "experiments", "album"]


def test_three_cautions_are_shown_and_the_others_folded(run, face):
    run.picture("portrait", face, is_synthetic=True)
    run.record(GPEN, "portrait", restorer=GPEN, weights_kind="random")
    run.record("lanczos", "portrait", outcome="error", error="no")
    page = run.write([GPEN, "lanczos"])
    cautions = said(run, part="caution")
    assert len(cautions) > 3
    assert page.says(f"{len(cautions) - 3} more")
    lines = [*answer_lines(answer(run.path).frame, None)]
    assert len([line for line in lines if line.startswith("! ")]) == 3


def test_nothing_is_said_twice(run, face):
    two_of_x4(run, face)
    run.record(GPEN, "portrait", restorer=GPEN, weights_kind="random")
    costs(run, **TIMES)
    verdicts(run)
    run.write([*TIMES])
    texts = answer(run.path).frame["text"].tolist()
    sentences = [s for t in texts for s in re.split(r"(?<=[.:]) (?=[A-Z])", t)]
    assert len(sentences) == len({*sentences})


def test_it_is_a_table_of_the_run_that_the_command_says_again(run, face):
    two_of_x4(run, face)
    costs(run, **TIMES)
    run.write([UPSTREAM, X4])
    table = ANSWER.read(ANSWER.path(run.path / "tables"))
    pd.testing.assert_frame_equal(table, answer(run.path).frame)
    result = CliRunner().invoke(app, ["answer", str(run.path)])
    assert result.exit_code == 0
    printed = " ".join(result.stdout.split())
    for row in answer(run.path).of("answer"):
        assert " ".join(row["text"].split()) in printed
    for table_name in table["tables"].dropna():
        known = {AGREEMENT.name, "cost", FLOORS.name, PATHOLOGIES.name, VERDICTS.name}
        assert {*table_name.split(", ")} <= known | {"records", "looks"}


def test_every_text_is_said_in_chinese_too(run, face):
    two_of_x4(run, face)
    costs(run, **TIMES)
    verdicts(run, D5="contradicted")
    run.write([*TIMES])
    compare_outputs(open_run(str(run.path)))
    english, chinese = (answer(run.path, language=la).frame for la in ("en", "zh"))
    assert english["rule"].tolist() == chinese["rule"].tolist()
    assert chinese["text"].str.contains("[\u4e00-\u9fff]").all()


def test_an_unknown_rule_is_refused(run):
    run.write(["lanczos"])
    with pytest.raises(UnknownNameError, match="unknown rule 'price'"):
        answer(run.path, "price")


def test_every_rule_of_the_router_has_a_reason_in_both_languages():
    assert {f"why.{rule.name}" for rule in (*RULES, *SCENES)} <= {*texts_of("answer")}
    assert {f"kind.{kind}" for kind in KINDS} <= {*texts_of("answer")}


def test_who_redraws_faces_is_a_fact_of_the_restorer():
    drawing = {name for name, spec in restorers().items() if spec.redraws_faces}
    gpen = {name for name in restorers() if "gpen" in name}
    assert drawing == gpen | {"hybrid", "auto"}


def test_lines_are_wrapped_at_words(run, face):
    two_of_x4(run, face)
    costs(run, **TIMES)
    run.write([UPSTREAM, X4])
    lines = [*answer_lines(answer(run.path).frame, 60)]
    assert max(map(len, lines)) <= 60
    assert Path(run.path).name in "".join(lines)


readme = runpy.run_path(str(CLONE / "docs" / "readme.py"))
README = readme["READMES"]["en"].read_text(encoding="utf-8")
PUBLISHED = CLONE / readme["BLOCK"].search(README)[2]


def test_a_run_is_published_with_the_figures_that_are_there_already(tmp_path):
    run, folder = tmp_path / "run", tmp_path / "published"
    shutil.copytree(PUBLISHED, run)
    (run / "figures").mkdir()
    for name in ("a.png", "b.png"):
        (run / "figures" / name).write_bytes(b"new")
    folder.mkdir()
    (folder / "a.png").write_bytes(b"old")
    readme["publish"](run, folder)
    assert (folder / "a.png").read_bytes() == b"new"
    assert not (folder / "b.png").exists()
    assert answer(folder).of("answer") == answer(run).of("answer")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_readmes_answer_is_that_of_the_published_tables(language):
    text = readme["READMES"][language].read_text(encoding="utf-8")
    assert readme["with_answer"](text, language) == text
    first_screen = text.partition("\n## ")[0].splitlines()
    assert len(first_screen) <= 60
    other = readme["READMES"]["zh" if language == "en" else "en"]
    assert f"]({other.name})" in "\n".join(first_screen[:5])


def test_the_default_run_answers_with_numbers_at_least_three_times():
    told = answer(PUBLISHED).of("answer")
    assert 3 <= len([row for row in told if re.search(r"\d", row["text"])]) <= 6
    for row in told:  # every number stands in a table of the run
        assert row["rule"] == "faces" or row["tables"]


@pytest.mark.parametrize("gone", [X4, UPSTREAM])
def test_a_condition_that_left_the_study_or_failed_since_is_told_of_no_more(
    run, face, gone
):
    two_of_x4(run, face)
    costs(run, **TIMES)
    run.write([UPSTREAM, X4])
    compare_outputs(open_run(str(run.path)))
    run.records.clear()
    run.write([name for name in (UPSTREAM, X4) if name != gone])
    assert said(run, "same") == ["This run holds no result yet."]
    run.write([UPSTREAM, X4])
    run.record(gone, "portrait", key="newer", outcome="error", error="no")
    page = run.write()
    assert said(run, "same") == ["This run holds no result yet."]
    assert len([src for src in page.attributes("img", "src") if src]) == 4


def test_costs_of_other_machines_alone_are_not_told_as_ours(run, face):
    run.picture("portrait", face)
    costs(run, lanczos=TIMES["lanczos"] | {"machine": "another"})
    run.write(["lanczos"])
    assert said(run, "cost", "fits") == ["This run holds no result yet."]


def test_what_is_more_than_there_is_does_not_fit(run, face):
    run.picture("portrait", face)
    costs(run, lanczos=TIMES["lanczos"] | {"peak_rss_mib": 99_999.0})
    run.write(["lanczos"])
    assert said(run, "fits") == ["This run holds no result yet."]


@pytest.mark.parametrize(
    "row", [{"source_width_px": None}, {"wall_time_s": 0.0}, {"wall_time_s": None}]
)
def test_a_cost_that_is_half_known_is_not_told(run, face, row):
    run.picture("portrait", face)
    costs(run, lanczos=TIMES["lanczos"] | row)
    run.write(["lanczos"])
    assert said(run, "cost", "same") == ["This run holds no result yet."]


def filled(run: Builder, table: Table, *rows: dict) -> None:
    """A table of the run; machine and weights are the same in all rows."""
    told = {"machine": MACHINE, "weights_kind": "package"}
    frame = table.frame([told | {"source": "portrait"} | row for row in rows])
    table.write(frame, run.path / "tables")


def test_of_runs_in_a_row_it_says_how_many_failed_and_may(run, face):
    run.picture("portrait", face)
    row = {"experiment": "stability", "condition": X4, "restorer": X4}
    row |= {"n_runs": 50, "outcomes": {"ok": 49, "oom": 1}}
    row |= {"failure_low": 0.0035, "failure_high": 0.105}
    row |= {f"rss_slope{end}_mib": value for end, value in SLOPES.items()}
    fresh = {"experiment": "stability-fresh", "n_runs": 2, "outcomes": {"ok": 2}}
    fresh |= {"failure_low": 0.0, "failure_high": 0.658}
    filled(run, STABILITY, row, {"condition": X4, "restorer": X4} | fresh)
    run.write([X4])
    assert said(run, "stability") == [
        f"Of runs one after the other: {X4} failed in 1 of 50 runs in one process, so "
        "that 0.4 to 10.5 % may, and its peak memory grew by 0.5 [0.25, 0.75] MiB a "
        f"run; {X4} failed in 0 of 2 runs in fresh processes, so that 0 to 65.8 % may."
    ]
    assert answer(run.path).of("answer")[-1]["tables"] == STABILITY.name


SLOPES = {"": 0.5, "_low": 0.25, "_high": 0.75}


def test_as_memory_shrinks_it_says_who_fails_first_and_what_saves_it(run, face):
    run.picture("portrait", face)
    row = {"condition": X4, "restorer": X4, "longest_px": 500, "largest_mib": 9000}
    row |= {"works_mib": 4000}
    saved = row | {"condition": f"{X4}@tile=64", "works_mib": 1500}
    filled(run, BUDGET, row, saved)
    run.write([X4])
    assert said(run, "budget") == [
        f"As memory shrinks, {X4} fails first: for a picture of 500 px it needs 4,000 "
        "MiB. It is saved by tile=64, which works in 1,500 MiB."
    ]
    filled(run, BUDGET, row | {"works_mib": None})
    assert "not even 9,000 MiB are enough" in said(run, "budget")[0]
    filled(run, BUDGET, row)
    assert said(run, "budget") == [
        f"{X4} needs 4,000 MiB for a picture of 500 px, and fails with less."
    ]


@pytest.mark.parametrize(
    ("speed_up", "expected"),
    [(1.9, "most with 2 at once, 1 to a batch: 1.9 times"), (0.9, "gain nothing")],
)
def test_what_is_gained_by_more_pictures_at_once(run, face, speed_up, expected):
    run.picture("portrait", face)
    row = {"condition": X4, "restorer": X4, "outcome": "ok"}
    rows = [row | {"n_instances": n, "n_ok": n, "speedup": up} for n, up in ((1, 1.0),)]
    rows.append(row | {"n_instances": 2, "n_ok": 2, "speedup": speed_up})
    filled(run, CONCURRENCY, *rows)
    run.write([X4])
    assert expected in said(run, "instances")[0]


def test_which_back_end_that_makes_the_same_picture_is_the_fastest(run, face):
    run.picture("portrait", face)
    row = {"network": X4, "agrees": True, "against": "PyTorch fp32"}
    quick = row | {"backend": "openvino", "precision": "fp32", "condition": "a"}
    quick |= {"wall_time_s": 2.0, "speed_up": 2.5, "memory_saved_percent": -12.5}
    quick |= {"speed_up_low": 2.0, "speed_up_high": 3.0}
    slow = row | {"backend": "onnx", "condition": "b", "speed_up": 1.5}
    other = row | {"backend": "ncnn", "condition": "c", "agrees": False}
    filled(run, BACKENDS, quick, slow, other)
    run.write([X4])
    assert said(run, "backends") == [
        f"Of 3 back ends and precisions of {X4}, 2 made PyTorch's picture of portrait "
        "and were timed against it: the fastest is openvino in fp32, 2 s, 2.5 [2, 3] "
        "times as fast as PyTorch fp32. It takes 12.5 % more memory."
    ]


def test_of_several_machines_it_says_which_is_faster_by_what_ratio(run, face):
    run.picture("portrait", face)
    costs(run, **{X4: TIMES[X4], "lanczos": TIMES["lanczos"]})
    ours = COST.read(COST.path(run.path / "tables"))
    times = {f"wall_time{end}_s": t for end, t in SLOW_TIMES.items()}
    other = ours[ours["condition"] == X4].assign(machine="another", **times)
    COST.write(pd.concat([ours, other]), run.path / "tables")
    run.write([X4, "lanczos"])
    assert said(run, "cards") == [
        f"{X4} on portrait: {MACHINE} takes 2 s, another 10 s, 5 [3.2, 6.86] times as "
        "long."  # 10/2, 8/2.5, 12/1.75
    ]


SLOW_TIMES = {"": 10.0, "_low": 8.0, "_high": 12.0}


def test_how_far_tiles_are_from_the_whole_picture(run, face):
    run.picture("portrait", face)
    row = {"experiment": "tile", "restorer": X4, "n_failed": 0}
    rows = [
        row
        | {"base_condition": base, "condition": f"{base}{tile}", "value": str(tile)}
        | {"untiled_levels": levels}
        for base, tile, levels in ((X4, 48, 1.0), (X4, 96, 0.0), (UPSTREAM, 48, 99.0))
    ]
    filled(run, EXPERIMENTS, *rows)
    run.write([X4, UPSTREAM])
    assert said(run, "defects") == [
        "Cut in tiles, a picture differs from the one made whole: "
        f"{X4} with tiles of 48 px by up to 1 on portrait; "
        f"{UPSTREAM} with tiles of 48 px by up to 99 on portrait (the largest "
        "difference, of 255 levels)."
    ]


def test_what_a_route_would_cost_is_told_by_what_was_timed(run, face):
    run.picture("portrait", face)
    run.picture("cat", face, kind="other", width_px=10_000, height_px=8_000)
    plain = dict.fromkeys(FEATURES, 0.0)
    looks = [{"sha256": "sha of cat", "code": "c"} | plain | SEEN["cat"]]
    LOOKS.write(LOOKS.frame(looks), run.path / "tables")
    costs(run, **{X4: TIMES[X4]})  # 2 s for 0.2 megapixels, and 80 are to be made
    run.write([X4], images="/home/reader/album")
    (sentence,) = said(run, "routes")
    assert sentence.endswith("it would take about 13 min for them, and up to 2 GiB.")
