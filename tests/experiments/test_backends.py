"""Back ends: agreement before time, equal borders, one meter, every row printed."""

import json
from statistics import median

import numpy as np
import pandas as pd
import pytest
from skimage.metrics import peak_signal_noise_ratio

from evalkit.experiments import backends as _backends
from evalkit.experiments import compare_backends
from evalkit.experiments.backends import _compare, _rows, _timed
from evalkit.images import read_image, write_image
from evalkit.restorers.engines import torch as _torch
from evalkit.study.run_folder import open_run
from evalkit.tables import BACKENDS

NETWORK = "realesrgan-animevideo-x4"


@pytest.fixture(autouse=True)
def _cpu_without_fp16(monkeypatch):
    monkeypatch.setattr(_torch, "cpu_has", lambda precision: precision == "fp32")


def compare(run, album, said=None, **options):
    options = {"device": "cpu", "longest_px": 40, "repeats": 2} | options
    told = [] if said is None else said
    images = run.images(str(album))
    return compare_backends(run, NETWORK, images, say=told.append, **options)


def at(table, backend, precision="fp32", source="cup@40px"):
    chosen = (table["backend"] == backend) & (table["precision"] == precision)
    (row,) = table[chosen & (table["source"] == source)].to_dict("records")
    return row


@pytest.mark.slow
def test_all_agree_at_equal_border_and_are_timed_against_pytorch(tmp_path, album):
    run = open_run(str(tmp_path / "run"))
    other = {"network": "gpen-256", "condition": "gpen-256", "source": "cup@40px"}
    run.write(BACKENDS, BACKENDS.frame([other]))
    table = compare(run, album)
    reference, ncnn = at(table, "PyTorch, upstream"), at(table, "ncnn")
    assert table[table["outcome"] != "not here"]["agrees"].all()
    assert at(table, "tuned")["psnr_db"] > 60  # the same arithmetic, in fp32
    # the same by scikit-image, from the files
    output = read_image(run.output_path(ncnn["condition"], "cup@40px"))
    other = read_image(run.output_path(reference["condition"], "cup@40px+10px"))
    plain = read_image(run.output_path(reference["condition"], "cup@40px"))
    expected = peak_signal_noise_ratio(other[40:-40, 40:-40], output)
    assert ncnn["psnr_db"] == pytest.approx(expected)
    assert expected > 10 + peak_signal_noise_ratio(plain, output)
    with_border = at(table, "PyTorch, upstream", source="cup@40px+10px")
    seconds = median(json.loads(with_border["wall_times_s"]))
    assert ncnn["speed_up"] == pytest.approx(
        seconds / median(json.loads(ncnn["wall_times_s"]))
    )
    assert table["memory_meter"].dropna().unique() == ["RSS of the process tree"]
    assert table["same_output"].dropna().all()
    notes = json.loads(at(table, "ONNX Runtime")["notes"])
    assert "CPUExecutionProvider" in notes

    n_records, said = len(run.records.read()), []
    again = compare(run, album, said)
    assert list(run.read(BACKENDS)["network"].unique()) == ["gpen-256", NETWORK]
    pd.testing.assert_frame_equal(again, table)
    assert len(run.records.read()) == n_records
    assert not [line for line in said if line.endswith("1 to compute")]


@pytest.mark.slow
def test_a_back_end_that_disagrees_is_printed_and_not_timed(
    tmp_path, album, monkeypatch
):
    names, every = {"PyTorch, upstream", "ncnn"}, _backends._rows
    monkeypatch.setattr(_backends, "GATE_DB", 1000.0)  # but for equal outputs
    monkeypatch.setattr(
        _backends, "_rows", lambda *a: (r for r in every(*a) if r["backend"] in names)
    )
    run = open_run(str(tmp_path / "run"))
    table = compare(run, album)
    ncnn = at(table, "ncnn")
    assert ncnn["outcome"] == "disagrees"
    assert ncnn["agrees"] is False
    assert pd.isna(ncnn["wall_time_s"])
    records = run.records.read()
    timed = records[records["experiment"] == "backend"]
    assert set(timed["restorer"]) == {NETWORK}


