"""Who sees what, in which order: balanced sessions, drawn from a seed."""

import hashlib
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations, islice, pairwise
from typing import Literal, TypeAlias

import numpy as np
import pandas as pd

from evalkit.errors import StudyError

Kind: TypeAlias = Literal["acr", "ab"]
Mode: TypeAlias = Literal["acr", "ab", "both"]

SECONDS = {"acr": 8.0, "ab": 12.0}
"""The planned time for one item, by kind."""

REPEAT_EVERY = 10
"""One item among so many is shown a second time."""

GOLD, TRAP, SOURCE = "gold", "trap", "source"
"""Roles and conditions of our own making: a picture that anyone can judge, one that
says what to answer, and the source itself, shown beside an output and never rated."""

TRAPS = {
    "trap-2": "choose 2",
    "trap-4": "choose 4",
    "trap-left": "choose left",
    "trap-right": "choose right",
}
"""The words on each trap's picture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One question to one subject.

    Attributes
    ----------
    kind
        ``acr``: one stimulus, 1 to 5. ``ab``: two, which is better.
    role
        ``system``, ``reference``, ``anchor``, ``gold`` or ``trap``; of a pair
        ``system`` unless it is a check.
    source
        Its name.
    left, right
        Conditions; `right` is None for ``acr``.
    expected
        The answer to a gold or a trap; None for what is not a check.
    is_training
        Shown first and left out of the analysis.
    is_repeat
        Shown before in this session, a pair with its sides swapped.

    """

    kind: Kind
    role: str
    source: str
    left: str
    right: str | None = None
    expected: str | None = None
    is_training: bool = False
    is_repeat: bool = False


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

    Training spans worst to best. Then every source is shown once a block, under the
    condition (or the pair) that a cyclic Latin square gives to block, source and
    subject: over as many subjects as there are conditions, each output stands in each
    block once, also where the budget cuts the session short. A pair's sides swap from
    one subject to the next that sees it there. A tenth is shown again near the end;
    one gold stands in the first half and one trap in the second, of each kind.

    Parameters
    ----------
    outputs
        Columns ``source, condition, role`` (``source``, ``system``, ``reference`` or
        ``anchor``) and ``weights_kind``.
    number
        The subject's number, from 0.
    seed
        The seed of the study.
    mode
        ``both`` plans a part of each kind, with half of the time for each.
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
    kinds: list[Kind] = ["acr", "ab"] if mode == "both" else [mode]
    items = []
    for kind in kinds:
        n_most = int(60 * minutes / len(kinds) / SECONDS[kind])
        items += _Part(rated, kind, number, seed).items(n_most)
    return items


class _Part:
    """The items of one kind in one session."""

    def __init__(self, rated: pd.DataFrame, kind: Kind, number: int, seed: int) -> None:
        self.kind, self.number, self.seed = kind, number, seed
        self.item = partial(Item, kind=kind)
        cells = zip(rated["source"], rated["condition"], strict=True)
        self.role = dict(zip(cells, rated["role"], strict=True))
        self.sources = self._ordered(rated["source"])
        conditions = self._ordered(rated["condition"])
        if len(conditions) < 2:
            raise StudyError(f"expected two conditions to rate, found {conditions}")
        size = 1 if kind == "acr" else 2
        self.choices = list(combinations(conditions, size))
        self.random = np.random.default_rng([seed, number, size])

    def items(self, n_most: int) -> list[Item]:
        """Training, then all that fits into `n_most` items, checks and repeats."""
        training = list(self._training())
        n_rest = n_most - len(training) - 2
        main = list(islice(self._square(), n_rest * REPEAT_EVERY // (REPEAT_EVERY + 1)))
        n = len(main)
        if n_rest < len(self.choices) * (1 + 1 / REPEAT_EVERY):
            raise StudyError(
                f"rating.minutes: expected time for each of {len(self.choices)} "
                f"conditions or pairs, a tenth of them twice, and {len(training) + 2} "
                f"others; found time for {n_most} items"
            )
        early = self.random.choice((n + 1) // 2, math.ceil(n / REPEAT_EVERY), False)
        for again in [main[place] for place in early]:
            self._insert(main, 3 * n // 4, self._again(again))
        gold, trap = self._checks()
        self._insert(main, n // 2, trap)
        main.insert(int(self.random.integers(n // 2 + 1)), gold)
        return training + main

    def _insert(self, main: list[Item], first: int, item: Item) -> None:
        """Put an item behind one of those from `first` on."""
        main.insert(int(self.random.integers(first, len(main))) + 1, item)

    def _square(self) -> Iterator[Item]:
        last = None
        for block in range(len(self.choices)):
            order = list(self.random.permutation(len(self.sources)))
            if order[0] == last:
                order.append(order.pop(0))
            last = order[-1]
            for place in order:
                source = self.sources[place]
                choice = self.choices[(place + block + self.number) % len(self.choices)]
                if all((source, condition) in self.role for condition in choice):
                    yield self._main(source, choice)

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

    def _ladder(self, source: str) -> list[str]:
        """Conditions of a source from worst to best, one of each role that it has."""
        conditions = self._ordered(c for s, c in self.role if s == source)
        by_role = {self.role[source, condition]: condition for condition in conditions}
        roles = ("anchor", "system", "reference")
        return [GOLD, *(by_role[role] for role in roles if role in by_role)]

    def _training(self) -> Iterator[Item]:
        source = max(self.sources, key=lambda source: len(self._ladder(source)))
        ladder = self._ladder(source)
        train = partial(self.item, source=source, is_training=True)
        if self.kind == "acr":
            for left in ladder:
                yield train(role=self.role.get((source, left), GOLD), left=left)
        else:
            for number, pair in enumerate(pairwise(ladder)):
                left, right = pair[::-1] if number % 2 else pair
                yield train(role="system", left=left, right=right)

    def _checks(self) -> tuple[Item, Item]:
        n, is_odd = len(self.sources), self.number % 2
        gold_source, trap_source = (self.sources[(self.number + k) % n] for k in (0, 1))
        if self.kind == "acr":
            left, right, best, wanted = GOLD, None, "1", "24"[is_odd]
        else:
            best = wanted = ("left", "right")[is_odd]
            pair = self._ladder(gold_source)[-1], GOLD
            left, right = pair[::-1] if is_odd else pair
        trap = f"{TRAP}-{wanted}"
        other_side = trap if right else None
        return (
            self.item(
                role=GOLD, source=gold_source, left=left, right=right, expected=best
            ),
            self.item(
                role=TRAP,
                source=trap_source,
                left=trap,
                right=other_side,
                expected=wanted,
            ),
        )

    def _ordered(self, names: Iterable[str]) -> list[str]:
        """Names in the order of a digest: a newcomer changes no other's place."""
        return sorted(set(names), key=self._digest)

    def _digest(self, *names: str) -> int:
        text = "\0".join([str(self.seed), *sorted(names)])
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])
