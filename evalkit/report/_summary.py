"""The first lines of the report: each sentence follows from the run folder."""

from collections.abc import Iterator
from typing import Any, TypeAlias

import pandas as pd

from evalkit.report._run_folder import RunFolder
from evalkit.report._text import counted, in_list, kind_of
from evalkit.tables import IMAGES
from evalkit.texts import Language, text

WEIGHTS = ("released", "package", "mirror", "user", "random", "none")
"""The kinds of weights that the catalogue describes."""

FEW_PICTURES, FEW_RUNS = 30, 50
MOST_NAMED = 3


def headline(folder: RunFolder) -> dict[str, Any]:
    """What was compared: ``title``, ``compared``, ``kinds`` and ``images``."""
    language = folder.language
    usable, images = folder.usable, folder.read(IMAGES)
    n_references = int(usable["reference"].notna().sum())
    values = {
        "conditions": len(folder.conditions),
        "s": "" if len(folder.conditions) == 1 else "s",
        "pictures": _pictures(len(usable), len(images), language),
        "references": n_references or text("report.none", language),
    }
    kinds = usable["kind"].value_counts(sort=False)
    named = [f"{n} {kind_of(kind, language)}" for kind, n in kinds.items()]
    return {
        "title": text("report.title", language, name=folder.title),
        "compared": text("report.compared.said", language, **values),
        "kinds": (", " if language == "en" else "、").join(named),
        "images": folder.images_name,
    }


def _pictures(n_usable: int, n: int, language: Language) -> str:
    if n_usable == n:
        return text("report.pictures.n", language, **counted(n))
    return text("report.pictures.read", language, usable=n_usable, **counted(n))


def machine_line(folder: RunFolder) -> str:
    """The machine in one sentence."""
    language = folder.language
    machine = folder.environment.get("machine")
    if not machine:
        return text("report.machine.unknown", language)
    gpus = [f"{gpu['name']} ({gpu['memory_mib']} MiB)" for gpu in machine["gpus"]]
    values = {name: machine[name] for name in ("cpu", "cores", "os", "python")}
    values["machine"] = machine["machine"]
    values["s"] = "" if machine["cores"] == 1 else "s"
    values["memory"] = f"{machine['memory_gib']:.1f}"
    values["gpus"] = ", ".join(gpus) or text("report.machine.no-gpu", language)
    return text("report.machine.said", language, **values)


def weights_lines(folder: RunFolder) -> list[dict[str, Any]]:
    """Of each condition: ``condition``, ``kind``, ``digest`` and ``is_random``."""
    lines = []
    for condition in folder.conditions:
        records = folder.results[folder.results["condition"] == condition]
        records = records[records["weights_kind"].notna()]
        kind, digest = "no-record", ""
        if len(records):
            kind, digest = records.iloc[-1][["weights_kind", "weights_sha256"]]
        is_known = kind in (*WEIGHTS, "no-record")
        is_random = kind == "random"
        lines.append(
            {
                "condition": condition,
                "kind": text(f"report.weights.{kind}", folder.language)
                if is_known
                else kind,
                "digest": "" if pd.isna(digest) or is_random else str(digest)[:12],
                "is_random": is_random,
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
        of = [*folder.results.loc[outcomes != "ok", "condition"].dropna().unique()]
        names = in_list(of[:MOST_NAMED], folder.language)
        if of[MOST_NAMED:]:
            names = text("report.and-others", folder.language, names=names)
        yield "failed", {"n": n_failed, "total": len(outcomes), "names": names}
    lost = folder.lost
    if len(lost):
        yield "interrupted", counted(len(lost)) | {"error": lost["error"].iloc[0]}
