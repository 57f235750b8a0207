"""What fits a memory, and how long it takes: of a picture, a size, an album."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evalkit.daily.compare import USUAL, lacks
from evalkit.daily.evidence import RUN, measured_cells
from evalkit.daily.predicting import ARITHMETIC, Estimate, Predictor, work_of
from evalkit.errors import SettingError
from evalkit.experiments._floors import Rates
from evalkit.paths import runs_dir
from evalkit.profiling.budget import total_mib
from evalkit.provenance import machine
from evalkit.restorers import Plan, condition_name, parse_condition, plan_restorer
from evalkit.restorers.engines.torch import pick_device
from evalkit.study.published import published
from evalkit.study.run_folder import Run
from evalkit.texts import tell

TILES = (0, 512, 256, 128)
"""Sides that are tried, px of the source; 0 is none."""

PRECISIONS = {"cpu": ("fp32", "bf16"), "cuda": ("fp32", "fp16", "bf16")}

SETTLED = ("device", "precision", "tile")

MARGIN = 0.15
"""A prediction is this near, at the worst of ``benchmarks/fit.py``'s 20 cells."""

FITS, NOT, UNKNOWN = "fits", "does not fit", "cannot be known"

UNITS_MIB = {"GiB": 1024.0, "MiB": 1.0, "GB": 1e9 / 2**20, "MB": 1e6 / 2**20}


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """A condition as it would run, with its tile and precision settled."""

    condition: str
    restorer: str
    setting: Mapping[str, Any]

    @property
    def words(self) -> str:
        """What was settled: precision and tile."""
        precision, tile = self.setting.get("precision"), self.setting.get("tile")
        parts = [precision] * (precision is not None)
        if tile is not None:
            parts.append(tell("fit.tile", tile=tile) if tile else tell("fit.no-tiles"))
        return ", ".join(map(str, parts))


