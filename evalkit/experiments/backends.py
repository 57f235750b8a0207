"""Back ends: the same network run by each, timed once their outputs agree."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from evalkit import figures
from evalkit.errors import EvalkitError
from evalkit.experiments._sources import made_source, resized
from evalkit.experiments.cost import repeated, times_of
from evalkit.images import read_image
from evalkit.metrics.psnr import psnr
from evalkit.restorers import (
    condition_name,
    parse_condition,
    plan_restorer,
    restorers,
)
from evalkit.restorers._protocol import Settings
from evalkit.study import runner
from evalkit.study.experiment import Experiment, Sampling
from evalkit.study.groups import newest
from evalkit.study.measurement import Measurement
from evalkit.study.run_folder import Run
from evalkit.study.worker import ALIGNED
from evalkit.tables import BACKENDS, IMAGES, SOURCES

NAMES = ("backend-gate", "backend")
"""The experiments of its records: untimed, to compare the outputs; timed."""

GATE_DB = 40.0
"""Least PSNR from PyTorch in fp32; below it a back end is not timed."""

BORDER_PX = 10
"""ncnn mirrors so many source pixels beyond the picture's edge, where the others see
zeros. PyTorch is therefore also given the picture with that border, to compare with."""

PYTORCH, TUNED, ONNX, NCNN = "PyTorch, upstream", "tuned", "ONNX Runtime", "ncnn"
DIFFERS = {
    PYTORCH: [],
    TUNED: [],
    ONNX: ["network: exported; PyTorch is loaded beside it"],
    NCNN: ["network: in a process of its own, 8 bits in and out"],
}
"""What no setting makes equal to PyTorch, upstream."""

BLENDED = "tiles: all the context that the network sees, seams blended; not 10 px, cut"
IN_TILES = {
    PYTORCH: [],
    TUNED: [BLENDED],
    ONNX: [BLENDED],
    NCNN: [f"tiles: their grid lies {BORDER_PX} px off"],
}
"""What else differs in a picture of several tiles."""

Row = dict[str, Any]
Say = Callable[[str], None]


def compare_backends(
    run: Run,
    network: str,
    images: pd.DataFrame,
    *,
    device: str = "auto",
    tile: int = 200,
    longest_px: int = 96,
    repeats: int = 0,
    seed: int = 0,
    say: Say = print,
) -> pd.DataFrame:
    """Run one network by every back end: agreement first, then time and memory.

    Each back end first restores the picture untimed, which also exports the network
    where that is needed. Those whose output is PyTorch's in fp32 (`GATE_DB`) are then
    timed in processes of their own, in a shuffled order, as
    `evalkit.experiments.measure_cost` does.

    Parameters
    ----------
    run
        Gets records of ``backend-gate``, whose outputs are kept, and of ``backend``.
    network
        A restorer of Real-ESRGAN or GPEN; the latter takes the picture for a face.
    images
        Table `evalkit.tables.IMAGES`; the first is restored.
    device
        ``auto``, ``cpu`` or ``cuda:N``.
    tile
        The tile of all back ends, source px; 200 is the default of ncnn's program.
    longest_px
        The picture's longer side is first brought to this size; 0 for its own.
    repeats, seed
        Warm runs, 0 as in `evalkit.experiments.measure_cost`; the seed of the order.
    say
        Gets one line for every cell.

    Returns
    -------
    DataFrame
        Table `evalkit.tables.BACKENDS`, this network's rows of this picture; also
        written to the run's tables, beside the others.

    """
    pictures = one_picture(run, images, longest_px)
    if _is_of_faces(network):
        pictures = pictures.assign(kind=ALIGNED)
    else:
        pictures = pd.concat([pictures, _mirrored(run, pictures.iloc[0])])
    rows = list(_rows(network, device, tile, pictures))
    for row in rows:
        if row["outcome"] == "not here":
            say(f"{row['condition']}: not here: {row['error']}")
        else:
            picture = pictures[pictures["source"] == row["source"]]
            records = compute(run, row["condition"], picture, say, is_gate=True)
            row |= _recorded(records)
    _compare(run, rows)
    for index in np.random.default_rng(seed).permutation(len(rows)):
        row = rows[index]
        if row["agrees"]:
            picture = pictures[pictures["source"] == row["source"]]
            timed = compute(run, row["condition"], picture, say, repeats)
            row |= _timed(timed, row)
    _set_against(rows)
    frame = BACKENDS.frame(
        [{k: v for k, v in row.items() if k in BACKENDS.columns} for row in rows]
    )
    table = run.read(BACKENDS)
    is_old = (table["network"] == network) & table["source"].isin(frame["source"])
    sources = pd.concat([run.read(IMAGES), run.read(SOURCES)])["source"]
    is_old |= ~table["source"].isin(sources)
    run.write(BACKENDS, pd.concat([table[~is_old], frame], ignore_index=True))
    return frame


def _mirrored(run: Run, picture: pd.Series) -> pd.DataFrame:
    """The picture with ncnn's border, below the run's ``sources``."""
    pixels: Any = read_image(Path(picture["path"]))
    around = ((BORDER_PX, BORDER_PX),) * 2 + ((0, 0),) * (pixels.ndim - 2)
    pixels = np.pad(pixels, around, mode="reflect")
    name = f"{picture['source']}+{BORDER_PX}px"  # for people
    return pd.DataFrame([made_source(run, picture, name, pixels)])


def one_picture(run: Run, images: pd.DataFrame, longest_px: int) -> pd.DataFrame:
    """The first picture that can be read, at that size; 0 for its own."""
    first = images[images["error"].isna()].head(1)
    return resized(run, first, longest_px) if longest_px else first


def compute(
    run: Run,
    condition: str,
    images: pd.DataFrame,
    say: Say,
    repeats: int = 0,
    *,
    is_gate: bool = False,
) -> pd.DataFrame:
    """Records of ``backend-gate`` or ``backend``; see `Measurement`."""
    name, how = NAMES[not is_gate], {} if is_gate else repeated(repeats)
    what = Measurement(run, condition, name, **how, keeps_outputs=is_gate)
    return runner.compute(what, images, say)


def _is_of_faces(network: str) -> bool:
    return restorers()[network].scale == 1


def _variants(network: str, settings: Row) -> Iterator[tuple[str, str, Row]]:
    """Back end, restorer and settings of all variants, PyTorch in fp32 first."""
    for precision in ({"precision": "fp32"}, {"precision": "fp16"}):
        yield PYTORCH, network, settings | precision | {"runner": "upstream"}
        yield TUNED, network, settings | precision
        yield ONNX, f"onnx-{network}", settings | precision
    yield TUNED, network, settings
    device = "cpu" if settings["device"] == "cpu" else "vulkan"
    if f"ncnn-{network}" in restorers():
        yield NCNN, f"ncnn-{network}", settings | {"device": device}


def _rows(
    network: str, device: str, tile: int, pictures: pd.DataFrame
) -> Iterator[Row]:
    """What is known of every back end before it runs."""
    # GPEN's tile is its background's, and none is restored here
    tiles = {} if _is_of_faces(network) else {"tile": tile}
    device = plan_restorer(network, device=device).resolved["device"]
    common = {"device": device, **tiles}
    sources, sides = list(pictures["source"]), pictures[["width_px", "height_px"]]
    is_cut = 0 < tile < int(sides.iloc[0].max())
    tried: list[Any] = []
    for backend, name, settings in _variants(network, common):
        row = {"network": network, "backend": backend, "source": sources[0]}
        row["border_px"] = 0
        row |= {"reference": sources[-1] if backend == NCNN else sources[0]}
        row |= {"condition": condition_name(name, **settings), "agrees": False}
        row |= {"differs": DIFFERS[backend] + IN_TILES[backend] * is_cut}
        try:
            resolved = _resolved(name, **settings)
        except EvalkitError as error:
            requested = {n: settings.get(n) for n in ("device", "precision")}
            yield row | requested | {"outcome": "not here", "error": str(error)}
            continue
        if (backend, resolved) in tried:  # tuned's auto may be fp32 or fp16
            continue
        tried.append((backend, resolved))
        row |= {n: resolved.get(n) for n in ("device", "precision", "tile", "scale")}
        yield row | {"outcome": "ok"}
        if backend == PYTORCH and len(sources) > 1:
            bordered = {"source": sources[1], "reference": sources[1]}
            bordered["border_px"] = BORDER_PX
            yield row | bordered | {"outcome": "ok", "differs": list(row["differs"])}


def _resolved(name: str, **settings: Any) -> Settings:
    if settings.get("runner") == "upstream":
        # where a CPU would emulate fp16, 100 times slower, the tuned runner refuses
        plan_restorer(name, **{**settings, "runner": "tuned"})
    return plan_restorer(name, **settings).resolved


def _recorded(records: pd.DataFrame) -> Row:
    record = records.iloc[-1]
    names = ["machine", "weights_kind", "outcome", "error", "output", "output_sha256"]
    notes = json.loads(record["notes"]) if pd.notna(record["notes"]) else None
    return {**record[names], "notes": notes}


def _compare(run: Run, rows: list[Row]) -> None:
    """Compare each output with PyTorch's in fp32; remove those of random weights."""
    peers, paths = _peers(rows), []
    for row in rows:
        peer = peers[row["reference"], "fp32"]
        for name in ("precision", "device", "weights_kind"):
            if name in row and row[name] != peer[name]:
                row["differs"].append(f"{name}: {row[name]}, not {peer[name]}")
        if row["outcome"] == peer["outcome"] == "ok":
            paths.append(run.path / row["output"])
            output = read_image(paths[-1])
            reference = read_image(run.path / peer["output"])
            border = (reference.shape[0] - output.shape[0]) // 2  # 0 but for ncnn
            height, width = output.shape[:2]
            reference = reference[border : border + height, border : border + width]
            row["psnr_db"] = psnr(output, reference)
            row["agrees"] = row["psnr_db"] >= GATE_DB
            row["outcome"] = "ok" if row["agrees"] else "disagrees"
    for path in paths if rows[0].get("weights_kind") == "random" else []:
        path.unlink()


