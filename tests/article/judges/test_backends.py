"""D1 and D2 on tables of back ends that were written by hand."""

import pytest

from evalkit.article._tables import COMMANDS
from evalkit.experiments.backends import NCNN, ONNX, PYTORCH
from evalkit.tables import BACKENDS

X4PLUS = "realesrgan-x4plus"


def fill(run, *rows):
    common = {"network": X4PLUS, "source": "a", "device": "cuda:0", "outcome": "ok"}
    made = []
    for number, row in enumerate(rows):
        condition = row["condition"] + f"@n={number}"
        made.append(common | {"precision": "fp32"} | row | {"condition": condition})
    BACKENDS.write(BACKENDS.frame(made), run.path / "tables")


def onnx(saved, precision="fp32", **more):
    row = {
        "condition": f"onnx-{X4PLUS}",
        "backend": ONNX,
        "memory_saved_percent": saved,
    }
    return row | {"precision": precision, "speed_up": 1.0, "memory_meter": "m"} | more


def ncnn(speed_up, **more):
    row = {
        "condition": f"ncnn-{X4PLUS}",
        "backend": NCNN,
        "speed_up": speed_up,
        "device": "vulkan:0",
    }
    return row | more


@pytest.mark.parametrize(
    ("saved", "verdict"),
    [
        ((20, 12), "reproduced"),  # 10 to 30
        ((-5, -1), "contradicted"),
        ((20, -5), "inconclusive"),
        ((40, 40), "inconclusive"),
    ],
)
def test_d1_is_judged_in_both_precisions(run, gpu, saved, verdict):
    run.environment(gpu)
    fill(run, onnx(saved[0]), onnx(saved[1], "fp16"))
    found = run.judge("D1")
    assert found[0] == verdict
    way = "less" if saved[1] >= 0 else "more"
    assert f"{abs(saved[1])} % {way} memory ({X4PLUS} in fp16" in found[1]


def test_d1_a_block_of_the_allocator_is_no_saving(run, gpu):
    run.environment(gpu)
    fill(run, *(onnx(-0.1, name, memory_mib=1e4) for name in ("fp32", "fp16")))
    verdict, found, _ = run.judge("D1")
    assert verdict == "inconclusive"
    assert "0.1 % more memory" in found


@pytest.mark.parametrize(
    ("speed_up", "verdict"),
    [(1.8, "reproduced"), (0.5, "contradicted"), (5.0, "inconclusive")],
)
def test_d2_is_judged_on_one_network_whatever_the_printed_command_gives(
    run, gpu, speed_up, verdict
):
    run.environment(gpu)
    upstream = {"condition": f"{X4PLUS}@runner=upstream", "wall_time_s": 1.0}
    upstream |= {"backend": PYTORCH, "load_time_s": 2.0, "cold_wall_time_s": 4.0}
    ours = {f"speed_up_{end}": speed_up for end in ("low", "high")}
    against = f"{X4PLUS}@runner=upstream of portrait"
    fill(run, ncnn(speed_up, against=against, **ours), upstream)
    printed = {"command": "realesrgan-ncnn-vulkan -i a", "source": "a"}
    printed |= {
        "tried": "the program",
        "command_time_s": 0.5,
        "network": "realesrgan-animevideo-x4",
    }
    COMMANDS.write(COMMANDS.frame([printed]), run.path / "tables")
    found = run.judge("D2")
    assert found[0] == verdict
    # two and four seconds over half a second
    assert "takes another network, realesrgan-animevideo-x4: one cold run" in found[1]
    assert "was 12 times (fp32) as fast as PyTorch upstream with" in found[1]


def test_what_was_not_run_is_not_tested(run, gpu):
    run.environment(gpu)
    assert run.judge("D1")[0] == run.judge("D2")[0] == "not yet tested"


def test_without_a_gpu_nothing_is_decided(run, cpu_only):
    run.environment(cpu_only)
    fill(run, onnx(20, device="cpu"), ncnn(1.8, device="cpu"))
    assert run.judge("D1")[0] == run.judge("D2")[0] == "not testable here"
    assert "by ncnn was 1.8 times as fast as by PyTorch upstream" in run.judge("D2")[2]
    assert "with PyTorch loaded beside it, took 20 % less" in run.judge("D1")[2]


def test_what_a_gpu_took_decides_beside_a_cpu(run, gpu):
    run.environment(gpu)
    fast = ncnn(1.8, speed_up_low=1.7, speed_up_high=1.9)
    fill(run, fast, fast | {"device": "cpu", "source": "s1", "speed_up": 0.5})
    assert run.judge("D2")[0] == "reproduced"


def test_a_cpu_beside_a_gpu_decides_nothing_either(run, gpu):
    run.environment(gpu)
    fill(run, ncnn(1.8, device="cpu"))
    assert run.judge("D2")[0] == "not testable here"


def test_a_speed_up_without_an_interval_decides_nothing(run, gpu):
    run.environment(gpu)
    fill(run, ncnn(1.8))
    assert run.judge("D2")[0] == "inconclusive"
