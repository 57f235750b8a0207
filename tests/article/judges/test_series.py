"""Claims of many runs, on made-up tables."""

import pytest

from evalkit.article import Evidence, evaluators
from evalkit.restorers import parse_condition
from evalkit.tables import BUDGET, CONCURRENCY, STABILITY

GPEN, X4PLUS = "gpen-512@runner=upstream", "realesrgan-x4plus@runner=upstream"


def judge(run, claim):
    return evaluators()[claim].judge(Evidence(run.path))


SIZED = {"width_px": 1024, "height_px": 768}


@pytest.fixture
def run(run, gpu):
    run.environment(gpu)
    run.images(SIZED)
    return run


@pytest.fixture
def write(run):
    def write_rows(table, *rows):
        filled = []
        for row in rows:
            setting = {"device": "cuda:0", "runner": "tuned", "precision": "fp16"}
            setting |= parse_condition(row["condition"])
            facts = {"restorer": setting.pop("name"), "setting": setting}
            filled.append({"source": "s0", "machine": "m"} | facts | row)
        table.write(table.frame(filled), run.path / "tables")

    return write_rows


def series(condition, experiment="stability", n_runs=50, **more):
    known = {"outcomes": {"ok": n_runs}, "n_runs": n_runs}
    return {"condition": condition, "experiment": experiment, **known, **more}


def test_fifty_single_runs_and_fifty_batches_without_failure_are_reproduced(run, write):
    write(STABILITY, series(GPEN), series(GPEN, value="5"))
    verdict, found, evidence, _ = judge(run, "G9")
    assert (verdict, found) == ("reproduced", "0 of 100 runs")
    assert "7.1 %" in evidence


def test_one_series_or_a_short_one_is_not_enough(run, write):
    write(STABILITY, series(GPEN))
    assert judge(run, "G9").verdict == "inconclusive"
    write(STABILITY, series(GPEN, n_runs=49), series(GPEN, value="5"))
    assert judge(run, "G9").verdict == "inconclusive"


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ({"ok": 49, "oom": 1}, ("inconclusive", "1 of 100 runs")),  # as none of 50
        ({"ok": 40, "oom": 10}, ("contradicted", "10 of 100 runs")),
        ({"ok": 50, "timeout": 10}, ("reproduced", "0 of 100 runs")),  # ours
        ({"ok": 50, "killed": 8}, ("reproduced", "0 of 100 runs")),  # the host's
    ],
)
def test_more_failures_than_none_of_fifty_allows_contradict_it(
    run, write, outcomes, expected
):
    failed = series(X4PLUS, outcomes=outcomes)
    write(STABILITY, failed, series(f"{X4PLUS},precision=fp32"))
    found = judge(run, "G26")
    assert found[:2] == expected
    assert ("10 by oom" in found.evidence) == (outcomes.get("oom") == 10)


@pytest.mark.parametrize(
    ("claim", "series_of"),
    [
        ("G26", [series(X4PLUS), series(f"{X4PLUS},tile=64")]),  # both in half
        (
            "G26",
            [series(f"{X4PLUS},precision=fp32"), series(f"{X4PLUS},precision=tf32")],
        ),
        ("G9", [series(GPEN), series(f"{GPEN},background=none")]),  # none of five
        ("G9", [series(GPEN), series(f"{GPEN},tile=64", value="5")]),
    ],
)
def test_two_series_of_one_sort_are_not_the_two_of_the_claim(
    run, write, claim, series_of
):
    write(STABILITY, *series_of)
    assert judge(run, claim).verdict == "inconclusive"


@pytest.mark.parametrize("n", [1, 2, 3])
def test_one_failure_of_few_runs_contradicts_nothing(run, write, n):
    """Of one run that failed the true rate may be 2.5 % (Clopper and Pearson)."""
    failed = series(f"{X4PLUS},precision=fp32", n_runs=n)
    failed["outcomes"] = {"ok": n - 1, "error": 1}
    write(STABILITY, series(X4PLUS), failed)
    assert judge(run, "G26").verdict == "inconclusive"


