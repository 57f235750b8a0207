"""Figures beside their floors, and the article's tables rebuilt."""

import json

import pandas as pd
import pytest

from evalkit.article import summarise_article
from evalkit.experiments import summarise_cost, summarise_floors
from evalkit.provenance import environment
from evalkit.study.run_folder import open_run
from evalkit.tables import FLOORS, IMAGES, RATES, STABILITY

HERE = environment()["machine"]["machine"]
SETTING = {"runner": "upstream", "device": "cpu", "precision": "fp32", "tile": 0}
X4PLUS = SETTING | {"scale": 4}


@pytest.fixture
def run(tmp_path):
    """A folder with one picture, and the rates of this machine."""
    run = open_run(str(tmp_path / "run"))
    picture = {"source": "s0", "sha256": "a", "width_px": 100, "height_px": 50}
    run.write(IMAGES, IMAGES.frame([picture]))
    rate = {"matrix_tflop_s": 0.1, "copy_gib_s": 10}
    rows = [
        {"machine": HERE, "device": "cpu", "precision": precision, **rate}
        for precision in ("fp32", "none")
    ]
    run.write(RATES, RATES.frame(rows))
    return run


@pytest.fixture
def record(run):
    def append(restorer, setting, times_s, **more):
        scale = setting.get("scale", 1)
        common = {
            "experiment": "cost",
            "key": f"{restorer} {more.get('experiment')}",
            "phase": "warm",
            "machine": HERE,
            "condition": f"{restorer}@runner=upstream",
            "restorer": restorer,
            "setting": setting,
            "source": "s0",
            "source_sha256": "a",
            "outcome": "ok",
            "output_width_px": 100 * scale,
            "output_height_px": 50 * scale,
            "peak_rss_mib": 900.0,
        }
        rows = [
            common | {"run": number, "wall_time_s": seconds} | more
            for number, seconds in enumerate(times_s, 1)
        ]
        run.records.append(rows)

    return append


def floors(run):
    return summarise_floors(run).set_index(["figure", "quantity"])


def test_a_time_stands_beside_its_operations_at_the_measured_rate(run, record):
    record("realesrgan-x4plus", X4PLUS, [3.0, 2.0, 4.0])
    row = floors(run).loc[("measured", "wall time")]
    tflop = 35.85e6 * 100 * 50 / 1e12
    assert row["operations_tflop"] == pytest.approx(tflop, rel=1e-3)
    assert row["floor"] == pytest.approx(tflop / 0.1, rel=1e-3)
    assert (row["value"], row["n_runs"], row["is_below"]) == (3.0, 3, False)
    assert (row["width_px"], row["height_px"]) == (100, 50)
    assert pd.isna(row["low"])  # 3 runs have no interval


def test_a_tile_that_free_memory_chose_is_no_number(run, record):
    record("realesrgan-x4plus", X4PLUS | {"runner": "tuned", "tile": "auto"}, [3.0])
    row = floors(run).loc[("measured", "wall time")]
    assert pd.isna(row["tile"])
    assert row["operations_tflop"] == pytest.approx(35.85e6 * 5000 / 1e12, rel=1e-3)


@pytest.mark.parametrize(("is_tf32", "rate"), [(True, 0.4), (False, 0.1)])
def test_single_precision_on_a_gpu_is_held_to_the_rate_it_ran_at(
    run, record, is_tf32, rate
):
    """Records as of a GPU: no GPU is needed, the rates are invented."""
    rows = [
        {"machine": HERE, "device": "cuda:0", "precision": name, "copy_gib_s": 1000}
        | {"matrix_tflop_s": tflop_s}
        for name, tflop_s in (("fp32", 0.1), ("tf32", 0.4))
    ]
    run.write(RATES, RATES.frame(rows))
    setting = X4PLUS | {"device": "cuda:0"}
    busy = {"gpu_busy_percent": 40.0, "tf32": is_tf32}
    record("realesrgan-x4plus", setting, [3.0, 3.0], **busy)
    told = floors(run)
    assert told.loc[("measured", "wall time"), "matrix_tflop_s"] == rate
    read = told.loc[("measured", "GPU busy")]
    assert read["value"] == 40
    assert pd.isna(read["low"])  # one process has no spread


