"""Pictures that are made of others, to be measured."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from evalkit.downloads.files import digest
from evalkit.images import Picture, read_image, resize, write_image
from evalkit.paths import file_name
from evalkit.study.run_folder import Run
from evalkit.tables import IMAGES, SOURCES


def resized(run: Run, images: pd.DataFrame, longest_px: int) -> pd.DataFrame:
    """The pictures with the longer side of that size, in proportion (`IMAGES`).

    They lie below the run's ``sources``. Two more columns, ``base_source`` and
    ``base_sha256``, name the picture that each was made of; the names
    ``<source>@<longest_px>px`` are for people.
    """
    rows = []
    for row in images[images["error"].isna()].to_dict("records"):
        picture = read_image(Path(row["path"]))
        height, width = picture.shape[:2]
        scale = longest_px / max(height, width)
        width, height = (max(1, round(side * scale)) for side in (width, height))
        name = f"{row['source']}@{longest_px}px"
        rows.append(made_source(run, row, name, resize(picture, width, height)))
    return pd.DataFrame(rows, columns=[*IMAGES.columns, "base_source", "base_sha256"])


def made_source(
    run: Run, row: Mapping[Any, Any] | pd.Series, name: str, picture: Picture
) -> dict[str, Any]:
    """Write what was made of a picture, below the run's ``sources``; return its row.

    The table `evalkit.tables.SOURCES` of the run says what it was made of. A name that
    a picture has already gets a ``+``.
    """
    while name in set(run.read(IMAGES)["source"]):
        name += "+"
    path = run.path / "sources" / f"{file_name(name)}-{row['sha256'][:8]}.png"
    write_image(path, picture)
    height, width = picture.shape[:2]
    columns = {"source": name, "path": str(path), "sha256": digest(path)}
    columns |= {"width_px": width, "height_px": height}
    columns["base_source"] = row.get("base_source", row["source"])
    columns["base_sha256"] = row.get("base_sha256", row["sha256"])
    sources = run.read(SOURCES)
    entry = {**columns, "path": path.relative_to(run.path).as_posix()}
    new = SOURCES.frame([entry])
    run.write(SOURCES, pd.concat([sources[sources["source"] != name], new]))
    return {**row, **columns}