class Fit:
    """Answers for a device and a memory, by what is known when it is made.

    Parameters
    ----------
    device
        ``auto``, ``cpu`` or ``cuda``, which need not be here.
    memory_mib
        None for the device's.

    Raises
    ------
    SettingError
        The memory of a device that is not here was not said.

    """

    def __init__(self, device: str = "auto", memory_mib: float | None = None) -> None:
        try:
            self.device, self.is_here = pick_device(device), True
        except SettingError as error:
            if memory_mib is None or not device.startswith("cuda"):
                hint = "a card that is not here needs --device cuda and --memory"
                raise SettingError(f"{error}; {hint}") from error
            self.device, self.is_here = "cuda", False
        self.machine = str(machine()["machine"]) if self.is_here else ""
        self.memory_mib = memory_mib or total_mib(self.device)
        self._predictor = Predictor(measured_cells(), self.machine)
        self._rates = Rates(Run(runs_dir() / RUN))

    def options(self, condition: str) -> list[Option]:
        """A condition's ways to run: its own precision or each, its own tile or each.

        Raises
        ------
        EvalkitError
            It cannot be planned: its weights are absent, say.

        """
        asked = parse_condition(condition)
        plan = self._plan(asked)
        found: dict[Any, Option] = {}
        for precision in _values(plan, asked, "precision", self._precisions()):
            for tile in _values(plan, asked, "tile", TILES):
                settings = {**asked, "precision": precision, "tile": tile}
                settings = {k: v for k, v in settings.items() if v is not None}
                setting = self._setting(settings)
                if setting is None:
                    continue
                option = Option(
                    condition=condition_name(**settings),
                    restorer=plan.spec.name,
                    setting=setting,
                )
                found.setdefault(option.words, option)
        return list(found.values())

    def usual(self, restorer: str) -> Option:
        """A restorer as it runs where nothing is asked for."""
        setting = self._setting({"name": restorer})
        return Option(condition=restorer, restorer=restorer, setting=setting or {})

    def memory(self, option: Option, size: tuple[int, int]) -> Estimate:
        """The peak for a source of that size (width, height), MiB."""
        return self._predictor.estimate("memory", option.restorer, option.setting, size)

    def time(self, option: Option, size: tuple[int, int]) -> Estimate:
        """The time of one picture of that size, from file to file, s."""
        estimate = self._predictor.estimate(
            "time", option.restorer, option.setting, size
        )
        if estimate.evidence != ARITHMETIC or not self.is_here:
            return estimate
        work = work_of(option.restorer, option.setting, size)
        rate = self._rates(self.machine, self.device, work.precision) if work else {}
        return self._predictor.estimate(
            "time", option.restorer, option.setting, size, rate
        )

    def verdict(self, memory: Estimate) -> str:
        """Whether a predicted peak fits: `FITS`, `NOT` or `UNKNOWN`."""
        if memory.value is None:
            return UNKNOWN
        if memory.value > self.memory_mib:
            return NOT
        is_sure = memory.value * (1 + MARGIN) <= self.memory_mib
        return FITS if is_sure and not memory.is_least else UNKNOWN

    def side_by_side(self, memory: Estimate) -> int:
        """How many processes fit, each with that peak and the margin for its error."""
        each_mib = (memory.value or 0.0) * (1 + MARGIN)
        return int(self.memory_mib / each_mib) if each_mib else 0

    def _precisions(self) -> tuple[str, ...]:
        return PRECISIONS[self.device.partition(":")[0]]

    def _plan(self, settings: Mapping[str, Any]) -> Plan:
        """On the device; without what a device that is not here would decide."""
        if not self.is_here:
            settings = {k: v for k, v in settings.items() if k not in SETTLED}
        plan = plan_restorer(**settings)
        if self.is_here and plan.resolved.get("device", self.device) != self.device:
            plan = plan_restorer(**{**settings, "device": self.device})
        return plan

    def _setting(self, settings: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """As it is resolved; None where the device does not have it."""
        try:
            resolved = self._plan(settings).resolved
        except SettingError:
            return None
        if self.is_here:
            return resolved
        # what ``auto`` is on a GPU, where the picture fits
        settled = {"precision": "fp16", "tile": 0, **settings, "device": self.device}
        return {name: settled.get(name, resolved[name]) for name in resolved}


def _values(
    plan: Plan, asked: Mapping[str, Any], name: str, tried: Sequence[Any]
) -> Sequence[Any]:
    if name not in plan.spec.all_options:
        return (None,)
    return (asked[name],) if name in asked else tried


def fit_size(
    fit: Fit, size: tuple[int, int], conditions: Sequence[str] = ()
) -> Iterator[str]:
    """What fits of a picture of that size (width, height), in lines."""
    for condition in conditions:
        condition_name(**parse_condition(condition))
    told = {"size": f"{size[0]}x{size[1]}", "device": fit.device}
    told |= {"memory": f"{fit.memory_mib / 1024:.3g}"}
    told |= {"machine": fit.machine or tell("fit.not-here")}
    yield tell("fit.device", **told)
    for condition in conditions or USUAL:
        if absent := lacks(condition):
            command = f"evalkit weights fetch {absent}"
            yield tell("fit.absent", condition=condition, command=command)
            continue
        yield condition
        works = []
        for option in fit.options(condition):
            work = work_of(option.restorer, option.setting, size)
            if work and work in works:
                continue  # the tile changes nothing here
            works.append(work)
            memory, time = fit.memory(option, size), fit.time(option, size)
            verdict = fit.verdict(memory)
            said = tell(f"fit.{verdict}")
            if verdict == FITS:
                said += tell("fit.side-by-side", n=fit.side_by_side(memory))
            whole = tell(
                "fit.line",
                option=option.words or tell("fit.as-is"),
                verdict=said,
                memory=in_words(memory, in_gib),
                time=in_words(time, in_time),
            )
            yield f"    {whole}"
        yield from _published_of(parse_condition(condition)["name"])


def _published_of(restorer: str) -> Iterator[str]:
    """What published comparisons say of a restorer's cost on their cards."""
    for name, comparison in published().items():
        cells: dict[str, list[str]] = {}
        for figure in comparison.figures:
            if figure.restorer == restorer:
                device, precision = (figure.setting[n] for n in ("device", "precision"))
                cell = f"{figure.width_px}x{figure.height_px} px, {device}, {precision}"
                if figure.n_pictures > 1:
                    cell += tell("fit.at-once", n=figure.n_pictures)
                cells.setdefault(cell, []).append(
                    tell(
                        "fit.figure",
                        quantity=tell(f"answer.quantity.{figure.quantity}"),
                        value=_published_value(figure.quantity, figure.value),
                        claim=figure.name,
                    )
                )
        if cells:
            words = tell("fit.published", name=name, card=comparison.card)
            yield f"    {words}"
        for cell, values in cells.items():
            whole = tell("fit.cell", cell=cell, values=listed(values))
            yield f"        {whole}"
        if restorer in comparison.instances:
            n, claim = comparison.instances[restorer]
            yield f"        {tell('fit.published.side-by-side', n=n, claim=claim)}"


def _published_value(quantity: str, value: float) -> str:
    kinds = {"peak memory": in_gib, "wall time": in_time}
    return kinds[quantity](value) if quantity in kinds else f"{value:g} %"


def in_words(estimate: Estimate, show: Callable[[float], str]) -> str:
    """An estimate, never without its kind of evidence."""
    if estimate.value is None:
        return tell("fit.unknown", detail=estimate.detail)
    value, evidence = show(estimate.value), tell(f"fit.{estimate.evidence}")
    if estimate.is_least:
        value = tell("fit.least", value=value)
        return tell("fit.estimate", value=value, evidence=evidence)
    told = {"value": value, "evidence": evidence, "detail": estimate.detail}
    return tell("fit.estimate.of", **told)


def listed(parts: Iterable[str]) -> str:
    """Parts of a line, one after the other."""
    return tell("fit.comma").join(parts)


def in_gib(memory_mib: float) -> str:
    """Memory as people read it."""
    return (
        f"{memory_mib / 1024:.2f} GiB" if memory_mib >= 512 else f"{memory_mib:.0f} MiB"
    )


def in_time(seconds: float) -> str:
    """A time as people read it."""
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds:.3g} s"


def parse_memory(text: str) -> float:
    """MiB of a memory as people write it.

    Raises
    ------
    SettingError
        Not a positive number with GiB, MiB, GB or MB behind it.

    Examples
    --------
    >>> parse_memory("8GiB"), round(parse_memory("8 GB"))
    (8192.0, 7629)

    """
    units = {unit.lower(): mib for unit, mib in UNITS_MIB.items()}
    parts = re.fullmatch(r"([\d.]+)\s*([a-z]+)", text.strip().lower())
    if parts and parts[2] in units and re.fullmatch(r"\d+(\.\d+)?", parts[1]):
        memory_mib = float(parts[1]) * units[parts[2]]
        if memory_mib > 0:
            return memory_mib
    raise SettingError(f"memory: expected a size as 8GiB or 6144MiB, found {text!r}")


def parse_size(text: str) -> tuple[int, int]:
    """Width and height of ``4000x3000``, px.

    Raises
    ------
    SettingError
        Not two positive whole numbers.

    """
    parts = re.fullmatch(r"(\d{1,6})\s*[x×]\s*(\d{1,6})", text.strip().lower())
    if parts and int(parts[1]) and int(parts[2]):
        return int(parts[1]), int(parts[2])
    raise SettingError(f"size: expected width and height as 4000x3000, found {text!r}")
