"""What GPEN restores besides faces: the whole picture first, twice as large."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from evalkit.errors import WeightsError
from evalkit.images import Picture
from evalkit.restorers._protocol import Context, Plan, Restorer, Settings
from evalkit.restorers._work import Batches
from evalkit.restorers.engines.canvas import Tiling
from evalkit.restorers.engines.tf32 import single_precision
from evalkit.restorers.engines.tiling import LoadedNetwork
from evalkit.restorers.engines.torch import TorchEngine
from evalkit.restorers.realesrgan.batches import batches_of, in_windows
from evalkit.restorers.realesrgan.network import NETWORKS, Network, load_module
from evalkit.restorers.realesrgan.tuned import enlarge as enlarge_all
from evalkit.restorers.realesrgan.tuned import load_network
from evalkit.weights import WeightsInUse, fetch

if TYPE_CHECKING:
    from evalkit.restorers.gpen.pipeline import Background

REALESRNET = Network(
    name="gpen-realesrnet-x2",
    n_blocks=23,
    n_features=32,
    scale=2,
    margin_px=144,
    peak_values=454,
)
"""GPEN's own; of realesrgan-x2plus's form with half its features, and its margin."""

UPSTREAM_MARGIN_PX = 10
REALESRGAN = ("realesrgan-x2plus", "realesrgan-x4plus")
"""Restorers that `background="realesrgan"` may use, the faster one first."""

SHARED = ("runner", "device", "precision", "tile")
"""Settings of a face restorer that its background's follow."""


def plan_background(
    settings: Settings,
) -> tuple[int | str, tuple[WeightsInUse, ...], tuple[str, ...], tuple[Plan, ...]]:
    """Settle the tile and find the weights, without loading them.

    The settings are the face restorer's, device and precision settled.

    Returns
    -------
    tuple
        The tile as in `Network.plan_tile`, the weights, notes, and the plan of the
        restorer that is loaded by name, if any.

    Raises
    ------
    WeightsError
        They cannot be had: a requested background is never left out.

    """
    tile = settings["tile"]
    if settings["background"] == "none":
        return 0 if tile == "auto" else tile, (), (), ()
    if settings["background"] == "realesrnet":
        return REALESRNET.plan_tile(settings), (fetch(REALESRNET.name),), (), ()
    from evalkit.restorers import plan_restorer

    shared = {name: settings[name] for name in SHARED}
    first, second = REALESRGAN
    notes: tuple[str, ...] = ()
    try:
        part = plan_restorer(first, scale=2, **shared)
    except WeightsError:
        part = plan_restorer(second, scale=2, **shared)
        notes = (f"background by {second}: the weights of {first} cannot be had",)
    return part.resolved["tile"], part.weights, (*notes, *part.notes), (part,)


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
    if settings["background"] == "realesrgan":
        (part,) = plan.parts
        return _by_restorer(part.load())
    weights = next(file for file in plan.weights if file.name == REALESRNET.name)
    return _by_network(_load_realesrnet(weights, settings))


def _by_restorer(restorer: Restorer) -> Background:
    def enlarge(image: Picture, context: Context) -> Picture:
        restored = restorer.restore(
            image, progress=context.progress, cancel=context.cancel
        )
        for stage, passed_s in restored.stages_s.items():
            context.watch.add(stage, passed_s)
        context.notes += [f"background: {note}" for note in restored.notes]
        return restored.image

    return enlarge


def _load_realesrnet(weights: WeightsInUse, settings: Settings) -> LoadedNetwork:
    runner, device, precision, tile = (settings[name] for name in SHARED)
    if runner == "tuned":
        return load_network(
            REALESRNET, [weights], device=device, precision=precision, tile=tile
        )[0]
    precision = single_precision(settings) or precision
    engine = TorchEngine(load_module(REALESRNET, [weights]), device, precision)
    tiling = Tiling(scale=2, tile=tile, margin=UPSTREAM_MARGIN_PX, step=2)
    return LoadedNetwork(engine=engine, tiling=tiling, in_fp32=None)


def _by_network(step: LoadedNetwork) -> Background:
    def enlarge(image: Picture, context: Context) -> Picture:
        outputs, notes = enlarge_all([image], step, context, alpha="interpolate")
        context.notes += [f"background: {note}" for note in (step.engine.name, *notes)]
        return outputs[0]

    return enlarge
