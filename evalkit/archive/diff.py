"""Runs beside each other: what differs, and what each condition costs on each card."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from evalkit.errors import StudyError
from evalkit.experiments.cost import cost_of
from evalkit.paths import file_name
from evalkit.records import plain_records
from evalkit.study.run_folder import Run
from evalkit.tables import CARDS
from evalkit.texts import tell

MACHINES = "machines"
"""The folder of a collected run that holds what each machine brought but records."""

SOURCE = ["condition", "source", "source_sha256"]
"""What must be equal for a ratio: a picture of the same name may be another one."""

DECIDED = ("weights_kind", "weights_sha256", "tf32")
"""Columns of records that say how a condition was resolved on a machine."""

KINDS = ("machine", "versions", "commit", "variables", "study")
"""What is compared before the conditions are."""

NAMELESS = ("name", "images")
"""Keys of a study that say where it lies, and nothing of what was compared."""


class Side(NamedTuple):
    """One machine's part of a run; None where nothing was timed."""

    run: Run
    machine: str | None
    name: str
    """Of the run, with as many of its folders as tell it from the others."""

    @property
    def label(self) -> str:
        """The run's name, and the machine's."""
        return f"{self.name} ({self.machine})" if self.machine else self.name

    @property
    def environment(self) -> dict[str, Any]:
        """That of this machine; empty where it is not known."""
        own = self._collected.environment or self.run.environment
        is_its = self.machine in (None, own.get("machine", {}).get("machine"))
        return own if is_its else {}

    @property
    def study(self) -> dict[str, Any]:
        """The study as it was resolved on this machine."""
        return self._collected.study or self.run.study

    @property
    def _collected(self) -> Run:
        """What this machine brought to a collected run; else nothing is there."""
        return Run(self.run.path / MACHINES / file_name(self.machine or ""))

    @property
    def costs(self) -> pd.DataFrame:
        """Its records of the experiment ``cost``."""
        records = self.run.cost()
        return records[records["machine"] == self.machine]


def sides_of(runs: Sequence[Run]) -> list[Side]:
    """Every machine of every run, in order.

    Raises
    ------
    StudyError
        A run is there twice.

    """
    parts = [run.path.resolve().parts for run in runs]
    if len({*parts}) < len(parts):
        raise StudyError("expected runs to compare, found the same twice")
    depth = 1
    while len({part[-depth:] for part in parts}) < len(parts):
        depth += 1
    return [
        Side(run, machine, "/".join(part[-depth:]) if depth > 1 else run.name)
        for run, part in zip(runs, parts, strict=True)
        for machine in [*run.cost()["machine"].unique()] or [None]
    ]


def cards(sides: Sequence[Side]) -> pd.DataFrame:
    """What each condition costs on each side, and how that compares with the first.

    The first side that timed a condition on a picture is what the others are held
    against. The interval of a ratio is what both medians' intervals allow; there is
    none where one of them has fewer than 6 runs. Runs of two sides are never pooled.

    Returns
    -------
    DataFrame
        Table `evalkit.tables.CARDS`, by condition and picture.

    """
    rows: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for side in sides:
        machine = side.environment.get("machine", {})
        gpus = ", ".join(gpu["name"] for gpu in machine.get("gpus") or ())
        for names, cell in side.costs.groupby(SOURCE, sort=False):
            whole = cost_of(cell, None)
            row = dict(zip(SOURCE, names, strict=True))
            on_gpu = pd.notna(whole["cuda_reserved_peak_mib"])
            row |= {"run": side.name, "machine": side.machine}
            row["card"] = gpus if on_gpu and gpus else machine.get("cpu")
            row |= {name: whole[name] for name in CARDS.columns.keys() & whole.keys()}
            gpu_mib = whole["nvml_process_peak_mib"]
            row["gpu_memory_mib"] = (
                whole["cuda_reserved_peak_mib"] if pd.isna(gpu_mib) else gpu_mib
            )
            ok = cell[cell["outcome"] == "ok"]
            row["digests"] = set(ok["output_sha256"].dropna())
            rows.setdefault(names, []).append(row)
    for group in rows.values():
        for row in group:
            row |= _ratio(row, group[0])
    for row in (row for group in rows.values() for row in group):
        del row["digests"]
    return CARDS.frame([row for group in rows.values() for row in group])


