"""Each registered picture restored in two ways: how far bf16, and tiles, are off.

``python benchmarks/pictures.py [NAME]`` restores a crop of every registered picture of
``$EVALKIT_MIRROR`` by Real-ESRGAN (x4plus unless named) on the CPU and prints two
Markdown tables, by class of picture: the PSNR of our bf16 to our fp32, least, median
and most, with the largest difference of one value; and how far tiles are off the
untiled picture, those of RealESRGANer (its 10 px of context) and ours.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evalkit import load_restorer
from evalkit.images import read_image
from evalkit.metrics.psnr import psnr
from evalkit.restorers.engines.torch import cpu_has

CLASSES = ("portrait", "group", "building", "text", "product", "mixed", "surveillance")
SIDE, TILE = 64, 32
"""Sides of a crop and of a tile, px: two by two tiles, which meet in the middle."""

Rgb = NDArray[np.uint8]


def crops() -> Iterator[tuple[str, str, Rgb]]:
    """Class, name and the middle of each registered picture of 8 bits, in RGB."""
    for root in os.environ.get("EVALKIT_MIRROR", "").split(os.pathsep):
        for file in sorted(Path(root).glob("*/*.*")) if root else ():
            if file.parent.name in CLASSES:
                picture = read_image(file)
                rgb = picture if picture.ndim == 3 else picture[..., None]
                top, left = (max(0, side - SIDE) // 2 for side in rgb.shape[:2])
                crop = rgb[top : top + SIDE, left : left + SIDE, :3]
                if crop.dtype == np.uint8 and crop.shape[:2] == (SIDE, SIDE):
                    whole = np.broadcast_to(crop, (SIDE, SIDE, 3))
                    yield file.parent.name, file.stem, np.ascontiguousarray(whole)


def levels_off(output: Rgb, other: Rgb) -> int:
    return int(np.abs(output.astype(int) - other).max())


def measured(name: str) -> pd.DataFrame:
    """A row for each picture; null where this CPU has no bf16."""
    settings = {
        "fp32": {"precision": "fp32", "tile": 0},
        "ours": {"precision": "fp32", "tile": TILE},
        "upstream": {"precision": "fp32", "tile": 0, "runner": "upstream"},
        "theirs": {"precision": "fp32", "tile": TILE, "runner": "upstream"},
    }
    if cpu_has("bf16"):
        settings["bf16"] = {"precision": "bf16", "tile": 0}
    restorers = {
        way: load_restorer(name, device="cpu", **setting)
        for way, setting in settings.items()
    }
    rows = []
    for kind, picture, source in crops():
        images = {way: r.restore(source).image for way, r in restorers.items()}
        row = {"class": kind, "picture": picture}
        row["ours"] = levels_off(images["ours"], images["fp32"])
        row["RealESRGANer"] = levels_off(images["theirs"], images["upstream"])
        if "bf16" in images:
            row["psnr_db"] = psnr(images["bf16"], images["fp32"])
            row["levels"] = levels_off(images["bf16"], images["fp32"])
        rows.append(row)
    return pd.DataFrame(rows)


def main(name: str) -> None:
    frame = measured(name)
    if frame.empty:
        print("not measured: set EVALKIT_MIRROR to folders of registered pictures")
        return
    every = pd.concat([frame, frame.assign(**{"class": "all"})])
    kinds = every.groupby("class", sort=False)
    if "psnr_db" in frame:
        table = kinds["psnr_db"].agg(["size", "min", "median", "max"]).round(1)
        table["largest difference, of 255"] = kinds["levels"].max()
        print(f"{name}, bf16 against fp32, PSNR in dB\n\n{table.to_markdown()}\n")
    tiles = kinds[["RealESRGANer", "ours"]].max()
    print(f"{name}, tiled against whole, largest difference of 255\n")
    print(tiles.to_markdown())


if __name__ == "__main__":
    main(*(sys.argv[1:] or ["realesrgan-x4plus"]))
