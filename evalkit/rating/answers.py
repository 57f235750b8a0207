"""The answers of a panel, as statistics and judges take them."""

import json
from typing import NamedTuple

import pandas as pd

SCORE = ("subject", "source", "condition", "score", "tags", "seen", "part")
CHOICE = ("subject", "source", "winner", "loser", "tied", "seen", "part")


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

    def seen(self) -> pd.DataFrame:
        """How each answer that says so was seen; one row an answer.

        Returns
        -------
        DataFrame
            ``subject``, and as columns what `evalkit.rating._messages.Seen` holds.

        """
        parts = [frame[["subject", "seen"]] for frame in (self.scores, self.choices)]
        said = pd.concat([part.dropna() for part in parts], ignore_index=True)
        ways = pd.DataFrame([json.loads(text) for text in said["seen"]])
        return pd.concat([said[["subject"]], ways], axis=1)
