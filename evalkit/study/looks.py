"""What the router sees in pictures: measured once, then kept."""

from functools import partial

import pandas as pd

from evalkit.errors import of_each
from evalkit.images import picture_kind, read_image
from evalkit.imagesets.folder import UNKNOWN_KIND
from evalkit.records import code_digest
from evalkit.restorers._routing import FEATURES, kind_of, look
from evalkit.tables import LOOKS


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

    def see(path: str) -> dict[str, float]:
        is_pdf = float(picture_kind(path) == "pdf")
        return look(read_image(path), detector, is_pdf=is_pdf)

    first = unknown.groupby("sha256")["path"].first()
    tasks = {path: partial(see, path) for path in first}
    features = of_each(tasks, "look by the router")
    rows = [
        {"sha256": sha256, "code": code, **features[path]}
        for sha256, path in first.items()
        if path in features
    ]
    return LOOKS.checked(pd.concat([looks, LOOKS.frame(rows)], ignore_index=True))


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
