"""Our metrics against other implementations: the calibration table of docs/metrics.md.

`python benchmarks/metrics.py` degrades photographs that scikit-image carries and prints
a Markdown table: each metric beside another implementation of the same quantity, the
range of values, and how far apart the two ever are.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import cv2
import numpy as np
import pandas as pd
from skimage import data
from skimage.color import deltaE_cie76
from skimage.feature import structure_tensor, structure_tensor_eigenvalues
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from evalkit.features import LEVEL, LUMA
from evalkit.images import Picture
from evalkit.imports.basicsr import import_basicsr
from evalkit.metrics import metrics
from evalkit.metrics.coherence_change import SIGMA_PX

import_basicsr()
from basicsr.metrics.psnr_ssim import calculate_psnr, calculate_ssim  # noqa: E402

PICTURES = {
    "astronaut": data.astronaut()[:256, 100:356],
    "coffee": data.coffee()[100:356, 150:406],
    "cat": data.chelsea()[:256, 100:356],
    "rocket": data.rocket()[:256, 200:456],
}

FLOOR = (8 * LEVEL) ** 2
"""As in our coherence; Sobel's weights add up to 8."""


class Other(NamedTuple):
    """Another implementation of a metric: ``compute(output, source)``."""

    metric: str
    name: str
    compute: Callable[[Picture, Picture], float]


def degraded(source: Picture) -> Iterator[tuple[str, Picture]]:
    rng = np.random.default_rng(0)
    for sigma in (1, 2, 4):
        yield f"blur {sigma} px", cv2.GaussianBlur(source, (0, 0), sigma)
    for sigma in (5, 15, 30):
        noisy = source + rng.normal(0, sigma, source.shape)
        yield f"noise {sigma}", np.rint(noisy).clip(0, 255).astype(np.uint8)
    for quality in (10, 40, 80):
        _, coded = cv2.imencode(".jpg", source, [cv2.IMWRITE_JPEG_QUALITY, quality])
        yield f"JPEG {quality}", cv2.imdecode(coded, cv2.IMREAD_COLOR)
    warm = source * np.array([1.05, 1.0, 0.9])
    yield "warmer", np.rint(warm).clip(0, 255).astype(np.uint8)


def gaussian_ssim(output: Picture, source: Picture) -> float:
    options = {"channel_axis": 2, "data_range": 255, "gaussian_weights": True}
    return float(
        structural_similarity(
            output, source, sigma=1.5, use_sample_covariance=False, **options
        )
    )


def lab_difference(output: Picture, source: Picture) -> float:
    means = [
        cv2.cvtColor(np.float32(picture / 255), cv2.COLOR_RGB2LAB).mean((0, 1))
        for picture in (output, source)
    ]
    return float(deltaE_cie76(*means))


def laplacian_sigma(output: Picture, _: Picture) -> float:
    """Immerkær 1996, doi:10.1006/cviu.1996.0060, by its formula."""
    mask = np.array([[1.0, -2, 1], [-2, 4, -2], [1, -2, 1]])
    inside = cv2.filter2D(output @ LUMA, -1, mask)[1:-1, 1:-1]
    return float(np.sqrt(np.pi / 2) / 6 * np.abs(inside).mean())


def coherence(output: Picture, source: Picture) -> float:
    found = []
    for picture in (source, output):
        tensor = structure_tensor(picture @ LUMA / 255, SIGMA_PX, "mirror")
        large, small = structure_tensor_eigenvalues(tensor)
        energy = large + small + FLOOR
        found.append(((large - small) / energy, energy))
    (before, energy), (after, _) = found
    return float(np.average(after - before, weights=energy))


OTHERS = (
    Other("psnr", "scikit-image, RGB, no border cropped", peak_signal_noise_ratio),
    Other(
        "psnr",
        "basicsr, RGB, no border cropped",
        lambda output, source: calculate_psnr(output, source, crop_border=0),
    ),
    Other("ssim", "scikit-image, RGB in 8 bits, Gaussian of 1.5 px", gaussian_ssim),
    Other(
        "ssim",
        "basicsr, RGB, no border cropped",
        lambda output, source: calculate_ssim(output, source, crop_border=0),
    ),
    Other("colour_shift", "OpenCV's Lab, scikit-image's difference", lab_difference),
    Other("noise_level", "Immerkær's difference of Laplacians", laplacian_sigma),
    Other("coherence_change", "scikit-image's structure tensor", coherence),
)


def main() -> None:
    rows = []
    for source in PICTURES.values():
        for _, output in degraded(source):
            for other in OTHERS:
                metric = metrics()[other.metric]
                given = [output] if metric.needs == "nothing" else [output, source]
                rows.append(
                    {
                        "metric": other.metric,
                        "other": other.name,
                        "ours": metric.compute(*given),
                        "theirs": float(other.compute(output, source)),
                    }
                )
    frame = pd.DataFrame(rows)
    frame["difference"] = (frame["ours"] - frame["theirs"]).abs()
    table = []
    for (name, other), pairs in frame.groupby(["metric", "other"], sort=False):
        ours, theirs = pairs["ours"], pairs["theirs"]
        table.append(
            {
                "metric": name,
                "other implementation": other,
                "n": len(pairs),
                "ours from": ours.min(),
                "to": ours.max(),
                "median difference": pairs["difference"].median(),
                "largest": pairs["difference"].max(),
                "rank correlation": ours.corr(theirs, method="spearman"),
            }
        )
    print(pd.DataFrame(table).to_markdown(index=False, floatfmt=".3g"))


if __name__ == "__main__":
    main()
