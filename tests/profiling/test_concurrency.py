"""Processes start together, once all of them are ready or have ended."""

from pathlib import Path

import pytest

from evalkit.profiling.concurrency import run_together
from evalkit.profiling.isolation import run_cell


@pytest.fixture(autouse=True)
def _cells_can_be_imported(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parent)


def together(*arguments):
    """Messages and outcome of a cell for each of `arguments`, run together."""

    def call(number, barrier, is_ready):
        found = {}

        def take(message):
            found.update(message)
            is_ready()

        result = run_cell(
            "limit_cells:sleeping",
            {"barrier": barrier, **arguments[number]},
            on_message=take,
            timeout_s=60,
            preload=("numpy",),
        )
        return found | {"outcome": result.outcome}

    return run_together(len(arguments), call)


def test_all_begin_after_the_last_is_ready_and_at_once():
    found = together({"delay_s": 0.0}, {"delay_s": 1.0}, {"delay_s": 0.3})
    begins = [each["begin_s"] for each in found]
    assert min(begins) >= max(each["ready_s"] for each in found)
    assert max(begins) - min(begins) < 0.3


def test_one_that_dies_before_is_not_waited_for():
    found = together({"delay_s": 0.0}, {"delay_s": 0.0, "dies": True})
    assert [each["outcome"] for each in found] == ["ok", "oom"]
    assert found[0]["begin_s"] >= found[0]["ready_s"]
    assert "begin_s" not in found[1]


def test_an_error_of_a_call_is_raised_and_holds_nobody():
    ended = []

    def call(number, barrier, is_ready):
        if number:
            raise ValueError("planted")
        is_ready()
        ended.append(barrier)

    with pytest.raises(ValueError, match="planted"):
        run_together(2, call)
    assert len(ended) == 1
