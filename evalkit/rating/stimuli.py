"""Outputs as subjects see them: one size, one resampling, no names, no metadata."""

import hashlib
import io
import math
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple, get_args

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from evalkit.errors import StudyError
from evalkit.images import Picture, read_image
from evalkit.paths import atomic_path, data_file
from evalkit.rating.items import GOLDS, SOURCE, TRAPS, WHOLE, Cell, Item, cell_of
from evalkit.rating.plan import refuse_random
from evalkit.texts import Language, text

SHOWN_PX = (1280, 960)
"""Width and height that a shown picture fits in."""

LARGEST_SCALE = 4
"""A source is shown at this scale, or at the smaller one that fits `SHOWN_PX`."""

RULES, TRAP_RULES = "1", "2"
"""Part of a stimulus's (of a trap's) name: to be raised when it is drawn otherwise."""

SUFFIX = ".webp"
WEBP = {"lossless": True, "quality": 25, "method": 1}
"""How stimuli are encoded. Of ten real pictures (median 70 % of a PNG) quality 50 and
method 3 take 1 to 8 % of a PNG less in twice the time, quality 100 and method 6 one to
three more in 50 times the time."""

MAX_ASPECT_ERROR = 0.02
LEAST_LETTER_PX = 10
"""The height of a trap's letters: smaller ones cannot be read; 0 is no font size."""

GOLD_CELL_PX = dict(zip(GOLDS, (40, 12), strict=True))
"""Side of the squares that a gold picture consists of, by condition."""

FONT = "trap.otf"
"""The letters of the traps, out of Noto Sans CJK SC: (c) Adobe, SIL Open Font License
1.1, which the file itself says."""

LANGUAGES: tuple[Language, ...] = get_args(Language)
"""A trap is drawn in each; anything else is the same in all."""


class Stimulus(NamedTuple):
    """A picture as shown.

    Attributes
    ----------
    name
        The name of its file without `SUFFIX`: hexadecimal digits that mean nothing.
    width_px, height_px
        The same for every stimulus of a source.
    content
        What the source shows, as far as reasons for a score depend on it: ``face``,
        ``text`` or nothing.

    """

    name: str
    width_px: int
    height_px: int
    content: str = ""


def shown_size(width_px: int, height_px: int) -> tuple[int, int]:
    """Width and height at which everything made of a source is shown.

    It depends on nothing but the source, so that a condition that comes later changes
    no stimulus that was rated.

    Examples
    --------
    >>> shown_size(256, 171), shown_size(1024, 768), shown_size(4000, 2000)
    ((1024, 684), (1280, 960), (1280, 640))

    """
    scale = min(LARGEST_SCALE, SHOWN_PX[0] / width_px, SHOWN_PX[1] / height_px)
    return max(1, round(width_px * scale)), max(1, round(height_px * scale))


def is_large(width_px: int, height_px: int) -> bool:
    """Whether four times this size is more than `SHOWN_PX`, so that it is reduced."""
    most = SHOWN_PX[0] // LARGEST_SCALE, SHOWN_PX[1] // LARGEST_SCALE
    return width_px > most[0] or height_px > most[1]


def size_of(row: Mapping[str, Any]) -> tuple[int, int]:
    """The shown size of a row of `outputs` in `name_stimuli`, or of its part."""
    if crop := row.get("crop"):
        return shown_size(*crop[2:])
    return shown_size(row["width_px"], row["height_px"])


