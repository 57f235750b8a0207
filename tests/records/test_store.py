"""The store of records: nothing acknowledged is lost, nothing is there twice."""

import json
import os
import resource
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from evalkit.errors import EvalkitError, TableError
from evalkit.records import Cell, RecordStore, RecordsWarning, RecordsWriteError
from evalkit.tables import RECORDS


def row(number: int, **columns) -> dict:
    return {
        "study": "quick",
        "experiment": "quality",
        "key": f"key-{number}",
        "run": 1,
        "phase": "warm",
        "machine": "test-machine",
        "condition": "bicubic",
        "source": "cup",
        "setting": {"tile": 0, "runner": "tuned"},
        "outcome": "ok",
        "wall_time_s": 0.25,
        "stages_s": {"decode": 0.1},
        "notes": ["résumé, 修复"],
        **columns,
    }


def cell(number: int) -> Cell:
    told = {"source": "cup", "experiment": "quality", "value": None, "instance": None}
    return Cell(f"key-{number}", **told, machine="test-machine", run=1, phase="warm")


@pytest.fixture
def store(tmp_path) -> RecordStore:
    return RecordStore(tmp_path / "run")


def test_a_cell_is_the_key_of_the_table():
    assert Cell._fields == RECORDS.key


def test_making_a_store_touches_nothing(store):
    assert not store.folder.exists()
    assert store.read().empty
    assert list(store.read().columns) == list(RECORDS.columns)
    assert not store.has(cell(1))


def test_what_is_appended_is_read(store):
    assert store.append([row(1), row(2, wall_time_s=1.5)]) == 2
    records = store.read()
    assert list(records.columns) == list(RECORDS.columns)
    assert records["key"].tolist() == ["key-1", "key-2"]
    assert records["wall_time_s"].tolist() == [0.25, 1.5]
    assert json.loads(records["setting"][0]) == {"tile": 0, "runner": "tuned"}
    assert json.loads(records["notes"][0]) == ["résumé, 修复"]


def test_a_line_is_one_json_object_with_every_column(store):
    store.append([row(1, error="first\nsecond\u2028third")])
    (line,) = store.path.read_bytes().splitlines()
    content = json.loads(line)
    assert list(content) == list(RECORDS.columns)
    assert content["setting"] == {"tile": 0, "runner": "tuned"}
    assert content["error"] == "first\nsecond\u2028third"


def test_the_unknown_is_null_and_never_zero(store):
    store.append([row(1, energy_j=float("nan"), temperature_c=pd.NA)])
    content = json.loads(store.path.read_text(encoding="utf-8"))
    for name in ("energy_j", "temperature_c", "cuda_reserved_peak_mib", "load_time_s"):
        assert content[name] is None
        assert store.read()[name].isna().all()


def test_numbers_of_numpy_are_taken(store):
    numbers = {"run": np.int64(2), "wall_time_s": np.float32(0.5)}
    store.append([row(1, stages_s={"network": np.float32(0.25)}, **numbers)])
    assert store.read()["run"].tolist() == [2]
    assert json.loads(store.read()["stages_s"][0]) == {"network": 0.25}


def test_a_name_that_is_not_utf8_is_kept_readable(store):
    store.append([row(1, source=os.fsdecode(b"b\xe9b\xe9"))])
    assert store.read()["source"].tolist() == ["b\ufffdb\ufffd"]
    store.write_parquet()


@pytest.mark.parametrize(
    "wrong",
    [
        {"wall_tiem_s": 1.0},
        {"wall_time_s": "fast"},
        {"key": None},
        {"run": None},
        {"run": "first"},
        {"stages_s": {"network": float("nan")}},
        {"notes": [Path("picture.png")]},
    ],
    ids=str,
)
def test_a_wrong_row_is_refused_and_nothing_is_written(store, wrong):
    with pytest.raises(TableError):
        store.append([row(1), row(2, **wrong)])
    assert store.read().empty


def test_the_same_cell_twice_in_one_call_is_refused(store):
    with pytest.raises(TableError, match="not unique"):
        store.append([row(1), row(1)])


def test_a_repeated_cell_is_not_written_and_said(store):
    store.append([row(1)])
    with pytest.warns(RecordsWarning, match="1 of 2 records were not written"):
        assert store.append([row(1, wall_time_s=9.0), row(2)]) == 1
    assert store.read()["wall_time_s"].tolist() == [0.25, 0.25]


