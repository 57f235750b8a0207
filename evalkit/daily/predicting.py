"""What a restorer will take: by runs here, by runs elsewhere, or by arithmetic."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from evalkit.daily.evidence import Measured
from evalkit.restorers import CostBound, restorers
from evalkit.texts import tell

HERE, ELSEWHERE = "measured here", "measured on another card"
ARITHMETIC = "arithmetic only"

LEAST_CELLS = 3
"""As many as a model has terms; with fewer, only a size that was measured is known."""

ROUNDING = 0.01
"""A share by which a size may lie outside the measured range."""

Quantity = Literal["memory", "time"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A figure with its kind of evidence.

    Attributes
    ----------
    value
        MiB, or seconds; None where nothing is known.
    evidence
        `HERE`, `ELSEWHERE` or `ARITHMETIC`; of the last, `value` is the least that it
        can be.
    detail
        What it stands on, in a few words.

    """

    value: float | None
    evidence: str
    detail: str

    @property
    def is_least(self) -> bool:
        """Whether it is a lower bound and nothing more."""
        return self.evidence == ARITHMETIC


class Predictor:
    """Predicts from measured cells, inside their range only.

    Cells of one machine that differ in size or tile alone share a model, with terms
    that cannot be negative: the memory is a constant (program, weights, libraries), a
    multiple of the bytes that coexist in the network (`CostBound`), and a share for
    each pixel of the source (source, output, encoder). The time is a constant, a
    multiple of the operations, and a share for each pixel. Relative errors are least.
    """

    def __init__(self, cells: Iterable[Measured], machine: str) -> None:
        self._machine = machine
        groups: dict[tuple[str, str, str], list[Measured]] = {}
        for cell in cells:
            name = (cell.machine, cell.restorer, _without_tile(cell.setting))
            groups.setdefault(name, []).append(cell)
        self._groups = {name: _Group(group) for name, group in groups.items()}

    def estimate(
        self,
        quantity: Quantity,
        restorer: str,
        setting: Mapping[str, Any],
        size: tuple[int, int],
        rate: Mapping[str, Any] | None = None,
    ) -> Estimate:
        """Predict for a source of `size` (width, height).

        Without measured cells in whose range it lies, the arithmetic's floor is what is
        known: of a time only with the device's `rate` (`evalkit.tables.RATES`).
        """
        names = [n for n in self._groups if n[1:] == (restorer, _without_tile(setting))]
        for name in sorted(names, key=lambda name: name[0] != self._machine):
            value, detail = self._groups[name].predict(quantity, setting, size)
            if value is not None:
                is_here = name[0] == self._machine
                return Estimate(
                    value=value,
                    evidence=HERE if is_here else ELSEWHERE,
                    detail=detail if is_here else f"{name[0]}: {detail}",
                )
        return _floor(quantity, work_of(restorer, setting, size), rate or {})


def _floor(
    quantity: Quantity, work: CostBound | None, rate: Mapping[str, Any]
) -> Estimate:
    value: float | None = None
    detail = tell("fit.detail.uncounted")
    if work and quantity == "memory":
        value, detail = work.coexisting_bytes / 2**20, tell("fit.detail.memory")
    elif work and rate:
        seconds = [work.moved_bytes / 2**30 / rate["copy_gib_s"]]
        if work.operations:
            seconds.append(work.operations / 1e12 / rate["matrix_tflop_s"])
        value, detail = max(seconds), tell("fit.detail.time")
    elif work:
        detail = tell("fit.detail.no-rate")
    return Estimate(value=value, evidence=ARITHMETIC, detail=detail)


class _Group:
    """Cells of a machine and a restorer that differ in size or tile alone."""

    def __init__(self, cells: Sequence[Measured]) -> None:
        self._cells = cells
        self._sizes = {(cell.setting.get("tile"), *_size(cell)) for cell in cells}

    def predict(
        self, quantity: Quantity, setting: Mapping[str, Any], size: tuple[int, int]
    ) -> tuple[float | None, str]:
        """The value, if it is known, and what it stands on."""
        same = [
            cell
            for cell in self._cells
            if (cell.setting, _size(cell)) == (setting, size)
        ]
        if same:
            worst = max(same, key=lambda cell: getattr(cell, _COLUMNS[quantity]))
            n = sum(cell.n_runs for cell in same)
            detail = tell("fit.detail.runs", n=n, s="s" if n > 1 else "")
            return getattr(worst, _COLUMNS[quantity]), detail
        if len(self._sizes) < LEAST_CELLS:
            return None, ""
        terms = _terms(quantity, self._cells[0].restorer, setting, size)
        if terms is None or not self._is_inside(quantity, terms):
            return None, ""
        pixels = [cell.width * cell.height / 1e6 for cell in self._cells]
        ends = {"least": f"{min(pixels):.2g}", "most": f"{max(pixels):.2g}"}
        detail = tell("fit.detail.cells", n=len(self._sizes), **ends)
        return float(terms @ self._weights[quantity]), detail

    def _is_inside(self, quantity: Quantity, terms: NDArray[np.float64]) -> bool:
        low, high = (
            self._matrix[quantity].min(axis=0),
            self._matrix[quantity].max(axis=0),
        )
        is_inside = (terms >= low * (1 - ROUNDING)) & (terms <= high * (1 + ROUNDING))
        return bool(is_inside.all())

    @cached_property
    def _matrix(self) -> dict[Quantity, NDArray[np.float64]]:
        return {
            quantity: np.array(
                [
                    _terms(quantity, cell.restorer, cell.setting, _size(cell))
                    for cell in self._cells
                ]
            )
            for quantity in _COLUMNS
        }

    @cached_property
    def _weights(self) -> dict[Quantity, NDArray[np.float64]]:
        from scipy.optimize import nnls

        weights = {}
        for quantity, matrix in self._matrix.items():
            values = np.array([getattr(c, _COLUMNS[quantity]) for c in self._cells])
            weights[quantity] = nnls(matrix / values[:, None], np.ones(len(values)))[0]
        return weights


_COLUMNS: dict[Quantity, str] = {"memory": "memory_mib", "time": "time_s"}


def _size(cell: Measured) -> tuple[int, int]:
    return cell.width, cell.height


def _terms(
    quantity: Quantity, restorer: str, setting: Mapping[str, Any], size: tuple[int, int]
) -> NDArray[np.float64] | None:
    """A constant, the network's part, the pixels'; None where the work is unknown."""
    work = work_of(restorer, setting, size)
    if work is None:
        return None
    of_network = work.coexisting_bytes / 2**20
    if quantity == "time":
        of_network = work.operations / 1e12
    return np.array([1.0, of_network, size[0] * size[1] / 1e6])


def work_of(
    restorer: str, setting: Mapping[str, Any], size: tuple[int, int]
) -> CostBound | None:
    """What a picture asks of a device at the least; None where it is not counted."""
    return _work_of(restorer, json.dumps(dict(setting), sort_keys=True), size)


@cache
def _work_of(restorer: str, setting: str, size: tuple[int, int]) -> CostBound | None:
    count = restorers()[restorer].work
    return count(json.loads(setting), size[1], size[0]) if count else None


def _without_tile(setting: Mapping[str, Any]) -> str:
    kept = {name: value for name, value in setting.items() if name != "tile"}
    if "device" in kept:  # whichever of several
        kept["device"] = str(kept["device"]).partition(":")[0]
    return json.dumps(kept, sort_keys=True)
