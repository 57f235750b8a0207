"""A panel whose plan has looks may end when choices have decided; nobody's count."""

import numpy as np
import pandas as pd
import pytest
from answers import choices, fill

from evalkit.rating import Store, freeze
from evalkit.rating.links import places
from evalkit.rating.owner import owner_page, summary
from evalkit.study.stopping import sessions_to_look, stopping_of

N = 12
RULE = {"subjects": N, "choices": N * N, "pairs": 1}


def chosen(n: int, wins: float = 1.0) -> pd.DataFrame:
    """The first choices of simulated subjects, each on 12 pictures."""
    subject, source = np.indices((N, N)).reshape(2, -1)[:, :n]
    is_won = np.random.default_rng(0).random(n) < wins
    winner, loser = np.where(is_won, "a", "b"), np.where(is_won, "b", "a")
    frame = pd.DataFrame({"winner": winner, "loser": loser, "tied": 0})
    subjects = [f"simulated-{number:02}" for number in subject]
    return choices(frame.assign(subject=subjects, source=[f"p{n}" for n in source]))


@pytest.fixture
def panel(tmp_path):
    """``panel(rule, answers)``: a store with that frozen rule and those answers."""

    def make(rule, answers=None) -> Store:
        store = Store(tmp_path / "ratings.sqlite")
        freeze(store, {"question": "quality", "stopping": rule})
        if answers is not None:
            fill(store, answers)
        return store

    return make


def test_a_fixed_number_has_no_looks(panel):
    store = panel({"rule": "a fixed number of complete sessions", "subjects": N})
    assert stopping_of(store) is None
    assert sessions_to_look(store) is None


@pytest.mark.parametrize(
    ("n", "wins", "to_look"),
    [
        (0, 1.0, 3),  # a quarter of the choices of twelve sessions
        (12, 1.0, 2),
        (36, 0.5, 3),  # looked at, and open: as many again
        (40, 0.5, 3),  # 32 more, which is under three sessions
        (80, 1.0, 0),
        (144, 0.5, 0),  # the last look
    ],
)
def test_the_sessions_until_the_next_look_are_counted(panel, n, wins, to_look):
    store = panel(RULE, chosen(n, wins) if n else None)
    assert sessions_to_look(store) == to_look


def test_a_pair_that_nobody_has_seen_is_waited_for(panel):
    assert sessions_to_look(panel(RULE | {"pairs": 2}, chosen(80))) == 3


def test_repeats_and_practice_are_not_looked_at(panel):
    again = chosen(60).assign(is_repeat=True)
    more = chosen(20).assign(is_training=True)
    both = pd.concat([chosen(12), again, more], ignore_index=True)
    assert sessions_to_look(panel(RULE, both)) == 2


def test_the_owners_page_says_enough_or_how_many_more(panel):
    store = panel(RULE, chosen(12))
    to_look = sessions_to_look(store)
    page = owner_page(store, N, "en", to_look)
    assert "about 2 more until the next look at the choices, 11 at most" in page
    assert "约还需 2 次" in owner_page(store, N, "zh", to_look)
    assert "enough, the choices have decided" in summary(places(store), N, "en", 0)
    # whoever has all sessions has enough, whatever the looks say
    assert summary(places(store), 1, "en", 3).endswith("are complete: enough.")
