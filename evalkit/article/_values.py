"""Measured figures with their intervals, and how a verdict tells them."""

from math import isnan, nan
from typing import NamedTuple

import pandas as pd

from evalkit.article._figures import Figure
from evalkit.experiments import MEMORY, UNITS

BLOCK_MIB = 20
"""By so much PyTorch's allocator takes memory at once (kLargeBuffer of
c10/cuda/CUDACachingAllocator): what differs by less tells nothing."""

RSS_SHARE = 0.05
"""A process's peak of RAM varies by so much from run to run: by 4 % about the middle of
one cell in figures/intel-xeon-2c/verdicts/records.jsonl."""


class Value(NamedTuple):
    """A measured figure with its interval."""

    middle: float
    low: float
    high: float

    def over(self, other: "Value") -> "Value":
        """The ratio, with the widest interval that the two allow."""
        pairs = zip(self, (other.middle, other.high, other.low), strict=True)
        return Value(*(mine / its if its else nan for mine, its in pairs))

    def in_words(self, unit: str = "", scale: float = 1) -> str:
        """The figure with its unit, and its interval where there is one."""
        middle, low, high = (value / scale for value in self)
        text = f"{middle:.4g} {unit}".strip()
        if isnan(low):
            return f"{text} (without an interval)"
        return text if low == high else f"{text} [{low:.4g}, {high:.4g}]"


def interval_of(rows: pd.DataFrame, figure: Figure) -> Value:
    """The figure of some rows, with an interval that holds each of theirs."""
    value = rows["value"]
    if figure.quantity == MEMORY:
        low, high = float(value.min()), float(value.max())
        if figure.device == "cpu":
            low, high = low * (1 - RSS_SHARE), high * (1 + RSS_SHARE)
        else:
            low, high = low - BLOCK_MIB, high + BLOCK_MIB
        return Value(float(value.median()), low, high)
    bounds = rows[["low", "high"]].astype(float)
    low, high = bounds["low"].min(skipna=False), bounds["high"].max(skipna=False)
    return Value(float(value.median()), float(low), float(high))


def figure_in_words(figure: Figure, value: Value) -> str:
    """A figure's value in words: memory in GiB, as the article has it."""
    if figure.quantity == MEMORY:
        return value.in_words("GiB", 1024)
    return value.in_words(UNITS[figure.quantity])


def source_of(figure: Figure) -> str:
    """Where a figure stands, and how far it is trusted."""
    if figure.quantity != MEMORY:
        return "tables/floors.csv"
    if figure.device == "cpu":
        return f"tables/floors.csv, within {RSS_SHARE:.0%}, as RAM varies"
    return f"tables/floors.csv, within the {BLOCK_MIB} MiB taken at once"
