"""Every metric on every odd picture: a value, or a sentence why there is none."""

import math
import warnings

import numpy as np
import oddities
import pytest

from evalkit.errors import ImageError
from evalkit.images import resize
from evalkit.metrics import Metric, metrics
from evalkit.metrics.seams import TileBorders

READ = ("tiny 1x1", "line 4000x1", "black")
"""Enough for what reads text, which takes a second a picture, ten for a line."""

PLAIN = [metric for metric in metrics().values() if metric.shows != "text"]
TEXT = [metric for metric in metrics().values() if metric.shows == "text"]


def outputs(source: np.ndarray) -> list[np.ndarray]:
    """What restorers make of it: the same, something blurred, only black."""
    height, width = source.shape[:2]
    small = resize(source, max(1, width // 2), max(1, height // 2))
    return [source, resize(small, width, height), np.zeros((height, width), np.uint8)]


def check(metric: Metric, source: np.ndarray) -> None:
    height, width = source.shape[:2]
    borders = TileBorders.every(8, height, width)
    given = {"nothing": [], "borders": [borders]}.get(metric.needs, [source])
    for output in outputs(source):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            # two blocks of JPEG and their margins
            expected = (ImageError,) if min(height, width) < 22 else ()
            try:
                value = metric.compute(output, *given)
            except expected:
                pass
            else:
                assert isinstance(value, float)
                assert not math.isnan(value) or metric.nan_means
                assert not math.isinf(value) or metric.name == "psnr"
            if metric.where:
                where = metric.where(output, source)
                assert where.shape == (height, width)
                assert where.dtype == np.float32
                assert np.isfinite(where).all()


@pytest.mark.parametrize("name", oddities.PICTURES)
def test_every_metric_has_a_value_or_says_why_not(name):
    source = oddities.PICTURES[name]()
    for metric in PLAIN:
        check(metric, source)


@pytest.mark.slow
@pytest.mark.parametrize("name", READ)
def test_what_reads_text_takes_strips_and_dots(need, name):
    need(
        __import__("importlib").util.find_spec("rapidocr_onnxruntime"),
        "install the extra ocr",
    )
    for metric in TEXT:
        check(metric, oddities.PICTURES[name]())


@pytest.mark.parametrize(
    ("name", "expected"),
    [("sharpness", 0), ("noise_level", 0), ("blockiness", 0), ("colourfulness", 0)],
)
def test_an_even_picture_has_nothing_of_it(name, expected):
    for even in ("black", "white", "mid-grey", "transparent"):
        value = metrics()[name].compute(oddities.PICTURES[even]())
        assert value == pytest.approx(expected, abs=1e-9)


def test_an_even_source_tells_no_gain_from_a_shift():
    even = oddities.PICTURES["mid-grey"]()
    assert metrics()["invention"].compute(even // 2, even) == pytest.approx(0, abs=1e-6)
    half = even.copy()
    half[:, :24] = 20
    assert metrics()["invention"].compute(half, even) > 5


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("sharpness", "sharpness needs at least 11x11 px; this has 9x9"),
        ("blockiness", "no tile border lies inside the picture: of 9x9 px, none is 7"),
        ("ssim", "at least 11x11 px"),
    ],
)
def test_the_reason_names_the_size(name, reason):
    tiny = oddities.PICTURES["tiny 9x9"]()
    metric = metrics()[name]
    given = [tiny] if metric.needs == "reference" else []
    with pytest.raises(ImageError, match=reason):
        metric.compute(tiny, *given)
