"""The cost below an output in the figure of a picture."""

from evalkit.comparisons.side_by_side import _caption
from evalkit.study.run_folder import CELL
from evalkit.tables import COST


def test_a_caption_has_the_cost_on_the_machine_that_made_the_output():
    rows = [
        {"condition": "lanczos", "source": "cup", "machine": name}
        | {"wall_time_s": seconds, "peak_rss_mib": 100.0}
        for name, seconds in {"m": 4.0, "n": 9.0}.items()
    ]
    cost = COST.frame(rows).set_index(CELL)
    record = {"source": "cup", "outcome": "ok", "wall_time_s": 1.0, "peak_rss_mib": 7.0}
    captions = [_caption("lanczos", record | {"machine": m}, cost) for m in "nmo"]
    assert captions == ["9 s, 100 MiB", "4 s, 100 MiB", "1 s (first run), 7 MiB"]
