"""Who sees what, in which order: balanced sessions, drawn from a seed."""

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import combinations, count, pairwise
from typing import Any

import numpy as np
import pandas as pd

from evalkit.errors import StudyError
from evalkit.rating._order import Order
from evalkit.rating.items import GOLD, GOLDS, SOURCE, TRAP, WHOLE, Item, Kind, Mode

SECONDS = {"acr": 8.0, "ab": 12.0}
"""The planned time for one item, by kind."""

REPEAT_EVERY = 10
"""One item among so many is shown a second time."""

LEAST_RATED = 4
"""Sources that stay when one is spared for training: P.910 asks for four scenes."""


def refuse_random(outputs: pd.DataFrame) -> None:
    """Refuse outputs made with random weights: nobody may see or score one.

    Raises
    ------
    StudyError
        With their conditions.

    """
    is_random = outputs["weights_kind"] == "random"
    if is_random.any():
        names = ", ".join(sorted(set(outputs.loc[is_random, "condition"])))
        raise StudyError(
            f"expected outputs of trained weights, found random ones: {names}; such "
            "pictures are noise and are never rated. Leave these conditions out"
        )


def plan_session(
    outputs: pd.DataFrame,
    *,
    number: int,
    seed: int,
    mode: Mode = "acr",
    minutes: float = 15.0,
) -> list[Item]:
    """Plan one subject's session; the same arguments give the same one.

    Training spans worst to best, on a source that is not rated afterwards where one can
    be spared: of five or more, one of the kind that has the most, and two at least.
    Then every source is shown once a block, under the condition (or the pair) that a
    cyclic Latin square gives to block, source and subject: over as many subjects as
    there are conditions, each output stands in each block once, also where the budget
    cuts the session short. A pair's sides swap from one subject to the next that sees
    it there. A tenth is shown again near the end, each condition (or pair) as often as
    another over all subjects; of each kind there are two golds, one of them hard, and
    one trap. Behind the training no source follows itself, unless there are too few:
    `plan_notes` says so.

    Parameters
    ----------
    outputs
        Columns ``source, condition, role`` (``source``, ``system``, ``reference`` or
        ``anchor``) and ``weights_kind``; ``kind``, that of its picture, and ``part``
        may be there. Where an output is there whole and as a detail, the details are a
        part of the session by themselves, behind the whole pictures.
    number
        The subject's number, from 0.
    seed
        What every order is drawn from: see `evalkit.rating.Store.order_seed`.
    mode
        ``both`` plans a part of each kind. Parts have the same time.
    minutes
        How long the session may take, at `SECONDS` an item.

    Raises
    ------
    StudyError
        Outputs of random weights, fewer than two conditions, or less time than one
        item of each condition takes.

    """
    refuse_random(outputs)
    rated = outputs[outputs["role"] != SOURCE]
    is_again = rated.duplicated(["source", "condition"])
    kinds: list[Kind] = ["acr", "ab"] if mode == "both" else [mode]
    parts: list[_Part] = []
    for kind in kinds:
        # what is spared for training must be spared by the fewer details first
        later = [_Part(rated[is_again], kind, number, seed)] if is_again.any() else []
        spared = later[0].trained if later else None
        parts += [_Part(rated[~is_again], kind, number, seed, spared), *later]
    items = []
    for part, following in zip(parts, [*parts[1:], None], strict=True):
        n_most = int(60 * minutes / len(parts) / SECONDS[part.kind])
        items += part.items(n_most, following.trained if following else None)
    return items


def plan_notes(items: Sequence[Item]) -> list[str]:
    """What a session lacks because there are too few sources, in sentences."""
    main = [item for item in items if not item.is_training]
    sources = {item.source for item in main}
    notes = [
        f"training shows {name}, which is rated, too: of {len(sources)} sources none "
        "can be spared"
        for name in sorted({item.source for item in items if item.is_training})
        if name in sources
    ]
    if any(
        one.source == two.source and not two.is_training for one, two in pairwise(items)
    ):
        notes.append(
            f"a source sometimes follows itself: with {len(sources)} to rate that "
            "cannot be avoided"
        )
    return notes


