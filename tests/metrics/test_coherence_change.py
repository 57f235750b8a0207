import cv2
import numpy as np
import pytest

from evalkit.metrics.coherence_change import coherence_change, where

ROWS, COLUMNS = np.mgrid[:96, :96]
STRANDS = np.rint(128 + 80 * np.sin((COLUMNS + 0.4 * ROWS) / 2)).astype(np.uint8)


def jagged(picture):
    small = cv2.resize(picture, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_NEAREST)
    return cv2.resize(small, picture.shape[::-1], interpolation=cv2.INTER_NEAREST)


def test_strands_that_break_into_steps_lose_their_direction():
    assert coherence_change(jagged(STRANDS), STRANDS) < -0.1


def test_blurring_or_more_contrast_leaves_the_direction():
    assert abs(coherence_change(cv2.GaussianBlur(STRANDS, (0, 0), 1), STRANDS)) < 0.02
    assert abs(coherence_change(STRANDS // 2, STRANDS)) < 0.02


def test_crossing_strands_have_none():
    crossed = (STRANDS // 2 + STRANDS.T // 2).astype(np.uint8)
    assert coherence_change(crossed, STRANDS) < -0.3
    assert coherence_change(STRANDS, crossed) > 0.3


def test_the_map_shows_where():
    output = STRANDS.copy()
    output[:, :48] = jagged(STRANDS)[:, :48]
    change = where(output, STRANDS)
    assert change.shape == STRANDS.shape
    assert change[:, :40].mean() < -0.1
    assert change[:, 60:].mean() == pytest.approx(0, abs=1e-6)