def _peers(rows: list[Row]) -> dict[tuple[str, str], Row]:
    """PyTorch's rows, by source and precision."""
    return {
        (row["source"], row["precision"]): row
        for row in rows
        if row["backend"] == PYTORCH
    }


def _timed(records: pd.DataFrame, row: Row) -> Row:
    ok = records[records["outcome"] == "ok"]
    meter, column = "RSS of the process tree", "peak_rss_mib"
    if row["device"] != "cpu":
        meter, column = "NVML: the device above idle", "nvml_device_delta_mib"
    return {
        **_recorded(records),
        "same_output": bool((ok["output_sha256"] == row["output_sha256"]).all()),
        **times_of(ok),
        "wall_times_s": ok.loc[ok["phase"] == "warm", "wall_time_s"].tolist(),
        "memory_mib": ok[column].max(),
        "memory_meter": meter,
    }


def _set_against(rows: list[Row]) -> None:
    """Ratios of time and memory to PyTorch's at equal precision, else in fp32."""
    timed = [row for row in rows if row.get("wall_time_s")]
    peers = _peers(timed)
    for row in timed:
        # ncnn's precision is several words, that of the storage first
        equal_peer = peers.get((row["reference"], row["precision"].split()[0]))
        if peer := equal_peer or peers.get((row["reference"], "fp32")):
            row["against"] = f"{peer['condition']} of {peer['source']}"
            row["speed_up"] = peer["wall_time_s"] / row["wall_time_s"]
            if row["wall_time_low_s"] and peer["wall_time_low_s"]:
                low = peer["wall_time_low_s"] / row["wall_time_high_s"]
                high = peer["wall_time_high_s"] / row["wall_time_low_s"]
                row |= {"speed_up_low": low, "speed_up_high": high}
            saved = 1 - row["memory_mib"] / peer["memory_mib"]
            row["memory_saved_percent"] = 100 * saved


def _measure(
    _: Any, run: Run, condition: str, images: pd.DataFrame, _values: Any, how: Sampling
) -> pd.DataFrame:
    """Records of all back ends of the condition's network."""
    network = parse_condition(condition)["name"]
    compare_backends(
        run, network, images, repeats=how.repeats, seed=how.seed, say=how.say
    )
    return newest(run, *NAMES)


ENTRIES = (
    Experiment(
        name="backends",
        records=NAMES,
        values=(1,),
        measure=_measure,
        summarise=lambda run: run.read(BACKENDS),  # written when it is measured
        table=BACKENDS,
        draw=lambda _, table: figures.backends(table),
        figure="backends",
        notebook="50_backends",
    ),
)