def name_stimuli(outputs: pd.DataFrame, seed: int) -> dict[Cell, Stimulus]:
    """Name every picture that could be shown, without making any.

    Parameters
    ----------
    outputs
        Columns ``source, condition, role, picture`` (a digest of the picture),
        ``width_px, height_px`` (of the source); a row of role ``source`` for each.
        ``content`` may be there, as in `Stimulus`; so may ``part`` (``whole`` or
        ``detail``) and ``crop``, which is that detail: left, top, width and height in
        px of the source, or null.
    seed
        The seed of the study. It and the picture make the name: another picture is
        another stimulus.

    Returns
    -------
    dict
        Stimuli by cell, the checks of each source among them.

    """
    sources = outputs[outputs["role"] == SOURCE]
    checks = [sources.assign(condition=name) for name in (*GOLDS, *TRAPS)]
    stimuli = {}
    for row in pd.concat([outputs, *checks]).to_dict("records"):
        cell = cell_of(row["source"], row["condition"], row.get("part", WHOLE))
        rules = TRAP_RULES if row["condition"] in TRAPS else RULES
        facts = [rules, str(seed), *cell, row["role"], row["picture"]]
        facts += map(str, row.get("crop") or ())
        name = hashlib.sha256("\0".join(facts).encode()).hexdigest()[:32]
        stimuli[cell] = Stimulus(name, *size_of(row), row.get("content") or "")
    return stimuli


def stimulus_file(folder: Path, name: str, language: Language) -> Path:
    """The file of a stimulus for a subject who reads `language`.

    It bears the name; a trap has another for each language but the first.
    """
    own = folder / f"{name}.{language}{SUFFIX}"
    return own if own.is_file() else folder / f"{name}{SUFFIX}"


def keeps_proportions(
    width_px: float, height_px: float, of_width_px: float, of_height_px: float
) -> bool:
    """Whether two sizes are of one view: by 2 %, or by a pixel that was rounded off."""
    wide, high = width_px * of_height_px, height_px * of_width_px
    one_px = max(width_px, height_px, of_width_px, of_height_px)
    return abs(wide - high) <= max(MAX_ASPECT_ERROR * high, one_px)


def write_stimuli(
    items: Iterable[Item],
    outputs: pd.DataFrame,
    stimuli: Mapping[Cell, Stimulus],
    folder: Path,
) -> None:
    """Write what is missing of the pictures that `items` show.

    Every output is resampled by one filter, Lanczos (a = 3) widened when it shrinks;
    one that has the shown size stays as it is, and so does a detail of one. The low
    anchor is the source enlarged
    by bicubic interpolation. A trap has a file for each language. Files are WebP,
    lossless, which take 60 to 91 % of a PNG's bytes, of the one chunk VP8L, followed by
    zeros up to the longest of the source's files.

    Parameters
    ----------
    outputs
        As in `name_stimuli`, with ``path`` and ``weights_kind``.
    folder
        Gets the files that `stimulus_file` names.

    Raises
    ------
    StudyError
        An output of random weights, or one of other proportions than its source.

    """
    refuse_random(outputs)
    rows = {
        cell_of(r["source"], r["condition"], r.get("part", WHOLE)): r
        for r in outputs.to_dict("records")
    }
    cells = {
        item.cell(condition)
        for item in items
        for condition in (item.left, item.right, SOURCE)
        if condition
    }
    folder.mkdir(parents=True, exist_ok=True)

    def encode(place: tuple[Path, Cell, Language]) -> bytes:
        _, cell, language = place
        row = rows.get(cell) or rows[cell[0], SOURCE, *cell[2:]]
        picture = draw(cell[1], row, stimuli[cell], language)
        file = io.BytesIO()
        picture.save(file, "WEBP", **WEBP)
        return file.getvalue()

    with ThreadPoolExecutor() as pool:
        for source, group in groupby(sorted(cells), key=itemgetter(0)):
            names = [s.name for (its, *_), s in stimuli.items() if its == source]
            files = {p for n in names for p in _files(folder, n) if p.is_file()}
            missing = [
                (path, cell, language)
                for cell in group
                for path, language in zip(
                    _files(folder, stimuli[cell].name), LANGUAGES, strict=True
                )
                if path not in files and (cell[1] in TRAPS or language == LANGUAGES[0])
            ]
            drawn = {
                path: encoded
                for (path, _, _), encoded in zip(
                    missing, pool.map(encode, missing), strict=True
                )
            }
            lengths = [path.stat().st_size for path in files]
            length = max([*lengths, *map(len, drawn.values())])
            for path in files:
                with path.open("ab") as file:
                    file.write(bytes(length - file.tell()))
            for path, encoded in drawn.items():
                with atomic_path(path) as temporary:
                    temporary.write_bytes(encoded.ljust(length, b"\0"))