def test_a_damaged_series_is_left_out(run, write):
    write(STABILITY, series(GPEN) | {"outcomes": None}, series(GPEN, value="5"))
    assert judge(run, "G9")[:2] == ("inconclusive", "0 of 50 runs")


def test_a_small_card_or_a_small_picture_says_nothing(run, write, gpu):
    write(
        STABILITY, *(series(GPEN, value=n, outcomes={"oom": 50}) for n in (None, "5"))
    )
    assert judge(run, "G9").verdict == "contradicted"
    small = {"name": "NVIDIA RTX 4060", "memory_mib": 8188}
    for gpus in ([small], [*gpu["machine"]["gpus"], small]):  # whichever was used
        run.environment(gpu | {"machine": gpu["machine"] | {"gpus": gpus}})
        assert judge(run, "G9").verdict == "not testable here"
    run.environment(gpu)
    run.images({"width_px": 64, "height_px": 64})
    verdict, _, evidence, _ = judge(run, "G9")
    assert verdict == "not yet tested"
    assert "other sizes: 64x64 px" in evidence


def test_another_runner_or_the_cpu_is_not_the_claims(run, write):
    others = ("gpen-512", "gpen-512@device=cpu,runner=upstream", X4PLUS)
    write(STABILITY, *(series(condition) for condition in others))
    assert judge(run, "G9").verdict == "not yet tested"


def batches(**more):
    return series(X4PLUS, value="5", **more)


def test_a_late_lack_of_memory_is_what_the_article_saw(run, write):
    late = {"first_failed_run": 37, "failure": "oom: CUDA out of memory"}
    write(STABILITY, batches(**late))
    assert judge(run, "G14").verdict == "inconclusive"  # of what did not grow
    write(STABILITY, batches(**late, gpu_slope_low_mib=300.0))
    verdict, found, *_ = judge(run, "G14")
    assert (verdict, found) == ("reproduced", "run 37: oom: CUDA out of memory")
    write(STABILITY, batches(**late, gpu_slope_low_mib=0.005))
    assert judge(run, "G14").verdict == "inconclusive"  # 0.2 MiB fill no card


@pytest.mark.parametrize("turned", [False, True])
def test_beside_half_precision_the_single_one_decides_in_any_order(run, write, turned):
    single = f"{X4PLUS},precision=fp32"
    late = {"first_failed_run": 37, "failure": "oom: CUDA out of memory"}
    rows = [
        series(single, value="5", gpu_slope_low_mib=500.0, **late),
        batches(gpu_slope_high_mib=1.0),
    ]
    write(STABILITY, *rows[:: -1 if turned else 1])
    assert judge(run, "G14").verdict == "reproduced"
    speeds = {single: 1.0, X4PLUS: 1.5, f"{X4PLUS},tile=64": 1.5}
    ways = [
        instances(name, 2, speedup=x, speedup_low=x - 0.02, speedup_high=x + 0.02)
        for name, x in speeds.items()
    ]
    write(CONCURRENCY, *ways[:: -1 if turned else 1])
    assert judge(run, "G27").verdict == "reproduced"


@pytest.mark.parametrize(
    ("first", "failure"), [(2, "oom: CUDA out of memory"), (37, "crash: SIGSEGV")]
)
def test_another_failure_is_not(run, write, first, failure):
    growth = {"gpu_slope_low_mib": 300.0}
    write(STABILITY, batches(first_failed_run=first, failure=failure, **growth))
    assert judge(run, "G14").verdict == "inconclusive"


@pytest.mark.parametrize(
    ("slope", "verdict"),
    [(1.0, "contradicted"), (600.0, "inconclusive"), (None, "inconclusive")],
)
def test_memory_that_does_not_grow_cannot_run_out_at_run_37(run, write, slope, verdict):
    """From 6.2 to 24 GB in 36 steps: 506 MiB a run."""
    write(STABILITY, batches(gpu_slope_high_mib=slope))
    found = judge(run, "G14")
    assert found[:2] == (verdict, "no failure")
    assert "506" in found.evidence


