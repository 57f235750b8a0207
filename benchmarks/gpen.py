"""GPEN-512 on the CPU: one face by our runner against a plain fp32 forward, in turns.

``python benchmarks/gpen.py [--runs N]`` prints a Markdown table. The plain network is
PyTorch with weights of its own for each face and the whole filters (`_plain_gpen`), on
the same random weights: cost and agreement do not depend on their values. PSNR is
against that network in fp32, its peak 2 (values clipped to [-1, 1]), as the mean over
seeds of weights and faces; the rate is that of a matrix product in the same precision,
measured between the calls. A row that needs what the CPU lacks says "not measured"; a
GPU's are in ``gpu.py``.
"""

import argparse
from statistics import mean, median

import numpy as np
import torch
from _plain_gpen import PlainGenerator
from real_esrgan import in_turns

from evalkit.profiling.floors import operations_per_s
from evalkit.restorers.engines.torch import Engine, cpu_has
from evalkit.restorers.gpen.generators import engine_for, random_generator

SIDE = 512
FLOP = 0.2762e12
"""Of a face's convolutions, counting a multiplication and an addition as two."""

N_SEEDS = 5


def faces(n: int, seed: int) -> np.ndarray:
    values = np.random.default_rng(seed).random((n, 3, SIDE, SIDE), dtype=np.float32)
    return 2 * values - 1


def tuned(seed: int, device: str, precision: str) -> Engine:
    settings = {"device": device, "runner": "tuned"}
    network = random_generator(SIDE, seed)
    return engine_for(network, SIDE, settings, precision)[0]


def plain(seed: int) -> PlainGenerator:
    return PlainGenerator(random_generator(SIDE, seed).state_dict(), SIDE)


def psnr_db(precision: str) -> float:
    """The mean over `N_SEEDS`."""
    found = []
    for seed in range(N_SEEDS):
        face = faces(1, seed)
        expected = plain(seed)(torch.from_numpy(face)).clip(-1, 1).numpy()
        output = tuned(seed, "cpu", precision)(face).clip(-1, 1)
        found.append(10 * np.log10(4 / np.mean((output - expected) ** 2)))
    return mean(found)


def on_cpu(precision: str, n_runs: int) -> str:
    face, ours, theirs = faces(1, 0), tuned(0, "cpu", precision), plain(0)
    rates: list[float] = []
    seconds = in_turns(
        {
            "ours": lambda: ours(face),
            "theirs": lambda: theirs(torch.from_numpy(face)),
            "rate": lambda: rates.append(operations_per_s("cpu", precision)),
        },
        n_runs,
    )
    mine, other = median(seconds["ours"]), median(seconds["theirs"])
    rate = median(rates)
    return (
        f"| tuned {precision} ({ours.name}) / plain fp32, a face | {mine:.3f} s "
        f"| {other:.3f} s | {other / mine:.1f}x | {FLOP / mine / rate:.0%} of "
        f"{rate / 1e12:.2f} TFLOP/s | {psnr_db(precision):.1f} |"
    )


@torch.inference_mode()
def main(n_runs: int) -> None:
    cpu = torch.cpu.get_capabilities().get("cpu_name", "CPU")
    print(f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads, {cpu}\n")
    print(
        "| gpen-512 | ours | theirs | ratio | of the best rate | PSNR, dB |\n"
        "|---|---|---|---|---|---|"
    )
    if cpu_has("bf16"):
        print(on_cpu("bf16", n_runs), flush=True)
    else:
        print("| tuned bf16 / plain fp32 | not measured: no bf16 units | | | | |")
    print(on_cpu("fp32", n_runs), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    main(parser.parse_args().runs)
