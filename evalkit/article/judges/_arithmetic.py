"""Can a claimed figure of cost be true? Its floor says so, on whatever machine."""

from math import floor

from evalkit.article._evidence import Evidence, Verdict, within
from evalkit.article._figures import CLAIMS
from evalkit.experiments import MEMORY
from evalkit.tables import FLOORS

PRECISIONS = {"fp32": "single", "fp16": "half"}


def by_arithmetic(evidence: Evidence, claim: str) -> tuple[Verdict, str]:
    """A claimed memory held against its floor, in words; open where that is lower.

    GB may mean 10^9 bytes or 2^30: the two readings are the ends of an interval.
    """
    floors = evidence.read(FLOORS)
    rows = floors[(floors["figure"] == claim) & floors["floor"].notna()]
    if rows.empty:
        return Verdict.NOT_TESTED, ""
    row, claimed = rows.iloc[0], CLAIMS[claim].claimed
    if row["quantity"] != MEMORY:
        times = row["value"] / row["floor"]
        return Verdict.NOT_TESTED, (
            f"By arithmetic the claimed {claimed} s are possible: {times:,.0f} times "
            "what the article's GPU takes at its highest rate."
        )
    high, least = float(row["value"]), float(row["floor"])
    low = high * 1e9 / 2**30
    of_one = "" if row["n_pictures"] == 1 else " for one picture alone"
    text = (
        f"By arithmetic at least {floor(least / 10.24) / 100:.2f} GiB must be there at "
        f"once in {PRECISIONS[row['precision']]} precision without tiles{of_one}: "
        "weights, and what goes in and out of the largest layer. The claimed "
        f"{claimed} GB are {low / 1024:.2f} to {high / 1024:.2f} GiB, as GB is read"
    )
    verdict = within(low, high, least=least)
    if verdict is Verdict.CONTRADICTED:
        return verdict, f"{text}: too little, unless the picture was cut into tiles."
    if verdict is Verdict.INCONCLUSIVE:
        return verdict, f"{text}: so little above it, or below it, that it stays open."
    return Verdict.NOT_TESTED, f"{text}: possible."
