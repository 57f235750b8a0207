"""Set `photographs`: the registered public pictures as they are, by class."""

from pathlib import Path

import pandas as pd

from evalkit.imagesets._build import Made, Recipe, build
from evalkit.imagesets._registered import RegisteredPicture, registered
from evalkit.imagesets._spec import ImageSet


def prepare(folder: Path) -> pd.DataFrame:
    """Find or fetch every registered picture but GPEN's own."""
    pictures = registered().values()
    return build(folder, [_recipe(p) for p in pictures if p.kind != "gpen-official"])


def _recipe(picture: RegisteredPicture) -> Recipe:
    facts = picture.facts(
        picture.name, width_px=picture.width_px, height_px=picture.height_px
    )
    return Recipe(
        facts=facts,
        inputs=(picture.sha256,),
        make=lambda _: Made(path=picture.fetch()),
    )


ENTRIES = (
    ImageSet(
        name="photographs",
        title="public photographs, scans and screenshots by class",
        licence="of each picture's repository; for most the origin is not stated: "
        "show them, do not republish them",
        note="no picture was changed; real degradations, no references",
        prepare=prepare,
    ),
)