def test_a_repeated_cell_of_another_process_is_not_written(store):
    other = RecordStore(store.folder)
    other.append([row(1)])
    assert store.has(cell(1))
    with pytest.warns(RecordsWarning, match="not written"):
        assert store.append([row(1)]) == 0
    store.append([row(2)])
    assert other.cells() == {cell(1), cell(2)}


def test_a_done_cell_is_found(store):
    store.append([row(1), row(2)])
    assert store.has(cell(2))
    assert not store.has(cell(3))
    assert store.cells() == {cell(1), cell(2)}


def test_what_was_interrupted_is_replaced_and_what_failed_when_asked(
    store, monkeypatch
):
    failed = {"outcome": "error", "started_at": "2026-01-01T00:00:00.000+00:00"}
    store.append([row(1, outcome="interrupted"), row(2, **failed)])
    assert store.cells() == {cell(2)}
    assert store.read()["outcome"].tolist() == ["interrupted", "error"]
    with pytest.warns(RecordsWarning, match="not written"):
        assert store.append([row(1), row(2)]) == 1
    assert store.read()["outcome"].tolist() == ["error", "ok"]
    monkeypatch.setenv("EVALKIT_RETRY_BEFORE", failed["started_at"])
    assert store.has(cell(2))
    monkeypatch.setenv("EVALKIT_RETRY_BEFORE", "2026-01-02T00:00:00.000+00:00")
    assert not store.has(cell(2))
    store.append([row(2, phase="cold")])  # its process was a new one
    assert store.read()["outcome"].tolist() == ["ok", "ok"]
    assert len(store.path.read_text(encoding="utf-8").splitlines()) == 4


TORN = [
    b'{"study": "qui',
    '{"study": "修'.encode()[:-1],
    b"\0" * 4096,
    b'{"study": "qui\n',
    b"[1, 2]\n",
]


@pytest.mark.parametrize("torn", TORN, ids=repr)
def test_a_torn_last_line_is_ignored_and_said(store, torn):
    store.append([row(1)])
    with store.path.open("ab") as file:
        file.write(torn)
    fresh = RecordStore(store.folder)
    with pytest.warns(RecordsWarning, match=r"line 2 is broken .* ignored"):
        assert fresh.read()["key"].tolist() == ["key-1"]
    assert fresh.has(cell(1))


@pytest.mark.parametrize("torn", TORN, ids=repr)
def test_the_next_append_removes_only_the_torn_line(store, torn):
    store.append([row(1), row(2)])
    whole = store.path.read_bytes()
    with store.path.open("ab") as file:
        file.write(torn)
    with pytest.warns(RecordsWarning, match="removed a half-written last line"):
        RecordStore(store.folder).append([row(3)])
    assert store.path.read_bytes().startswith(whole)
    assert store.read()["key"].tolist() == ["key-1", "key-2", "key-3"]


def test_a_file_cut_at_any_byte_keeps_the_lines_before(store):
    store.append([row(1), row(2)])
    data = store.path.read_bytes()
    first = data.index(b"\n") + 1
    for size in range(0, len(data), 7):
        store.path.write_bytes(data[:size])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RecordsWarning)
            found = RecordStore(store.folder).cells()
        whole = [first - 1, len(data) - 1]  # a line's newline may be missing
        assert found == {cell(n) for n, end in enumerate(whole, 1) if size >= end}


def test_a_last_line_without_its_newline_counts(store):
    store.append([row(1), row(2)])
    store.path.write_bytes(store.path.read_bytes().rstrip(b"\n"))
    store.append([row(3)])
    assert store.read()["key"].tolist() == ["key-1", "key-2", "key-3"]


def test_a_broken_line_in_the_middle_is_named(store):
    store.append([row(1)])
    with store.path.open("ab") as file:
        file.write(b'{"study": "qui\n')
    before = store.path.read_bytes()
    with store.path.open("ab") as file:
        file.write(before[: before.index(b"\n") + 1].replace(b"key-1", b"key-9"))
    for act in (store.read, store.cells, lambda: store.append([row(2)])):
        with pytest.raises(TableError, match=r"line 2 is broken .* delete that line"):
            act()


