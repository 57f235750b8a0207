"""What the panel of a run said: every statistic of its scores and choices."""

from __future__ import annotations  # `stats` imports scipy when it is first used

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from evalkit import figures, stats
from evalkit.errors import SettingError, TableError
from evalkit.rating.answers import Answers
from evalkit.study.frozen_plan import plan_kept
from evalkit.study.published import published_scores_of
from evalkit.study.rating import is_planned, planned_outputs
from evalkit.study.run_folder import Run, ratings_store
from evalkit.study.stopping import look, stopping_of
from evalkit.tables import (
    IMAGES,
    METRICS,
    SCALE_EFFECT,
    SCORES_KINDS,
    SCORES_LOOKS,
    SCORES_METRICS,
    SCORES_MOS,
    SCORES_PAIRS,
    SCORES_PANEL,
    SCORES_QUALITY,
    SCORES_SCREENING,
    SCORES_SHOWN,
    SCORES_STRENGTHS,
    SCORES_SUBJECTS,
    SEEN_ACTUAL,
    SEEN_SMALLEST,
)

TABLES = (
    SCORES_MOS,
    SCORES_SHOWN,
    SCORES_QUALITY,
    SCORES_SUBJECTS,
    SCORES_SCREENING,
    SCORES_PAIRS,
    SCORES_KINDS,
    SCORES_STRENGTHS,
    SCORES_LOOKS,
    SCORES_METRICS,
    SCORES_PANEL,
)


def analyse_scores(
    run: Run, *, confidence: float = 0.95, say: Callable[[str], None] = print
) -> dict[str, pd.DataFrame]:
    """Every statistic of the panel's answers.

    Parameters
    ----------
    run
        Gets ``tables/scores_*.{csv,md}``; all of them empty where nobody has rated.
    confidence
        Coverage of every interval.
    say
        Gets a line for each statistic that cannot be computed, with the reason.

    Returns
    -------
    dict
        The tables ``SCORES_*`` of `evalkit.tables`, by their names.

    """
    answers = run.answers()
    tables = {table.name: table.frame([]) for table in TABLES}
    if len(answers.scores) + len(answers.choices) == 0:
        say("Nobody has rated yet; notebook 70_rate says how to begin.")
    if answers.scores["score"].notna().any():
        tables |= _of_scores(run, answers, confidence, say)
    if len(answers.choices):
        with _optional("Bradley-Terry", say):
            fit = stats.bradley_terry(answers.choices, confidence=confidence)
            strengths = fit.interval.assign(
                strength=fit.strength, is_regularised=fit.is_regularised
            )
            tables |= _tables({SCORES_STRENGTHS.name: strengths})
        if stopping := stopping_of(ratings_store(run)):
            tables |= _tables({SCORES_LOOKS.name: look(answers, stopping)})
    more = [*_viewing(answers), *_of_scale(answers, confidence)]
    if kept := plan_kept(run, confidence=confidence):
        more.append({"quantity": "plan", "note": kept})
    if more:
        parts = [tables[SCORES_PANEL.name], SCORES_PANEL.frame(more)]
        filled = [part for part in parts if len(part)]
        panel = SCORES_PANEL.checked(pd.concat(filled, ignore_index=True))
        tables[SCORES_PANEL.name] = panel
    for table in TABLES:
        run.write(table, tables[table.name])
    return tables


@contextmanager
def _optional(what: str, say: Callable[[str], None]) -> Iterator[None]:
    """Say why a statistic cannot be computed, and go on with the others."""
    try:
        yield
    except (SettingError, TableError) as error:
        say(f"{what}: {error}")


