"""Real-ESRGAN on the CPU: our runner against RealESRGANer, timed in turns in one run.

``python benchmarks/real_esrgan.py [--runs N]`` prints a Markdown table: the medians of
N interleaved calls (after one that is not counted), their ratio, the share of the
rate, of a matrix product or a convolution, that was measured between the calls, PSNR
against fp32, and, in processes of their own, the peak memory of a small and a large
tiled picture and whether the large one shows a seam. A row that needs what the CPU
lacks says "not measured"; a GPU's are in ``gpu.py``.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import cv2
import numpy as np
import torch
from skimage import data

from evalkit import load_restorer
from evalkit.metrics.seams import TileBorders, noise, seams
from evalkit.profiling.floors import operations_per_s
from evalkit.restorers.engines.torch import cpu_has

FLOP_PER_PIXEL = 35.85e6
"""Of x4plus's convolutions, counting a multiplication and an addition as two."""

NAME = "realesrgan-x4plus"
SMALL = "realesrgan-animevideo-x4"


def in_turns(
    calls: dict[str, Callable[[], object]], n_runs: int
) -> dict[str, list[float]]:
    """Seconds of every call: each once uncounted, then all in turn, `n_runs` times."""
    for call in calls.values():
        call()
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(n_runs):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def psnr_db(output: np.ndarray, reference: np.ndarray) -> float:
    mean_square = np.mean((output.astype(float) - reference) ** 2)
    return float("inf") if mean_square == 0 else 10 * np.log10(255**2 / mean_square)


def compare(
    image: np.ndarray, device: str, precision: str, original: str, n_runs: int
) -> str:
    """One row: our runner in `precision` against RealESRGANer in `original`."""
    ours = load_restorer(NAME, device=device, precision=precision)
    theirs = load_restorer(NAME, runner="upstream", device=device, precision=original)
    in_fp32 = load_restorer(NAME, device=device, precision="fp32").restore(image).image
    rates: list[float] = []
    seconds = in_turns(
        {
            "ours": lambda: ours.restore(image),
            "theirs": lambda: theirs.restore(image),
            "rate": lambda: rates.append(operations_per_s(device, precision)),
        },
        n_runs,
    )
    pixels = image.shape[0] * image.shape[1]
    mine, other = median(seconds["ours"]), median(seconds["theirs"])
    share = FLOP_PER_PIXEL * pixels / mine / median(rates)
    db = psnr_db(ours.restore(image).image, in_fp32)
    return (
        f"| tuned {precision} / RealESRGANer {original}, {device}, "
        f"{image.shape[1]}x{image.shape[0]} | {1e6 * mine / pixels:.2f} "
        f"| {1e6 * other / pixels:.2f} | {other / mine:.2f}x | {share:.0%} of "
        f"{median(rates) / 1e12:.2f} TFLOP/s | {db:.1f} |"
    )


def not_measured(row: str, why: str) -> str:
    return f"| {row} | not measured: {why} | | | | |"


def tiled(side: int) -> list[float]:
    """What `print_tiled` says, in a process of its own."""
    told = subprocess.check_output(
        [sys.executable, "-W", "ignore", __file__, "--tiled", str(side)]
    )
    return [float(number) for number in told.split()[-4:]]


def print_tiled(side: int) -> None:
    """Peak MiB of this process, MiB of the output; score of its seams and their noise.

    The picture is a photograph enlarged: a step between tiles would lie in even areas.
    """
    image = cv2.resize(data.astronaut(), (side, side), interpolation=cv2.INTER_CUBIC)
    restorer = load_restorer(SMALL, device="cpu")
    output = restorer.restore(image).image
    # not ru_maxrss, which counts the process that this one was forked from
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    peak_kib = int(status.split("VmHWM:")[1].split()[0])
    settings = restorer.plan.resolved
    period = int(settings["tile"] * settings["scale"])
    borders = TileBorders.every(period, *output.shape[:2])
    print(peak_kib / 1024, output.nbytes / 2**20)
    print(seams(output, borders), noise(output, borders))


def main(n_runs: int) -> None:
    face = data.astronaut()[:256, 100:356]
    print(
        f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads, "
        f"{torch.cpu.get_capabilities().get('cpu_name', 'CPU')}\n"
    )
    print(
        "| x4plus | ours, us per source px | RealESRGANer, us | ratio | of the "
        "best rate | PSNR to fp32, dB |\n|---|---|---|---|---|---|"
    )
    if cpu_has("bf16"):
        print(compare(face, "cpu", "bf16", "fp32", n_runs), flush=True)
    else:
        print(not_measured("tuned bf16, cpu", "no bf16 units"))
    print(compare(face, "cpu", "fp32", "fp32", n_runs), flush=True)
    small, *_ = tiled(1024)
    large, output, seams_db, noise_db = tiled(4096)
    print(
        f"\n{SMALL}, tiled, peak memory: 1024x1024 {small:.0f} MiB; 4096x4096 "
        f"{large:.0f} MiB, of which {output:.0f} MiB output: the rest is "
        f"{(large - output) / small:.2f} of that of 1024x1024; "
        f"seams {seams_db:.2f} dB, where up to {noise_db:.2f} dB is texture"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--tiled", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.tiled:
        print_tiled(arguments.tiled)
    else:
        main(arguments.runs)
