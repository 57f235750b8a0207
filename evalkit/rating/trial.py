"""A blind test of two minutes: one HTML file that tells at its end what was what.

It is the page of `evalkit.rating.pack` without its welcome: nothing is kept, saved or
sent, and so the file may hold the names of the conditions.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import sqlalchemy as sa

from evalkit.errors import StudyError
from evalkit.paths import atomic_path
from evalkit.rating._schema import ITEMS
from evalkit.rating.items import SOURCE, Item
from evalkit.rating.pack import Codecs, content_of, page_of, pictures_of
from evalkit.rating.session import Session
from evalkit.rating.stimuli import name_stimuli, write_stimuli
from evalkit.rating.store import Store
from evalkit.texts import texts_of

N_PAIRS = 8
"""What two minutes are enough for."""

SUBJECT = "visitor"

LOSSY: Codecs = {"webp": {"quality": 92, "method": 4}}
"""Eight pairs without loss take 16 MB, too much for the first page of a site."""


def write_trial(
    outputs: pd.DataFrame,
    conditions: tuple[str, str],
    path: Path,
    *,
    published: Mapping[str, str],
    seed: int = 0,
) -> None:
    """Write eight pairs of two conditions as one file.

    Parameters
    ----------
    outputs
        As `evalkit.rating.write_stimuli` takes it.
    conditions
        The two; which is on the left is drawn, and swapped where a source comes again.
    path
        Gets the page.
    published
        What is published elsewhere, by condition.
    seed
        What order and sides are drawn from.

    Raises
    ------
    StudyError
        The two have no source in common.

    """
    items = _items(outputs, conditions, seed)
    stimuli = name_stimuli(outputs, seed)
    with TemporaryDirectory() as folder:
        write_stimuli(items, outputs, stimuli, Path(folder))
        store = Store(Path(folder) / "ratings.sqlite")
        store.add_subject(SUBJECT)
        store.set_plan(SUBJECT, items, stimuli)
        session = Session(store, SUBJECT, Path(folder))
        coming = session.coming()
        names, pictures = pictures_of(store, session, coming, LOSSY)
        content = content_of(SUBJECT, (1, 1), session, coming, names, pictures)
        with store.read() as connection:
            query = sa.select(ITEMS.c.item, ITEMS.c.left, ITEMS.c.right)
            rows = connection.execute(query).all()
    facts = {"kind": "ab", "n_subjects": 1, "own": None, "panel": None}
    content["trial"] = {
        "sides": {item: {"left": left, "right": right} for item, left, right in rows},
        "rows": [
            {**facts, "condition": condition, "published": published.get(condition)}
            for condition in conditions
        ],
    }
    content["shared"]["labels"] |= texts_of("trial")
    with atomic_path(path) as temporary:
        temporary.write_bytes(page_of(content))


def _items(outputs: pd.DataFrame, conditions: Sequence[str], seed: int) -> list[Item]:
    """Eight pairs: every source once, then again with its sides swapped."""
    made = outputs[outputs["condition"].isin(conditions)].groupby("source")
    sources = [name for name, rows in made if rows["condition"].nunique() == 2]
    if not sources:
        known = sorted(set(outputs.loc[outputs["role"] != SOURCE, "condition"]))
        raise StudyError(f"expected two conditions with pictures, found {known}")
    random = np.random.default_rng(seed)
    order = [sources[n] for n in random.permutation(len(sources))]
    swapped = dict(zip(order, random.integers(2, size=len(order)), strict=True))
    items = []
    for n in range(N_PAIRS):
        source, turn = order[n % len(order)], n // len(order)
        left, right = conditions[:: -1 if (swapped[source] + turn) % 2 else 1]
        columns = {"source": source, "left": left, "right": right}
        items.append(Item(kind="ab", role="system", is_repeat=turn > 0, **columns))
    return items
