import pytest

from evalkit.article import (
    UNJUDGED,
    Evaluator,
    Verdict,
    article_values,
    evaluate,
    evaluators,
    load_claims,
)
from evalkit.errors import EvalkitError, StudyError
from evalkit.tables import METRICS, VERDICTS

INSPECTED = {"D3", "D4", "D5", "Q21", "G29"}
"""Judged on the installed package, or by arithmetic: also for an empty run."""


@pytest.fixture(scope="module")
def of_nothing(tmp_path_factory):
    return evaluate(tmp_path_factory.mktemp("run")).set_index("claim")


def test_a_run_folder_with_nothing_tests_nothing(of_nothing):
    untested = of_nothing.drop(index=sorted(INSPECTED))
    assert set(untested["verdict"]) <= {"not yet tested", "not testable here"}
    assert untested["found"].isna().all()


def test_every_claim_has_a_row_with_a_known_verdict_and_evidence(of_nothing):
    assert list(of_nothing.index) == [claim.id for claim in load_claims()]
    assert set(of_nothing["verdict"]) <= {str(v) for v in Verdict}
    assert of_nothing["evidence"].str.len().gt(10).all()


def test_the_verdicts_survive_a_file(of_nothing, tmp_path):
    path = VERDICTS.write(of_nothing.reset_index(), tmp_path)
    assert VERDICTS.read(path).set_index("claim").equals(of_nothing)


def test_this_issues_claims_have_evaluators():
    assert set(evaluators()) >= INSPECTED | {f"S{n}" for n in range(1, 9)}


def test_a_claim_without_evaluator_says_so(of_nothing):
    unjudged = [claim.id for claim in load_claims() if claim.id not in evaluators()]
    assert of_nothing.loc[unjudged, "evidence"].str.startswith("no evaluator").all()


def test_no_verdict_on_peoples_opinion_is_taken_from_a_metric(tmp_path):
    rows = [
        {"condition": condition, "source": "s0", "metric": metric, "value": 30.0}
        for condition in ("gpen-512", "realesrgan-x4plus@runner=upstream")
        for metric in ("psnr", "ssim")
    ]
    METRICS.write(METRICS.frame(rows), tmp_path / "tables")
    verdicts = evaluate(tmp_path)
    ratings = verdicts[verdicts["kind"] == "rating"]
    assert set(ratings["verdict"]) <= {"not yet tested", "not testable here"}


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(StudyError, match="expected a run folder, found none"):
        evaluate(tmp_path / "runs")


@pytest.mark.parametrize(
    ("claim", "problem"), [("S1", "the name 'S1' is taken"), ("X9", "X9 is no claim")]
)
def test_a_wrong_evaluator_is_refused(monkeypatch, claim, problem):
    from evalkit.article.judges import upstream

    added = Evaluator(claim, lambda evidence: UNJUDGED)
    monkeypatch.setattr(upstream, "ENTRIES", (*upstream.ENTRIES, added))
    with pytest.raises(EvalkitError, match=problem):
        evaluators.__wrapped__()


def test_the_articles_figures_are_numbers_with_their_unit_and_machine():
    values = article_values()
    assert (values.loc["G1", "claimed"], values.loc["G1", "unit"]) == (3.2, "GB")
    assert (values.loc["G11", "claimed"], values.loc["G11", "unit"]) == (12.3, "s")
    assert values["machine"].str.contains("RTX 4090").all()
    assert not {"G8", "G14", "G21", "G22", "Q1"} & set(values.index)
