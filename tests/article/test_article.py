import pytest

from evalkit.article import (
    OPEN,
    UNJUDGED,
    Evaluator,
    Verdict,
    article_values,
    chance,
    evaluate,
    evaluators,
    load_claims,
)
from evalkit.errors import EvalkitError, StudyError
from evalkit.imagesets import prepare
from evalkit.tables import FLOORS, IMAGES, METRICS, PATHOLOGIES, VERDICTS

INSPECTED = {"D3", "D4", "D5", "Q21", "G29", "D6", "D8", "D9", "D11", "Q15"}
"""Judged on the installed package, or by arithmetic: also for an empty run."""
OFFERED = {"D7", "D10"}
"""Judged so, too, once evalkit has the command."""


@pytest.fixture(scope="module")
def of_nothing(tmp_path_factory):
    return evaluate(tmp_path_factory.mktemp("run")).set_index("claim")


def test_a_run_folder_with_nothing_tests_nothing(of_nothing):
    untested = of_nothing.drop(index=sorted(INSPECTED | OFFERED))
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


def test_every_claim_has_a_judge(of_nothing):
    assert set(evaluators()) == {claim.id for claim in load_claims()}


def test_every_open_claim_says_what_would_settle_it_with_a_command(of_nothing):
    is_open = of_nothing["verdict"].isin(OPEN)
    assert of_nothing.loc[is_open, "settled_by"].str.contains("make |evalkit ").all()
    assert of_nothing.loc[~is_open, "settled_by"].isna().all()
    assert of_nothing["range"].notna().all()


def test_chance_counts_the_intervals_behind_the_verdicts(of_nothing):
    assert chance(of_nothing).startswith("No verdict here rests on an interval")
    told = chance(of_nothing.assign(n_intervals=1))
    assert told.startswith("80 intervals of 95 % stand behind these verdicts, ")
    assert told.endswith("at most 2.8 wrong verdicts are to be expected.")


def test_a_cpu_without_raters_says_something_of_28_claims(run, cpu_only):
    """What `make verdicts` leaves on such a machine, in made-up tables."""
    run.environment(cpu_only)
    IMAGES.write(prepare("quick"), run.path / "tables")
    run.metric(30.0)
    run.record("cost", stages_s={"decode": 0.1, "encode": 0.1}, wall_time_s=1.0)
    cell = {"figure": "measured", "experiment": "frame", "machine": "test-2c"}
    cell |= {"restorer": "gpen-512", "runner": "upstream", "device": "cpu", "tile": 0}
    cell |= {"precision": "fp32", "width_px": 1024, "height_px": 768, "n_pictures": 1}
    time, memory = {"quantity": "wall time"}, {"quantity": "peak memory"}
    floors = [  # of upstream's arithmetic, in MiB
        cell | memory | {"figure": claim, "value": value, "floor": floor}
        for claim, value, floor in (
            *(("G10", 4915.2, 6207.7), ("G12", 6348.8, 6207.7)),
            ("G15", 3174.4, 3103.9),
        )
    ]
    floors.append(cell | time | {"value": 7.0, "low": 6.5, "high": 7.5})
    floors.append(cell | memory | {"value": 1600.0})
    FLOORS.write(FLOORS.frame(floors), run.path / "tables")
    rows = [
        {"condition": condition, "source": "portrait-jpeg", "metric": "highlights"}
        | {"region": "skin", "value": 0.0}
        for condition in ("outputs:gpen-official", "realesrgan-x4plus@runner=upstream")
    ]
    PATHOLOGIES.write(PATHOLOGIES.frame(rows), run.path / "tables")
    verdicts = evaluate(run.path).set_index("claim")["verdict"]
    said = verdicts[~verdicts.isin(["not testable here", "not yet tested"])]
    assert len(said) >= 28, said
    assert verdicts["G5"] == "contradicted"
    assert verdicts["G6"] == "inconclusive"
    assert verdicts["G10"] == "contradicted"


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


def test_a_damaged_table_costs_its_claims_only(tmp_path):
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "floors.csv").write_text("no,such\nco,lumn\n")
    verdicts = evaluate(tmp_path).set_index("claim")
    assert verdicts.loc["G5", "evidence"].startswith("It could not be judged: ")
    assert "floors.csv" in verdicts.loc["G5", "evidence"]
    assert verdicts.loc["D5", "verdict"] == "contradicted"


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