def test_how_busy_a_gpu_is_has_the_interval_of_its_processes(run, record):
    """Of two processes' means Student's t has one degree of freedom: 12.706."""
    for number, percent in ((1, 40.0), (3, 44.0)):
        record("realesrgan-x4plus", X4PLUS, [3.0], run=number, phase="cold")
        read = {"run": number + 1, "gpu_busy_percent": percent}
        record("realesrgan-x4plus", X4PLUS, [3.0], **read)
    row = floors(run).loc[("measured", "GPU busy")]
    assert row["value"] == 42
    assert row["high"] == pytest.approx(42 + 12.706 * 2, abs=0.01)
    assert row["low"] == pytest.approx(42 - 12.706 * 2, abs=0.01)


def test_a_memory_stands_beside_what_must_coexist(run, record):
    record("realesrgan-x4plus", X4PLUS, [3.0])
    row = floors(run).loc[("measured", "peak memory")]
    bytes_ = 2 * 64 * 400 * 200 * 4 + 4 * 16_697_987
    assert row["floor"] == pytest.approx(bytes_ / 2**20)
    assert (row["value"], row["note"], row["is_below"]) == (900, "peak_rss_mib", False)


def test_a_time_that_cannot_be_is_marked(run, record):
    record("realesrgan-x4plus", X4PLUS, [0.5])
    assert floors(run).loc[("measured", "wall time"), "is_below"]


def test_a_batch_takes_the_time_of_all_its_pictures(run, record):
    record("realesrgan-x4plus", X4PLUS, [3.0])
    record("realesrgan-x4plus", X4PLUS, [9.0], experiment="batch", value="5")
    both = summarise_floors(run).query(
        "figure == 'measured' and quantity == 'wall time'"
    )
    one, five = both.sort_values("n_pictures").to_dict("records")
    assert five["n_pictures"] == 5
    assert five["floor"] == pytest.approx(5 * one["floor"])


def test_interpolation_is_bounded_by_what_it_moves(run, record):
    record("lanczos", {"scale": 4}, [0.1])
    row = floors(run).loc[("measured", "wall time")]
    assert row["floor"] == pytest.approx(100 * 50 * 17 / (10 * 2**30))


def test_what_did_not_work_has_no_figure(run, record):
    record("lanczos", {"scale": 4}, [0.1], outcome="error")
    assert set(summarise_floors(run)["figure"]) == {
        *("G1", "G2", "G3", "G4", "G5", "G6", "G7", "G10", "G11", "G12", "G13"),
        *("G15", "G16", "G19", "G20"),
    }


def test_a_rate_that_is_not_known_is_measured_once_and_kept(run, record, monkeypatch):
    from evalkit.experiments import _floors

    asked = []

    def measure(device, precision, preload):
        asked.append((device, precision, preload))
        return {"matrix_tflop_s": 0.2, "copy_gib_s": 10}

    monkeypatch.setattr(_floors, "_measure", measure)
    record("realesrgan-animevideo-x4", X4PLUS | {"precision": "bf16"}, [3.0])
    for _ in range(2):
        row = floors(run).loc[("measured", "wall time")]
        assert row["matrix_tflop_s"] == 0.2
    assert asked == [("cpu", "bf16", ("torch",))]


def test_a_rate_of_another_machine_is_not_guessed(run, record):
    record("realesrgan-x4plus", X4PLUS, [3.0], machine="elsewhere")
    found = floors(run)
    assert found["floor"].isna().loc[("measured", "wall time")]
    assert found["floor"].notna().loc[("measured", "peak memory")]


def test_claims_stand_beside_the_floors_that_upstreams_sources_tell(run):
    found = summarise_floors(run).set_index("figure")
    assert found.loc["G10", "floor"] == pytest.approx(1024 * 6.06, rel=1e-3)
    assert found.loc["G15", "floor"] == pytest.approx(1024 * 3.03, rel=1e-3)
    assert found.loc["G11", "floor"] == pytest.approx(28.2 / 82.6, rel=1e-3)
    assert list(found.index[found["is_below"].fillna(value=False)]) == ["G10"]


