"""Text that was rendered, and is therefore known, in Latin and in Chinese."""

import random
from functools import cache
from importlib.util import find_spec

import cv2
import numpy as np
import pytest
from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont

from evalkit.metrics._content import lines_of
from evalkit.metrics.text import (
    character_error_rate,
    text_agreement,
    text_confidence,
    text_error,
)

LATIN = ["Restored pictures", "keep their words", "since 1998"]
CHINESE = ["图像修复实验", "文字清晰可读"]


@pytest.fixture(autouse=True)
def _reader(need):
    need(find_spec("rapidocr_onnxruntime"), "pip install evalkit[ocr]")


def rendered(lines, font):
    page = Image.new("RGB", (420, 60 * len(lines) + 20), "white")
    for row, line in enumerate(lines):
        ImageDraw.Draw(page).text((20, 10 + 60 * row), line, "black", font)
    return np.asarray(page)


@pytest.fixture
def latin():
    return rendered(LATIN, ImageFont.truetype(font_manager.findfont("DejaVu Sans"), 36))


@pytest.fixture
def chinese(need):
    fonts = [f.fname for f in font_manager.fontManager.ttflist if "CJK" in f.name]
    need(fonts, "install a font with Chinese characters, such as fonts-noto-cjk")
    return rendered(CHINESE, ImageFont.truetype(fonts[0], 36))


def smeared(page):
    """Strokes that run into each other."""
    return cv2.GaussianBlur(cv2.erode(page, np.ones((7, 7))), (0, 0), 4)


def read(page):
    return "".join(line.text for line in lines_of(page))


def test_known_latin_is_read_from_a_clean_page_and_not_from_a_smeared_one(latin):
    known = "".join(LATIN)
    assert character_error_rate(read(latin), known) < 0.05
    assert character_error_rate(read(smeared(latin)), known) > 0.3


def test_known_chinese_is_read_from_a_clean_page_and_not_from_a_smeared_one(chinese):
    known = "".join(CHINESE)
    assert character_error_rate(read(chinese), known) < 0.1
    assert character_error_rate(read(smeared(chinese)), known) > 0.3


def test_smearing_raises_the_error_and_lowers_the_agreement_and_jpeg_does_not(latin):
    _, coded = cv2.imencode(".jpg", latin, [cv2.IMWRITE_JPEG_QUALITY, 60])
    mild = cv2.imdecode(coded, cv2.IMREAD_COLOR)
    assert text_error(mild, latin) < 5 < 30 < text_error(smeared(latin), latin)
    assert text_agreement(mild, latin) > 95
    assert text_agreement(smeared(latin), latin) < 70
    assert text_confidence(latin) > 85


def test_a_picture_without_text_has_nothing_to_read(astronaut):
    leaves = cv2.GaussianBlur(astronaut[300:500, :200], (0, 0), 3)
    assert np.isnan(text_confidence(leaves))
    assert np.isnan(text_error(leaves, leaves))
    assert np.isnan(text_agreement(leaves, leaves))


def distance(one, other):
    """The definition, by recursion."""

    @cache
    def step(i, j):
        if i == 0 or j == 0:
            return i + j
        swap = step(i - 1, j - 1) + (one[i - 1] != other[j - 1])
        return min(swap, step(i - 1, j) + 1, step(i, j - 1) + 1)

    return step(len(one), len(other))


def test_the_error_rate_is_levenshteins_distance_over_the_known_length():
    letters = random.Random(0)
    for _ in range(50):
        one, other = (
            "".join(letters.choices("abc", k=letters.randint(1, 9))) for _ in range(2)
        )
        rate = character_error_rate(one, other)
        assert rate == pytest.approx(distance(one, other) / len(other))


def test_white_space_and_full_width_signs_are_no_errors():
    assert character_error_rate("a b,1", "ab,1") == 0
    assert np.isnan(character_error_rate("a", " "))
