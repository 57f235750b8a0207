"""Whether a panel finds the difference that it was planned for as often as promised.

Simulated panels only: two conditions apart by the smallest detectable difference of a
panel of that size, under the spread that `evalkit.stats.Spread` assumes, tested by
`compare_conditions`. The share that finds it should be 80 %.
"""

import numpy as np
import pandas as pd

from evalkit.stats import Spread, compare_conditions, smallest_detectable_difference

SIZES = [(3, 3), (3, 7), (6, 6), (12, 5), (6, 12), (12, 12), (24, 16), (24, 48)]
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


def main():
    """Print the table of `docs/statistics.md`."""
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
        rows.append({"panel": size, "difference": difference, "%": 100 * np.mean(hits)})
    print(pd.DataFrame(rows).to_markdown(index=False, floatfmt=("", ".2f", ".1f")))


if __name__ == "__main__":
    main()
