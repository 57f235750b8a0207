"""Run folders of known records."""

import json

import pytest

from evalkit.records import RecordStore
from evalkit.study.run_folder import Run

CELL = {"experiment": "cost", "phase": "warm", "condition": "lanczos", "source": "cup"}
CELL |= {"restorer": "lanczos", "setting": {"scale": 4}, "outcome": "ok"}
CELL |= {"source_sha256": "0" * 64, "output_sha256": "1" * 64, "weights_kind": "none"}
CELL |= {"key": "k", "started_at": "2026-11-01T00:00:00+00:00", "peak_rss_mib": 60.0}


@pytest.fixture
def timed(tmp_path):
    """``timed(name, times)``: a run whose warm runs took these seconds."""

    def make(name, times, machine="one", gpus=(), **changed) -> Run:
        run = Run(tmp_path / name)
        rows = [
            CELL | {"run": n, "wall_time_s": t, "machine": machine, **changed}
            for n, t in enumerate(times, 1)
        ]
        RecordStore(run.path).append(rows)
        facts = {"machine": machine, "cpu": "A CPU", "cores": 2, "gpus": list(gpus)}
        environment = {"machine": facts, "versions": {"torch": "2.11.0"}}
        text = json.dumps(environment)
        (run.path / "environment.json").write_text(text, encoding="utf-8")
        return run

    return make
