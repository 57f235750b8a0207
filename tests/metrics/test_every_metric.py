import re
import runpy

import cv2
import numpy as np
import pytest

from evalkit.errors import ImageError
from evalkit.metrics import Metric, metrics
from evalkit.metrics.seams import TileBorders
from evalkit.paths import SHIPPED

WITHOUT_VALUE = ("lpips", "niqe")
"""They need weights, and a picture of more blocks."""
DOCS = runpy.run_path(str(SHIPPED / "docs" / "build.py"))["metrics_table"]()

every_metric = pytest.mark.parametrize("metric", metrics().values(), ids=metrics())


def measured(metric: Metric, picture: np.ndarray, other: np.ndarray | None = None):
    """Its value against `other`, or against what makes the picture perfect."""
    if metric.needs == "nothing":
        return metric.compute(picture)
    if metric.needs == "borders":
        return metric.compute(picture, TileBorders.every(64, *picture.shape[:2]))
    return metric.compute(picture, picture if other is None else other)


@pytest.fixture
def picture(astronaut) -> np.ndarray:
    return astronaut[:200, 100:300]


def test_the_four_metrics_of_the_study_are_found():
    assert {"psnr", "ssim", "seams", "colour_shift"} <= set(metrics())


@every_metric
def test_a_metric_says_all_that_a_table_needs(metric):
    assert re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", metric.name)
    assert re.search(r"\d{4}|:", metric.citation)
    assert metric.needs in ("reference", "source", "borders", "nothing")
    assert metric.higher_is_better in (True, False, None)
    assert metric.shows in ("", "text", "faces")


@every_metric
def test_a_metric_is_told_of_in_the_docs(metric):
    (row,) = [row for row in DOCS.splitlines() if f"| `{metric.name}` |" in row]
    assert re.search(r"\| [A-Z].*\. \|", row), "a docstring begins with a sentence"


@every_metric
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_every_kind_of_picture_has_a_value(metric, picture, dtype):
    deep = (picture.astype(np.uint16) * (257 if dtype is np.uint16 else 1)).astype(
        dtype
    )
    alpha = np.full((*deep.shape[:2], 1), np.iinfo(dtype).max, dtype)
    for kind in (deep, deep[..., 0], np.concatenate([deep, alpha], axis=2)):
        value = measured(metric, kind)
        assert isinstance(value, float)
        assert not np.isnan(value) or metric.shows or metric.name in WITHOUT_VALUE


@every_metric
def test_an_opaque_alpha_channel_changes_nothing(metric, picture):
    alpha = np.full((*picture.shape[:2], 1), 255, np.uint8)
    with_alpha = np.concatenate([picture, alpha], axis=2)
    np.testing.assert_equal(
        measured(metric, with_alpha, picture), measured(metric, picture)
    )


@every_metric
def test_pictures_are_left_alone(metric, picture):
    before = picture.copy()
    measured(metric, picture)
    np.testing.assert_array_equal(picture, before)


@every_metric
@pytest.mark.parametrize(
    "bad",
    [
        np.zeros((64, 160, 3), np.float32),
        np.zeros((64, 160, 2), np.uint8),
        np.zeros((0, 160, 3), np.uint8),
    ],
    ids=["floats", "two channels", "no pixel"],
)
def test_what_is_no_picture_is_refused(metric, bad):
    with pytest.raises(ImageError, match="expected"):
        measured(metric, bad)


@pytest.mark.parametrize(
    "metric",
    [m for m in metrics().values() if m.needs in ("reference", "source")],
    ids=lambda m: m.name,
)
def test_two_sizes_are_refused(metric, picture):
    with pytest.raises(ImageError, match="resample it first"):
        metric.compute(picture, picture[:-1])


@pytest.mark.parametrize(
    "metric", [m for m in metrics().values() if m.takes_mask], ids=lambda m: m.name
)
def test_a_mask_limits_what_is_compared(metric, picture):
    output = picture.copy()
    crisper = 3.0 * picture - 2.0 * cv2.GaussianBlur(picture, (0, 0), 2)
    output[:, :75], output[:, 75:150] = 255, crisper.clip(0, 255)[:, 75:150]
    outside = np.ones(picture.shape[:2], bool)
    outside[:, :150] = False
    assert metric.compute(output, picture, mask=outside) != metric.compute(
        output, picture
    )


def test_pictures_larger_than_a_strip_are_measured_whole(picture, monkeypatch):
    other = np.roll(picture, 3, axis=0)
    whole = {
        metric.name: measured(metric, picture, other) for metric in metrics().values()
    }
    monkeypatch.setattr("evalkit.features.STRIP_PX", 7 * picture.shape[1])
    for metric in metrics().values():
        value = measured(metric, picture, other)
        assert value == pytest.approx(whole[metric.name], abs=1e-9, nan_ok=True)