def test_the_articles_tables_are_rebuilt_with_ours_beside(run, record):
    sized = {"output_width_px": 1024, "output_height_px": 768}
    gpen = SETTING | {"background": "none"}
    record(
        "realesrgan-x4plus",
        X4PLUS,
        [3.0, 2.0, 4.0],
        **{n: 4 * v for n, v in sized.items()},
    )
    record("gpen-512", gpen, [3.0, 2.0, 4.0], **sized)
    record("gpen-512", gpen, [0.1], source="small")
    summarise_floors(run)
    outcomes = {
        "condition": "gpen-512@runner=upstream",
        "restorer": "gpen-512",
        "outcomes": {"ok": 49, "oom": 1},
    }
    known = {"experiment": "stability", "source": "s0", "machine": "m", "n_runs": 50}
    on_cpu = {"setting": {"device": "cpu"}, "source": "s1", "outcomes": {"ok": 7}}
    rows = [known | outcomes, known | outcomes | on_cpu]
    run.write(STABILITY, STABILITY.frame(rows))
    article = summarise_article(run)
    assert list(article["table"].unique()) == ["3.3", "4.3", "5.2"]
    ours = article[article["condition"].notna()].set_index(["table", "claim"])
    assert ours.loc[("3.3", "G6"), "value"] == 3.0
    assert ours.loc[("3.3", "G5"), "value"] == pytest.approx(900 / 1024)
    of_gpus = {"G1", "G2", "G10", "G11", "G16"}
    assert not of_gpus & {*ours.index.get_level_values("claim")}  # this was a CPU
    text = (run.path / "tables" / "article.md").read_text(encoding="utf-8")
    assert "RTX 4090" in text
    assert HERE in text
    assert "**4.8 GB: below its floor** | 6.06" in text
    assert ", cpu, 1024x768 px)" in text
    assert "100x50" not in text
    assert "49 ok, 1 oom (n = 50)" in text
    assert "7 ok" not in text  # the claim is about a GPU


def test_the_articles_tables_stand_without_anything_measured(run):
    article = summarise_article(run)
    assert len(article) == 19
    assert article["condition"].isna().all()


def test_random_weights_are_told_in_the_articles_tables(run, record):
    setting = SETTING | {"background": "none"}
    sized = {"output_width_px": 1024, "output_height_px": 768}
    record("gpen-512", setting, [3.0], weights_kind="random", **sized)
    summarise_floors(run)
    summarise_article(run)
    text = (run.path / "tables" / "article.md").read_text(encoding="utf-8")
    assert "random weights: cost only" in text


def test_the_floors_survive_a_file(run, record):
    record("lanczos", {"scale": 4}, [0.1])
    assert summarise_floors(run).equals(run.read(FLOORS))


def test_restore_and_stages_stand_beside_a_gpus_time_from_file_to_file(run, record):
    """The records say cuda; a test wrote them."""
    stages = {"decode": 0.1, "network": 0.2, "download": 0.1, "encode": 0.5}
    record(
        "realesrgan-x4plus",
        X4PLUS | {"device": "cuda:0"},
        [0.9, 1.0, 1.1],
        stages_s=stages,
        machine="another with a GPU",
        notes=[],
    )
    (row,) = summarise_cost(run).to_dict("records")
    assert row["restore_time_s"] == pytest.approx(1.0 - 0.1 - 0.5)
    assert json.loads(row["stages_s"]) == pytest.approx(stages)
    timed = floors(run).loc[("measured", "wall time")]
    assert timed["device"] == "cuda"
    assert timed["restore_time_s"] == row["restore_time_s"]
    assert timed["stages_s"] == row["stages_s"]


def test_of_records_without_stages_nothing_is_told(run, record):
    record("realesrgan-x4plus", X4PLUS, [1.0], notes=[])
    (row,) = summarise_cost(run)[["restore_time_s", "stages_s"]].to_dict("records")
    assert all(pd.isna(value) for value in row.values())
