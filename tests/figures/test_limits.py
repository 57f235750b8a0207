"""Figures of limits show every value of their tables."""

import numpy as np
import pandas as pd
import pytest

from evalkit.figures import frontier, instances
from evalkit.tables import BUDGET, CONCURRENCY, RECORDS

BUDGETS = BUDGET.frame(
    [
        {
            "condition": condition,
            "source": f"a@{px}px",
            "machine": "m",
            "limit": "cuda",
            "longest_px": px,
            "works_mib": works,
            "fails_mib": fails,
            "largest_mib": 20000,
        }
        for condition, px, works, fails in (
            ("x@tile=0", 512, 2000, 1900),
            ("x@tile=0", 1024, 8000, 7600),
            ("x@tile=0", 2048, None, 20000),
            ("x@tile=64", 1024, 900, 850),
            ("x@tile=64", 2048, 950, None),
        )
    ]
)


def values(axes):
    """The points of each line, by its label."""
    return {line.get_label(): line.get_xydata() for line in axes.lines}


def test_the_frontier_has_a_line_a_condition_and_the_question_across():
    (axes,) = frontier(BUDGETS).axes
    found = values(axes)
    np.testing.assert_array_equal(
        found["x@tile=0"], [[512, 2000], [1024, 8000], [2048, np.nan]]
    )
    np.testing.assert_array_equal(found["x@tile=64"], [[1024, 900], [2048, 950]])
    assert set(found["3,072 MiB"][:, 1]) == {3072}


def test_where_nothing_works_a_cross_stands_at_the_largest_budget():
    (axes,) = frontier(BUDGETS).axes
    crosses = [line for line in axes.lines if line.get_marker() == "x"]
    points = np.concatenate([line.get_xydata() for line in crosses])
    np.testing.assert_array_equal(points, [[2048, 20000]])


def test_instances_show_throughput_latencies_memory_and_what_did_not_fit():
    who = {"condition": "c", "source": "s", "machine": "m"}
    kinds = {"memory_kind": "sum of peak RSS"}
    table = CONCURRENCY.frame(
        [
            {"n_instances": 1, "n_ok": 1, "throughput_per_s": 4.0, "memory_mib": 100.0}
            | who
            | kinds,
            {"n_instances": 2, "n_ok": 1, "throughput_per_s": 5.0, "memory_mib": 150.0}
            | who
            | kinds,
        ]
    )
    times = {1: [0.25, 0.26], 2: [0.4, 0.5]}
    records = RECORDS.frame(
        [
            {
                "experiment": "concurrency",
                "value": str(n),
                "run": run,
                "phase": phase,
                "key": "k",
            }
            | {"wall_time_s": time_s}
            | who
            for n, both in times.items()
            for run, time_s in enumerate(both, 1)
            for phase in ("cold", "warm")
        ]
    )
    left, middle, right = instances(table, records).axes
    ideal, rates, crosses = (line.get_xydata().tolist() for line in left.lines)
    assert ideal == [[1, 4], [2, 8]]
    assert rates == [[1, 4], [2, 5]]
    assert crosses == [[2, 0]]
    marks = [line for line in middle.lines if line.get_marker() == "o"]
    assert [line.get_ydata().tolist() for line in marks] == list(times.values())
    assert [bar.get_height() for bar in right.patches] == [100, 150]


@pytest.mark.parametrize(
    "make",
    [
        lambda: frontier(BUDGET.frame([])),
        lambda: instances(CONCURRENCY.frame([]), RECORDS.frame([])),
    ],
)
def test_nothing_measured_is_an_empty_figure(make, tmp_path):
    make().savefig(tmp_path / "empty.png")
    assert (tmp_path / "empty.png").stat().st_size > 1000


def test_budgets_of_unlike_machines_are_lines_that_name_them():
    both = pd.concat([BUDGETS, BUDGETS.assign(machine="n", works_mib=500)])
    (axes,) = frontier(both).axes
    found = values(axes)
    assert found["x@tile=64, m"][:, 1].tolist() == [900, 950]
    assert found["x@tile=64, n"][:, 1].tolist() == [500, 500]