def _files(folder: Path, name: str) -> list[Path]:
    """Where a stimulus may lie, by language; what is no trap has the first only."""
    return [
        folder / f"{name}{SUFFIX}",
        *(folder / f"{name}.{n}{SUFFIX}" for n in LANGUAGES[1:]),
    ]


def draw(
    condition: str,
    row: Mapping[str, Any],
    stimulus: Stimulus,
    language: Language = "en",
) -> Image.Image:
    """A picture or its part, as shown; `row` is one of `outputs` as written."""
    size = stimulus.width_px, stimulus.height_px
    picture = on_grey(read_image(Path(row["path"])))
    of_source = row["width_px"], row["height_px"]
    if not keeps_proportions(*picture.size, *of_source):
        raise StudyError(
            f"{row['condition']} of {row['source']}: expected the proportions of its "
            f"source, {of_source[0]}:{of_source[1]}, found {picture.width}x"
            f"{picture.height} px, which would be distorted. Leave the condition out "
            "of the rating"
        )
    left, top, wide, high = row.get("crop") or (0, 0, *of_source)
    x, y = picture.width / of_source[0], picture.height / of_source[1]
    box = left * x, top * y, (left + wide) * x, (top + high) * y
    if condition in GOLDS:
        small = [math.ceil(side / GOLD_CELL_PX[condition]) for side in size]
        squares = picture.resize(small, Image.Resampling.BOX, box)
        return squares.resize(size, Image.Resampling.NEAREST)
    is_anchor = row["role"] == "anchor"
    filter_ = Image.Resampling.BICUBIC if is_anchor else Image.Resampling.LANCZOS
    resized = picture.resize(size, filter_, box)
    if condition not in TRAPS:
        return resized
    return _trap(resized, trap_words(condition, language))


def trap_words(condition: str, language: Language) -> str:
    """What a trap says, in two lines: to choose a key, by its digit and its word."""
    digit, word = TRAPS[condition]
    answer = digit + text(f"rating.{word}", language)
    return text("rating.trap", language, answer=answer)


def _trap(picture: Image.Image, words: str) -> Image.Image:
    """A blurred picture that says, large, what to answer."""
    blurred = picture.filter(ImageFilter.GaussianBlur(picture.width / 40))
    pen = ImageDraw.Draw(blurred)
    # the height of a wide picture is what is scarce
    letter_px = min(picture.width / 8, picture.height / 5)
    font = ImageFont.truetype(data_file(FONT), max(LEAST_LETTER_PX, letter_px))
    middle = (picture.width / 2, picture.height / 2)
    place: dict[str, Any] = {"font": font, "anchor": "mm", "align": "center"}
    left, top, right, bottom = pen.multiline_textbbox(middle, words, **place)
    margin = min(picture.width / 40, picture.height / 20)
    frame = (left - margin, top - margin, right + margin, bottom + margin)
    pen.rectangle(frame, fill="white")
    pen.multiline_text(middle, words, fill="black", **place)
    return blurred


def on_grey(picture: Picture) -> Image.Image:
    """A picture as 8-bit RGB, its transparent parts on middle grey."""
    if picture.dtype == np.uint16:
        picture = np.rint(picture / 257).astype(np.uint8)
    image = Image.fromarray(picture)
    if image.mode == "RGBA":
        grey = Image.new("RGBA", image.size, (128, 128, 128, 255))
        image = Image.alpha_composite(grey, image)
    return image.convert("RGB")
