"""Facts about the two programs, from what is installed and from their sources.

What is *inspected* is read at the time of judging in the installed distribution of
Real-ESRGAN (see `evalkit.article._installed`). What is *cited* was read in the sources:
Real-ESRGAN at commit a4abfb2, GPEN at commit 2c73670.
"""

import ast
import json
import math
import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalkit.article._evidence import Evidence, Judgement, Verdict, evaluator
from evalkit.article._figures import X4PLUS
from evalkit.article._installed import (
    NCNN,
    SCRIPT,
    class_method,
    defaults,
    documented_options,
    swallows_errors,
)
from evalkit.images import read_image
from evalkit.imports.basicsr import missing


@evaluator("D3")
def _tile_option(_: Evidence) -> Judgement:
    """Both programs can tile; whether that ends out-of-memory needs a tile sweep."""
    tile = documented_options(SCRIPT).get("--tile")
    if tile is None or not swallows_errors(class_method("tile_process")):
        return _changed("--tile and the loop over tiles")
    return Judgement(
        Verdict.INCONCLUSIVE,
        "Real-ESRGAN: --tile, off by default; GPEN: --tile_size, background only",
        f"Inspected: the README of the installed realesrgan lists --tile ({tile}), and "
        "RealESRGANer.tile_process catches the error of a tile, prints it and goes on "
        "with the picture of the tile before, if there is one: a run that ends without "
        "an error does not show that memory sufficed. Cited (GPEN 2c73670, demo.py): "
        "the option is --tile_size, which argparse also accepts as --tile; it acts on "
        "the background network only, and that runs only with --use_sr. Whether memory "
        "suffices with tiles of 128 takes a tile sweep, which no evaluator reads yet.",
    )


@evaluator("D4")
def _scale_factors(_: Evidence) -> Judgement:
    """Every factor is taken; what the network does not enlarge is interpolated."""
    options = documented_options(SCRIPT)
    if "--outscale" not in options:
        return _changed("the output scale")
    method = class_method("enhance")
    named = {node.attr for node in ast.walk(method) if isinstance(node, ast.Attribute)}
    takes_any = "outscale" in defaults(method) and "INTER_LANCZOS4" in named
    if not takes_any:
        return _changed("the output scale")
    return Judgement(
        Verdict.REPRODUCED,
        "2x, 4x and 8x are taken; 8x is 4x by the network, then Lanczos",
        "Inspected: RealESRGANer.enhance takes any outscale and brings the network's "
        "output to it with cv2.INTER_LANCZOS4; the README of the installed realesrgan "
        f"lists --outscale ({options['--outscale']}). For the ncnn program it lists "
        f"less: -s {documented_options(NCNN).get('-s', '')}. Cited (Real-ESRGAN "
        "a4abfb2): the networks that the script loads enlarge 2 or 4 times, none 8.",
    )


@evaluator("D5")
def _default_precision(_: Evidence) -> Judgement:
    """Half precision is the script's default; the claimed switch does not exist."""
    options = documented_options(SCRIPT)
    if "--fp16" in options or "Default: fp16" not in options.get("--fp32", ""):
        return _changed("--fp32")
    half = defaults(class_method("__init__")).get("half")
    return Judgement(
        Verdict.CONTRADICTED,
        "fp16 is the script's default; it has --fp32 and no --fp16",
        "Inspected: the README of the installed realesrgan lists --fp32 "
        f"({options['--fp32']}) and no --fp16; the class has half={half} as its "
        "default, so only a program that makes a RealESRGANer itself must ask for half "
        "precision. Cited (Real-ESRGAN a4abfb2, inference_realesrgan.py): the script "
        "passes half=not args.fp32, and its argument parser refuses --fp16.",
    )


@evaluator("Q21")
def _x4plus_in_half_precision(evidence: Evidence) -> Judgement:
    """Two parts: which model is the default, and what half precision changes.

    The claim asks for both, so a default that needs no replacing contradicts it,
    whatever half precision changes.
    """
    default = documented_options(SCRIPT).get("--model_name", "")
    if "Default: RealESRGAN_x4plus" not in default:
        return _changed("--model_name")
    return Judgement(
        Verdict.CONTRADICTED,
        f"x4plus is already the default; fp16 against fp32: {_loss(evidence)}",
        "Inspected: the README of the installed realesrgan lists --model_name "
        f"({default}), so its script has nothing to replace; the ncnn program, which "
        f"takes no .pth file, has another ({_ncnn_default()}). The precisions are "
        f"compared in outputs/, over the quality records of {X4PLUS} in records.jsonl "
        "that differ in precision only.",
    )


def _changed(what: str) -> Judgement:
    if reason := missing("realesrgan", "what upstream's script does"):
        return Judgement(Verdict.NOT_TESTABLE, None, reason + ".")
    return Judgement(
        Verdict.INCONCLUSIVE,
        None,
        f"The installed realesrgan does not show what its source at a4abfb2 shows of "
        f"{what}; read the new version and this evaluator again.",
    )


def _ncnn_default() -> str:
    """What the README says of the ncnn program's default model."""
    told = re.search(r"default=[\w-]+", documented_options(NCNN).get("-n", ""))
    return told[0] if told else "which the README does not name"


def _loss(evidence: Evidence) -> str:
    """The largest loss of half precision over all pairs of outputs, in words."""
    pairs = _precision_pairs(evidence)
    if not pairs:
        return "not in this run"
    worst_db, worst_level = math.inf, 0.0
    for single, half in pairs:
        difference = _levels(evidence.path / single["output"])
        difference -= _levels(evidence.path / half["output"])
        if square := float(np.mean(difference**2)):
            worst_db = min(worst_db, 10 * math.log10(255**2 / square))
        worst_level = max(worst_level, float(np.abs(difference).max()))
    told = (
        f"lowest PSNR {worst_db:.1f} dB, at most {worst_level:.3g} of 255 levels"
        if worst_level
        else "no pixel differs"
    )
    stored = {single["weights_kind"] for single, _ in pairs}
    # the package carries these weights already rounded to half precision
    caution = ", arithmetic only: the weights were stored in fp16"
    return f"{told} (pictures: {len(pairs)})" + caution * ("package" in stored)


def _levels(path: Path) -> NDArray[np.floating[Any]]:
    """A picture's values in [0, 255], whatever its bit depth."""
    picture = read_image(path)
    return picture * (255 / np.iinfo(picture.dtype).max)


def _precision_pairs(evidence: Evidence) -> list[tuple[dict[Hashable, Any], ...]]:
    """Quality records, in fp32 and in fp16, of one picture and else equal settings."""
    records = evidence.done("quality").dropna(subset=["setting", "output"])
    found: dict[str, dict[str, dict[Hashable, Any]]] = {}
    for record in records[records["restorer"] == X4PLUS].to_dict("records"):
        setting = json.loads(record["setting"])
        precision = setting.pop("precision", None)
        alike = [str(record["source_sha256"]), str(record["weights_sha256"]), setting]
        same = json.dumps(alike, sort_keys=True)
        found.setdefault(same, {})[precision] = record
    return [
        (pair["fp32"], pair["fp16"])
        for pair in found.values()
        if {"fp32", "fp16"} <= pair.keys()
        and all((evidence.path / pair[p]["output"]).is_file() for p in ("fp32", "fp16"))
    ]
