"""Claims of cost, on made-up tables: absolute on the article's GPU, else as ratios."""

import pytest

from evalkit.article import Evidence, evaluators, load_claims
from evalkit.article._figures import CLAIMED
from evalkit.faces import find_detector
from evalkit.tables import FLOORS

H200 = [{"name": "NVIDIA H200", "memory_mib": 143771}]
NUMBERS = [*range(1, 5), *range(7, 22), *range(25, 29)]
ABOUT_GPUS = [*(f"G{number}" for number in NUMBERS), "D13"]
GPEN = {"restorer": "gpen-512", "condition": "gpen-512@runner=upstream"}
X4PLUS = {"restorer": "realesrgan-x4plus", "condition": "x4plus"}
CELL = {
    "figure": "measured",
    "experiment": "cost",
    "source": "s0",
    "machine": "test-2c",
    "runner": "upstream",
    "device": "cuda",
    "precision": "fp32",
    "tile": 0,
    "width_px": 1024,
    "height_px": 768,
    "n_pictures": 1,
}
TIME, MEMORY = {"quantity": "wall time"}, {"quantity": "peak memory"}


def judge(run, claim):
    return evaluators()[claim].judge(Evidence(run.path))[:3]


@pytest.fixture
def rows():
    return []


@pytest.fixture
def add(run, rows):
    """Add a row of the table ``floors``."""

    def write(*parts, **more):
        row = dict(CELL)
        for part in parts:
            row |= part
        row |= {"low": more.get("value"), "high": more.get("value")} | more
        rows.append(row)
        FLOORS.write(FLOORS.frame(rows), run.path / "tables")

    return write


@pytest.fixture
def other_gpu(run, gpu):
    run.environment(gpu | {"machine": gpu["machine"] | {"gpus": H200}})


def test_every_claim_of_kind_measure_has_a_judge():
    measured = {claim.id for claim in load_claims() if claim.kind == "measure"}
    assert measured - {"D1", "D2"} <= set(evaluators())


@pytest.mark.parametrize("claim", [*ABOUT_GPUS, "G5", "G6", "G22", "G23"])
def test_an_empty_run_tests_nothing(run, claim):
    verdict, found, evidence = judge(run, claim)
    assert verdict == "not yet tested"
    assert found is None
    assert evidence


@pytest.mark.parametrize("claim", ABOUT_GPUS)
def test_a_claim_about_a_gpu_is_not_testable_without_one(run, cpu_only, claim):
    run.environment(cpu_only)
    assert judge(run, claim)[0] == "not testable here"


@pytest.mark.parametrize("claim", ABOUT_GPUS)
def test_a_gpu_alone_is_no_test(run, gpu, claim):
    run.environment(gpu)
    assert judge(run, claim)[0] == "not yet tested"


@pytest.mark.parametrize(
    ("seconds", "verdict"),
    [(18.4, "reproduced"), (22.9, "reproduced"), (0.2, "contradicted")],
)
def test_on_the_articles_gpu_a_figure_counts_as_it_stands(
    run, gpu, add, seconds, verdict
):
    run.environment(gpu)
    add(GPEN, TIME, value=seconds)
    found = judge(run, "G2")
    assert found[:2] == (verdict, f"{seconds:g} s")
    assert "18.4" in found[2]
    assert "our layers ran in place of the CUDA extensions" in found[2]


@pytest.mark.parametrize(
    ("gpen_s", "x4plus_s", "verdict"),
    [
        (1.84, 1.23, "reproduced"),  # the article's ratio, ten times as fast
        (3.0, 1.0, "inconclusive"),  # its order, and another ratio
        (1.0, 2.0, "contradicted"),  # the other order
    ],
)
def test_on_another_gpu_the_ratio_to_another_figure_counts(
    run, other_gpu, add, gpen_s, x4plus_s, verdict
):
    add(GPEN, TIME, value=gpen_s)
    add(X4PLUS, TIME, value=x4plus_s)
    assert judge(run, "G2")[0] == verdict
    assert judge(run, "G11")[0] == verdict


