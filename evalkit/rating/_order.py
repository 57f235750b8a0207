"""An order of items in which no source follows itself."""

from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from typing import Generic, Protocol, TypeVar

import numpy as np


class HasSource(Protocol):
    """What can be put in order."""

    @property
    def source(self) -> str:
        """The name of the source that is shown."""


T = TypeVar("T", bound=HasSource)


class Order(Generic[T]):
    """Items that are put in one by one, each between two of other sources.

    Parameters
    ----------
    items
        The items to begin with.
    before, after
        The sources shown directly before the first and after the last; None for none.
    random
        Draws the places.

    """

    def __init__(
        self,
        items: Iterable[T],
        before: str | None,
        after: str | None,
        random: np.random.Generator,
    ) -> None:
        self.items = list(items)
        self._ends, self._random = (before, after), random

    def insert(self, item: T, first: int, last: int) -> None:
        """Put an item at one of the places `first` to `last` where it fits, or at any.

        `settle` mends what did not fit.
        """
        places = range(first, last + 1)
        fit = [n for n in _fits(self._with_ends(self.items), item) if n in places]
        self.items.insert(int(self._random.choice(fit or places)), item)

    def settle(self) -> list[T]:
        """The items, with as few moved as keep every source apart from itself.

        Where no move helps, the source that has the most left is shown next. Where a
        source has more items than all others, that too leaves some together.
        """
        items, n_left = self.items, self._n_touching(self.items) + 1
        while 0 < self._n_touching(items) < n_left:
            n_left = self._n_touching(items)
            items = self._with_one_moved(items)
        return min(items, self._alternated(), key=self._n_touching)

    def _with_one_moved(self, items: list[T]) -> list[T]:
        """One item moved to the nearest place that fits, past none of its source."""
        sources = self._with_ends(items)
        for place, item in enumerate(items):
            if item.source not in (sources[place], sources[place + 2]):
                continue
            rest = items[:place] + items[place + 1 :]
            ahead = [n for n, other in enumerate(rest) if other.source == item.source]
            first = max((n + 1 for n in ahead if n < place), default=0)
            last = min((n for n in ahead if n >= place), default=len(rest))
            fit = [n for n in _fits(self._with_ends(rest), item) if first <= n <= last]
            if fit:
                distances = [abs(slot - place) for slot in fit]
                nearest = fit[distances.index(min(distances))]
                return [*rest[:nearest], item, *rest[nearest:]]
        return items

    def _alternated(self) -> list[T]:
        n_left = Counter(item.source for item in self.items)
        rest, ordered, last = list(self.items), list[T](), self._ends[0]
        while rest:
            others = [item for item in rest if item.source != last] or rest
            item = max(others, key=lambda item: n_left[item.source])
            rest.remove(item)
            ordered.append(item)
            last = item.source
            n_left[last] -= 1
        return ordered

    def _with_ends(self, items: list[T]) -> list[str | None]:
        first, last = self._ends
        return [first, *(item.source for item in items), last]

    def _n_touching(self, items: list[T]) -> int:
        return sum(one == two for one, two in pairwise(self._with_ends(items)))


def _fits(sources: list[str | None], item: HasSource) -> list[int]:
    """The places where an item has another source on either side."""
    return [n for n, pair in enumerate(pairwise(sources)) if item.source not in pair]
