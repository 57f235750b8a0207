"""The cost of the hybrid beside that of its parts."""

import pytest

ON_GPU = {"device": "cuda:0"}
GPEN = {"name": "gpen-512", "runner": "tuned"} | ON_GPU
X4PLUS = {"name": "realesrgan-x4plus", "scale": 2} | ON_GPU
HYBRID = {"faces": GPEN, "background": X4PLUS} | ON_GPU


@pytest.fixture
def cost(run, gpu):
    """``cost(restorer, setting, seconds, ...)``: a warm run of the one picture."""
    run.environment(gpu)

    def add(restorer, setting, seconds, source="s0", **columns):
        run.record(
            "cost",
            n=7,
            restorer=restorer,
            condition=restorer,
            setting=setting,
            source=source,
            wall_time_s=seconds,
            **columns,
        )

    return add


def parts(cost, source="s0", device="cuda:0"):
    of_parts = {"gpen-512": {"runner": "tuned"}, "realesrgan-x4plus": {"scale": 2}}
    for seconds, (name, setting) in zip((18.0, 11.0), of_parts.items(), strict=True):
        cost(name, setting | {"device": device}, seconds, source)


@pytest.mark.parametrize(
    ("seconds", "verdict"), [(30.0, "reproduced"), (40.0, "inconclusive")]
)
def test_its_time_is_held_against_the_sum_of_its_parts(run, cost, seconds, verdict):
    parts(cost)
    cost("hybrid", HYBRID, seconds)
    found = run.judge("G22")
    assert found[:2] == (verdict, f"{seconds:g} s")
    assert "gpen-512 alone 18 s and realesrgan-x4plus alone 11 s" in found[2]


@pytest.mark.parametrize(
    ("faces", "background", "source"),
    [
        (GPEN, X4PLUS, "s1"),  # another picture
        (GPEN, X4PLUS | {"scale": 4}, "s0"),  # another setting
        ({"name": "outputs", "folder": "f"}, X4PLUS, "s0"),  # no GPEN
    ],
)
def test_without_its_parts_on_the_same_picture_nothing_is_said(
    run, cost, faces, background, source
):
    parts(cost)
    cost("outputs", {"folder": "f"}, 0.1)
    cost("hybrid", {"faces": faces, "background": background} | ON_GPU, 29.0, source)
    assert run.judge("G22")[0] == "not yet tested"


@pytest.mark.parametrize("claim", ["G22", "G23"])
def test_what_a_cpu_took_says_nothing_of_a_gpu(run, cost, cpu_only, claim):
    run.environment(cpu_only)
    parts(cost)
    cost("hybrid", HYBRID, 29.0)
    assert run.judge(claim)[0] == "not testable here"


def test_what_the_cpu_of_a_machine_with_a_gpu_took_says_nothing_of_one(run, cost):
    parts(cost, device="cpu")
    faces, background = (part | {"device": "cpu"} for part in (GPEN, X4PLUS))
    setting = {"faces": faces, "background": background, "device": "cpu"}
    cost("hybrid", setting, 29.0)
    assert run.judge("G22")[0] == "not yet tested"


def test_a_meter_that_read_nothing_says_nothing(run, cost):
    told = {"cuda_reserved_peak_mib": 0.0}
    cost("realesrgan-x4plus", {"scale": 2} | ON_GPU, 11.0, **told)
    cost("hybrid", HYBRID, 29.0, **told)
    assert run.judge("G23")[0] == "not yet tested"


def test_its_memory_is_held_against_its_background(run, cost):
    told = {"cuda_reserved_peak_mib": 4800.0}
    cost("realesrgan-x4plus", {"scale": 2} | ON_GPU, 11.0, **told)
    told = {"cuda_reserved_peak_mib": 4500.0}
    cost("hybrid", HYBRID, 29.0, **told)
    assert run.judge("G23")[:2] == ("reproduced", "4500 MiB")