def test_an_order_that_the_interval_leaves_open_contradicts_nothing(
    run, other_gpu, add
):
    add(GPEN, TIME, value=0.9, low=0.8, high=1.3)
    add(X4PLUS, TIME, value=1.0, low=0.9, high=1.1)
    assert judge(run, "G2")[0] == "inconclusive"


@pytest.mark.parametrize("interval", [(9.0, 30.0), (None, None)])
def test_an_interval_that_leaves_the_range_or_is_not_known_decides_nothing(
    run, gpu, add, interval
):
    run.environment(gpu)
    add(GPEN, TIME, value=18.4, low=interval[0], high=interval[1])
    assert judge(run, "G2")[0] == "inconclusive"


@pytest.mark.parametrize("half", [0.999, 0.95])
def test_a_saving_of_nothing_is_not_the_saving_that_is_claimed(
    run, other_gpu, add, half
):
    add(X4PLUS, TIME, value=10.0, experiment="precision")
    add(X4PLUS, TIME, value=10 * half, precision="fp16", condition="half")
    assert judge(run, "G18")[0] == "inconclusive"


def test_a_time_below_its_floor_contradicts_nothing(run, other_gpu, add):
    add(X4PLUS, TIME, value=1.23)
    add(GPEN, TIME, value=1.84)
    floor = {"figure": "G11", "value": 12.3, "floor": 99.0, "is_below": True}
    add(X4PLUS, TIME, floor, unit="s", condition=None)
    assert judge(run, "G11")[0] == "reproduced"


def test_a_figure_with_nothing_to_compare_it_with_is_inconclusive(run, other_gpu, add):
    add(GPEN, TIME, value=18.4)
    assert judge(run, "G2")[:2] == ("inconclusive", "18.4 s")


@pytest.mark.parametrize(
    "other",
    [
        {"runner": "tuned"},
        {"precision": "fp16"},
        {"tile": 400},
        {"width_px": 1023},
        {"machine": "elsewhere"},
        {"experiment": "background"},
    ],
)
def test_another_cell_is_not_that_of_the_claim(run, gpu, add, other):
    run.environment(gpu)
    add(GPEN, TIME, value=18.4, **other)
    assert judge(run, "G2")[0] == "not yet tested"


def test_an_upright_picture_is_as_large_as_a_lying_one(run, gpu, add):
    run.environment(gpu)
    add(GPEN, TIME, value=18.4, width_px=768, height_px=1024)
    assert judge(run, "G2")[0] == "reproduced"


FLOOR = {"unit": "MiB", "condition": None}


@pytest.mark.parametrize("machine", ["cpu_only", "other_gpu"])
def test_a_memory_below_its_floor_is_contradicted_with_a_gpu_or_without(
    run, add, machine, request, cpu_only
):
    if request.getfixturevalue(machine) is cpu_only:
        run.environment(cpu_only)
    add(X4PLUS, MEMORY, value=6500)
    add(GPEN, MEMORY, value=6500 / 1.5)
    floor = {"figure": "G10", "value": 4915.2, "floor": 6207.7, "is_below": True}
    add(X4PLUS, MEMORY, floor, **FLOOR)
    verdict, found, evidence = judge(run, "G10")
    assert (verdict, found) == ("contradicted", "less than arithmetic allows")
    assert "at least 6.06 GiB must be there at once in single precision" in evidence
    assert "4.47 to 4.80 GiB" in evidence


def test_what_the_reading_of_gb_decides_stays_open_without_a_gpu(run, cpu_only, add):
    run.environment(cpu_only)
    floor = {"figure": "G15", "value": 3174.4, "floor": 3104.0, "is_below": False}
    add(X4PLUS, MEMORY, floor, **FLOOR)
    verdict, _, evidence = judge(run, "G15")
    assert verdict == "inconclusive"
    assert "2.89 to 3.10 GiB, as GB is read" in evidence