def _of_scores(
    run: Run, answers: Answers, confidence: float, say: Callable[[str], None]
) -> dict[str, pd.DataFrame]:
    scores = answers.scores.dropna(subset=["score"]).astype({"score": float})
    scores = _with_reduction(run, scores)
    pairs = stats.compare_conditions(scores, confidence=confidence)
    subjects = scores.groupby("subject").size().to_frame("n_scores")
    stimuli = scores.groupby(["source", "part"]).ngroup()
    subjects = subjects.join(stats.retest(scores.assign(source=stimuli)))
    kinds = run.read(IMAGES).set_index("source")["kind"]
    parts = {"all": scores} | dict(iter(scores.groupby(scores["source"].map(kinds))))
    mos = {
        ("none", kind): stats.mean_opinion_scores(part, confidence=confidence)
        for kind, part in parts.items()
    }
    frames = {SCORES_PAIRS.name: pairs}
    of_kinds = {
        kind: stats.compare_conditions(part, confidence=confidence)
        for kind, part in parts.items()
        if kind != "all" and part["condition"].nunique() > 1
    }
    if of_kinds:
        frames[SCORES_KINDS.name] = pd.concat(of_kinds, names=["kind"])
    screening = stats.screen(scores, answers.checks, answers.times)
    # a method that rejects everybody leaves no scores to take a mean of
    for method in screening.mos.index.unique("method").drop("none"):
        mos[method, "all"] = screening.mos.loc[method]
    notes = [screening.note] if screening.note else []
    frames[SCORES_SCREENING.name] = screening.log.set_index("subject")
    subjects = subjects.assign(rejected_by=_rejected_by(screening, subjects.index))
    with _optional("P.910", say):
        model = stats.p910(scores, confidence=confidence)
        subjects = subjects.join(_by_model(model))
        quality = model.interval.loc["quality"].rename_axis(model.quality.index.names)
        metrics = run.read(METRICS).pivot_table(
            index=["source", "condition"], columns="metric", values="value"
        )
        frames |= {
            SCORES_QUALITY.name: quality.assign(quality=model.quality),
            SCORES_METRICS.name: stats.metric_agreement(
                model.quality, metrics, confidence=confidence
            ),
        }
    frames[SCORES_SUBJECTS.name] = subjects
    shown = pd.concat({kind: _shown(part) for kind, part in parts.items()})
    shown = shown.rename_axis(["kind", "condition"])
    means = pd.concat(mos, names=["method", "kind"]).join(shown)
    frames[SCORES_MOS.name] = _with_claims(means)
    of_parts = {
        name: stats.mean_opinion_scores(part, confidence=confidence).join(
            _shown(part)["reduced"]
        )
        for name, part in scores.groupby("part")
    }
    frames[SCORES_SHOWN.name] = pd.concat(of_parts, names=["shown"])
    for name, statistic in (
        (SCORES_MOS.name, "mos"),
        (SCORES_PAIRS.name, "difference"),
        (SCORES_KINDS.name, "difference"),
    ):
        if name in frames:
            frames[name] = _with_coverage(frames[name], statistic)
    panel = _panel(scores, len(pairs), confidence, notes, say)
    frames[SCORES_PANEL.name] = panel
    return _tables(frames)


def _with_reduction(run: Run, scores: pd.DataFrame) -> pd.DataFrame:
    """Add how much each output was reduced to be shown; null where no plan says it."""
    if not is_planned(run):
        return scores.assign(reduced=float("nan"))
    outputs, _ = planned_outputs(run)
    outputs = outputs[["source", "condition", "part", "reduced"]]
    return scores.merge(outputs, how="left", on=["source", "condition", "part"])


def _shown(scores: pd.DataFrame) -> pd.DataFrame:
    """By condition, which parts were shown, and the most that one was reduced."""
    groups = scores.sort_values("part", ascending=False).groupby("condition")
    parts = groups["part"].agg(lambda names: " and ".join(names.unique()))
    return pd.DataFrame({"shown": parts, "reduced": groups["reduced"].max()})