def instances(condition, n, **more):
    known = {"n_ok": n, "memory_mib": 1000.0 * n, "memory_total_mib": 24564.0}
    known |= {"outcome": "ok" if more.get("n_ok", n) == n else "oom"}
    return {"condition": condition, "n_instances": n, **known, **more}


@pytest.mark.parametrize(
    ("more", "verdict"),
    [
        ({}, "reproduced"),
        ({"n_ok": 2}, "contradicted"),
        ({"memory_mib": 25000.0, "memory_total_mib": 80000.0}, "contradicted"),
        ({"n_ok": 2, "memory_total_mib": 8000.0}, "inconclusive"),  # a smaller card
        ({"memory_total_mib": None}, "reproduced"),  # measured on another machine
        ({"n_ok": 2, "memory_total_mib": None}, "inconclusive"),
        ({"n_ok": 2, "outcome": "error"}, "inconclusive"),  # of no lack of memory
        ({"memory_kind": "sum of peak RSS"}, "inconclusive"),  # of no GPU's
        ({"n_ok": 2, "outcome": "killed", "memory_mib": None}, "inconclusive"),
    ],
)
def test_three_instances_must_fit_in_24_gb(run, write, more, verdict):
    write(CONCURRENCY, instances(GPEN, 1), instances(GPEN, 3, **more))
    assert judge(run, "G21").verdict == verdict


def test_two_instances_say_nothing_of_three(run, write):
    write(CONCURRENCY, instances(GPEN, 2))
    assert judge(run, "G21").verdict == "not yet tested"


@pytest.mark.parametrize(
    ("speedup", "verdict"),
    [(1.05, "inconclusive"), (1.6, "inconclusive")],  # of no interval
)
def test_one_instance_is_best_if_more_bring_nothing(run, write, speedup, verdict):
    more = instances(X4PLUS, 2, speedup=speedup)
    write(CONCURRENCY, instances(X4PLUS, 1, speedup=1.0), more)
    assert judge(run, "G27").verdict == verdict


def test_one_of_two_that_is_left_alone_is_no_two_side_by_side(run, write):
    alone = {"n_ok": 1, "speedup": 1.0, "speedup_low": 0.98, "speedup_high": 1.02}
    write(CONCURRENCY, instances(X4PLUS, 1, speedup=1.0), instances(X4PLUS, 2, **alone))
    assert judge(run, "G27").verdict == "not yet tested"


@pytest.mark.parametrize(
    ("gpen_mib", "verdict", "first"),
    [(3100, "reproduced", "realesrgan-x4plus"), (2000, "contradicted", "realesr")],
)
def test_who_needs_more_than_is_left_fails_first(run, write, gpen_mib, verdict, first):
    common = {"limit": "cuda", "longest_px": 1024}
    saved = f"{X4PLUS.replace('@', '@precision=fp16,')},tile=128"
    needs = ((GPEN, gpen_mib), (X4PLUS, 7000), (saved, 900))
    rows = [{"condition": name, "works_mib": mib, **common} for name, mib in needs]
    write(BUDGET, *rows)
    found = judge(run, "G25")
    assert found.verdict == verdict
    assert found.found.startswith(first)
    assert "7000 MiB" in found.evidence


def test_what_worked_in_no_budget_is_said(run, write):
    common = {"limit": "cuda", "longest_px": 1024}
    rows = [{"condition": GPEN, "works_mib": 3100}, {"condition": X4PLUS}]
    write(BUDGET, *(row | common for row in rows))
    verdict, found, *_ = judge(run, "G25")
    assert verdict == "inconclusive"
    assert found == "realesrgan-x4plus upstream worked in no budget that was tried"


def test_a_budget_of_ram_does_not_answer_for_a_gpu(run, write):
    common = {"limit": "data", "longest_px": 1024, "works_mib": 900}
    write(BUDGET, *({"condition": name, **common} for name in (GPEN, X4PLUS)))
    assert judge(run, "G25").verdict == "not yet tested"
