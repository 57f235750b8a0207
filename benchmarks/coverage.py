"""How often the intervals of the statistics hold the truth, on simulated panels.

`python benchmarks/coverage.py [PANELS]` prints the tables of docs/statistics.md that
name it: 1,000 panels of each size take about 20 minutes. Subjects and sources are drawn
anew for each panel; nobody has rated anything here.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy.special import expit, logit
from scipy.stats import norm

from evalkit import stats

SIZES = ((3, 7), (6, 12), (12, 12), (24, 16))
INCONSISTENCY = (0.4, 0.9)
CONDITION_SOURCE_SD = 0.25
STRENGTHS = (-0.8, -0.2, 0.3, 0.7)
PREFERENCE_SD = 0.5
HARDNESS = (0.5, 1.6)
HONEST, N_HONEST = ((3, 7), (6, 4), (6, 12), (12, 12), (24, 16)), 100
TIED_SIZES, TIED, CHOSEN = ((3, 3), (6, 6), (12, 12)), (0.0, 0.5, 0.95), (0.5, 0.8)


@dataclass(kw_only=True)
class SimulatedPanel:
    """Scores drawn by the model of P.910, on sources drawn at random.

    With `is_shown`, scores are rounded and clipped to 1 to 5. Of stimuli that differ in
    `hardness`, each makes everybody noisier by a factor, which the model does not have.
    """

    seed: int
    n_subjects: int = 12
    n_sources: int = 12
    conditions: tuple[float, ...] = (2.0, 2.7, 3.5, 4.2)
    bias_sd: float = 0.3
    source_sd: float = 0.5
    is_shown: bool = True
    hardness: tuple[float, float] = (1.0, 1.0)
    ratings: pd.DataFrame = field(init=False)
    quality: pd.Series = field(init=False)
    bias: pd.Series = field(init=False)
    inconsistency: pd.Series = field(init=False)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        size = (self.n_sources, len(self.conditions))
        quality = self.conditions + rng.normal(0, self.source_sd, (size[0], 1))
        quality = quality + rng.normal(0, CONDITION_SOURCE_SD, size)
        bias = rng.normal(0, self.bias_sd, self.n_subjects)
        inconsistency = rng.uniform(*INCONSISTENCY, self.n_subjects)
        noise = rng.normal(size=(self.n_subjects, *size))
        noise *= rng.uniform(*self.hardness, size)
        score = quality + bias[:, None, None] + inconsistency[:, None, None] * noise
        if self.is_shown:
            score = np.clip(np.rint(score), 1, 5)
        subjects = [f"s{i:03}" for i in range(self.n_subjects)]
        sources = [f"p{i:03}" for i in range(self.n_sources)]
        conditions = [f"c{i}" for i in range(len(self.conditions))]
        names = ["subject", "source", "condition"]
        rows = pd.MultiIndex.from_product([subjects, sources, conditions], names=names)
        self.ratings = pd.Series(score.ravel(), rows, name="score").reset_index()
        stimuli = pd.MultiIndex.from_product([sources, conditions], names=names[1:])
        self.quality = pd.Series(quality.ravel(), stimuli)
        self.bias = pd.Series(bias, subjects)
        self.inconsistency = pd.Series(inconsistency, subjects)

    def expected_shown(self) -> np.ndarray:
        """The mean score of each condition over all people and sources there are."""
        between = self.bias_sd**2 + self.source_sd**2 + CONDITION_SOURCE_SD**2
        sd = np.sqrt(np.linspace(*INCONSISTENCY, 1001) ** 2 + between)[:, None, None]
        above = norm.sf(np.arange(1.5, 5), np.array(self.conditions)[:, None], sd)
        return np.asarray(1 + above.sum(axis=-1).mean(axis=0))


def simulated_choices(
    seed: int,
    n_subjects: int,
    n_sources: int,
    strengths: tuple[float, ...] = STRENGTHS,
    *,
    preference_sd: float = 0.0,
    tied: float = 0.0,
) -> pd.DataFrame:
    """Every subject chooses once between each two conditions on each source.

    Subjects, and sources, each add to the strengths what is theirs, with this standard
    deviation.
    """
    rng = np.random.default_rng(seed)
    k = len(strengths)
    strength = (
        np.asarray(strengths)
        + rng.normal(0, preference_sd, (n_subjects, 1, k))
        + rng.normal(0, preference_sd, (1, n_sources, k))
    )
    subject, source = np.indices((n_subjects, n_sources)).reshape(2, -1)
    frames = []
    for one, other in zip(*np.triu_indices(k, 1), strict=True):
        wins = rng.random(len(subject)) < expit(
            (strength[..., one] - strength[..., other]).ravel()
        )
        rows = {
            "subject": subject,
            "source": source,
            "winner": np.where(wins, one, other),
            "loser": np.where(wins, other, one),
            "tied": rng.random(len(subject)) < tied,
        }
        frames.append(pd.DataFrame(rows))
    return pd.concat(frames, ignore_index=True)


def preferred(apart: float) -> float:
    """The strength that all people and sources together show of a pair so far apart."""
    points, weights = np.polynomial.hermite_e.hermegauss(64)
    share = weights @ expit(apart + 2 * PREFERENCE_SD * points) / weights.sum()
    return float(logit(share) / 2)


def held(truth: np.ndarray, interval: pd.DataFrame) -> float:
    """The share of true values within their intervals (columns low, high)."""
    low, high = interval.to_numpy().T
    return float(((low <= truth) & (truth <= high)).mean())


def cover(seed: int, n_subjects: int, n_sources: int) -> dict[str, float]:
    """Of one panel: the share of intervals that hold the truth, by statistic."""
    size = {"n_subjects": n_subjects, "n_sources": n_sources}
    shown = SimulatedPanel(seed=seed, **size)
    scores = stats.mean_opinion_scores(shown.ratings, n_resamples=1_000)
    found = {"mos": held(shown.expected_shown(), scores[["ci_low", "ci_high"]])}
    panel = SimulatedPanel(seed=seed, is_shown=False, **size)
    interval = stats.p910(panel.ratings).interval
    truth = {
        "quality": panel.quality,
        "bias": panel.bias - panel.bias.mean(),
        "inconsistency": panel.inconsistency,
    }
    for name, values in truth.items():
        found[f"p910 {name}"] = held(values.to_numpy(), interval.loc[name])
    alike = stats.bradley_terry(simulated_choices(seed, *size.values()))
    found["bradley-terry"] = held(np.array(STRENGTHS), alike.interval)
    choices = simulated_choices(
        seed, *size.values(), (0.5, -0.5), preference_sd=PREFERENCE_SD
    )
    mixed = stats.bradley_terry(choices).interval
    truth_mixed = np.array([1, -1]) * preferred(1.0)
    found["bradley-terry, tastes differ"] = held(truth_mixed, mixed)
    return found


def coverage(
    n_subjects: int,
    n_sources: int,
    n_panels: int,
    of_one: Callable[[int, int, int], dict[str, float]] = cover,
) -> pd.Series:
    """The mean of `of_one` over panels with the seeds 0, 1, 2, ..."""
    panels = [of_one(seed, n_subjects, n_sources) for seed in range(n_panels)]
    return pd.DataFrame(panels).mean()


def cover_other(seed: int, n_subjects: int, n_sources: int) -> dict[str, float]:
    """P.910's intervals of one panel whose scores are not the model's."""
    found = {}
    for name, more in {
        "whole scores": {},
        "hard stimuli": {"is_shown": False, "hardness": HARDNESS},
    }.items():
        panel = SimulatedPanel(
            seed=seed, n_subjects=n_subjects, n_sources=n_sources, **more
        )
        interval = stats.p910(panel.ratings).interval.loc["inconsistency"]
        held_in = held(panel.inconsistency.to_numpy(), interval)
        found[f"p910 inconsistency, {name}"] = held_in
    return found


def honest_table() -> pd.DataFrame:
    """Honest subjects whom screening rejects, in percent: P.910 / BT.500."""
    rows = {}
    for n in (1, 2, 3, 4):
        conditions = tuple(np.linspace(2.4, 3.6, n)) if n > 1 else (3.0,)
        cells = {}
        for n_subjects, n_sources in HONEST:
            size = {"n_subjects": n_subjects, "n_sources": n_sources}
            n_rejected = dict.fromkeys(("p910", "bt500"), 0)
            for seed in range(N_HONEST):
                panel = SimulatedPanel(seed=seed, conditions=conditions, **size)
                rejected = stats.screen(panel.ratings).rejected
                for method in n_rejected:
                    n_rejected[method] += len(rejected[method])
            cells[f"{n_subjects} x {n_sources}"] = " / ".join(
                f"{100 * n / N_HONEST / n_subjects:.1f}" for n in n_rejected.values()
            )
        rows[f"{n} conditions" if n > 1 else "1 condition"] = cells
    return pd.DataFrame(rows).T


def cover_tied(
    n_panels: int, size: tuple[int, int], tied: float, chosen: float, sd: float
) -> float:
    """How often the interval of a share holds it, where so many choices are ties."""
    apart = float(logit(chosen))
    share = expit(2 * preferred(apart)) if sd else chosen
    truth = np.array([1, -1]) * logit(tied / 2 + (1 - tied) * share) / 2
    panels = (
        simulated_choices(
            seed, *size, (apart / 2, -apart / 2), preference_sd=sd, tied=tied
        )
        for seed in range(n_panels)
    )
    return float(
        np.mean([held(truth, stats.bradley_terry(panel).interval) for panel in panels])
    )


def tied_table(n_panels: int) -> pd.DataFrame:
    """Choices of which many are ties: subjects alike / each with a taste."""
    rows = {}
    for tied in TIED:
        for chosen in CHOSEN:
            rows[f"{100 * tied:.0f} %, {100 * chosen:.0f} %"] = {
                f"{size[0]} x {size[1]}": " / ".join(
                    f"{100 * cover_tied(n_panels, size, tied, chosen, sd):.1f}"
                    for sd in (0, PREFERENCE_SD)
                )
                for size in TIED_SIZES
            }
    return pd.DataFrame(rows).T


def main(n_panels: int = 1_000) -> None:
    for of_one in (cover, cover_other):
        table = pd.DataFrame(
            {f"{s} x {p}": 100 * coverage(s, p, n_panels, of_one) for s, p in SIZES}
        )
        print(table.to_markdown(floatfmt=".1f"), "\n", flush=True)
    print(tied_table(n_panels).to_markdown(), "\n", flush=True)
    print(honest_table().to_markdown())


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
