"""How much context a network's output depends on: the margins of Real-ESRGAN's tiles.

A square in the middle of a picture is restored with less and less of its surroundings,
in fp32, and compared with the restoration of all of it. `python benchmarks/margins.py
FOLDER [NETWORK]` prints a CSV table: the largest difference in levels of 255, and the
share of values that are off by more than one, for every picture below FOLDER.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from evalkit.errors import ImageError
from evalkit.images import picture_files, read_image
from evalkit.restorers.realesrgan.network import NETWORKS
from evalkit.restorers.realesrgan.tuned import load_network
from evalkit.weights import fetch

SIDE_PX = 32
MARGINS_PX = (48, 56, 64, 72, 80, 96)
FARTHEST_PX = 112


def crops(folder: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Name and middle ``(S, S, 3)``, float32 in [0, 1], of pictures large enough."""
    side = SIDE_PX + 2 * FARTHEST_PX
    for path in sorted(p for sub in folder.glob("*/") for p in picture_files(sub)):
        try:
            image = read_image(path)
        except ImageError as error:
            print(f"{path}: {error}", file=sys.stderr)
            continue
        if image.ndim == 3 and min(image.shape[:2]) >= side:
            top, left = ((length - side) // 2 for length in image.shape[:2])
            crop = image[top : top + side, left : left + side, :3]
            yield path.name, crop / np.float32(np.iinfo(image.dtype).max)


def main(folder: Path, name: str = "realesrgan-x4plus") -> None:
    network = NETWORKS[name]
    step, _ = load_network(
        network, [fetch(name)], device="cpu", precision="fp32", tile=0
    )

    def middle(crop: np.ndarray, margin: int) -> np.ndarray:
        cut = slice(FARTHEST_PX - margin, FARTHEST_PX + SIDE_PX + margin)
        batch = np.ascontiguousarray(crop[cut, cut].transpose(2, 0, 1)[None])
        kept = slice(margin * network.scale, (margin + SIDE_PX) * network.scale)
        return 255 * step.engine(batch)[:, :, kept, kept].clip(0, 1)

    print("picture,margin_px,max_levels,over_one_level")
    for picture, crop in crops(folder):
        whole = middle(crop, FARTHEST_PX)
        for margin in MARGINS_PX:
            off = np.abs(middle(crop, margin) - whole)
            print(
                f"{picture},{margin},{off.max():.2f},{(off > 1).mean():.6f}", flush=True
            )


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
