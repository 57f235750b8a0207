"""What runs have measured of time and memory, here and on other machines."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from evalkit.paths import CLONE, runs_dir
from evalkit.records import RecordStore
from evalkit.restorers import restorers
from evalkit.study.experiment import of_records
from evalkit.study.groups import source_size

GPU_MIB = ("nvml_process_peak_mib", "cuda_reserved_peak_mib")
"""Columns of records; the first that is known counts."""

RUN = "fit"
"""The run folder of what ``evalkit fit --measure`` measures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What a restorer took under a setting on pictures of one size.

    Attributes
    ----------
    machine, restorer
        As in `evalkit.tables.RECORDS`.
    setting
        As it was resolved.
    width, height
        Of the source, px.
    memory_mib
        The most of all runs: of the GPU where one worked, else the resident set.
    time_s
        From file to file: the median of the warm runs; without any, of the cold ones.
    n_runs
        How many runs it stands on.

    """

    machine: str
    restorer: str
    setting: Mapping[str, Any]
    width: int
    height: int
    memory_mib: float
    time_s: float
    n_runs: int


def measured_cells() -> list[Measured]:
    """What stands in every run folder, and in the clone's published runs."""
    parents = [runs_dir(), *([CLONE / "figures"] if CLONE else [])]
    folders = {
        folder.resolve()
        for parent in parents
        if parent.is_dir()
        for folder in parent.iterdir()
        if (folder / "records.jsonl").is_file()
    }
    return [cell for folder in sorted(folders) for cell in measured_in(folder)]


def measured_in(folder: Path) -> Iterator[Measured]:
    """What the records of one run folder say."""
    records = RecordStore(folder).read()
    records = records[records["outcome"].eq("ok") & records["setting"].notna()]
    records = records[[_is_of_one(row) for row in records.to_dict("records")]]
    sizes = [source_size(row) for row in records.to_dict("records")]
    records = records.assign(size=pd.Series(sizes, records.index, dtype=object))
    group = ["machine", "restorer", "setting", "size"]
    for (machine, restorer, setting, size), rows in records.groupby(group):
        is_on_cpu = rows[list(GPU_MIB)].isna().all(axis=None)
        columns = ["peak_rss_mib"] if is_on_cpu else list(GPU_MIB)
        memory_mib = rows[columns].astype(float).bfill(axis=1).iloc[:, 0].max()
        warm = rows[rows["phase"] == "warm"]
        runs = warm if len(warm) else rows
        if pd.notna(memory_mib):
            yield Measured(
                machine=machine,
                restorer=restorer,
                setting=json.loads(setting),
                width=size[0],
                height=size[1],
                memory_mib=float(memory_mib),
                time_s=float(runs["wall_time_s"].median()),
                n_runs=len(runs),
            )


def _is_of_one(record: Mapping[str, Any]) -> bool:
    """Whether a record is of one picture with all the machine's room to itself."""
    entry = of_records().get(record["experiment"])
    is_one = entry.has_floor and not entry.is_of_pictures if entry else False
    is_one |= record["experiment"] == "quality"
    return is_one and record["restorer"] in restorers()