def test_a_possible_figure_is_told_so_and_decides_nothing(run, cpu_only, add):
    run.environment(cpu_only)
    add(GPEN, MEMORY, {"figure": "G1", "value": 3276.8, "floor": 527.0}, **FLOOR)
    verdict, _, evidence = judge(run, "G1")
    assert verdict == "not testable here"
    assert evidence.endswith("as GB is read: possible.")


def test_the_cpu_mode_is_measured_without_a_gpu(run, cpu_only, gpu, add):
    add(GPEN, TIME, value=213.6, device="cpu")
    run.environment(cpu_only)
    assert judge(run, "G6")[:2] == ("inconclusive", "213.6 s")
    no_gpu = gpu["machine"] | {"gpus": []}
    run.environment(gpu | {"machine": no_gpu})  # the article's CPU
    assert judge(run, "G6")[0] == "reproduced"


@pytest.mark.parametrize(
    ("mib", "verdict"), [(5.8 * 1024, "reproduced"), (1507.0, "contradicted")]
)
def test_memory_on_a_cpu_is_compared_on_any(run, cpu_only, add, mib, verdict):
    run.environment(cpu_only)
    add(GPEN, MEMORY, value=mib, device="cpu", experiment="frame")
    found = judge(run, "G5")
    bounds = f"[{0.95 * mib / 1024:.4g}, {1.05 * mib / 1024:.4g}]"
    assert found[:2] == (verdict, f"{mib / 1024:.4g} GiB {bounds}")
    assert "within 5%, as RAM varies" in found[2]


@pytest.mark.parametrize(
    ("gib", "verdict"),
    [(1.4, "inconclusive"), (5.8, "inconclusive"), (9.0, "contradicted")],
)
def test_what_smaller_networks_stood_in_for_is_a_least_value(
    run, cpu_only, add, gib, verdict, monkeypatch, tmp_path
):
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path))  # without those weights
    monkeypatch.delenv("EVALKIT_MIRROR", raising=False)
    run.environment(cpu_only)
    add(GPEN, MEMORY, value=gib * 1024, device="cpu", experiment="frame")
    notes = find_detector()[2]  # a test has no network
    cell = FLOORS.read(FLOORS.path(run.path / "tables")).iloc[0]
    run.record("frame", condition=cell.condition, source=cell.source, notes=notes)
    found = judge(run, "G5")
    assert found[0] == verdict
    assert "stood in for retinaface-r50" in found[2]
    add(GPEN, TIME, value=4.0, device="cpu", experiment="frame")
    assert "stood in for retinaface-r50" in judge(run, "G6")[2]


def test_five_pictures_that_take_five_times_one_say_nothing_of_the_article(
    run, other_gpu, gpu, add
):
    add(X4PLUS, TIME, value=1.0)
    add(X4PLUS, TIME, value=4.8, n_pictures=5, experiment="batch")
    verdict, _, evidence = judge(run, "G13")  # 58.7 over 12.3 is 4.77
    assert verdict == "inconclusive"
    assert "any machine says that" in evidence
    run.environment(gpu)
    assert judge(run, "G13")[0] == "contradicted"  # 4.8 s on its own GPU


def test_beside_another_card_none_is_the_articles(run, gpu, add):
    several = [*H200, *gpu["machine"]["gpus"]]
    run.environment(gpu | {"machine": gpu["machine"] | {"gpus": several}})
    add(GPEN, TIME, value=18.4)
    assert judge(run, "G2")[0] == "inconclusive"


@pytest.mark.parametrize(
    ("half", "g17", "g18"),
    [
        (0.65, "reproduced", "inconclusive"),
        (0.8, "inconclusive", "reproduced"),
        (0.3, "inconclusive", "inconclusive"),  # another GPU may save more
        (1.1, "contradicted", "contradicted"),
    ],
)
def test_savings_of_half_precision_are_ratios(run, other_gpu, add, half, g17, g18):
    for quantity in (TIME, MEMORY):
        add(X4PLUS, quantity, value=1e4, experiment="precision")
        add(X4PLUS, quantity, value=1e4 * half, precision="fp16", condition="half")
    verdict, found, _ = judge(run, "G17")
    assert verdict == g17
    assert found.startswith(f"{100 - 100 * half:g} % [")
    assert judge(run, "G18")[0] == g18


