"""What the router sees in pictures: measured once, then kept."""

from functools import partial
from typing import Any

import pandas as pd

from evalkit.errors import of_each
from evalkit.images import read_image
from evalkit.imagesets.folder import UNKNOWN_KIND
from evalkit.records import code_digest
from evalkit.restorers._routing import FACTS, FEATURES, kind_of, look
from evalkit.tables import LOOKS

PDF = "pdf"
"""The kind of a file whose pages are sources (`evalkit.tables.IMAGES`)."""


def look_at(images: pd.DataFrame, looks: pd.DataFrame) -> pd.DataFrame:
    """The features of pictures; those that are known are not measured again.

    Parameters
    ----------
    images
        Rows of `evalkit.tables.IMAGES` without an error.
    looks
        Table `LOOKS`; rows of other code are passed over.

    Returns
    -------
    DataFrame
        Table `LOOKS`: the known features, then those measured here. A picture that
        cannot be looked at is named and has no row.

    """
    code = code_digest(["evalkit.restorers._routing"])
    looks = looks[looks["code"] == code]
    unknown = images[~images["sha256"].isin(looks["sha256"])]
    if unknown.empty:
        return looks
    from evalkit import faces  # late: where all is known nothing reads networks

    detector = faces.detector()

    def see(row: Any) -> dict[str, float]:
        is_pdf = float(str(row.page_of) == PDF)
        return look(read_image(row.path), detector, is_pdf=is_pdf)

    rows_of = unknown.drop_duplicates("sha256").itertuples()
    first = {row.path: row for row in rows_of}
    tasks = {path: partial(see, row) for path, row in first.items()}
    features = of_each(tasks, "look by the router")
    rows = [
        {"sha256": row.sha256, "code": code, **features[path]}
        for path, row in first.items()
        if path in features
    ]
    return LOOKS.checked(pd.concat([looks, LOOKS.frame(rows)], ignore_index=True))


def facts_of(images: pd.DataFrame, looks: pd.DataFrame) -> pd.DataFrame:
    """What files and their folder say of pictures, and their pixels do not.

    Parameters
    ----------
    images
        Rows of `evalkit.tables.IMAGES` without an error.
    looks
        Table `LOOKS`. The share of a folder's pictures with a face is taken over those
        that have a row there; a registered set is no folder.

    Returns
    -------
    DataFrame
        Columns `FACTS`, NaN for unknown; index ``source``.

    """
    of_folder = images[images["kind_from"].notna()]
    seen = looks[looks["sha256"].isin(of_folder["sha256"])].set_index("sha256")
    has_face = of_folder["sha256"].map(seen["n_faces"] > 0).astype(float)
    is_told = (images["kind_from"] != "router").fillna(True)
    facts = {
        "is_pdf": (images["page_of"] == PDF).fillna(False),
        "is_camera": is_told & (images["kind"] == "surveillance"),
        "folder_faces": has_face.mean(),
    }
    frame = pd.DataFrame(facts, index=images.index).astype(float)
    return frame[list(FACTS)].set_axis(images["source"])


def with_kinds(images: pd.DataFrame, looks: pd.DataFrame) -> pd.DataFrame:
    """The pictures (`IMAGES`); one of unknown kind gets the router's kind."""
    features = looks.set_index("sha256")[list(FEATURES)].astype(float)
    kinds = {sha256: kind_of(values) for sha256, values in features.iterrows()}
    is_unknown = images["kind"] == UNKNOWN_KIND
    is_unknown &= images["sha256"].isin(features.index)
    router_kinds = images["sha256"].map(kinds).astype("string")
    return images.assign(
        kind=images["kind"].mask(is_unknown, router_kinds),
        kind_from=images["kind_from"].mask(is_unknown, "router"),
    )