def test_fp16_that_a_cpu_would_emulate_is_a_row_with_its_reason():
    pictures = pd.DataFrame({"source": ["a"], "width_px": [9], "height_px": [9]})
    rows = [row for row in _rows(NETWORK, "cpu", 0, pictures) if row.get("error")]
    assert [row["backend"] for row in rows] == [
        "PyTorch, upstream",
        "tuned",
        "ONNX Runtime",
    ]
    assert all(row["outcome"] == "not here" for row in rows)
    assert "no units" in rows[0]["error"]


def test_what_tiles_make_different_is_said_of_a_picture_of_several():
    pictures = pd.DataFrame({"source": ["a"], "width_px": [90], "height_px": [9]})

    def told(tile):
        rows = _rows(NETWORK, "cpu", tile, pictures)
        return {row["backend"]: " ".join(row["differs"]) for row in rows}

    assert "tiles: " in told(40)["ncnn"]
    assert "tiles: " in told(40)["tuned"]
    assert "tiles: " not in told(200)["ncnn"]


def test_gpen_is_not_tiled_and_has_no_ncnn():
    pictures = pd.DataFrame({"source": ["a"], "width_px": [9], "height_px": [9]})
    rows = list(_rows("gpen-256", "cpu", 200, pictures))
    assert "ncnn" not in {row["backend"] for row in rows}
    assert not [row for row in rows if "tile" in row["condition"]]


def test_on_a_gpu_ncnn_is_asked_for_vulkan_and_pytorch_for_both_precisions(monkeypatch):
    monkeypatch.setattr(_torch, "n_devices", lambda: 1)  # stands in for a GPU
    pictures = pd.DataFrame(
        {"source": ["a", "a+10px"], "width_px": [9, 29], "height_px": [9, 29]}
    )
    rows = list(_rows(NETWORK, "auto", 200, pictures))
    torch = [row for row in rows if row["backend"] == "PyTorch, upstream"]
    assert [(r["device"], r["precision"], r["source"]) for r in torch] == [
        ("cuda:0", "fp32", "a"),
        ("cuda:0", "fp32", "a+10px"),
        ("cuda:0", "fp16", "a"),
        ("cuda:0", "fp16", "a+10px"),
    ]
    (ncnn,) = [row for row in rows if row["backend"] == "ncnn"]
    assert "device=vulkan" in ncnn["condition"]
    # tuned's auto is fp16 here, and not run twice
    assert sum(row["backend"] == "tuned" for row in rows) == 2


def test_pictures_of_random_weights_are_compared_and_let_go(tmp_path):
    run = open_run(str(tmp_path / "run"))
    common = {"backend": "PyTorch, upstream", "source": "a", "reference": "a"}
    common |= {"outcome": "ok", "agrees": False, "weights_kind": "random"}
    rows = []
    for name, level, precision in (("x", 100, "fp32"), ("y", 110, "fp16")):
        write_image(run.path / f"{name}.png", np.full((30, 30, 3), level, np.uint8))
        row = {"precision": precision, "device": "cpu", "output": f"{name}.png"}
        rows.append(common | row | {"differs": []})
    _compare(run, rows)
    # 10 of 255 levels everywhere: 20 log10(25.5) = 28.13 dB
    assert rows[1]["psnr_db"] == pytest.approx(28.13, abs=0.01)
    assert (rows[1]["agrees"], rows[1]["outcome"]) == (False, "disagrees")
    assert rows[1]["differs"] == ["precision: fp16, not fp32"]
    assert not list(run.path.glob("*.png"))


def test_memory_of_a_gpu_is_the_devices_by_nvml():
    record = {"outcome": "ok", "phase": "warm", "wall_time_s": 1.0, "notes": None}
    record |= {"load_time_s": None, "peak_rss_mib": 9.0, "nvml_device_delta_mib": 700.0}
    record |= {"machine": "m", "weights_kind": "package", "error": None}
    record |= {"output": None, "output_sha256": "ab"}
    row = {"device": "vulkan:0", "output_sha256": "ab"}
    found = _timed(pd.DataFrame([record, record]), row)
    assert found["memory_mib"] == 700
    assert found["memory_meter"].startswith("NVML")