def test_a_file_edited_in_place_is_read_again(store):
    store.append([row(1), row(2)])
    assert store.has(cell(2))
    _, second = store.path.read_bytes().splitlines(keepends=True)
    third = second.replace(b"key-2", b"key-3, edited and longer than before")
    store.path.write_bytes(second + third)
    assert not store.has(cell(1))
    store.append([row(4)])
    assert store.has(cell(2))
    store.path.unlink()
    assert store.cells() == set()


def test_a_column_of_a_later_evalkit_is_an_error(store):
    store.append([row(1)])
    store.path.write_text(
        store.path.read_text(encoding="utf-8").replace('"study"', '"studio"'),
        encoding="utf-8",
    )
    with pytest.raises(TableError, match="studio"):
        store.read()


def test_parquet_holds_the_same_table(store):
    store.append([row(1), row(2, wall_time_s=None)])
    written = pd.read_parquet(store.write_parquet()).astype(dict(RECORDS.columns))
    pd.testing.assert_frame_equal(written, store.read())


WRITERS = """
import os, random, signal, sys, time
from pathlib import Path
from evalkit.records import RecordStore

folder, n_rounds, n_writers, n_records, n_bytes, last_s = sys.argv[1:]
shuffled = random.Random(7)

def write(name):
    store = RecordStore(Path(folder))
    told = os.open(f"{folder}.told", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for number in range(int(n_records)):
        store.append([dict(
            experiment="kill", key=f"{name}-{number}", run=1, phase="warm",
            machine="test-machine", outcome="ok", notes=["x" * int(n_bytes)],
        )])
        os.write(told, f"{name}-{number}\\n".encode())

acknowledged = Path(f"{folder}.told")
acknowledged.touch()
for attempt in range(int(n_rounds)):
    writers = []
    before = acknowledged.stat().st_size
    for writer in range(int(n_writers)):
        if not (pid := os.fork()):
            write(f"{attempt}-{writer}")
            os._exit(0)
        writers.append(pid)
    if float(last_s):
        while acknowledged.stat().st_size == before:
            time.sleep(0.001)
        time.sleep(shuffled.uniform(0, float(last_s)))
        for pid in writers:
            os.kill(pid, signal.SIGKILL)
    for pid in writers:
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def run_writers(folder: Path, *arguments: float) -> tuple[list[str], set[str]]:
    """Their exit codes, and the keys that were acknowledged to them."""
    command = [sys.executable, "-W", "ignore", "-c", WRITERS, str(folder)]
    done = subprocess.run(
        [*command, *map(str, arguments)], capture_output=True, text=True, check=True
    )
    assert not done.stderr
    return done.stdout.split(), set(
        Path(f"{folder}.told").read_text(encoding="utf-8").split()
    )


def test_kill_minus_nine_loses_no_acknowledged_record(store):
    """Twelve kills: six times two writers, each record a tenth of a megabyte."""
    exits, acknowledged = run_writers(store.folder, 6, 2, 100_000, 100_000, 0.1)
    assert exits == ["-9"] * 12
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RecordsWarning)  # torn or not, by chance
        store.append([row(1)])
    warnings.simplefilter("error")
    keys = store.read()["key"]
    assert keys.is_unique
    assert len(acknowledged) >= 6
    assert acknowledged <= set(keys)


def test_writers_at_once_lose_nothing(store):
    exits, acknowledged = run_writers(store.folder, 1, 3, 40, 10_000, 0)
    assert exits == ["0"] * 3
    assert len(acknowledged) == 120
    assert set(store.read()["key"]) == acknowledged


def limit_files(size: int):
    """Let files of this process end at `size` bytes, as on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.fixture
def small_files():
    yield from limit_files(20_000)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 64 KiB, or the limit of files where this user mounts none."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(disk)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        for _ in limit_files(65_536):
            yield disk
        return
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_refused_write_is_an_error_and_leaves_nothing_torn(store, small_files):
    store.append([row(1)])
    before = store.path.read_bytes()
    with pytest.raises(RecordsWriteError, match="could not add 1 records") as caught:
        store.append([row(2, error="x" * 30_000)])
    assert isinstance(caught.value, EvalkitError)
    assert store.path.read_bytes() == before
    store.append([row(3)])
    assert store.read()["key"].tolist() == ["key-1", "key-3"]


def test_a_full_disk_is_an_error_and_leaves_nothing_torn(small_disk):
    store = RecordStore(small_disk)
    for number in range(8):
        store.append([row(number, error="x" * 3000)])
    with pytest.raises(RecordsWriteError, match=r"No space left|too large"):
        store.append([row(number, error="x" * 3000) for number in range(8, 40)])
    warnings.simplefilter("error")
    assert len(RecordStore(small_disk).read()) == 8


