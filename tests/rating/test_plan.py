"""Sessions are balanced, complete, checked, within their time, and reproducible."""

from collections import Counter, defaultdict
from itertools import pairwise

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.errors import StudyError
from evalkit.rating import plan_session
from evalkit.rating.plan import SECONDS, plan_notes


def outputs_of(
    n_sources: int, systems: list[str], *, with_reference=()
) -> pd.DataFrame:
    rows = [
        (f"photo-{source}", condition, role)
        for source in range(n_sources)
        for condition, role in [
            ("source", "source"),
            ("bicubic", "anchor"),
            *((system, "system") for system in systems),
            *([("reference", "reference")] if source in with_reference else []),
        ]
    ]
    frame = pd.DataFrame(rows, columns=["source", "condition", "role"])
    return frame.assign(weights_kind="none")


def main_part(items):
    return [
        item
        for item in items
        if not (item.is_training or item.is_repeat or item.role in ("gold", "trap"))
    ]


both_kinds = pytest.mark.parametrize("mode", ["acr", "ab"])


@both_kinds
def test_the_same_seed_makes_the_same_session_and_another_does_not(outputs, mode):
    first, again, other, another = (
        plan_session(outputs, number=number, seed=seed, mode=mode)
        for number, seed in ((1, 5), (1, 5), (1, 6), (2, 5))
    )
    assert first == again
    assert first != other
    assert first != another


@both_kinds
def test_with_time_enough_every_cell_is_shown_once(outputs, mode):
    items = main_part(plan_session(outputs, number=0, seed=1, mode=mode, minutes=60))
    shown = Counter((i.source, *sorted(filter(None, [i.left, i.right]))) for i in items)
    # 2 sources have 4 conditions and 6 pairs, 2 have 3 and 3
    assert len(shown) == {"acr": 2 * 4 + 2 * 3, "ab": 2 * 6 + 2 * 3}[mode]
    assert set(shown.values()) == {1}


@both_kinds
def test_it_begins_with_training_from_worst_to_best(outputs, mode):
    items = plan_session(outputs, number=0, seed=1, mode=mode)
    training = [item for item in items if item.is_training]
    assert items[: len(training)] == training
    assert len({item.source for item in training}) == 1
    seen = {side for item in training for side in (item.left, item.right)}
    assert {"gold", "bicubic", "reference"} <= seen
    if mode == "acr":
        assert next(item.left for item in training) == "gold"
        assert [item.left for item in training][-1] == "reference"


@both_kinds
def test_a_session_has_two_golds_one_trap_and_a_tenth_of_repeats(mode):
    outputs = outputs_of(10, ["a", "b", "c"], with_reference=range(10))
    items = plan_session(outputs, number=3, seed=1, mode=mode, minutes=15)
    rest = [item for item in items if not item.is_training]
    assert Counter(item.role for item in rest if item.expected) == {
        "gold": 2,
        "trap": 1,
    }
    # one that nobody overlooks, and one that takes a look
    shown = {side for item in rest for side in (item.left, item.right)}
    assert {"gold", "gold-fine"} <= shown
    n_once = len(main_part(items))
    repeats = [n for n, item in enumerate(rest) if item.is_repeat]
    assert 0.1 * n_once <= len(repeats) < 0.1 * n_once + 1
    for place in repeats:
        again = rest[place]
        (first,) = [
            n
            for n, item in enumerate(rest)
            if not (item.is_repeat or item.expected)
            and item.source == again.source
            and {item.left, item.right} == {again.left, again.right}
        ]
        assert place - first > n_once / 5
        if mode == "ab":
            assert (rest[first].left, rest[first].right) == (again.right, again.left)


@pytest.mark.parametrize("mode", ["acr", "ab", "both"])
@pytest.mark.parametrize("minutes", [6, 10, 20])
def test_a_session_fits_its_time(mode, minutes):
    outputs = outputs_of(30, ["a", "b", "c"])
    items = plan_session(outputs, number=0, seed=1, mode=mode, minutes=minutes)
    planned_s = sum(SECONDS[item.kind] for item in items)
    assert 0.9 * minutes * 60 - 24 <= planned_s <= minutes * 60


@pytest.mark.parametrize("minutes", [6, 60])
@both_kinds
def test_over_a_full_square_of_subjects_all_cells_and_places_are_balanced(
    mode, minutes
):
    n_sources, systems = 8, ["a", "b", "c"]
    outputs = outputs_of(n_sources, systems)
    n_choices = {"acr": 4, "ab": 6}[mode]
    plans = [
        main_part(plan_session(outputs, number=n, seed=1, mode=mode, minutes=minutes))
        for n in range(n_choices)
    ]
    n_sources -= 1  # one is spared for training
    n_items = min(len(plan) for plan in plans) // n_sources * n_sources
    assert n_items >= n_sources
    for first in range(0, n_items, n_sources):
        block = Counter(
            (item.source, item.left, item.right)
            if mode == "acr"
            else (item.source, *sorted([item.left, item.right]))
            for plan in plans
            for item in plan[first : first + n_sources]
        )
        assert len(block) == n_sources * n_choices
        assert set(block.values()) == {1}


