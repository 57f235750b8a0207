"""The experiments of cost: batch, size, tile, precision, scale, CPU, background."""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from evalkit.downloads.files import digest
from evalkit.errors import SettingError, UnknownNameError, WeightsError
from evalkit.experiments.cost import cost_of
from evalkit.images import Picture, read_image, resize, write_image
from evalkit.metrics.seams import TileBorders, noise, seams
from evalkit.paths import file_name
from evalkit.profiling.experiments import highest_percentile, percentile_bound
from evalkit.restorers import condition_name, parse_condition, plan_restorer
from evalkit.study.groups import GROUP, choose, first_failure, newest
from evalkit.study.run_folder import CELL, Run
from evalkit.study.runner import Cells
from evalkit.tables import EXPERIMENTS, IMAGES, RECORDS, SOURCES, TIMELINE

SETTINGS = {
    "tile": "tile",
    "precision": "precision",
    "scale": "scale",
    "background": "background",
    "cpu": "device",
}
"""Experiments that vary the condition, and the setting that each varies."""

VALUES: Mapping[str, Sequence[Any]] = {
    "batch": (1, 2, 4, 5, 8, 16),
    "size": (256, 512, 768, 1024, 1200, 1280, 1536, 2048, 4096),
    "tile": (0, 128, 256, 512),
    "precision": ("fp32", "tf32", "fp16", "bf16"),
    "scale": (2, 4, 8),
    "background": ("none", "realesrnet", "realesrgan"),
    "cpu": ("cpu",),
    "rotating": (1,),
}
"""Every experiment, with what it tries on a GPU."""

ON_CPU: Mapping[str, Sequence[Any]] = {
    **VALUES,
    "batch": (1, 2, 4),
    "size": (64, 96, 128, 192),
    "tile": (0, 48, 96),
    "precision": ("fp32", "fp16", "bf16"),
}
"""The same where there is none: minutes, not days."""

CACHED_FROM = 1.1
"""A ratio of rotating over same pictures that tells of a cache: MLPerf's limit."""


def measure_experiment(
    run: Run,
    experiment: str,
    condition: str,
    images: pd.DataFrame,
    *,
    values: Sequence[Any] = (),
    repeats: int = 3,
    n_sources: int = 1,
    seed: int = 0,
    say: Callable[[str], None] = print,
) -> pd.DataFrame:
    """Vary one thing and time each value: cold, until stable, then `repeats` times.

    A value that the restorer or this machine does not have is said and left out.

    Parameters
    ----------
    run
        Gets records of the experiment and each value; of ``rotating``, beside it, of
        ``same-picture``.
    experiment
        One of `VALUES`. ``batch``: copies of a picture in a call. ``size``: the picture
        resized to a longest side. ``rotating``: another picture each time, in turn with
        the same one. The others vary a setting of the condition.
    condition, images, n_sources, repeats, say
        As in `evalkit.experiments.measure_cost`.
    values
        Tried in an order that is shuffled; empty for those of `VALUES`, fewer and
        smaller on a CPU.
    seed
        Of that order and of the sources'.

    Returns
    -------
    DataFrame
        Records of the experiment (`evalkit.tables.RECORDS`).

    Raises
    ------
    UnknownNameError
        No such experiment.

    """
    if experiment not in VALUES:
        raise UnknownNameError("experiment", experiment, VALUES)
    plan = plan_restorer(**parse_condition(condition))
    on_cpu = plan.resolved.get("device", "cpu") == "cpu"
    values = values or (ON_CPU if on_cpu else VALUES)[experiment]
    chosen = choose(images, n_sources, seed)
    found = [RECORDS.frame([])]
    for index in np.random.default_rng(seed).permutation(len(values)):
        value = values[index]
        try:
            cells, prepare = _cells(run, experiment, condition, value, repeats)
        except (SettingError, UnknownNameError, WeightsError) as error:
            say(f"{experiment} {value}: not for {condition} here: {error}")
            continue
        found.append(cells.compute(prepare(chosen), say))
    return pd.concat(found, ignore_index=True)


