"""Set `gpen-official`: GPEN's published inputs, and beside them its published outputs.

``published/`` holds the outputs and ``pairs.csv`` (columns ``source``, ``output``): the
condition ``outputs:gpen-official`` reads that folder. GPEN's inpainting demo, two more
registered files, is left out: filling painted strokes is not restoration.
"""

import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pandas as pd

from evalkit.errors import WeightsError
from evalkit.images import read_image, write_image
from evalkit.imagesets._build import Made, Recipe, build, save_pair
from evalkit.imagesets._registered import RegisteredPicture, registered
from evalkit.imagesets._spec import ImageSet
from evalkit.paths import atomic_path

WHOLE = {
    "solvay": ("group", "solvay_input", "solvay_output_gpen"),
    "selfie_a": ("portrait", "selfie_a_input", "selfie_a_output_gpen"),
    "selfie_exif6": ("portrait", "selfie_exif6_input", None),
}
"""Source to kind, registered input, registered output."""

FACES = {
    **{
        f"solvay_face{number}": "solvay_input"
        for number in ("02", "15", "18", "20", "25")
    },
    "selfie_a_face00": "selfie_a_input",
    "selfie_exif6_face00": "selfie_exif6_input",
    "real_00": "real_00_in_out",
    "real_02": "real_02_in_out",
}
"""Source to original. The registered file ``<source>_in_out`` has input left, output
right; faces of one picture have that picture as their original."""

SYNTHETIC = "ffhq_00000"
"""GPEN's validation pair ``<source>_lq``, ``<source>_hq``."""


def prepare(folder: Path) -> pd.DataFrame:
    """Find or fetch the files, split the pairs, list the outputs."""
    recipes = [_whole(source) for source in WHOLE]
    recipes += [_face(source) for source in FACES]
    table = build(folder, [*recipes, _validation()])
    _write_pairs(folder / "published", table["source"][table["error"].isna()].tolist())
    return table


def _whole(source: str) -> Recipe:
    kind, input_name, output_name = WHOLE[source]
    picture = registered()[input_name]
    output = registered()[output_name] if output_name else None
    facts = picture.facts(
        source, kind=kind, width_px=picture.width_px, height_px=picture.height_px
    )
    return Recipe(
        facts=facts,
        inputs=tuple(p.sha256 for p in (picture, output) if p),
        make=partial(_make_whole, source, picture, output),
    )


def _make_whole(
    source: str,
    picture: RegisteredPicture,
    output: RegisteredPicture | None,
    folder: Path,
) -> Made:
    path = picture.fetch()
    if output is None:
        return Made(path=path, note="its whole published output is not registered")
    published = folder / "published" / f"{source}{Path(output.file).suffix}"
    try:
        file = output.fetch()
    except WeightsError as error:
        note = f"without its published output: {error}"
        return Made(path=path, note=note, is_complete=False)
    with atomic_path(published) as temporary:
        shutil.copyfile(file, temporary)
    return Made(path=path, others=(published,))


def _face(source: str) -> Recipe:
    pair = registered()[f"{source}_in_out"]
    note = "left half of a published side-by-side picture; the right half is GPEN's"
    if Path(pair.file).suffix == ".jpg":
        note += "; JPEG, so both halves carry its marks and ring a little at the seam"
    return Recipe(
        facts=pair.facts(
            source,
            kind="aligned-face",
            original=FACES[source],
            note=f"{note}; {pair.note}",
        ),
        inputs=(pair.sha256,),
        make=partial(_split, source, pair),
    )


def _split(source: str, pair: RegisteredPicture, folder: Path) -> Made:
    halves = read_image(pair.fetch())
    middle = halves.shape[1] // 2
    saved = save_pair(folder, source, halves[:, :middle])
    published = folder / "published" / f"{source}.png"
    write_image(published, halves[:, middle:])
    return Made(path=saved.path, others=(published,))


def _validation() -> Recipe:
    low, high = (registered()[f"{SYNTHETIC}_{quality}"] for quality in ("lq", "hq"))
    facts = low.facts(
        SYNTHETIC,
        kind="aligned-face",
        width_px=low.width_px,
        height_px=low.height_px,
        is_synthetic=True,
        note="degraded by GPEN's authors; no published output; about 4 px right of and "
        "below its reference, so that metrics against it need alignment first",
    )
    return Recipe(
        facts=facts,
        inputs=(low.sha256, high.sha256),
        make=lambda _: Made(path=low.fetch(), reference=high.fetch()),
    )


def _write_pairs(published: Path, sources: Sequence[str]) -> None:
    outputs = {p.stem: p.name for p in published.glob("*") if p.suffix != ".csv"}
    lines = [f"{source},{outputs[source]}\n" for source in sources if source in outputs]
    with atomic_path(published / "pairs.csv") as temporary:
        temporary.write_text("source,output\n" + "".join(lines), encoding="utf-8")


ENTRIES = (
    ImageSet(
        name="gpen-official",
        title="GPEN's published inputs, with its published outputs beside them",
        licence="none stated by GPEN's repository: show them, do not republish them",
        note="examples chosen by GPEN's authors: Solvay restored by GPEN-BFR-512, the "
        "selfies by GPEN-BFR-2048; for the two README figures no model is stated",
        prepare=prepare,
    ),
)
