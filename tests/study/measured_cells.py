"""What the tests of measuring run in a process of its own: a known cost."""

import time
from pathlib import Path

import numpy as np

from evalkit.profiling.memory import rss_mib
from evalkit.profiling.monitor import Monitor
from evalkit.restorers import Restored
from evalkit.study.worker import measure

MIB = 2**20


class Known:
    """Takes a block of memory, on a device, and half a second of time."""

    def __init__(self, n_mib, device):
        self.n_mib, self.device, self.took_s = n_mib, device, None

    def restore(self, image, *, aligned, source):
        begin = time.monotonic_ns()
        if self.device == "cpu":
            block = np.ones(self.n_mib * MIB, np.uint8)
        else:
            import torch

            n_bytes = self.n_mib * MIB  # empty: a kernel would be loaded, too
            block = torch.empty(n_bytes, dtype=torch.uint8, device=self.device)
            torch.cuda.synchronize()
        slept = time.perf_counter()
        time.sleep(0.5)
        stages_s = {"sleep": time.perf_counter() - slept}
        del block
        self.took_s = (time.monotonic_ns() - begin) / 1e9
        return Restored(image=image, stages_s=stages_s, notes=["known"])


def known(emit, path, n_mib, device, n_runs):
    restorer = Known(n_mib, device)
    with Monitor(device_index=None if device == "cpu" else 0) as monitor:
        if device != "cpu":
            import torch

            torch.empty(1, device=device)
        for _ in range(n_runs):
            now = time.perf_counter()
            before = monitor.summary(now, now) | {"rss_mib": rss_mib()}
            output = Path(path).with_name("output.png")
            found = measure(restorer.restore, "s", Path(path), "mixed", output, monitor)
            begin = time.perf_counter() - found["wall_time_s"]
            sampled = monitor.summary(begin, time.perf_counter())
            emit({"found": found, "before": before, "sampled": sampled})
            emit({"took_s": restorer.took_s})
