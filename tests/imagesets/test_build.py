import numpy as np
import pytest

from evalkit.errors import WeightsError
from evalkit.images import write_image
from evalkit.imagesets._build import Made, Recipe, build, save_pair


@pytest.fixture
def calls() -> list[str]:
    return []


def recipe(calls, source="a", level=100, note="", **made) -> Recipe:
    def make(folder):
        calls.append(source)
        pair = save_pair(folder, source, np.full((4, 6), level, np.uint8))
        return Made(path=pair.path, **made)

    facts = {"source": source, "kind": "test", "note": note}
    return Recipe(facts=facts, inputs=(str(level),), make=make)


def failing(source="broken") -> Recipe:
    def make(folder):
        raise WeightsError("cannot be had")

    return Recipe(facts={"source": source, "kind": "test"}, inputs=(), make=make)


def test_what_holds_is_not_made_again(tmp_path, calls):
    first = build(tmp_path, [recipe(calls), recipe(calls, "b")])
    second = build(tmp_path, [recipe(calls), recipe(calls, "b")])
    assert calls == ["a", "b"]
    assert second.equals(first)
    assert first.loc[0, ["width_px", "height_px"]].tolist() == [6, 4]


def test_a_new_source_makes_one_picture(tmp_path, calls):
    build(tmp_path, [recipe(calls)])
    table = build(tmp_path, [recipe(calls, "b"), recipe(calls)])
    assert calls == ["a", "b"]
    assert table["source"].tolist() == ["b", "a"]


def test_a_changed_fact_or_input_makes_it_anew(tmp_path, calls):
    build(tmp_path, [recipe(calls)])
    assert build(tmp_path, [recipe(calls, note="new")])["note"].tolist() == ["new"]
    build(tmp_path, [recipe(calls, level=101, note="new")])
    assert calls == ["a", "a", "a"]


@pytest.mark.parametrize("damage", ["changed", "missing", "manifest"])
def test_damage_is_mended(tmp_path, calls, damage):
    before = build(tmp_path, [recipe(calls)])
    path = tmp_path / "sources" / "a.png"
    if damage == "changed":
        write_image(path, np.zeros((4, 6), np.uint8))
    elif damage == "missing":
        path.unlink()
    else:
        (tmp_path / "manifest.json").write_text("{cut o", encoding="utf-8")
    assert build(tmp_path, [recipe(calls)]).equals(before)
    assert calls == ["a", "a"]


def test_one_picture_that_cannot_be_had_is_a_row_not_a_stop(tmp_path, calls):
    table = build(tmp_path, [failing(), recipe(calls)])
    assert table["error"].tolist()[0] == "cannot be had"
    assert table["error"].isna().tolist() == [False, True]
    assert table["path"].isna().tolist() == [True, False]


def test_what_failed_or_is_not_complete_is_tried_again(tmp_path, calls):
    build(tmp_path, [failing("a")])
    table = build(tmp_path, [recipe(calls, is_complete=False)])
    assert table["error"].isna().all()
    build(tmp_path, [recipe(calls, is_complete=False)])
    assert calls == ["a", "a"]
