"""Whether a panel finds the difference that it was planned for as often as promised.

Simulated panels only: two conditions apart by the smallest detectable difference of a
panel of that size, under the spread that `evalkit.stats.Spread` assumes, tested by
`compare_conditions`; and choices between two, of the smallest detectable share, told by
an interval of `bradley_terry`. The share that finds it should be 80 %.
"""

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from evalkit.stats import (
    Spread,
    bradley_terry,
    compare_conditions,
    smallest_detectable_difference,
    smallest_detectable_share,
)

SIZES = [(3, 3), (3, 7), (6, 6), (12, 5), (6, 12), (12, 12), (24, 16), (24, 48)]
TASTE = 0.5
N_PANELS = 500


def panel(rng, n_subjects, n_sources, difference, spread):
    """Scores of two conditions by every subject on every source."""
    size = (n_subjects, n_sources)
    apart = difference + rng.normal(0, spread.subject, (n_subjects, 1))
    apart = apart + rng.normal(0, spread.source, (1, n_sources))
    apart = apart + rng.normal(0, spread.residual, size)
    subject, source = np.indices(size).reshape(2, -1)
    rows = pd.DataFrame({"subject": subject, "source": source})
    scores = {"a": 3 + apart.ravel(), "b": 3.0}
    return pd.concat(
        [rows.assign(condition=name, score=score) for name, score in scores.items()]
    )


def tells(rng, n_subjects, n_sources, share):
    """Whether choices of every subject on every source tell the share from a half."""
    taste = rng.normal(0, TASTE, (n_subjects, 1)) + rng.normal(0, TASTE, n_sources)
    # tastes bring a share nearer to a half (Zeger et al. 1988, Biometrics 44)
    wider = np.sqrt(1 + (16 * np.sqrt(3) / 15 / np.pi) ** 2 * 2 * TASTE**2)
    is_won = rng.random(taste.shape) < expit(wider * (logit(share) + taste))
    subject, source = np.indices(taste.shape).reshape(2, -1)
    won = is_won.ravel()
    names = {"winner": np.where(won, "a", "b"), "loser": np.where(won, "b", "a")}
    choices = pd.DataFrame({"subject": subject, "source": source, "tied": 0, **names})
    return bradley_terry(choices).interval.loc["a", "low"] > 0


def main():
    """Print the tables of `docs/statistics.md`."""
    rows = []
    for n_subjects, n_sources in SIZES:
        difference = smallest_detectable_difference(n_subjects, n_sources)
        rng = np.random.default_rng([n_subjects, n_sources])
        panels = (
            panel(rng, n_subjects, n_sources, difference, Spread())
            for _ in range(N_PANELS)
        )
        hits = [compare_conditions(scores)["p"].iloc[0] < 0.05 for scores in panels]
        size = f"{n_subjects} x {n_sources}"
        row = {"panel": size, "difference": difference, "%": 100 * np.mean(hits)}
        share = smallest_detectable_share(n_subjects, n_sources)
        row["share, %"] = 100 * share
        if share > 0:
            told = [tells(rng, n_subjects, n_sources, share) for _ in range(N_PANELS)]
            row["of which, %"] = 100 * np.mean(told)
        rows.append(row)
    form = ("", ".2f", ".1f", ".0f", ".1f")
    table = pd.DataFrame(rows).astype(object)
    table = table.where(table.notna(), None)
    print(table.to_markdown(index=False, floatfmt=form, missingval="-"))


if __name__ == "__main__":
    main()