@pytest.mark.parametrize("mib", [9999.0, 10000.0, 10001.0])
def test_a_block_of_the_allocator_is_no_order(run, other_gpu, add, mib):
    add(X4PLUS, MEMORY, value=1e4, experiment="precision")
    add(X4PLUS, MEMORY, value=mib, precision="fp16", condition="half")
    assert judge(run, "G17")[0] == "inconclusive"


def test_a_gpu_that_read_nothing_divides_nothing(run, other_gpu, add):
    for part, percent in ((GPEN, 0.0), (X4PLUS, 94.0)):
        add(part, {"quantity": "GPU busy"}, value=percent)
    assert judge(run, "G20")[0] == "inconclusive"


@pytest.mark.parametrize("longer", [2.0, 3.0])
def test_twice_and_three_times_longer_both_pass(run, other_gpu, add, longer):
    add(GPEN, TIME, value=1.0)
    for side, value in ((1280, 99), (1281, longer), (4096, 99)):
        large = {"width_px": side, "height_px": side // 2, "source": f"s0@{side}px"}
        add(GPEN, TIME, large, experiment="size", value=value)
    assert judge(run, "G8")[:2] == ("reproduced", f"{longer:g} times")


@pytest.mark.parametrize(
    ("growth", "verdict"),
    [(1.0, "contradicted"), (1.6384, "contradicted"), (3.2, "reproduced")],
)
def test_d13_a_jump_is_more_than_the_pixels_grow(run, other_gpu, add, growth, verdict):
    """From 1200 to 1536 px the pixels grow 1.6384 times."""
    for quantity in (TIME, MEMORY):
        for side, value in ((600, 0.1), (1200, 1.0), (1536, growth + 1e-9)):
            size = {"width_px": side, "height_px": side, "source": f"s0@{side}px"}
            add(GPEN, quantity, size, experiment="size", value=1e6 * value)
    assert judge(run, "D13")[0] == verdict


def test_d13_a_cost_that_is_open_keeps_the_other_from_contradicting(
    run, other_gpu, add
):
    for quantity in (TIME, MEMORY):
        bounds = {"low": None, "high": None} if quantity is TIME else {}
        for side in (1200, 1536):
            size = {"width_px": side, "height_px": side, "source": f"s0@{side}px"}
            add(GPEN, quantity, size, experiment="size", value=1000.0, **bounds)
    assert judge(run, "D13")[0] == "inconclusive"


@pytest.mark.parametrize(
    ("seconds", "verdict"),
    [(5.0, "contradicted"), (4.7, "contradicted"), (3.0, "reproduced")],
)
def test_g28_a_batch_is_worth_it_if_its_pictures_are_faster(
    run, other_gpu, add, seconds, verdict
):
    add(GPEN, TIME, value=1.0)
    add(GPEN, TIME, value=seconds, n_pictures=5, experiment="batch")
    assert judge(run, "G28")[0] == verdict
    add(GPEN, TIME, value=seconds, low=2.0, high=6.0, n_pictures=6, experiment="batch")
    assert judge(run, "G28")[0] == "inconclusive"


def test_g29_a_fifth_of_the_card_is_not_close_to_its_limit(run):
    assert judge(run, "G29")[:2] == ("contradicted", "20 % of the card")


def test_the_claimed_numbers_are_those_of_the_register():
    assert (CLAIMED["G1"], CLAIMED["G17"], CLAIMED["D13"]) == (3.2, 35, 1200)


def test_what_restore_and_its_stages_took_on_a_gpu_is_told(run, gpu, add):
    run.environment(gpu)
    parts = {"restore_time_s": 0.25, "stages_s": {"network": 0.2, "encode": 0.7}}
    add(GPEN, TIME, value=1.0, **parts)
    told = judge(run, "G2")[2]
    assert "restore() 0.25 s; stages, s: encode 0.7, network 0.2" in told
