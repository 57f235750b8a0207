"""The one reader of records that were written while names still held what varied."""

import re
from typing import Any

RESIZED = re.compile(r"(?P<base>.+)@(?P<px>\d+)px(?:\+\d+px)?")
"""A source's name, ``<base>@<longest side>px``; ``+10px`` more with ncnn's border."""

SIZED = ("size", "budget", "backend", "backend-gate")
"""Experiments whose sources may have been made of others."""

SETTINGS = {
    "tile": "tile",
    "precision": "precision",
    "scale": "scale",
    "background": "background",
    "cpu": "device",
}
"""Experiments that vary the setting of that name."""

ENCODED = re.compile(
    r"(?P<name>(?:stability(?:-fresh)?-)?batch|budget|concurrency)-(\d+)"
)


def in_todays_columns(row: dict[str, Any]) -> dict[str, Any]:
    """A line of ``records.jsonl`` with ``value``, ``instance`` and ``base_source``.

    A line that has any of them is returned as it is. In others, the experiment
    ``batch-4`` is ``batch`` of the value 4; ``stability-batch-5`` and
    ``stability-fresh-batch-5`` are series of the value 5; run ``i + n (r - 1)`` of
    ``concurrency-<n>`` is run ``r`` of instance ``i``; a source ``x@512px`` is made
    of ``x``.
    """
    if not row.keys().isdisjoint(("value", "instance", "base_source")):
        return row
    new = dict.fromkeys(("value", "instance", "base_source")) | row
    if encoded := ENCODED.fullmatch(str(row.get("experiment"))):
        new["experiment"] = encoded["name"].removesuffix("-batch")
        new["value"] = encoded[2]
        if encoded["name"] == "concurrency":
            place, n = row["run"] - 1, int(encoded[2])
            new |= {"instance": place % n + 1, "run": place // n + 1}
    experiment = new.get("experiment")
    if experiment in SETTINGS:
        varied = (row.get("setting") or {}).get(SETTINGS[experiment])
        new["value"] = None if varied is None else str(varied)
    if experiment in SIZED and (resized := RESIZED.fullmatch(row.get("source") or "")):
        new["base_source"] = resized["base"]
        if experiment == "size":
            new["value"] = resized["px"]
    return new
