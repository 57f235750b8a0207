"""What the router sees in pictures: looked at once, then kept."""

import pandas as pd

from evalkit import faces
from evalkit.images import picture_kind, read_image
from evalkit.imagesets.folder import UNKNOWN_KIND
from evalkit.records import code_digest
from evalkit.restorers._routing import FEATURES, kind_of, look
from evalkit.tables import LOOKS


def look_at(images: pd.DataFrame, known: pd.DataFrame) -> pd.DataFrame:
    """The features of pictures, from those that are known where they have them.

    Parameters
    ----------
    images
        Rows of `evalkit.tables.IMAGES` without an error.
    known
        Table `LOOKS`; what other code saw is passed over.

    Returns
    -------
    DataFrame
        Table `LOOKS`: what is known of these, and what was seen now.

    """
    code = code_digest(["evalkit.restorers._routing"])
    known = known[known["code"] == code]
    unknown = images[~images["sha256"].isin(known["sha256"])]
    if unknown.empty:
        return known
    detector = faces.detector()
    rows = []
    for sha256, path in unknown.groupby("sha256")["path"].first().items():
        is_pdf = float(picture_kind(path) == "pdf")
        values = look(read_image(path), detector, is_pdf=is_pdf)
        rows.append({"sha256": sha256, "code": code, **values})
    return LOOKS.checked(pd.concat([known, LOOKS.frame(rows)], ignore_index=True))


def with_kinds(images: pd.DataFrame, looks: pd.DataFrame) -> pd.DataFrame:
    """The pictures, those of unknown kind with the router's (`IMAGES`)."""
    seen = looks.set_index("sha256")[list(FEATURES)].astype(float)
    kinds = {sha256: kind_of(values) for sha256, values in seen.iterrows()}
    is_unknown = (images["kind"] == UNKNOWN_KIND) & images["sha256"].isin(seen.index)
    told = images["sha256"].map(kinds).astype("string")
    return images.assign(
        kind=images["kind"].mask(is_unknown, told),
        kind_from=images["kind_from"].mask(is_unknown, "router"),
    )
