"""The memory budget: each trial is a record, the table has what the trials showed."""

import numpy as np
import pandas as pd
import pytest

from evalkit.experiments import budget as _budget
from evalkit.experiments import measure_budget, summarise_budget, which_fails_first
from evalkit.images import write_image
from evalkit.profiling.budget import budgets
from evalkit.study.run_folder import open_run
from evalkit.tables import BUDGET


@pytest.fixture
def run(tmp_path):
    return open_run(str(tmp_path / "run"))


@pytest.fixture
def planted(plant, monkeypatch):
    plant("limited_cells:needing_600")
    monkeypatch.setattr(_budget, "LEAST_PATIENCE_S", 1.0)


def test_the_planted_budget_is_found_and_each_trial_is_a_record(run, album, planted):
    records = measure_budget(
        run, "lanczos", run.images(str(album)), highest_mib=5000, say=lambda _: None
    )
    assert len(records) == records["value"].nunique() <= 9
    (row,) = summarise_budget(run).to_dict("records")
    tried = budgets(5000, 3072, 0.05)
    assert row["works_mib"] == min(mib for mib in tried if mib >= 600)
    assert row["fails_mib"] == max(mib for mib in tried if mib < 600)
    assert (row["outcome"], row["limit"]) == ("oom", "data")
    assert row["largest_mib"] == tried[-1]
    assert row["n_trials"] == len(records)
    assert row["longest_px"] == 64
    assert row["same_output"] is True


def test_what_makes_no_picture_has_no_budget(run, album, tmp_path):
    outputs, said = tmp_path / "outputs", []
    outputs.mkdir()
    images = run.images(str(album))
    write_image(outputs / f"{images['source'].iloc[0]}.png", np.zeros((8, 8), np.uint8))
    condition = f"outputs:{outputs}"
    assert measure_budget(
        run, condition, images, highest_mib=900, say=said.append
    ).empty
    assert said == [f"budget: not for {condition}: it makes no picture here"]


@pytest.mark.parametrize(
    ("highest_mib", "outcome"), [(250, "error"), (350, "crash"), (550, "oom")]
)
def test_what_works_in_no_budget_says_how_it_failed(
    run, album, planted, highest_mib, outcome
):
    measure_budget(run, "lanczos", run.images(str(album)), highest_mib=highest_mib)
    (row,) = summarise_budget(run).to_dict("records")
    assert row["outcome"] == outcome
    assert row["n_trials"] == 1
    assert BUDGET.read(run.path / "tables" / "budget.csv")["works_mib"].isna().all()


def test_a_trial_that_hangs_is_a_timeout_and_the_search_goes_on(run, album, planted):
    images, said = run.images(str(album)), []
    measure_budget(
        run, "lanczos", images, highest_mib=5000, resolution=0.3, say=said.append
    )
    outcomes = run.records.read().set_index("value")["outcome"]
    hanging = [str(mib) for mib in budgets(5000, 3072, 0.3) if 400 <= mib < 500]
    assert outcomes[hanging].tolist() == ["timeout"]
    assert summarise_budget(run)["works_mib"].tolist() == [
        min(mib for mib in budgets(5000, 3072, 0.3) if mib >= 600)
    ]
    assert any(line.endswith("timeout") for line in said)


@pytest.mark.slow
def test_a_real_restorer_fails_below_its_budget_and_nothing_is_tried_twice(run, album):
    images = run.images(str(album))
    options = {"highest_mib": 4000, "sizes_px": [32, 512], "say": lambda _: None}
    first = measure_budget(run, "lanczos", images, **options)
    again = measure_budget(run, "lanczos", images, **options)
    assert again.equals(first)
    assert len(run.records.read()) == len(first)
    table = summarise_budget(run).set_index("longest_px")
    assert (table["fails_mib"] < table["works_mib"]).all()
    assert (table["works_mib"] < table["largest_mib"]).all()
    assert (table["outcome"] == "oom").all()
    assert table["works_mib"][32] <= table["works_mib"][512]
    assert list(table["source"]) == [f"{images['source'][0]}@{n}px" for n in (32, 512)]


@pytest.mark.slow
def test_savers_are_tried_and_what_a_restorer_lacks_is_left_out(run, album, planted):
    said = []
    measure_budget(
        run,
        "lanczos",
        run.images(str(album)),
        savers=["scale=2", "tile=64"],
        highest_mib=5000,
        say=said.append,
    )
    assert set(summarise_budget(run)["condition"]) == {"lanczos", "lanczos@scale=2"}
    assert any("tile=64" in line and "lanczos has no tile" in line for line in said)


def table(*rows):
    common = {
        "source": "a",
        "machine": "m",
        "limit": "cuda",
        "longest_px": 1024,
        "outcome": "oom",
        "largest_mib": 20000,
    }
    names = ("condition", "works_mib")
    told = [dict(zip(names, row, strict=True)) for row in rows]
    return BUDGET.frame(
        [{**common, "restorer": r["condition"].split("@")[0], **r} for r in told]
    )


PLUS = "realesrgan-x4plus"


def test_the_neediest_fails_first_and_the_smallest_change_saves_it():
    found = which_fails_first(
        table(
            ("gpen-512", 3500),
            (f"{PLUS}@runner=upstream", 9000),
            (f"{PLUS}@runner=upstream,tile=200", 2500),
            (f"{PLUS}@precision=fp16,runner=upstream,tile=200", 1500),
        )
    )
    first = found.iloc[0]
    assert first["condition"] == f"{PLUS}@runner=upstream"
    assert first[["limit", "longest_px", "works_mib", "outcome"]].tolist() == [
        *("cuda", 1024, 9000, "oom")
    ]
    assert found["fails"].tolist() == [True, True, False, False]
    saved = found.dropna(subset="saved_by").set_index("saved_by")["works_mib"]
    assert saved.to_dict() == {"tile=200": 2500, "precision=fp16, tile=200": 1500}


def test_another_machines_needs_are_not_ranked_among_these():
    there = table(("gpen-512", 9000)).assign(machine="n")
    here = table(("gpen-512", 3500), (PLUS, 2500))
    found = which_fails_first(pd.concat([there, here]))
    assert found["works_mib"].tolist() == [3500, 2500]


def test_what_works_nowhere_fails_first_and_nothing_may_save_it():
    found = which_fails_first(table(("gpen-512", 3500), (PLUS, None)))
    first = found.iloc[0]
    assert (first["condition"], first["outcome"]) == (PLUS, "oom")
    assert pd.isna(first["works_mib"])
    assert first["largest_mib"] == 20_000
    assert found["saved_by"].isna().all()


def test_where_none_fails_the_first_with_less_is_named():
    found = which_fails_first(table((PLUS, 2000), (f"{PLUS}@tile=64", 1200)))
    assert not found["fails"].any()
    assert found["condition"].tolist() == [PLUS, f"{PLUS}@tile=64"]
    assert found["saved_by"].iloc[1] == "tile=64"
    assert found["works_mib"].iloc[1] == 1200


def test_the_default_can_be_what_saves():
    found = which_fails_first(table((PLUS, 2000), (f"{PLUS}@tile=0", 5000)))
    assert found["condition"].tolist() == [f"{PLUS}@tile=0", PLUS]
    assert found["saved_by"].iloc[1] == ""


def test_without_trials_there_is_no_answer():
    assert which_fails_first(table()).empty