@pytest.mark.parametrize("systems", [["a", "b"], ["a", "b", "c"]])
@pytest.mark.parametrize("minutes", [6, 60])
def test_sides_are_balanced_over_subjects(systems, minutes):
    outputs = outputs_of(8, systems)
    n_pairs = {2: 3, 3: 6}[len(systems)]
    on_the_left = defaultdict(list)
    for number in range(4 * n_pairs):
        for item in main_part(
            plan_session(outputs, number=number, seed=1, mode="ab", minutes=minutes)
        ):
            pair = (item.source, *sorted([item.left, item.right]))
            on_the_left[pair].append(item.left == pair[1])
    for sides in on_the_left.values():
        assert abs(sum(sides) - len(sides) / 2) <= 1


def can_be_apart(items) -> bool:
    """Whether no source has more items than the others of its part can part."""
    trained = next(item.source for item in items if item.is_training)
    kinds = list(dict.fromkeys(item.kind for item in items))
    for kind in kinds:
        part = [i.source for i in items if i.kind == kind and not i.is_training]
        n_ends = 1 + (kind != kinds[-1])  # the training before, that of the next part
        for source, n in Counter(part).items():
            if n > len(part) - n + 1 - n_ends * (source == trained):
                return False
    return True


@settings(max_examples=150, deadline=None)
@given(
    n_sources=st.integers(1, 9),
    n_systems=st.integers(1, 3),
    with_reference=st.sets(st.integers(0, 8)),
    mode=st.sampled_from(["acr", "ab", "both"]),
    minutes=st.sampled_from([16, 60]),
    number=st.integers(0, 50),
    seed=st.integers(0, 2**128),
)
def test_no_source_follows_itself_where_it_can_be_avoided(
    n_sources, n_systems, with_reference, mode, minutes, number, seed
):
    systems = ["a", "b", "c"][:n_systems]
    outputs = outputs_of(n_sources, systems, with_reference=with_reference)
    minutes = minutes if n_systems < 3 else 60  # six pairs take their time
    items = plan_session(outputs, number=number, seed=seed, mode=mode, minutes=minutes)
    touching = [
        one.source
        for one, two in pairwise(items)
        if one.source == two.source and not two.is_training
    ]
    notes = " ".join(plan_notes(items))
    assert bool(touching) == ("follows itself" in notes)
    assert not touching or not can_be_apart(items)
    trained = {item.source for item in items if item.is_training}
    rated = {item.source for item in items if not item.is_training}
    if n_sources > 4:
        assert not trained & rated
    assert bool(trained & rated) == ("which is rated, too" in notes)
    for place, again in enumerate(items):
        if again.is_repeat:
            assert any(
                (item.kind, item.source) == (again.kind, again.source)
                and {item.left, item.right} == {again.left, again.right}
                for item in main_part(items[:place])
            )


def test_training_spares_a_source_of_the_kind_that_has_the_most():
    outputs = outputs_of(6, ["a", "b"])
    kinds = {f"photo-{n}": "face" if n in (2, 4) else str(n) for n in range(6)}
    outputs["kind"] = outputs["source"].map(kinds)
    items = plan_session(outputs, number=0, seed=1)
    (trained,) = {item.source for item in items if item.is_training}
    assert kinds[trained] == "face"
    lone = outputs.assign(kind=outputs["source"])
    assert "none can be spared" in plan_notes(plan_session(lone, number=0, seed=1))[0]


@both_kinds
def test_over_subjects_each_condition_is_shown_again_as_often_as_another(mode):
    outputs = outputs_of(9, ["a", "b", "c"], with_reference=range(9))
    again = Counter(
        frozenset([item.left, item.right])
        for number in range(20)
        for item in plan_session(outputs, number=number, seed=1, mode=mode, minutes=12)
        if item.is_repeat
    )
    assert len(again) == {"acr": 5, "ab": 10}[mode]
    assert max(again.values()) - min(again.values()) <= 1


def test_random_weights_are_refused(outputs):
    is_soft = outputs["condition"] == "soft-x2"
    noise = outputs.assign(weights_kind=is_soft.map({True: "random", False: "none"}))
    with pytest.raises(StudyError, match="random ones: soft-x2; such pictures are"):
        plan_session(noise, number=0, seed=1)


def test_too_little_time_is_refused_with_what_is_needed(outputs):
    with pytest.raises(
        StudyError, match="expected time for each of 4 conditions or pairs"
    ):
        plan_session(outputs, number=0, seed=1, minutes=1)


def test_one_condition_alone_is_refused(outputs):
    only = outputs[outputs["condition"].isin(["source", "soft-x2"])]
    with pytest.raises(StudyError, match="expected two conditions to rate"):
        plan_session(only, number=0, seed=1)