def _tables(frames: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Check frames whose index holds names; columns that a frame lacks are null."""
    return {
        table.name: table.checked(
            frames[table.name].reset_index().reindex(columns=[*table.columns])
        )
        for table in TABLES
        if table.name in frames
    }


def _by_model(model: stats.P910) -> pd.DataFrame:
    """Each subject's bias and inconsistency, with their intervals."""
    frame = pd.DataFrame({"bias": model.bias, "inconsistency": model.inconsistency})
    for name in ("bias", "inconsistency"):
        bounds = model.interval.loc[name].droplevel("condition")
        frame = frame.join(bounds.add_prefix(f"{name}_"))
    return frame


def _rejected_by(screening: stats.Screening, subjects: pd.Index) -> pd.Series:
    """The methods that reject each subject; null for none."""
    rejecting = {
        subject: " and ".join(m for m, s in screening.rejected.items() if subject in s)
        for subject in subjects
    }
    return pd.Series(rejecting).replace("", None)


def _with_coverage(frame: pd.DataFrame, statistic: str) -> pd.DataFrame:
    """Add how often such intervals hold the truth at each row's size of a panel."""
    coverage = [
        stats.simulated_coverage(int(n_subjects), int(n_sources), statistic)
        for n_subjects, n_sources in zip(
            frame["n_subjects"], frame["n_sources"], strict=True
        )
    ]
    return frame.assign(coverage=coverage)


def _with_claims(mos: pd.DataFrame) -> pd.DataFrame:
    """Add the published score of this network for this kind of picture, or null."""
    claimed = [published_scores_of(name).get(kind) for _, kind, name in mos.index]
    return mos.assign(claimed=claimed)


def _panel(
    scores: pd.DataFrame,
    n_pairs: int,
    confidence: float,
    notes: list[str],
    say: Callable[[str], None],
) -> pd.DataFrame:
    """The panel as a whole: its size, its agreement, what it could have found."""
    n_subjects, n_sources = scores["subject"].nunique(), scores["source"].nunique()
    rows: dict[str, dict[str, Any]] = {
        "subjects": {"value": n_subjects, "note": "; ".join(notes) or None},
        "sources": {"value": n_sources},
        "scores": {"value": len(scores)},
        "Krippendorff's alpha, ordinal": {"value": stats.krippendorff_alpha(scores)},
    }
    correlations = stats.icc(scores, confidence=confidence)
    for kind, row in correlations.rename(columns={"icc": "value"}).iterrows():
        note = f"{row['n_stimuli']:g} stimuli scored by every subject"
        rows[str(kind)] = {**row[["value", "low", "high"]], "note": note}
    with _optional("smallest detectable difference", say):
        smallest = stats.smallest_detectable_difference(
            n_subjects,
            n_sources,
            spread=stats.spread_of(scores),
            n_comparisons=n_pairs,
            confidence=confidence,
        )
        note = f"found by 4 of 5 such panels, among {n_pairs} comparisons"
        rows["smallest detectable difference"] = {"value": smallest, "note": note}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("quantity")


def _viewing(answers: Answers) -> list[dict[str, Any]]:
    """How large the pictures were seen: the share at 1:1, and the smallest scale.

    As rows of the table ``scores_panel``; none where no answer says it.
    """
    seen = answers.seen()
    if seen.empty:
        return []
    is_actual = (seen["least_scale"] == 1) & (seen["most_scale"] == 1)
    note = f"of {len(seen)} answers that say how they were seen"
    in_px = "pixels of the screen for one of the picture"
    smallest = seen["least_scale"].min()
    return [
        {"quantity": SEEN_ACTUAL, "value": is_actual.mean(), "note": note},
        {"quantity": SEEN_SMALLEST, "value": smallest, "note": in_px},
        {"quantity": "zoomed, share", "value": seen["zoom_used"].mean()},
        {"quantity": "source seen, share", "value": seen["source_opened"].mean()},
    ]


def _of_scale(answers: Answers, confidence: float) -> list[dict[str, Any]]:
    """What the scale of pictures did to their scores, if it differed, as such a row."""
    scores = answers.scores.dropna(subset=["score", "seen"]).astype({"score": float})
    if scores.empty:
        return []
    scale = scores["seen"].map(lambda said: json.loads(said)["least_scale"])
    # a whole picture and its detail are two stimuli
    stimulus = scores["condition"] + " " + scores["part"].fillna("")
    scores = scores.assign(scale=scale, condition=stimulus)
    effect = stats.scale_effect(scores, confidence=confidence)
    if pd.isna(effect["effect"]):
        return []
    note = "points for each doubling of the scale, on the same stimulus; "
    note += f"{effect['share_at_1']:.0%} of {effect['n_scores']:g} scores at 1:1"
    values = {"value": effect["effect"], "low": effect["low"], "high": effect["high"]}
    return [{"quantity": SCALE_EFFECT, **values, "note": note}]


def draw_scores(run: Run, found: Mapping[str, pd.DataFrame]) -> list[Path]:
    """Save the figures of what `analyse_scores` found; return their PNG files.

    Figures without any answer are left out.
    """
    answers = run.answers()
    scores = answers.scores.dropna(subset=["score"])
    drawn = {}
    if len(scores):
        drawn["80_scores"] = figures.score_distribution(scores)
        mos = found[SCORES_MOS.name]
        drawn["80_mos"] = figures.forest(mos[mos["method"] == "none"])
        panel, metrics = found[SCORES_PANEL.name], found[SCORES_METRICS.name]
        drawn["80_agreement"] = figures.agreement(panel, metrics)
        if found[SCORES_SUBJECTS.name]["bias"].notna().any():
            n_sources = scores["source"].nunique()
            drawn["80_subjects"] = figures.subjects(
                found[SCORES_SUBJECTS.name], n_sources
            )
    if len(answers.choices):
        drawn["80_wins"] = figures.win_matrix(
            stats.win_matrix(answers.choices), answers.choices
        )
    return [figures.save(figure, run.figures, name) for name, figure in drawn.items()]
