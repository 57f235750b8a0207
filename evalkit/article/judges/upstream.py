"""Facts about the two programs, as they were read, and from their sources.

What was *read*, in a version of the distribution of Real-ESRGAN and on a day, stands in
``data/claims.yaml``. What is *cited* was read in the sources: Real-ESRGAN at commit
a4abfb2, GPEN at commit 2c73670.
"""

import json
import math
import re
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evalkit.article._evidence import (
    Evaluator,
    Evidence,
    Judgement,
    Verdict,
    all_of,
    decide,
    within,
)
from evalkit.article._figures import CLAIMS, X4PLUS
from evalkit.article._register import Part, load_programs
from evalkit.article.judges.metric import LEAST_SOURCES
from evalkit.images import read_image

SCRIPT = load_programs()["inference_realesrgan.py"]
NCNN = load_programs()["realesrgan-ncnn-vulkan"]
METHODS = load_programs()["RealESRGANer"]


def _tile_option(evidence: Evidence) -> Judgement:
    """Both programs can tile; whether that ends out-of-memory, tiles on a GPU show."""
    read = (
        f"Real-ESRGAN has --tile (read on {SCRIPT.read} in {SCRIPT.source}: "
        f"{SCRIPT.facts['--tile']}); GPEN's demo.py has --tile_size, for its "
        "background network alone (2c73670). Real-ESRGAN prints a tile's error and "
        f"goes on with the tile before ({METHODS.source}), so a run that ends without "
        "an error does not show that memory sufficed. "
    )
    found = "Real-ESRGAN: --tile, off by default; GPEN: --tile_size, background only"
    records = evidence.results.dropna(subset=["setting"])
    settings = [json.loads(setting) for setting in records["setting"]]
    is_upstream = [
        s.get("runner") == "upstream" and s.get("device", "cpu") != "cpu"
        for s in settings
    ]
    records = records[np.array(is_upstream, bool)]
    tiled = records[(records["experiment"] == "tile") & (records["value"] != "0")]
    whole = records[(records["experiment"] == "tile") & (records["value"] == "0")]
    lacking = set(whole.loc[whole["outcome"] == "oom", "source"])
    relevant = tiled[(tiled["value"] == "128") & tiled["source"].isin(lacking)]
    if relevant.empty:
        why = (
            "No picture of this run lacked a GPU's memory whole in the programs "
            "upstream, so tiles had none to save."
        )
        return Judgement(Verdict.INCONCLUSIVE, found, read + why)
    n_lacking = int((relevant["outcome"] == "oom").sum())
    n_ok = int((relevant["outcome"] == "ok").sum())
    why = (
        f"Of {len(relevant)} runs in tiles of 128 px, of pictures that lacked memory "
        f"whole, {n_lacking} ran out of memory and {n_ok} were restored "
        "(records.jsonl, tile)."
    )
    is_whole = relevant["source"].nunique() >= LEAST_SOURCES
    holds = n_ok == len(relevant) and is_whole
    verdict = decide(holds=holds, fails=n_lacking > 0)
    return Judgement(verdict, found, read + why)


def _scale_factors(_: Evidence) -> Judgement:
    """Every factor is taken; what the network does not enlarge is interpolated."""
    return Judgement(
        Verdict.REPRODUCED,
        "2x, 4x and 8x are taken; 8x is 4x by the network, then interpolation",
        f"The program has --outscale (read on {SCRIPT.read} in {SCRIPT.source}: "
        f"{SCRIPT.facts['--outscale']}), and the class behind it "
        f"{METHODS.facts['enhance']}. So 8x is taken, but no network enlarges 8 "
        "times (Real-ESRGAN a4abfb2: 2 or 4). The ncnn program takes less: -s "
        f"{NCNN.facts['-s']}.",
    )


def _default_precision(_: Evidence) -> Judgement:
    """Half precision is the script's default; the claimed switch does not exist."""
    return Judgement(
        Verdict.CONTRADICTED,
        "fp16 is the script's default; it has --fp32 and no --fp16",
        f"The program lists --fp32 ({SCRIPT.facts['--fp32']}) and no --fp16 (read on "
        f"{SCRIPT.read} in {SCRIPT.source}), and its argument parser refuses --fp16 "
        "(Real-ESRGAN a4abfb2, inference_realesrgan.py). Only a program of one's own "
        f"must ask for half precision: the class {METHODS.facts['__init__']}.",
    )


