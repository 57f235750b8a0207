"""Records grouped as the rows of a summary are, and which of them count."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from evalkit.errors import INTERRUPTED
from evalkit.restorers.engines.tf32 import SINGLE
from evalkit.study.run_folder import CELL, Run, with_newest_key

GROUP = ["experiment", "value", *CELL]
"""What a row of a summary stands for."""


def choose(images: pd.DataFrame, n_sources: int, seed: int) -> pd.DataFrame:
    """The first sources, or all for 0, in an order shuffled by the seed.

    A file that is no picture is measured only where there is nothing else.
    """
    usable = images[images["error"].isna()]
    images = usable if len(usable) else images
    chosen = images.head(n_sources) if n_sources else images
    return chosen.sample(frac=1, random_state=np.random.default_rng(seed))


def newest(run: Run, *experiments: str) -> pd.DataFrame:
    """The records of `attempts` that the machine did not interrupt."""
    records = attempts(run, *experiments)
    return records[records["outcome"] != INTERRUPTED]


def attempts(run: Run, *experiments: str) -> pd.DataFrame:
    """The records of the pictures at hand, in these experiments or else in all.

    Cells of code, weights or pictures that have changed since are left out.
    """
    return with_newest_key(run.at_hand(*experiments), GROUP)


def condition_facts(records: pd.DataFrame) -> dict[str, Any]:
    """Restorer, setting and kind of weights of records that share them."""
    last = records.iloc[-1]
    setting = json.loads(last["setting"]) if pd.notna(last["setting"]) else None
    return {**last[["restorer", "weights_kind"]], "setting": setting}


def source_size(record: Mapping[str, Any]) -> tuple[int, int]:
    """Width and height of a record's source, px, by its output and its scale."""
    setting = record["setting"]
    setting = json.loads(setting) if isinstance(setting, str) else setting
    scale = setting.get("scale", 1 if setting.get("background") == "none" else 2)
    width, height = (record[f"output_{side}_px"] for side in ("width", "height"))
    return round(width / scale), round(height / scale)


def arithmetic(precision: str, records: pd.DataFrame) -> str:
    """What a setting's `precision` was in these records: ``tf32`` for some ``fp32``."""
    is_tf32 = records["tf32"].eq(other=True).any()
    return "tf32" if precision in SINGLE and is_tf32 else precision


def first_failure(failed: pd.DataFrame) -> str | None:
    """Outcome and error of the first of these records; None if there is none."""
    for record in failed.to_dict("records"):
        return f"{record['outcome']}: {record['error']}"
    return None
