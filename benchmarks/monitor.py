"""What the monitor costs the work it watches: runs with it and without, in turn.

`python benchmarks/monitor.py [N_PAIRS]` restores a picture on every core (on the GPU
where there is one) and prints the ratio of times, with a bootstrap interval of the
median over pairs. At most 1.01 is the aim.
"""

import sys
import time
from contextlib import nullcontext

import numpy as np
from skimage import data

from evalkit import load_restorer
from evalkit.profiling.monitor import Monitor
from evalkit.profiling.nvml import device_index


def main(n_pairs: int = 40) -> None:
    restorer = load_restorer("realesrgan-animevideo-x4")
    index = device_index(restorer.plan.resolved["device"])
    picture = data.astronaut()[: 512 if index is not None else 128]

    def run(*, is_watched: bool) -> float:
        with Monitor(device_index=index) if is_watched else nullcontext():
            begin = time.perf_counter()
            restorer.restore(picture)
            return time.perf_counter() - begin

    for _ in range(3):
        run(is_watched=False)
    pairs = []
    for number in range(n_pairs):  # with, without, without, with, ...
        order = (True, False) if number % 2 else (False, True)
        times = {is_watched: run(is_watched=is_watched) for is_watched in order}
        pairs.append((times[True], times[False]))
    with_s, without_s = np.array(pairs).T
    ratios = np.random.default_rng(0).choice(with_s / without_s, (2000, n_pairs))
    low, high = np.quantile(np.median(ratios, axis=1), [0.025, 0.975])
    print("n_pairs,without_s,with_s,ratio,ratio_low,ratio_high")
    print(
        f"{n_pairs},{np.median(without_s):.4f},{np.median(with_s):.4f},"
        f"{np.median(with_s / without_s):.4f},{low:.4f},{high:.4f}"
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
