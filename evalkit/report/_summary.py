"""The first lines of the report: each sentence follows from the run folder."""

from typing import Any

import pandas as pd

from evalkit.report._run_folder import RunFolder
from evalkit.report._text import count, listed
from evalkit.tables import VERDICTS

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
    usable = folder.usable
    n_references = int(usable["reference"].notna().sum())
    kinds = usable["kind"].value_counts(sort=False)
    return {
        "title": f"Study {folder.title}",
        "compared": (
            f"{count(len(folder.conditions), 'condition')} on "
            f"{count(len(usable), 'picture')}, "
            f"{n_references or 'none'} of them with a pristine reference"
        ),
        "kinds": ", ".join(f"{n} {kind}" for kind, n in kinds.items()),
        "images": folder.images_name,
    }


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


def conclusions(folder: RunFolder) -> list[str]:
    """What this run cannot show, the gravest first."""
    return [
        *_about_weights(folder),
        *_about_people(folder),
        *_about_pictures(folder.usable),
        *_about_measuring(folder),
        *_about_claims(folder),
    ]


def _about_weights(folder: RunFolder) -> list[str]:
    random = folder.random_conditions
    if not random:
        return []
    return [
        f"{listed(random)} ran with random weights, since the released ones could not "
        "be had: time and memory are real, but there is no picture to judge. Nothing "
        f"here says how well {'it restores' if len(random) == 1 else 'they restore'}."
    ]


def _about_people(folder: RunFolder) -> list[str]:
    if len(folder.scores):
        return []
    return [
        "No person has scored these pictures yet: the report cannot say which of them "
        "people like better. Metrics do not replace that."
    ]


def _about_pictures(usable: pd.DataFrame) -> list[str]:
    sentences, n_pictures = [], len(usable)
    n_synthetic = int(usable["is_synthetic"].fillna(value=False).sum())
    if n_synthetic:
        sentences.append(
            f"{n_synthetic} of {n_pictures} sources were degraded by a formula of "
            "ours: what holds for them need not hold for real old photographs."
        )
    if n_pictures < FEW_PICTURES:
        sentences.append(
            f"{count(n_pictures, 'picture')} cannot speak for all pictures of their "
            "kinds: look at each, and try your own."
        )
    if not usable["reference"].notna().any():
        sentences.append("No source has a pristine reference: no metric was computed.")
    return sentences


def _about_measuring(folder: RunFolder) -> list[str]:
    sentences = []
    if folder.gpus == []:
        sentences.append(
            "There was no GPU: nothing here tests a claim about GPU time or GPU memory."
        )
    n_runs = folder.costs["n_runs"].dropna()
    if n_runs.empty:
        sentences.append(
            "No time was measured apart from the run that made each picture."
        )
    elif n_runs.max() < FEW_RUNS:
        sentences.append(
            f"Times are medians of at most {count(int(n_runs.max()), 'run')}: enough "
            "for a typical time, not for rare slow runs or rare failures."
        )
    if folder.costs["same_as_quality"].eq(other=False).any():
        sentences.append(
            "Some outputs made while timing differ from those shown: their times may "
            "be of other work."
        )
    outcomes = folder.results["outcome"]
    n_failed = int((outcomes != "ok").sum())
    if n_failed:
        sentences.append(f"{n_failed} of {len(outcomes)} runs failed; they are listed.")
    lost = folder.lost
    if len(lost):
        sentences.append(
            f"The machine interrupted {count(len(lost), 'cell')}, which count nowhere "
            f"(first: {lost['error'].iloc[0]}). Run the study again to have them."
        )
    return sentences


def _about_claims(folder: RunFolder) -> list[str]:
    verdicts = folder.read(VERDICTS)["verdict"]
    open_ones = verdicts[verdicts.isin(["not yet tested", "not testable here"])]
    if not len(open_ones):
        return []
    parts = [
        f"{n} {'is' if n == 1 else 'are'} {verdict}"
        for verdict, n in open_ones.value_counts().items()
    ]
    return [f"Of the article's {len(verdicts)} claims, {' and '.join(parts)}."]