def test_a_folder_that_cannot_be_written_is_still_read(store, monkeypatch):
    store.append([row(1)])
    with store.path.open("ab") as file:
        file.write(b"{")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.warns(RecordsWarning, match="ignored"):
        assert len(store.read()) == 1


@pytest.mark.slow
def test_a_hundred_thousand_records_are_read_in_seconds(store):
    store.append([row(0)])
    line = store.path.read_text(encoding="utf-8")
    lines = (line.replace("key-0", f"key-{number}") for number in range(100_000))
    store.path.write_text("".join(lines), encoding="utf-8")
    start = time.process_time()
    assert len(store.read()) == 100_000
    assert store.has(cell(99_999))
    assert time.process_time() - start < 10  # about 2.5 s; a loaded machine is slower


GOOD = json.dumps(row(1) | dict.fromkeys(set(RECORDS.columns) - set(row(1))))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"[" * 50_000, "line 2 is broken"),
        (b'{"a":' * 50_000, "line 2 is broken"),
        (b"\0" * 400, "line 2 is broken"),
        (b"\xff\xfe{}", "line 2 is broken"),
        (b"9" * 5_000, "line 2 is broken"),
        (json.dumps(row(2, output_width_px=2**70)).encode(), "line 2: output_width_px"),
        (json.dumps(row(2, wall_time_s="long")).encode(), "line 2: wall_time_s is no"),
        (json.dumps(row(2, run=True)).encode(), "line 2: run is no"),
        (json.dumps(row(2, key=["a"])).encode(), "line 2: null or wrong type: ['key']"),
        (json.dumps(row(2, speed=1)).encode(), "line 2: unknown columns ['speed']"),
        (GOOD.encode(), "line 2: its cell is that of an earlier line"),
    ],
)
def test_a_line_that_nobody_could_have_written_is_told_by_its_number(
    tmp_path, line, said
):
    content = b"\n".join([GOOD.encode(), line, json.dumps(row(3)).encode(), b""])
    (tmp_path / "records.jsonl").write_bytes(content)
    with pytest.raises(TableError, match=r"records\.jsonl: line 2") as caught:
        RecordStore(tmp_path).read()
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert (tmp_path / "records.jsonl").read_bytes() == content


def test_a_key_that_is_a_list_does_not_stop_an_append_without_a_word(tmp_path):
    (tmp_path / "records.jsonl").write_text(json.dumps(row(1, key=["a"])) + "\n")
    with pytest.raises(TableError, match="line 1"):
        RecordStore(tmp_path).append([row(2)])


def test_a_folder_in_place_of_the_file_is_told(tmp_path):
    (tmp_path / "records.jsonl").mkdir()
    with pytest.raises(TableError, match=r"records\.jsonl cannot be read: Is a dir"):
        RecordStore(tmp_path).read()


def test_a_number_or_a_nesting_that_no_column_holds_is_not_written(tmp_path):
    nested: list = []
    for _ in range(50_000):
        nested = [nested]
    for wrong in ({"output_width_px": 2**70}, {"notes": nested}):
        with pytest.raises(TableError, match="records"):
            RecordStore(tmp_path).append([row(1, **wrong)])
    assert not (tmp_path / "records.jsonl").exists()


def test_a_full_disk_leaves_the_parquet_as_it_was(tmp_path, monkeypatch):
    store = RecordStore(tmp_path)
    store.append([row(1)])
    before = store.write_parquet().read_bytes()

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_parquet", full)
    with pytest.raises(RecordsWriteError, match="make room"):
        store.write_parquet()
    assert (tmp_path / "records.parquet").read_bytes() == before


def test_a_line_is_read_once_however_many_are_added(store, monkeypatch):
    taken = []

    def count(row):
        taken.append(row)
        return row

    monkeypatch.setattr("evalkit.records.store.in_todays_columns", count)
    for number in range(20):
        store.append([row(number)])
        assert store.has(cell(number))
    assert len(taken) == 20


def test_a_line_that_was_deleted_is_not_there_any_more(store):
    store.append([row(1)])
    store.append([row(2)])
    lines = store.path.read_bytes().splitlines(keepends=True)
    store.path.write_bytes(lines[1])
    assert store.cells() == {cell(2)}
