"""A run folder that a test fills with tiny tables, and one judgement from it."""

import json
from pathlib import Path

import answers
import pandas as pd
import pytest

from evalkit.article import evaluate
from evalkit.rating import Store
from evalkit.records import RecordStore
from evalkit.tables import IMAGES, METRICS

CPU_ONLY = {
    "machine": {
        "machine": "test-2c",
        "cpu": "Some CPU",
        "gpus": [],
        "memory_gib": 8.0,
        "os": "Linux 6.1",
        "python": "CPython 3.11.7",
    },
    "versions": {"torch": "2.15.0"},
    "commit": {"commit": None, "dirty": None},
}
GPU = CPU_ONLY | {
    "machine": CPU_ONLY["machine"]
    | {
        "cpu": "13th Gen Intel(R) Core(TM) i9-13900K",
        "gpus": [{"name": "NVIDIA GeForce RTX 4090", "memory_mib": 24564}],
    }
}


class RunFolder:
    """Fills a run folder through the tables' own writers."""

    def __init__(self, path: Path):
        self.path = path
        self._n_records = 0

    def images(self, *rows):
        filled = [
            {"source": f"s{i}", "path": f"/x/s{i}.png", "is_synthetic": False} | row
            for i, row in enumerate(rows)
        ]
        IMAGES.write(IMAGES.frame(filled), self.path / "tables")

    def metric(self, value):
        row = {"condition": "bicubic", "source": "s0", "metric": "psnr", "value": value}
        METRICS.write(METRICS.frame([row]), self.path / "tables")

    def record(self, experiment, n=1, **columns):
        rows = []
        for run in range(1, n + 1):
            self._n_records += 1
            known = {"key": f"k{self._n_records}", "run": run, "phase": "warm"}
            common = {"machine": "test-2c", "condition": "bicubic", "outcome": "ok"}
            rows.append({"experiment": experiment, **known, **common, **columns})
        RecordStore(self.path).append(rows)

    def environment(self, found):
        (self.path / "environment.json").write_text(json.dumps(found), encoding="utf-8")

    def scores(self, subjects, score=4):
        self.ratings(
            answers.scores(pd.DataFrame({"subject": subjects, "score": score}))
        )

    def ratings(self, frame):
        answers.fill(Store(self.path / "ratings.sqlite"), frame)

    def judge(self, claim):
        verdicts = evaluate(self.path).set_index("claim")
        row = verdicts.loc[claim]
        return row["verdict"], row["found"], row["evidence"]


@pytest.fixture
def run(tmp_path) -> RunFolder:
    return RunFolder(tmp_path)


@pytest.fixture
def cpu_only():
    return CPU_ONLY


@pytest.fixture
def gpu():
    return GPU