class _Part:
    """The items of one kind in one session; `spared` is a source for its training."""

    def __init__(
        self,
        rated: pd.DataFrame,
        kind: Kind,
        number: int,
        seed: int,
        spared: str | None = None,
    ) -> None:
        self.kind, self.number, self.seed = kind, number, seed
        shown = rated if "part" in rated else rated.assign(part=WHOLE)
        self.part = dict(zip(shown["source"], shown["part"], strict=True))
        cells = zip(rated["source"], rated["condition"], strict=True)
        self.role = dict(zip(cells, rated["role"], strict=True))
        self.sources = self._ordered(rated["source"])
        conditions = self._ordered(rated["condition"])
        if len(conditions) < 2:
            raise StudyError(f"expected two conditions to rate, found {conditions}")
        size = 1 if kind == "acr" else 2
        self.choices = list(combinations(conditions, size))
        self.random = np.random.default_rng([seed, number, size])
        self.trained = self._spare(rated, spared)

    def item(self, *, source: str, **columns: Any) -> Item:
        """An item of this kind, of the part that is shown of its source."""
        return Item(kind=self.kind, source=source, part=self.part[source], **columns)

    def items(self, n_most: int, following: str | None = None) -> list[Item]:
        """Training, then all that fits into `n_most` items, checks and repeats.

        `following` is the source that is shown next.
        """
        training = list(self._training())
        checks = self._checks()
        n_rest = n_most - len(training) - len(checks)
        main = list(self._square())[: n_rest * REPEAT_EVERY // (REPEAT_EVERY + 1)]
        n = len(main)
        if n_rest < len(self.choices) * (1 + 1 / REPEAT_EVERY):
            raise StudyError(
                f"rating.minutes: expected time for each of {len(self.choices)} "
                f"conditions or pairs, a tenth of them twice, and "
                f"{len(training) + len(checks)} others; found time for {n_most} items"
            )
        order = Order(main, self.trained, following, self.random)
        for again in self._repeats(main):
            order.insert(again, 3 * n // 4 + 1, len(order.items))
        gold, fine, trap = checks
        order.insert(trap, n // 2 + 1, len(order.items))
        order.insert(gold, 0, n // 2)
        order.insert(fine, 0, len(order.items))
        return training + order.settle()

    def _spare(self, rated: pd.DataFrame, spared: str | None) -> str:
        """The source of the training; it is taken out of the others where it may be."""
        candidates = self.sources
        named = rated if "kind" in rated else rated.assign(kind="")
        kinds = dict(zip(named["source"], named["kind"].astype(str), strict=True))
        most, n_most = Counter(kinds.values()).most_common(1)[0]
        can_spare = len(self.sources) > LEAST_RATED and n_most > 1
        if can_spare:
            candidates = [name for name in candidates if kinds[name] == most]
        longest = max(candidates, key=lambda source: len(self._ladder(source)))
        source = spared or longest
        if can_spare:
            self.sources = [name for name in self.sources if name != source]
        return source

    def _square(self) -> Iterator[Item]:
        last = self.trained
        for block in range(len(self.choices)):
            row = [
                self._main(source, choice)
                for place in self.random.permutation(len(self.sources))
                if (source := self.sources[place])
                and (choice := self._choice(place + block))
                and all((source, condition) in self.role for condition in choice)
            ]
            if row and row[0].source == last:
                row.append(row.pop(0))
            last = row[-1].source if row else last
            yield from row

    def _choice(self, place: int) -> tuple[str, ...]:
        return self.choices[(place + self.number) % len(self.choices)]

    def _main(self, source: str, choice: tuple[str, ...]) -> Item:
        if self.kind == "acr":
            (left,) = choice
            return self.item(role=self.role[source, left], source=source, left=left)
        # a cell of the square comes back every n subjects: with an even n that
        # alone would always meet the same parity
        n = len(self.choices)
        turn = self.number + (self.number // n if n % 2 == 0 else 0)
        is_turned = (turn + self._digest(source, *choice)) % 2
        left, right = choice[::-1] if is_turned else choice
        return self.item(role="system", source=source, left=left, right=right)

    def _again(self, item: Item) -> Item:
        if item.right:
            item = replace(item, left=item.right, right=item.left)
        return replace(item, is_repeat=True)

    def _repeats(self, main: list[Item]) -> Iterator[Item]:
        """A tenth of the items; the next subject goes on with the next condition."""
        n_repeats = math.ceil(len(main) / REPEAT_EVERY)
        early = main[: (len(main) + 1) // 2]
        pools: dict[frozenset[str | None], list[Item]] = {}
        for place in self.random.permutation(len(early)):
            item = early[place]
            pools.setdefault(frozenset([item.left, item.right]), []).append(item)
        for turn in count(self.number * n_repeats):
            sides = self.choices[turn % len(self.choices)]
            pool = pools.get(frozenset([*sides, None][:2]), [])
            if n_repeats and pool:
                n_repeats -= 1
                yield self._again(pool.pop())
            if not n_repeats:
                return

    def _ladder(self, source: str) -> list[str]:
        """Conditions of a source from worst to best, one of each role that it has."""
        conditions = self._ordered(c for s, c in self.role if s == source)
        by_role = {self.role[source, condition]: condition for condition in conditions}
        roles = ("anchor", "system", "reference")
        return [GOLD, *(by_role[role] for role in roles if role in by_role)]

    def _training(self) -> Iterator[Item]:
        source = self.trained
        ladder = self._ladder(source)
        train = partial(self.item, source=source, is_training=True)
        if self.kind == "acr":
            for left in ladder:
                yield train(role=self.role.get((source, left), GOLD), left=left)
        else:
            for number, pair in enumerate(pairwise(ladder)):
                left, right = pair[::-1] if number % 2 else pair
                yield train(role="system", left=left, right=right)

    def _checks(self) -> tuple[Item, Item, Item]:
        """An easy gold, a hard one, and a trap, of sources that are neighbours."""
        n, is_odd = len(self.sources), self.number % 2
        sources = [self.sources[(self.number + k) % n] for k in range(3)]
        gold, fine = (
            self._gold(source, name, is_right=bool(is_odd) != (name == GOLD))
            for source, name in zip(sources[:2], GOLDS, strict=True)
        )
        wanted = "24"[is_odd] if self.kind == "acr" else ("left", "right")[is_odd]
        left = f"{TRAP}-{wanted}"
        right = None if self.kind == "acr" else left
        trap = self.item(
            role=TRAP, source=sources[2], left=left, right=right, expected=wanted
        )
        return gold, fine, trap

    def _gold(self, source: str, name: str, *, is_right: bool) -> Item:
        gold = partial(self.item, role=GOLD, source=source)
        if self.kind == "acr":
            return gold(left=name, expected=GOLDS[name])
        best = self._ladder(source)[-1]
        if is_right:
            return gold(left=best, right=name, expected="left")
        return gold(left=name, right=best, expected="right")

    def _ordered(self, names: Iterable[str]) -> list[str]:
        """Names in the order of a digest: a newcomer changes no other's place."""
        return sorted(set(names), key=self._digest)

    def _digest(self, *names: str) -> int:
        text = "\0".join([str(self.seed), *sorted(names)])
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])
