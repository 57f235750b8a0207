"""Whether how large a picture was seen moved the score that it got."""

import numpy as np
import pandas as pd
from scipy.stats import t

from evalkit.errors import TableError
from evalkit.stats._codes import coded, known_scores, numbers, sums
from evalkit.stats._two_way import TwoWay
from evalkit.stats.bootstrap import tails

__all__ = ["scale_effect"]


def scale_effect(ratings: pd.DataFrame, *, confidence: float = 0.95) -> pd.Series:
    """How many points a score grows with each doubling of the scale it was seen at.

    Only scores of the same stimulus are compared, so that neither a better condition
    nor a larger picture counts for the scale. Who looked at a small screen may also be
    strict: what goes with a subject, or with a source, widens the interval.

    Parameters
    ----------
    ratings
        Columns ``subject, source, condition, score`` as in `mean_opinion_scores`, and
        ``scale``: pixels of the screen for one of the picture, above 0; rows without
        one are left out.
    confidence
        Coverage of the interval, for other subjects and other sources.

    Returns
    -------
    Series
        ``effect, low, high``; ``share_at_1`` of the scores at a scale of 1; ``n_scores,
        n_subjects, n_sources``. The effect is NaN where no stimulus was seen at two
        scales, the interval also below two subjects or two sources.

    Raises
    ------
    TableError
        A missing column, or a scale that is not above 0.

    References
    ----------
    Cameron, Gelbach & Miller, Robust Inference With Multiway Clustering, 2011.

    """
    if "scale" not in ratings:
        raise TableError("expected a column scale, found none")
    ratings = ratings.dropna(subset=["scale"])
    rows = known_scores(ratings)
    scale = numbers(ratings.loc[ratings["score"].notna(), "scale"]).to_numpy()
    if not (scale > 0).all():
        raise TableError(f"expected scales above 0, found {scale.min():g}")
    c = coded(rows)
    stimulus, stimuli = c.stimuli()
    n = sums(stimulus, len(stimuli))
    doublings, score = (
        values - (sums(stimulus, len(stimuli), values) / n)[stimulus]
        for values in (np.log2(scale), c.score)
    )
    energy = float(doublings @ doublings)
    effect = reach = np.nan
    two_way = TwoWay(c.subject, c.source)
    if energy > 1e-12:
        effect = float(doublings @ score) / energy
        variance = two_way.variance(doublings * (score - effect * doublings) / energy)
        if min(variance.n_subjects, variance.n_sources) > 1:
            _, high = tails(confidence)
            reach = variance.total**0.5 * t.ppf(high, variance.freedom)
    return pd.Series(
        {
            "effect": effect,
            "low": effect - reach,
            "high": effect + reach,
            "share_at_1": float((scale == 1).mean()),
            "n_scores": len(rows),
            "n_subjects": len(c.subjects),
            "n_sources": len(c.sources),
        }
    )
