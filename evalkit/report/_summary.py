"""The first lines of the report: each sentence follows from the run folder."""

from collections.abc import Iterator
from typing import Any, TypeAlias

import pandas as pd

from evalkit.report._run_folder import RunFolder
from evalkit.report._text import count, counted, in_list
from evalkit.tables import IMAGES
from evalkit.texts import Language, text

WEIGHTS = {
    "released": "released weights, downloaded and verified",
    "package": "released weights, carried by an installed package",
    "mirror": "released weights, from a local mirror",
    "user": "a weights file of the user's own",
    "random": "RANDOM weights: time and memory only, no picture",
    "none": "no learned weights",
}
FEW_PICTURES, FEW_RUNS = 30, 50


def headline(folder: RunFolder) -> dict[str, Any]:
    """What was compared: ``title``, ``compared``, ``kinds`` and ``images``."""
    usable, images = folder.usable, folder.read(IMAGES)
    n_references = int(usable["reference"].notna().sum())
    kinds = usable["kind"].value_counts(sort=False)
    return {
        "title": f"Study {folder.title}",
        "compared": (
            f"{count(len(folder.conditions), 'condition')} on "
            f"{_pictures(len(usable), len(images))}, "
            f"{n_references or 'none'} of them with a pristine reference"
        ),
        "kinds": ", ".join(f"{n} {kind}" for kind, n in kinds.items()),
        "images": folder.images_name,
    }


def _pictures(n_usable: int, n: int) -> str:
    if n_usable == n:
        return count(n, "picture")
    return f"{n_usable} of {count(n, 'picture')} (the others could not be read)"


def machine_line(folder: RunFolder) -> str:
    """The machine in one sentence."""
    machine = folder.environment.get("machine")
    if not machine:
        return "The run folder does not say which machine it was."
    gpus = [f"{gpu['name']} ({gpu['memory_mib']} MiB)" for gpu in machine["gpus"]]
    return (
        f"{machine['cpu']}, {count(machine['cores'], 'core')}, "
        f"{machine['memory_gib']:.1f} GiB of memory, "
        f"{', '.join(gpus) or 'no GPU'}; {machine['os']}, {machine['python']}. "
        f"Called {machine['machine']} in every table."
    )


def weights_lines(folder: RunFolder) -> list[dict[str, str]]:
    """For each condition: ``condition``, ``kind`` and ``digest`` of its weights."""
    lines = []
    for condition in folder.conditions:
        records = folder.results[folder.results["condition"] == condition]
        records = records[records["weights_kind"].notna()]
        if records.empty:
            lines.append({"condition": condition, "kind": "no record", "digest": ""})
            continue
        last = records.iloc[-1]
        digest = last["weights_sha256"]
        kind = str(last["weights_kind"])
        lines.append(
            {
                "condition": condition,
                "kind": WEIGHTS.get(kind, kind),
                "digest": "" if pd.isna(digest) or kind == "random" else digest[:12],
            }
        )
    return lines


def cautions(folder: RunFolder, language: Language = "en") -> list[str]:
    """What this run cannot show, the gravest first."""
    return [
        text(f"caution.{key}", language, **values)
        for key, values in (
            *_about_weights(folder, language),
            *_about_failures(folder),
            *_about_pictures(folder.usable),
            *_about_measuring(folder),
        )
    ]


Caution: TypeAlias = tuple[str, dict[str, Any]]
"""A text of the page ``caution`` and its values."""


def _about_weights(folder: RunFolder, language: Language) -> Iterator[Caution]:
    if folder.random_conditions:
        yield "random", {"names": in_list(folder.random_conditions, language)}


def _about_pictures(usable: pd.DataFrame) -> Iterator[Caution]:
    n_pictures = len(usable)
    n_synthetic = int(usable["is_synthetic"].fillna(value=False).sum())
    if n_synthetic:
        yield "synthetic", {"n": n_synthetic, "total": n_pictures}
    if n_pictures < FEW_PICTURES:
        yield "few", counted(n_pictures)
    if not usable["reference"].notna().any():
        yield "no-reference", {}


def _about_measuring(folder: RunFolder) -> Iterator[Caution]:
    if folder.gpus == []:
        yield "no-gpu", {}
    n_runs = folder.costs["n_runs"].dropna()
    if n_runs.empty:
        yield "not-timed", {}
    elif n_runs.max() < FEW_RUNS:
        yield "few-runs", counted(int(n_runs.max()))
    if folder.costs["same_as_quality"].eq(other=False).any():
        yield "other-outputs", {}


def _about_failures(folder: RunFolder) -> Iterator[Caution]:
    outcomes = folder.results["outcome"]
    n_failed = int((outcomes != "ok").sum())
    if n_failed:
        yield "failed", {"n": n_failed, "total": len(outcomes)}
    lost = folder.lost
    if len(lost):
        yield "interrupted", counted(len(lost)) | {"error": lost["error"].iloc[0]}
