import numpy as np
import pytest

from evalkit.images import write_image

SETTING = {"runner": "upstream", "tile": 0}
ON_GPU = SETTING | {"device": "cuda:0"}


def pair(run, single, half, **columns):
    """Outputs of one picture in fp32 and fp16, with their quality records."""
    for precision, value in (("fp32", single), ("fp16", half)):
        picture = np.full((10, 10, 3), 100, np.uint8)
        picture[0, 0, 0] = value
        (run.path / "outputs").mkdir(exist_ok=True)
        write_image(run.path / "outputs" / f"{precision}.png", picture)
        known = {"restorer": "realesrgan-x4plus", "source_sha256": "ab"}
        setting = SETTING | {"precision": precision}
        output = f"outputs/{precision}.png"
        run.record(
            "quality", **(known | {"setting": setting, "output": output} | columns)
        )


def test_d3_both_can_tile_and_no_sweep_says_whether_that_suffices(run):
    verdict, found, evidence = run.judge("D3")
    assert verdict == "inconclusive"
    assert "--tile_size" in found
    assert "Tile size, 0 for no tile during testing. Default: 0" in evidence


def test_d4_every_factor_is_taken(run):
    verdict, found, evidence = run.judge("D4")
    assert verdict == "reproduced"
    assert "interpolation" in found
    assert "can be 2, 3, 4. default=4" in evidence


def test_d5_half_precision_is_the_default(run):
    verdict, found, evidence = run.judge("D5")
    assert (verdict, found) == (
        "contradicted",
        "fp16 is the script's default; it has --fp32 and no --fp16",
    )
    assert "half=False" in evidence


@pytest.mark.parametrize(
    ("whole", "tiled", "verdict"),
    [
        ("oom", "ok", "reproduced"),
        ("oom", "oom", "contradicted"),
        ("ok", "oom", "inconclusive"),  # nothing to save
        *(("oom", how, "inconclusive") for how in ("killed", "error", "timeout")),
    ],
)
def test_d3_tiles_must_save_what_lacked_memory_whole(run, whole, tiled, verdict):
    run.images(*[{}] * 6)
    for n in range(6):
        common = {"source": f"s{n}", "setting": ON_GPU}
        run.record("tile", value="0", outcome=whole, **common)
        run.record("tile", value="128", outcome=tiled, **common)
    assert run.judge("D3")[0] == verdict


@pytest.mark.parametrize(
    ("n", "other"),
    [(5, {}), (6, {"device": "cpu"}), (6, {"runner": "tuned"})],
)
def test_d3_few_pictures_the_cpu_or_our_runner_show_nothing(run, n, other):
    run.images(*[{}] * n)
    for number in range(n):
        common = {"source": f"s{number}", "setting": ON_GPU | other}
        run.record("tile", value="0", outcome="oom", **common)
        run.record("tile", value="128", outcome="ok", **common)
    assert run.judge("D3")[0] == "inconclusive"


def test_q21_a_default_that_is_excused_does_not_make_the_claim_fall(run):
    verdict, found, evidence = run.judge("Q21")
    assert verdict == "inconclusive"
    assert "the study restored no picture in both precisions" in found
    assert "RealESRGAN_x4plus" in evidence
    assert "realesr-animevideov3" in evidence


def test_q21_tells_the_loss_between_the_precisions(run):
    pair(run, 100, 103)
    # one of 300 values is 3 off: 10 log10(255^2 / (9 / 300)) = 63.36 dB
    verdict, found, _ = run.judge("Q21")
    assert "at most 3 of 255 levels at one pixel, PSNR 63.4 dB or more" in found
    assert verdict == "contradicted"  # by the other part: it is not lossless


def test_q21_equal_pictures_have_no_loss(run):
    pair(run, 100, 100)
    assert "no pixel differs, on 1 picture" in run.judge("Q21")[1]


def test_q21_says_when_the_weights_were_in_half_precision_from_the_start(run):
    pair(run, 100, 100, weights_kind="package")
    assert "stored in fp16" in run.judge("Q21")[1]


def test_q21_does_not_pair_other_restorers_or_failed_runs(run):
    pair(run, 100, 103, restorer="realesrgan-x4plus-anime")
    pair(run, 100, 103, outcome="rejected")
    assert "restored no picture in both precisions" in run.judge("Q21")[1]
