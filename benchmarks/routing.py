"""How long the router looks at a picture, models warm: the target is 400 ms.

Every picture below FOLDER that is at least as large is brought to 1024x768 (or on its
side) and looked at three times. `python benchmarks/routing.py FOLDER` prints a CSV
table in milliseconds: the median picture and the slowest, all of it and by part. Run it
on two quiet cores (`taskset -c 0,1`).
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from evalkit import faces, features
from evalkit.errors import ImageError
from evalkit.images import picture_files, read_image, resize
from evalkit.restorers._look import FACES_PX
from evalkit.restorers._routing import decide, look

SIDES_PX = (1024, 768)
TIMES = 3


def pictures(folder: Path) -> list[np.ndarray]:
    found = []
    for path in sorted(p for sub in folder.glob("*/") for p in picture_files(sub)):
        try:
            image = faces.as_rgb8(read_image(path))
        except ImageError as error:
            print(f"{path}: {error}", file=sys.stderr)
            continue
        width, height = SIDES_PX if image.shape[1] > image.shape[0] else SIDES_PX[::-1]
        if image.shape[0] >= height and image.shape[1] >= width:
            found.append(resize(image, width, height))
    return found


def milliseconds(work: Callable[[np.ndarray], object], image: np.ndarray) -> float:
    work(image)
    times = []
    for _ in range(TIMES):
        start = time.perf_counter()
        work(image)
        times.append(time.perf_counter() - start)
    return 1000 * float(np.median(times))


def main(folder: Path) -> None:
    detector = faces.detector()
    images = pictures(folder)
    parts: dict[str, Callable[[np.ndarray], object]] = {
        "all": lambda image: decide(look(image, detector)),
        f"faces, {detector.name}": lambda image: faces.find_at(
            detector, image, faces.CONFIDENCE, FACES_PX
        ),
        "text": features.text_boxes,
        "straight edges": features.straight_edges,
    }
    print("part,pictures,median_ms,slowest_ms")
    for name, work in parts.items():
        times = [milliseconds(work, image) for image in images]
        row = f"{len(images)},{np.median(times):.0f},{max(times):.0f}"
        print(f'"{name}",{row}', flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
