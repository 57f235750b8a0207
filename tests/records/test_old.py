"""Records that 9acf92f wrote, when an experiment's name held what it varied."""

import json

import pytest

from evalkit.errors import TableError
from evalkit.records import Cell, RecordStore, RecordsWarning

OLD = {
    "study": "quick",
    "experiment": "quality",
    "key": "k",
    "run": 1,
    "phase": "cold",
    "machine": "m-2c",
    "condition": "lanczos",
    "restorer": "lanczos",
    "setting": {"device": "cpu", "scale": 4, "tile": 0, "precision": "fp32"},
    "source": "cup",
    "source_sha256": "ab",
    "weights_sha256": None,
    "weights_kind": "none",
    "started_at": "2026-10-01T10:00:00.000+00:00",
    "outcome": "ok",
    "error": None,
    "wall_time_s": 0.5,
    "load_time_s": 0.01,
    "stages_s": {"decode": 0.1},
    "output": None,
    "output_sha256": "cd",
    "output_width_px": 8,
    "output_height_px": 8,
    "peak_rss_mib": 90.0,
    **dict.fromkeys(("cuda_allocated_peak_mib", "cuda_reserved_peak_mib")),
    **dict.fromkeys(("nvml_process_peak_mib", "nvml_device_delta_mib")),
    **dict.fromkeys(("gpu_busy_percent", "gpu_memory_busy_percent", "mean_power_w")),
    **dict.fromkeys(("energy_j", "temperature_c", "throttle_reasons", "sm_clock_mhz")),
    **dict.fromkeys(("start_rss_mib", "loaded_rss_mib", "cuda_context_mib")),
    "notes": [],
    "environment": "ef",
}
"""A line as that version wrote it, in its order."""


@pytest.fixture
def store(tmp_path):
    return RecordStore(tmp_path)


def write(store, *rows):
    lines = [json.dumps(OLD | row, separators=(",", ":")) + "\n" for row in rows]
    store.path.write_text("".join(lines), encoding="utf-8")


@pytest.mark.parametrize(
    ("experiment", "source", "plain", "value", "base_source"),
    [
        ("quality", "cup", "quality", None, None),
        ("quality", "x@512px", "quality", None, None),
        ("cost", "batch-4", "cost", None, None),
        ("batch-4", "cup", "batch", "4", None),
        ("same-picture", "cup", "same-picture", None, None),
        ("rotating", "cup", "rotating", None, None),
        ("size", "cup@512px", "size", "512", "cup"),
        ("size", "a@2px@48px", "size", "48", "a@2px"),
        ("tile", "cup", "tile", "0", None),
        ("precision", "cup", "precision", "fp32", None),
        ("scale", "cup", "scale", "4", None),
        ("background", "cup", "background", None, None),
        ("cpu", "cup", "cpu", "cpu", None),
        ("stability", "cup", "stability", None, None),
        ("stability-batch-5", "cup", "stability", "5", None),
        ("stability-fresh", "cup", "stability-fresh", None, None),
        ("stability-fresh-batch-5", "cup", "stability-fresh", "5", None),
        ("budget-3072", "cup", "budget", "3072", None),
        ("budget-600", "cup@256px", "budget", "600", "cup"),
        ("backend-gate", "cup@96px", "backend-gate", None, "cup"),
        ("backend", "cup@96px+10px", "backend", None, "cup"),
    ],
)
def test_a_line_of_each_family_is_read_as_columns(
    store, experiment, source, plain, value, base_source
):
    write(store, {"experiment": experiment, "source": source})
    (record,) = store.read().astype(object).to_dict("records")
    found = [record[n] for n in ("experiment", "value", "instance", "base_source")]
    assert [
        None if isinstance(v, type(store.read().iloc[0]["energy_j"])) else v
        for v in found
    ] == [plain, value, None, base_source]
    assert record["source"] == source
    assert store.has(Cell("k", source, plain, value, None, "m-2c", 1, "cold"))


def test_the_encoded_number_of_an_instance_is_taken_apart(store):
    rows = [
        {"experiment": "concurrency-3", "run": i + 3 * (r - 1), "phase": "warm"}
        for r in (1, 2)
        for i in (1, 2, 3)
    ]
    write(store, *rows)
    records = store.read()
    assert set(records["experiment"]) == {"concurrency"}
    assert set(records["value"]) == {"3"}
    assert records["instance"].tolist() == [1, 2, 3, 1, 2, 3]
    assert records["run"].tolist() == [1, 1, 1, 2, 2, 2]


def test_an_old_cell_is_not_written_again_in_the_new_form(store):
    write(store, {"experiment": "batch-4"})
    new = OLD | {"experiment": "batch", "value": "4"}
    with pytest.warns(RecordsWarning, match="1 of 2 records were not written"):
        store.append([new, new | {"source": "another name"}])
    assert store.read()["source"].tolist() == ["cup", "another name"]


def test_a_new_line_is_never_taken_for_an_old_one(store):
    store.append([OLD | {"experiment": "batch-4", "source": "x@5px"}])
    (record,) = store.read().to_dict("records")
    assert record["experiment"] == "batch-4"


def test_an_unknown_column_of_an_old_line_is_refused(store):
    write(store, {"studio": 1})
    with pytest.raises(TableError, match="studio"):
        store.read()
