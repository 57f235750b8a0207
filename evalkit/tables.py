"""Every table of the study: its columns, types, units and key."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from evalkit.errors import TableError
from evalkit.paths import atomic_path

TEXT, NUMBER, COUNT, TRUTH = "string", "Float64", "Int64", "boolean"
"""pandas' nullable types: what is unknown is null, never 0 and never ``""``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One table, written and read in one way.

    Attributes
    ----------
    name
        Of the file, without its suffix.
    columns
        Each column's pandas dtype, in order. A quantity's name ends in its unit.
    key
        The columns that tell rows apart.
    json_columns
        Columns whose text is JSON.

    """

    name: str
    columns: Mapping[str, str]
    key: tuple[str, ...]
    json_columns: frozenset[str] = frozenset()

    def frame(self, rows: list[dict[str, Any]]) -> pd.DataFrame:
        """Make a checked frame of rows; a missing cell is null.

        Raises
        ------
        TableError
            An unknown column, a value of the wrong type, a repeated or null key.

        """
        unknown = sorted({name for row in rows for name in row} - set(self.columns))
        if unknown:
            raise TableError(f"table {self.name}: unknown columns {unknown}")
        texts = [
            {
                name: json.dumps(value, sort_keys=True, ensure_ascii=False)
                if name in self.json_columns and value is not None
                else value
                for name, value in row.items()
            }
            for row in rows
        ]
        return self.checked(pd.DataFrame(texts, columns=list(self.columns)))

    def checked(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The frame with this table's columns and dtypes, or an error.

        Raises
        ------
        TableError
            As in `frame`; also for a missing column.

        """
        wrong = sorted(set(frame.columns) ^ set(self.columns))
        if wrong:
            raise TableError(
                f"table {self.name}: missing or unknown columns {wrong}; "
                f"expected {list(self.columns)}"
            )
        try:
            typed = frame[list(self.columns)].astype(dict(self.columns))
        except (TypeError, ValueError) as error:
            raise TableError(f"table {self.name}: {error}") from error
        key = list(self.key)
        if key and (typed.duplicated(key).any() or typed[key[0]].isna().any()):
            raise TableError(f"table {self.name}: {key} is null or not unique")
        return typed.reset_index(drop=True)

    def write(self, frame: pd.DataFrame, folder: Path, part: str = "") -> Path:
        """Write ``<name>[-<part>].csv`` atomically; return its path."""
        path = folder / f"{self.name}{f'-{part}' if part else ''}.csv"
        checked = self.checked(frame)
        with atomic_path(path) as temporary:
            checked.to_csv(temporary, index=False)
        return path

    def read(self, path: Path) -> pd.DataFrame:
        """Read and check one file."""
        return self.checked(pd.read_csv(path, dtype=dict(self.columns)))


IMAGES = Table(
    name="images",
    columns={
        "source": TEXT,  # stem; unique within the set
        "kind": TEXT,  # portrait, group, mixed, building, text, product, ...
        "path": TEXT,  # of the source, absolute
        "sha256": TEXT,  # of that file
        "width_px": COUNT,
        "height_px": COUNT,
        "reference": TEXT,  # path of the pristine version, null where none exists
        "reference_sha256": TEXT,
        "origin": TEXT,  # package or repository that the picture comes from
        "url": TEXT,
        "licence": TEXT,
        "is_synthetic": TRUTH,  # the degradation was made by us
        "note": TEXT,  # what a reader must know: reused face, resizing, degradation
        "error": TEXT,  # why the file cannot be used; null for a good one
    },
    key=("source",),
)

RECORDS = Table(
    name="records",
    columns={
        "study": TEXT,
        "experiment": TEXT,  # quality, cost, stability, ...
        "key": TEXT,  # digest of source, weights, setting, restorer and its code
        "run": COUNT,  # from 1
        "phase": TEXT,  # cold, warm
        "machine": TEXT,
        "condition": TEXT,
        "restorer": TEXT,
        "setting": TEXT,
        "source": TEXT,
        "source_sha256": TEXT,
        "weights_sha256": TEXT,
        "weights_kind": TEXT,  # released, package, mirror, user, random, none
        "started_at": TEXT,  # ISO 8601, UTC
        "outcome": TEXT,  # ok, oom, error, crash, timeout, rejected
        "error": TEXT,
        "wall_time_s": NUMBER,  # of the restore call, device finished
        "load_time_s": NUMBER,
        "stages_s": TEXT,
        "output": TEXT,  # path below the run folder
        "output_sha256": TEXT,  # of the pixels and their shape
        "output_width_px": COUNT,
        "output_height_px": COUNT,
        "peak_rss_mib": NUMBER,
        "cuda_allocated_peak_mib": NUMBER,
        "cuda_reserved_peak_mib": NUMBER,
        "nvml_process_peak_mib": NUMBER,
        "nvml_device_delta_mib": NUMBER,
        "gpu_busy_percent": NUMBER,
        "gpu_memory_busy_percent": NUMBER,
        "mean_power_w": NUMBER,
        "energy_j": NUMBER,
        "temperature_c": NUMBER,
        "throttle_reasons": TEXT,
        "notes": TEXT,
        "environment": TEXT,  # digest of environment.json
    },
    key=("key", "experiment", "run", "phase", "machine"),
    json_columns=frozenset({"setting", "stages_s", "notes"}),
)

OUTCOMES = ("ok", "oom", "error", "crash", "timeout", "rejected")

METRICS = Table(
    name="metrics",
    columns={
        "condition": TEXT,
        "source": TEXT,
        "metric": TEXT,
        "value": NUMBER,
        "unit": TEXT,
        "higher_is_better": TRUTH,
        "resampling": TEXT,  # how the output was brought to the reference's size
    },
    key=("condition", "source", "metric"),
)

COST = Table(
    name="cost",
    columns={
        "condition": TEXT,
        "source": TEXT,
        "machine": TEXT,
        "weights_kind": TEXT,
        "source_width_px": COUNT,
        "source_height_px": COUNT,
        "n_runs": COUNT,  # warm runs that ended ok
        "n_failed": COUNT,
        "cold_wall_time_s": NUMBER,
        "load_time_s": NUMBER,
        "wall_time_s": NUMBER,  # median of the warm runs
        "wall_time_low_s": NUMBER,  # bootstrap interval of that median
        "wall_time_high_s": NUMBER,
        "peak_rss_mib": NUMBER,
        "cuda_reserved_peak_mib": NUMBER,
        "nvml_process_peak_mib": NUMBER,
        "same_as_quality": TRUTH,  # outputs made while timing equal the quality run's
        "notes": TEXT,
    },
    key=("condition", "source", "machine"),
    json_columns=frozenset({"notes"}),
)

VERDICTS = Table(
    name="verdicts",
    columns={
        "claim": TEXT,
        "section": TEXT,
        "subject": TEXT,
        "setting": TEXT,
        "quantity": TEXT,
        "claimed": TEXT,
        "unit": TEXT,
        "kind": TEXT,
        "verdict": TEXT,
        "found": TEXT,
        "evidence": TEXT,
        "caution": TEXT,
    },
    key=("claim",),
)
