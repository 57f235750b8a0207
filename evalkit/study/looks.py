"""What the router sees in pictures: looked at once, then kept."""

from functools import partial

import pandas as pd

from evalkit.errors import of_each
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
        Table `LOOKS`: what is known of these, and what was seen now; nothing of a
        picture that cannot be looked at, which is said.

    """
    code = code_digest(["evalkit.restorers._routing"])
    known = known[known["code"] == code]
    unknown = images[~images["sha256"].isin(known["sha256"])]
    if unknown.empty:
        return known
    from evalkit import faces  # late: where all is known nothing reads networks

    detector = faces.detector()

    def see(path: str) -> dict[str, float]:
        is_pdf = float(picture_kind(path) == "pdf")
        return look(read_image(path), detector, is_pdf=is_pdf)

    first = unknown.groupby("sha256")["path"].first()
    seen = of_each({path: partial(see, path) for path in first}, "look by the router")
    rows = [
        {"sha256": sha256, "code": code, **seen[path]}
        for sha256, path in first.items()
        if path in seen
    ]
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