def _ratio(row: Mapping[str, Any], first: Mapping[str, Any]) -> dict[str, Any]:
    """Its time over the first's, and whether both made the same picture."""
    if row is first:
        return {}
    found: dict[str, Any] = {}
    if row["digests"] and first["digests"]:
        found["same_output"] = row["digests"] == first["digests"]
    if row["wall_time_s"] and first["wall_time_s"]:
        found["ratio"] = row["wall_time_s"] / first["wall_time_s"]
        if row["wall_time_low_s"] and first["wall_time_low_s"]:
            found["ratio_low"] = row["wall_time_low_s"] / first["wall_time_high_s"]
            found["ratio_high"] = row["wall_time_high_s"] / first["wall_time_low_s"]
    return found


def differences(one: Side, other: Side) -> Iterator[tuple[str, str, str]]:
    """What is not equal on two sides: its name, its value on one, on the other.

    Machine, versions, commit, variables and study by their keys; then how each
    condition that both have was resolved.
    """
    for name in KINDS[:-1]:
        parts = [side.environment.get(name) or {} for side in (one, other)]
        yield from _unequal(name, *parts)
    studies = [
        {key: value for key, value in side.study.items() if key not in NAMELESS}
        for side in (one, other)
    ]
    yield from _unequal(KINDS[-1], *studies)
    resolved = [_resolved(side) for side in (one, other)]
    for condition in resolved[0]:
        if condition in resolved[1]:
            yield from _unequal(condition, *(facts[condition] for facts in resolved))


def _resolved(side: Side) -> dict[str, dict[str, Any]]:
    """By condition: its settings and weights, in its last timed run."""
    return {
        record["condition"]: {
            **{name: record[name] for name in DECIDED},
            **(record["setting"] or {}),
        }
        for record in plain_records(side.costs)
    }


def _unequal(
    name: str, one: Mapping[str, Any], other: Mapping[str, Any]
) -> Iterator[tuple[str, str, str]]:
    for key in sorted({*one, *other}):
        values = one.get(key), other.get(key)
        if values[0] != values[1]:
            was, now = map(_in_words, values)
            yield f"{_kind_in_words(name)}, {key}", was, now


def _kind_in_words(name: str) -> str:
    return tell(f"diff.of.{name}") if name in KINDS else name


def _in_words(value: Any) -> str:
    if value is None:
        return tell("diff.none")
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def in_lines(sides: Sequence[Side], table: pd.DataFrame) -> Iterator[str]:
    """What `differences` and `cards` found, to be read."""
    for side in sides[1:]:
        yield tell("diff.beside", label=side.label, first=sides[0].label)
        found = [*differences(sides[0], side)]
        yield from (f"  {name}: {was} -> {now}" for name, was, now in found)
        if not found:
            yield f"  {tell('diff.equal')}"
    for (condition, source, _), group in table.groupby(SOURCE, sort=False):
        yield f"{condition}, {source}:"
        for row in group.itertuples():
            yield f"  {_cost_in_words(row)}"
    alone = table.groupby(SOURCE)["run"].transform("size") == 1
    if len(table) and alone.all():
        yield tell("diff.no-ratio")
    elif table.empty:
        yield tell("diff.nothing")


def _cost_in_words(row: Any) -> str:
    text = f"{row.run}, {row.card or row.machine}: "
    if pd.isna(row.wall_time_s):
        return text + tell("diff.failed", n=row.n_failed)
    spread = _interval(row.wall_time_low_s, row.wall_time_high_s)
    text += f"{row.wall_time_s:.3g} s{spread}"
    if pd.notna(row.ratio):
        spread = _interval(row.ratio_low, row.ratio_high)
        text += ", " + tell("diff.ratio", ratio=f"{row.ratio:.3g}{spread}")
    if pd.notna(row.peak_rss_mib):
        text += ", " + tell("diff.memory", memory=f"{row.peak_rss_mib:,.0f}")
    if pd.notna(row.gpu_memory_mib):
        text += ", " + tell("diff.memory.gpu", memory=f"{row.gpu_memory_mib:,.0f}")
    if pd.notna(row.same_output):
        text += ", " + (tell("diff.same") if row.same_output else tell("diff.other"))
    return text


def _interval(low: float, high: float) -> str:
    return "" if pd.isna(low) else f" [{low:.3g}, {high:.3g}]"
