"""The answers of a panel, as statistics and judges take them."""

from typing import NamedTuple

import pandas as pd

SCORE = ("subject", "source", "condition", "score", "tags")
CHOICE = ("subject", "source", "winner", "loser", "tied")


class Answers(NamedTuple):
    """The answers that count, without training; see `evalkit.rating.Store`.

    Attributes
    ----------
    scores, choices
        As `evalkit.stats` takes them; without gold and trap.
    checks
        Columns ``subject, is_missed``: every answer to a gold or a trap.
    times
        Columns ``subject, seconds``: what each answer that counts took by the server's
        clock; null where it was not taken.

    """

    scores: pd.DataFrame = pd.DataFrame(columns=SCORE)
    choices: pd.DataFrame = pd.DataFrame(columns=CHOICE)
    checks: pd.DataFrame = pd.DataFrame(columns=("subject", "is_missed"))
    times: pd.DataFrame = pd.DataFrame(columns=("subject", "seconds"))
