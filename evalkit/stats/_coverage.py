"""How often the intervals of a panel's scores truly hold, by simulation."""

from functools import cache

import pandas as pd

from evalkit.paths import data_file

__all__ = ["simulated_coverage"]


def simulated_coverage(
    n_subjects: int, n_sources: int, statistic: str | None = None
) -> float:
    """How often an interval of 95 % of a panel's scores holds the truth.

    Simulated with whole scores, some of them missing, under effects of subjects and of
    sources from none to strong; the lowest of these. Between the sizes that were
    simulated it is the lowest of the sizes around.

    Parameters
    ----------
    n_subjects, n_sources
        The size of the panel.
    statistic
        ``mos`` for `mean_opinion_scores`, ``difference`` for `compare_conditions`; None
        for the lower of both.

    Returns
    -------
    float
        In [0, 1]; NaN below two subjects or two sources, where there is no interval.

    References
    ----------
    ``data/panel_coverage.csv``, written by ``benchmarks/panels.py``.

    """
    table = _table()
    for name, n in (("subjects", n_subjects), ("pictures", n_sources)):
        sizes = table[name]
        below, above = sizes[sizes <= n].max(), sizes[sizes >= n].min()
        table = table[sizes.isin([below, above])]
    columns = ["mos", "difference"] if statistic is None else [statistic]
    is_small = min(n_subjects, n_sources) < 2
    return float("nan") if is_small else float(table[columns].min(axis=None)) / 100


@cache
def _table() -> pd.DataFrame:
    return pd.read_csv(data_file("panel_coverage.csv"))