def _cells(
    run: Run, experiment: str, condition: str, value: Any, repeats: int
) -> tuple[Cells, Callable[[pd.DataFrame], pd.DataFrame]]:
    """The cells of one value, and what makes their sources of the pictures."""
    name, told, arguments = experiment, str(value), {"max_warm_up": repeats // 5}
    prepare: Callable[[pd.DataFrame], pd.DataFrame] = lambda images: images  # noqa: E731
    if experiment in SETTINGS:
        settings = parse_condition(condition) | {SETTINGS[experiment]: value}
        condition = condition_name(**settings)
    elif experiment == "batch":
        arguments["batch"] = value
    elif experiment == "rotating":
        name, arguments["rotating"] = "same-picture", True
    else:
        prepare = partial(resized, run, longest_px=value)
    cells = Cells(run, condition, name, told, n_warm=repeats, arguments=arguments)
    if experiment in SETTINGS:
        varied = cells.plan.resolved.get(SETTINGS[experiment])
        cells.value = None if varied is None else str(varied)
    elif experiment == "rotating":
        cells.value, cells.beside = None, ("rotating",)
    cells.keeps_outputs = experiment == "tile" and cells.plan.weights_kind != "random"
    return cells, prepare


def resized(run: Run, images: pd.DataFrame, longest_px: int) -> pd.DataFrame:
    """The pictures with the longer side of that size, in proportion (`IMAGES`).

    They lie below the run's ``sources``. Two more columns, ``base_source`` and
    ``base_sha256``, tell of which picture each was made; the names
    ``<source>@<longest_px>px`` are for people.
    """
    rows = []
    for row in images[images["error"].isna()].to_dict("records"):
        picture = read_image(Path(row["path"]))
        height, width = picture.shape[:2]
        scale = longest_px / max(height, width)
        width, height = (max(1, round(side * scale)) for side in (width, height))
        name = f"{row['source']}@{longest_px}px"
        rows.append(made_source(run, row, name, resize(picture, width, height)))
    return pd.DataFrame(rows, columns=[*IMAGES.columns, "base_source", "base_sha256"])


def made_source(
    run: Run, row: Mapping[Any, Any] | pd.Series, name: str, picture: Picture
) -> dict[str, Any]:
    """Write what was made of a picture, below the run's ``sources``; return its row.

    The table `evalkit.tables.SOURCES` of the run says what it was made of. A name that
    a picture has already gets a ``+``.
    """
    while name in set(run.read(IMAGES)["source"]):
        name += "+"
    path = run.path / "sources" / f"{file_name(name)}-{row['sha256'][:8]}.png"
    write_image(path, picture)
    height, width = picture.shape[:2]
    made = {"source": name, "path": str(path), "sha256": digest(path)}
    made |= {"width_px": width, "height_px": height}
    made["base_source"] = row.get("base_source", row["source"])
    made["base_sha256"] = row.get("base_sha256", row["sha256"])
    known = run.read(SOURCES)
    told = {**made, "path": path.relative_to(run.path).as_posix()}
    new = SOURCES.frame([told])
    run.write(SOURCES, pd.concat([known[known["source"] != name], new]))
    return {**row, **made}


def trace_memory(run: Run, condition: str, images: pd.DataFrame) -> pd.DataFrame:
    """Sample memory while a condition is loaded and restores the first source twice.

    Returns
    -------
    DataFrame
        Table `evalkit.tables.TIMELINE`, also written to the run's tables; empty if the
        process failed.

    """
    cells = Cells(run, condition, "trace", n_warm=1, arguments={"traced": True})
    row = images.to_dict("records")[0]
    facts = {"condition": condition, "source": row["source"], "machine": cells.machine}
    messages: list[dict[str, Any]] = []
    cells.start(row, messages.append)
    samples = [facts | sample for m in messages for sample in m.get("samples", ())]
    return run.keep(TIMELINE, samples, condition)


def summarise_experiments(run: Run) -> pd.DataFrame:
    """One row for each value of each experiment, and for the plain cost beside them.

    Returns
    -------
    DataFrame
        Table `evalkit.tables.EXPERIMENTS`, also written to the run's tables.

    """
    records = newest(run, "cost", "batch", "same-picture", "size", *SETTINGS)
    moved = newest(run, "rotating").query("phase == 'warm'")
    moved_s = moved.groupby(CELL)["wall_time_s"].median()
    quality = run.quality().set_index(["condition", "source"])["output_sha256"]
    rows = []
    for names, cell in records.groupby(GROUP, sort=False, dropna=False):
        row = dict(zip(GROUP, names, strict=True))
        row["base_source"] = cell["base_source"].iloc[0]
        is_made = pd.notna(row["base_source"])
        expected = quality.get((row["condition"], row["source"]))
        row |= cost_of(cell, None if is_made else expected)
        n_pictures = int(row["value"]) if row["experiment"] == "batch" else 1
        row |= _spread_of(cell, n_pictures, row["wall_time_s"])
        own = tuple(row[name] for name in CELL)
        if row["experiment"] == "same-picture" and own in moved_s:
            ratio = float(moved_s[own]) / row["wall_time_s"]
            row |= {"rotating_ratio": ratio, "is_cached": ratio > CACHED_FROM}
        if row["experiment"] == "tile":
            row |= _seams(run, cell)
        rows.append((_order(row, cell["restorer"].iloc[0]), row))
    rows.sort(key=itemgetter(0))
    return run.keep(EXPERIMENTS, [row for _, row in rows])


def _spread_of(
    cell: pd.DataFrame, n_pictures: int, median_s: float | None
) -> dict[str, Any]:
    ok = cell[cell["outcome"] == "ok"]
    times_s = ok.loc[ok["phase"] == "warm", "wall_time_s"].to_numpy(float)
    percent = int(highest_percentile(len(times_s)) or 0)
    found = {
        "failure": first_failure(cell.drop(ok.index)),
        "per_picture_s": median_s and median_s / n_pictures,
        "pictures_per_s": median_s and n_pictures / median_s,
        **ok[["output_width_px", "output_height_px"]].max(),
    }
    if percent >= 50:
        bound_s = percentile_bound(times_s, percent)
        found |= {"percentile": percent, "percentile_s": bound_s}
    return found


def _order(row: Mapping[str, Any], restorer: str) -> tuple[str, str, int, str]:
    """By experiment and restorer, then by value: 8 before 16."""
    value = "" if pd.isna(row["value"]) else row["value"]
    return row["experiment"], restorer, len(value), value


def _seams(run: Run, cell: pd.DataFrame) -> dict[str, float]:
    """The score of the tiles' borders in the output, where there are any."""
    settings, kept = json.loads(cell["setting"].iloc[0]), cell["output"].dropna()
    period = int(settings["tile"] * (settings.get("scale") or 1))
    if kept.empty or not period or not (run.path / kept.iloc[-1]).is_file():
        return {}
    output = read_image(run.path / kept.iloc[-1])
    borders = TileBorders.every(period, *output.shape[:2])
    if not any(borders):
        return {}
    return {
        "seams_db": seams(output, borders),
        "seams_noise_db": noise(output, borders),
    }
