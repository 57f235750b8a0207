"""What is said of the article's claims and advice, for the rule ``claims``."""

from collections.abc import Iterator
from functools import cache
from math import floor

import pandas as pd
import yaml

from evalkit.paths import data_file
from evalkit.report._text import in_clauses, in_list, in_verdict, number
from evalkit.texts import Language, text

METHODS = ("followed", "not followed", "shown")
"""Verdicts that are counted apart: on how it worked, on what others offer."""

MOST_CLAIMS, MOST_SETTINGS = 4, 2
"""The most claims, and settings of a piece of advice, that a sentence names."""


@cache
def _in_chinese() -> dict[str, str]:
    words: dict[str, str]
    words = yaml.safe_load(data_file("claims.zh.yaml").read_text(encoding="utf-8"))
    return {claim: sentence.rstrip("。") for claim, sentence in words.items()}


def said_of(claim: str, language: Language) -> str | None:
    """A claim in our Chinese words; None in English, whose words are its columns."""
    return _in_chinese().get(claim, claim) if language == "zh" else None


def wrong(
    verdicts: pd.DataFrame, floors: pd.DataFrame, language: Language
) -> Iterator[str]:
    """Which claims are contradicted, and which figures cannot be true."""
    contradicted = verdicts[verdicts["verdict"] == "contradicted"]
    names = [
        f"{row.claim} ({said_of(row.claim, language) or row.quantity})"
        for row in contradicted.itertuples()
    ]
    if len(names) > MOST_CLAIMS:
        names = [*names[:MOST_CLAIMS], text("answer.more", language)]
    if names:
        yield text("answer.claims.wrong", language, wrong=in_list(names, language))
    floors = floors.dropna(subset=["value", "floor"])
    impossible = floors[(floors["figure"] != "measured") & floors["is_below"]]
    # an algorithm of fewer operations (Winograd's) could pass the floor of a time
    impossible = impossible[impossible["quantity"] != "wall time"]
    told = verdicts.set_index("claim")[["claimed", "unit"]]
    for row in impossible[impossible["figure"].isin(told.index)].to_dict("records"):
        scale, unit = (1024, "GiB") if row["unit"] == "MiB" else (1, row["unit"])
        values = {"restorer": row["restorer"]}
        values["quantity"] = text(f"answer.quantity.{row['quantity']}", language)
        values["value"] = " ".join(told.loc[row["figure"]].dropna())  # in its own words
        least = floor(100 * row["floor"] / scale) / 100
        values |= {"claim": row["figure"], "floor": number(least, unit)}
        values["precision"] = text(f"answer.precision.{row['precision']}", language)
        yield text("answer.claims.impossible", language, **values)


def advice(advice: pd.DataFrame, language: Language) -> Iterator[str]:
    """What the article recommends, with our verdict."""
    parts = []
    for (claimed, verdict), rows in advice.groupby(["claimed", "verdict"], sort=False):
        said = [said_of(claim, language) for claim in rows["claim"][:MOST_SETTINGS]]
        if None not in said:
            words = in_clauses([each for each in said if each], language)
            parts.append(f"{words}（{in_verdict(verdict, language)}）")
            continue
        values = {"claimed": claimed, "verdict": in_verdict(verdict, language)}
        for key, column in (("settings", "setting"), ("claims", "claim")):
            values[key] = in_list(rows[column].tolist()[:MOST_SETTINGS], language)
        parts.append(text("answer.advice.part", language, **values))
    if parts:
        shown = in_clauses(parts[:MOST_SETTINGS], language)
        yield text("answer.advice", language, parts=shown)
