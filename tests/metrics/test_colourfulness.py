import numpy as np
import pytest

from evalkit.metrics.colourfulness import colourfulness


def test_grey_has_no_colour(astronaut):
    assert colourfulness(astronaut[..., 0]) == 0


def test_it_is_the_authors_formula(astronaut):
    red, green, blue = astronaut.reshape(-1, 3).T.astype(float)
    first, second = red - green, 0.5 * (red + green) - blue
    spread = np.sqrt(first.var() + second.var())
    mean = np.sqrt(first.mean() ** 2 + second.mean() ** 2)
    assert colourfulness(astronaut) == pytest.approx(spread + 0.3 * mean)
