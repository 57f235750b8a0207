"""What GPEN restores besides faces: the whole picture first, twice as large."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from evalkit.errors import WeightsError
from evalkit.images import Picture
from evalkit.restorers._protocol import Plan, Settings
from evalkit.restorers._realesrgan_network import NETWORKS, Network
from evalkit.restorers._realesrgan_work import batches_of, in_windows
from evalkit.restorers._work import Batches
from evalkit.weights import WeightsInUse, fetch

if TYPE_CHECKING:
    from evalkit.restorers._gpen_pipeline import Background, Call
    from evalkit.restorers._tiling import Pass

REALESRNET = Network(
    name="gpen-realesrnet-x2", n_blocks=23, n_features=32, scale=2, margin_px=144
)
"""GPEN's own; of realesrgan-x2plus's form with half its features, and its margin."""

UPSTREAM_MARGIN_PX = 10
REALESRGAN = ("realesrgan-x2plus", "realesrgan-x4plus")
"""Restorers that `background="realesrgan"` may use, the faster one first."""

TOLD = ("runner", "device", "precision")
"""Settings of a face restorer that its background's follow."""


def plan_background(
    settings: Settings,
) -> tuple[int, tuple[WeightsInUse, ...], tuple[str, ...], tuple[Plan, ...]]:
    """Settle the tile and find the weights, without loading them.

    Parameters
    ----------
    settings
        Of the face restorer; device and precision settled.

    Returns
    -------
    tuple
        The tile in source pixels (0 for none), the weights, notes, and the plan of
        the restorer that is loaded by name, if any.

    Raises
    ------
    WeightsError
        They cannot be had: a background that was asked for is never left out.

    """
    tile, is_upstream = settings["tile"], settings["runner"] == "upstream"
    if settings["background"] == "none":
        return 0 if tile == "auto" else tile, (), (), ()
    if settings["background"] == "realesrnet":
        if tile == "auto":  # 0 is the default of upstream's script
            auto = REALESRNET.auto_tile(settings["device"], settings["precision"])
            tile = 0 if is_upstream else auto
        return tile, (fetch(REALESRNET.name),), (), ()
    told = {name: settings[name] for name in (*TOLD, "tile")}
    return _plan_realesrgan(told)


def _plan_realesrgan(
    told: dict[str, Any],
) -> tuple[int, tuple[WeightsInUse, ...], tuple[str, ...], tuple[Plan, ...]]:
    from evalkit.restorers import plan_restorer

    first, second = REALESRGAN
    try:
        made = plan_restorer(first, scale=2, **told)
    except WeightsError:
        made = plan_restorer(second, scale=2, **told)
        note = f"background by {second}: the weights of {first} cannot be had"
        return made.resolved["tile"], made.weights, (note, *made.notes), (made,)
    return made.resolved["tile"], made.weights, made.notes, (made,)


def background_batches(settings: Settings, height: int, width: int) -> list[Batches]:
    """What a picture gives the background's network; the faster one's, of two."""
    if settings["background"] == "realesrgan":
        return batches_of([NETWORKS[REALESRGAN[0]]], settings, height, width)
    network, device = REALESRNET, settings["device"]
    if settings["runner"] == "upstream":  # takes tile after tile
        network, device = replace(network, margin_px=UPSTREAM_MARGIN_PX), "cpu"
    tiling = network.tiling(device, settings["tile"])
    return [in_windows(network, tiling, height, width)]


def load_background(plan: Plan) -> Background | None:
    """The background network of a plan, or None.

    Raises
    ------
    WeightsError
        The file is not this network's.

    """
    settings = plan.resolved
    if settings["background"] == "none":
        return None
    told = {name: settings[name] for name in (*TOLD, "tile")}
    if settings["background"] == "realesrgan":
        name = next(found.name for found in plan.weights if found.name in REALESRGAN)
        return _by_restorer(name, told)
    found = next(found for found in plan.weights if found.name == REALESRNET.name)
    return _by_network(_load_realesrnet(found, **told))


def _by_restorer(name: str, told: dict[str, Any]) -> Background:
    from evalkit.restorers import load_restorer

    restorer = load_restorer(name, scale=2, **told)

    def enlarge(image: Picture, call: Call) -> Picture:
        made = restorer.restore(image, progress=call.progress, cancel=call.cancel)
        for stage, passed_s in made.stages_s.items():
            call.watch.stages_s.setdefault(stage, 0.0)
            call.watch.stages_s[stage] += passed_s
        call.notes += [f"background: {note}" for note in made.notes]
        return made.image

    return enlarge


def _load_realesrnet(
    found: WeightsInUse, *, runner: str, device: str, precision: str, tile: int
) -> Pass:
    from evalkit.restorers._canvas import Tiling
    from evalkit.restorers._realesrgan_network import load_module
    from evalkit.restorers._realesrgan_tuned import load_pass
    from evalkit.restorers._tiling import Pass
    from evalkit.restorers._torch import TorchEngine

    if runner == "tuned":
        return load_pass(
            REALESRNET, [found], device=device, precision=precision, tile=tile
        )[0]
    engine = TorchEngine(load_module(REALESRNET, [found]), device, precision)
    tiling = Tiling(scale=2, tile=tile, margin=UPSTREAM_MARGIN_PX, step=2)
    return Pass(engine=engine, tiling=tiling, in_fp32=None)


def _by_network(step: Pass) -> Background:
    from evalkit.restorers._realesrgan_tuned import enlarge as enlarge_all

    def enlarge(image: Picture, call: Call) -> Picture:
        outputs, notes = enlarge_all(
            [image],
            step,
            alpha="interpolate",
            watch=call.watch,
            progress=call.progress,
            cancel=call.cancel,
        )
        call.notes += [f"background: {note}" for note in (step.engine.name, *notes)]
        return outputs[0]

    return enlarge