def _x4plus_in_half_precision(evidence: Evidence) -> Judgement:
    """Two parts: which model is the default, and what half precision changes.

    The script's default needs no replacing, but the ncnn program's does: that excuses
    the first part, which alone does not make the claim fall.
    """
    default, lossless = CLAIMS["Q21"].parts
    assert default.excused, "one of the two programs has another default"
    (ncnn_default,) = re.findall(r"default=([\w-]+)", NCNN.facts["-n"])
    pairs = _precision_pairs(evidence)
    verdict, loss = _loss(evidence, pairs, lossless)
    return Judgement(
        all_of([Verdict.INCONCLUSIVE, verdict]),
        f"default: x4plus in one program, {ncnn_default} in the other; fp16 against "
        f"fp32: {loss}",
        f"Two parts. The default: {default.excused}: inference_realesrgan.py takes "
        f"RealESRGAN_x4plus, realesrgan-ncnn-vulkan {ncnn_default} (read on "
        f"{SCRIPT.read} in {SCRIPT.source}). The loss: {loss} (outputs/ of quality "
        "records that differ in precision only).",
    )


def _loss(
    evidence: Evidence,
    pairs: Sequence[tuple[dict[Hashable, Any], ...]],
    lossless: Part,
) -> tuple[Verdict, str]:
    """The verdict on the largest loss of half precision, and that loss in words."""
    if not pairs:
        return Verdict.INCONCLUSIVE, "the study restored no picture in both precisions"
    worst_db, worst_level = math.inf, 0.0
    for single, half in pairs:
        difference = _levels(evidence.path / single["output"])
        difference -= _levels(evidence.path / half["output"])
        if square := float(np.mean(difference**2)):
            worst_db = min(worst_db, 10 * math.log10(255**2 / square))
        worst_level = max(worst_level, float(np.abs(difference).max()))
    verdict = within(worst_level, worst_level, *lossless.bounds())
    sources = evidence.originals_of(pd.Series([pair[0]["source"] for pair in pairs]))
    if verdict is Verdict.REPRODUCED and sources.nunique() < LEAST_SOURCES:
        verdict = Verdict.INCONCLUSIVE  # one picture with a loss is enough, none is not
    text = (
        f"at most {worst_level:.3g} of 255 levels at one pixel, PSNR {worst_db:.1f} dB "
        "or more"
        if worst_level
        else "no pixel differs"
    )
    text += f", on {len(pairs)} picture{'s' * (len(pairs) > 1)}"
    stored = {single["weights_kind"] for single, _ in pairs}
    # the package carries these weights already rounded to half precision
    caution = "; of arithmetic alone, since the weights were stored in fp16"
    return verdict, text + caution * ("package" in stored)


def _levels(path: Path) -> NDArray[np.floating[Any]]:
    """A picture's values in [0, 255], whatever its bit depth."""
    picture = read_image(path)
    return picture * (255 / np.iinfo(picture.dtype).max)


def _precision_pairs(evidence: Evidence) -> list[tuple[dict[Hashable, Any], ...]]:
    """Pairs of quality records, fp32 and fp16, that differ in precision only."""
    records = evidence.ok_records("quality").dropna(subset=["setting", "output"])
    groups: dict[str, dict[str, dict[Hashable, Any]]] = {}
    for record in records[records["restorer"] == X4PLUS].to_dict("records"):
        setting = json.loads(record["setting"])
        precision = setting.pop("precision", None)
        alike = [str(record["source_sha256"]), str(record["weights_sha256"]), setting]
        same = json.dumps(alike, sort_keys=True)
        groups.setdefault(same, {})[precision] = record
    return [
        (pair["fp32"], pair["fp16"])
        for pair in groups.values()
        if {"fp32", "fp16"} <= pair.keys()
        and all((evidence.path / pair[p]["output"]).is_file() for p in ("fp32", "fp16"))
    ]


ENTRIES = (
    Evaluator("D3", _tile_option),
    Evaluator("D4", _scale_factors),
    Evaluator("D5", _default_precision),
    Evaluator("Q21", _x4plus_in_half_precision),
)
