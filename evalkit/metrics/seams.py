"""Visible borders between tiles."""

from collections.abc import Iterable
from typing import NamedTuple

from evalkit.errors import ImageError, SettingError
from evalkit.features import (
    BESIDE_PX,
    border_contrast,
    border_energies,
    usable_borders,
)
from evalkit.images import Picture
from evalkit.metrics._spec import Metric

MOVES_PX = range(7, 65)
"""How far the borders are moved for `noise`: past the gradients beside them, and over
several blocks of JPEG, so that a grid of the source's own counts as noise."""


class TileBorders(NamedTuple):
    """The lines where tiles meet in an output.

    Attributes
    ----------
    rows
        A border ``k`` lies between row ``k - 1`` and row ``k``, in output px.
    columns
        The same for columns.

    """

    rows: tuple[int, ...]
    columns: tuple[int, ...]

    @classmethod
    def every(cls, period: int, height: int, width: int) -> "TileBorders":
        """The borders of a regular grid that begins at the top left corner.

        Parameters
        ----------
        period
            Side of a tile in output px: tile times scale.
        height, width
            The output's, px.

        Raises
        ------
        SettingError
            A period under 1.

        Examples
        --------
        >>> TileBorders.every(64, 130, 100)
        TileBorders(rows=(64, 128), columns=(64,))

        """
        if period < 1:
            raise SettingError(f"expected a period of at least 1 px, got {period}")
        return cls(
            rows=tuple(range(period, height, period)),
            columns=tuple(range(period, width, period)),
        )


def seams(output: Picture, borders: TileBorders) -> float:
    r"""Energy of the gradient across tile borders against that beside them, in dB.

    .. math:: 10 \left( \overline{\log_{10}(g_0^2 + \epsilon)} -
              \overline{\log_{10}(g_d^2 + \epsilon)} \right)

    where :math:`g_0` is the difference of luma across a border, :math:`g_d` the same
    2 to 6 px beside it on both sides, and :math:`\epsilon` one level of 255, squared.

    Returns
    -------
    float
        About 0 without seams, above 0 with them. The mean of logarithms weighs a
        small step in an even area, which is seen, over one in texture, which is not.
        Borders within 6 px of the picture's edge are left out.

    Raises
    ------
    ImageError
        No border lies inside the picture.

    Notes
    -----
    What counts as above 0 depends on the picture: compare with `noise`.

    References
    ----------
    Our own. The comparison across and beside a known grid is that of Wang, Bovik &
    Evans, Blind measurement of blocking artifacts in images, ICIP 2000,
    doi:10.1109/ICIP.2000.899622.

    Examples
    --------
    A step of 1 level against none, with one level as the floor, doubles the energy:

    >>> import numpy as np
    >>> even = np.full((40, 40), 100, np.uint8)
    >>> even[:, 20:] += 1
    >>> round(seams(even, TileBorders(rows=(), columns=(20,))), 2)
    3.01

    """
    return border_contrast(*border_energies(output), *borders)


def noise(output: Picture, borders: TileBorders) -> float:
    """The highest score of the same lines moved to where no tiles meet, in dB.

    A score of `seams` above this is a seam; one below cannot be told from texture.

    Returns
    -------
    float
        The highest score of all moves by 7 to 64 px both ways; lines that come
        within 6 px of a border are left out. Measured at 64 to 128 px: 0.2 to 1.2 dB
        on scikit-image's astronaut, camera, coffee and chelsea; several dB on text.

    Raises
    ------
    ImageError
        As in `seams`; also when tiles are too small to move the lines.

    """
    energies = border_energies(output)
    near = [_near(lines, max(BESIDE_PX)) for lines in borders]
    scores = []
    for shift in (sign * distance for distance in MOVES_PX for sign in (-1, 1)):
        moved = [
            [k + shift for k in lines if k + shift not in borders_near]
            for lines, borders_near in zip(borders, near, strict=True)
        ]
        if any(map(usable_borders, moved, output.shape)):
            scores.append(border_contrast(*energies, *moved))
    if not scores:
        raise ImageError("the tiles are too small to tell a seam from texture")
    return max(scores)


def _near(lines: Iterable[int], distance: int) -> set[int]:
    return {k + d for k in lines for d in range(-distance, distance + 1)}


ENTRIES = (
    Metric(
        name="seams",
        unit="dB",
        higher_is_better=False,
        citation="after Wang, Bovik & Evans 2000, doi:10.1109/ICIP.2000.899622",
        needs="borders",
        compute=seams,
    ),
)
