"""Looks at choices while a panel is at work, so that it may stop before its end."""

import numpy as np
import pandas as pd
from scipy.stats import norm, t

from evalkit.errors import SettingError, TableError
from evalkit.stats._codes import complete, truths
from evalkit.stats._two_way import LEAST_CLUSTERS, TwoWay

__all__ = ["LOOKS", "sequential_look"]

LOOKS = 4
"""How often is looked: after a quarter of the planned choices, a half, and so on."""

FIRST_Z = 2.113 * LOOKS**0.5
"""O'Brien & Fleming's bound at the first of 4 looks, in standard deviations, for an
error of 4 % in both directions, so that it stays below 5 % where subjects and pictures
have tastes. (At 5 % it is 2.024: Jennison & Turnbull, Group Sequential Methods, 1999,
table 2.3.) At look k it is this by the root of k."""


def sequential_look(choices: pd.DataFrame, planned: int) -> pd.DataFrame:
    """Whether the choices so far decide between two conditions, and when to look next.

    Whoever looks again and again at all the choices there are finds a difference
    where there is none. Here only `LOOKS` looks count, each at the first choices that
    were planned for it, so asking more often changes nothing: the error of all looks
    together is at most 5 % for each pair (simulated with the effects of subjects and of
    pictures: docs/statistics.md).

    Parameters
    ----------
    choices
        Columns ``subject, source, winner, loser, tied``, in the order in which they
        were made; a tie is half a win of each, a null `tied` ("can't tell") is left
        out.
    planned
        Choices of each pair that the plan has in all, at least `LOOKS`: fixed before
        the first.

    Returns
    -------
    DataFrame
        Index ``condition, other``. ``n_choices`` so far; ``look`` the number of the
        last look, 0 before the first, and the one that decided where one did;
        ``n_looked_at`` its choices; ``next_at`` how many choices the next look takes,
        null when none follows; ``share`` how often `condition` was chosen over `other`,
        ties half, with ``low, high`` and ``p`` of that look against ``level``;
        ``is_decided`` whether the panel may stop for this pair, with the condition of
        the greater share as the winner. Shares are null before the first look; so are
        p and the interval where it has fewer than 3 subjects or 3 sources.

    Raises
    ------
    TableError
        A missing column, or a condition chosen against itself.
    SettingError
        Fewer planned than looks.

    References
    ----------
    O'Brien & Fleming, A Multiple Testing Procedure for Clinical Trials, 1979.

    """
    if planned < LOOKS:
        raise SettingError(f"planned must be {LOOKS} choices or more; found {planned}")
    columns = ["subject", "source", "winner", "loser", "tied"]
    rows = complete(choices, columns, "tied")
    if (rows["winner"] == rows["loser"]).any():
        raise TableError("expected two conditions in each choice, found one twice")
    pairs = rows[["winner", "loser"]].to_numpy()
    is_first = pairs[:, 0] < pairs[:, 1]
    rows = rows.assign(
        condition=np.where(is_first, *pairs.T),
        other=np.where(is_first, *pairs.T[::-1]),
        won=np.where(truths(rows["tied"]), 0.5, is_first.astype(float)),
    )
    names = ["condition", "other"]
    looked = {pair: _looks(cell, planned) for pair, cell in rows.groupby(names)}
    index = pd.MultiIndex.from_tuples(looked, names=names)
    return pd.DataFrame(list(looked.values()), index, _COLUMNS)


_COLUMNS = ["n_choices", "look", "n_looked_at", "next_at", "share", "low", "high"]
_COLUMNS += ["p", "level", "is_decided"]


def _looks(cell: pd.DataFrame, planned: int) -> dict[str, object]:
    """The last look at the choices of a pair, or the first that decides."""
    sizes = [-(-planned * look // LOOKS) for look in range(1, LOOKS + 1)]
    row: dict[str, object] = {"look": 0, "n_looked_at": 0, "is_decided": False}
    for look, size in enumerate(sizes, 1):
        if size > len(cell) or row["is_decided"]:
            break
        row = {"look": look, "n_looked_at": size, **_look(cell[:size], look)}
    is_last = row["is_decided"] or row["look"] == LOOKS
    next_at = None if is_last else sizes[int(str(row["look"]))]
    return {"n_choices": len(cell), "next_at": next_at, **row}


def _look(cell: pd.DataFrame, look: int) -> dict[str, object]:
    won, n = cell["won"].to_numpy(), len(cell)
    share, level = won.mean(), 2 * norm.sf(FIRST_Z / look**0.5)
    subject, source = (pd.factorize(cell[name])[0] for name in ("subject", "source"))
    # what chance alone gives, where nobody sees a difference; ties are no surer
    least = 0.25 / n
    variance = TwoWay(subject, source).variance((won - share) / n, least)
    n_fewer = min(variance.n_subjects, variance.n_sources)
    low = high = p = np.nan
    if n_fewer >= LEAST_CLUSTERS:
        error = variance.widest**0.5
        p = 2 * t.sf(abs(share - 0.5) / error, n_fewer - 1)
        reach = t.isf(level / 2, n_fewer - 1) * error
        low, high = max(0.0, share - reach), min(1.0, share + reach)
    return {
        "share": share,
        "low": low,
        "high": high,
        "p": p,
        "level": level,
        "is_decided": bool(p < level),
    }
