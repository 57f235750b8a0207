"""Facts about the two programs, as they were read, and from their sources.

What was *read*, in a version of the distribution of Real-ESRGAN and on a day, stands in
``data/claims.yaml``. What is *cited* was read in the sources: Real-ESRGAN at commit
a4abfb2, GPEN at commit 2c73670.
"""

import json
import math
import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalkit.article._evidence import Evaluator, Evidence, Judgement, Verdict
from evalkit.article._figures import X4PLUS
from evalkit.article._register import load_programs
from evalkit.images import read_image

SCRIPT = load_programs()["inference_realesrgan.py"]
NCNN = load_programs()["realesrgan-ncnn-vulkan"]
METHODS = load_programs()["RealESRGANer"]
READ = f"Read on {SCRIPT.read}: {SCRIPT.source} lists"


def _tile_option(_: Evidence) -> Judgement:
    """Both programs can tile; whether that ends out-of-memory needs a tile sweep."""
    return Judgement(
        Verdict.INCONCLUSIVE,
        "Real-ESRGAN: --tile, off by default; GPEN: --tile_size, background only",
        f"{READ} --tile ({SCRIPT.facts['--tile']}), and by {METHODS.source} "
        f"RealESRGANer.tile_process {METHODS.facts['tile_process']}: a run that ends "
        "without an error does not show that memory sufficed. Cited (GPEN 2c73670, "
        "demo.py): the option is --tile_size, which argparse also accepts as --tile; "
        "it acts on the background network only, and that runs only with --use_sr. "
        "Whether memory suffices with tiles of 128 takes a tile sweep, which no "
        "evaluator reads yet.",
    )


def _scale_factors(_: Evidence) -> Judgement:
    """Every factor is taken; what the network does not enlarge is interpolated."""
    return Judgement(
        Verdict.REPRODUCED,
        "2x, 4x and 8x are taken; 8x is 4x by the network, then Lanczos",
        f"{READ} --outscale ({SCRIPT.facts['--outscale']}), and by {METHODS.source} "
        f"RealESRGANer.enhance {METHODS.facts['enhance']}. For the ncnn program it "
        f"lists less: -s {NCNN.facts['-s']}. Cited (Real-ESRGAN a4abfb2): the networks "
        "that the script loads enlarge 2 or 4 times, none 8.",
    )


def _default_precision(_: Evidence) -> Judgement:
    """Half precision is the script's default; the claimed switch does not exist."""
    return Judgement(
        Verdict.CONTRADICTED,
        "fp16 is the script's default; it has --fp32 and no --fp16",
        f"{READ} --fp32 ({SCRIPT.facts['--fp32']}) and no --fp16; by {METHODS.source} "
        f"RealESRGANer {METHODS.facts['__init__']}, so only a program that makes one "
        "itself must ask for half precision. Cited (Real-ESRGAN a4abfb2, "
        "inference_realesrgan.py): the script passes half=not args.fp32, and its "
        "argument parser refuses --fp16.",
    )


def _x4plus_in_half_precision(evidence: Evidence) -> Judgement:
    """Two parts: which model is the default, and what half precision changes.

    The claim asks for both, so a default that needs no replacing contradicts it,
    whatever half precision changes.
    """
    (ncnn_default,) = re.findall(r"default=[\w-]+", NCNN.facts["-n"])
    return Judgement(
        Verdict.CONTRADICTED,
        f"x4plus is already the default; fp16 against fp32: {_loss(evidence)}",
        f"{READ} --model_name ({SCRIPT.facts['--model_name']}), so its script has "
        "nothing to replace; the ncnn program, which takes no .pth file, has another "
        f"({ncnn_default}). The precisions are compared in outputs/, over the quality "
        f"records of {X4PLUS} in records.jsonl that differ in precision only.",
    )


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
    text = (
        f"lowest PSNR {worst_db:.1f} dB, at most {worst_level:.3g} of 255 levels"
        if worst_level
        else "no pixel differs"
    )
    stored = {single["weights_kind"] for single, _ in pairs}
    # the package carries these weights already rounded to half precision
    caution = ", arithmetic only: the weights were stored in fp16"
    return f"{text} (pictures: {len(pairs)})" + caution * ("package" in stored)


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
