"""What `evalkit restore` costs beside its model: one picture, and a batch.

`python benchmarks/restore.py` restores a picture of 180 px by
`realesrgan-animevideo-x4`, from prompt to prompt, three times, beside the import of
PyTorch alone (the share that no command with a network is spared); then 20 pictures by
each of two networks. It prints wall and CPU time of all processes (Linux), and what
reading, writing and journal take beside the restorer.
"""

import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from skimage import data

from evalkit.images import write_image

LIGHT, USUAL = "realesrgan-animevideo-x4", "realesrgan-x4plus"
PROMPT_S, BESIDE = 4.0, 0.05
"""The most that one picture may take, and that a batch may take beside its model."""


def timed(*command: object) -> tuple[float, float]:
    """Wall and CPU seconds of a command with its children."""
    begin, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, *map(str, command)], check=True, capture_output=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - begin, cpu_s


def batch(folder: Path, out: Path, condition: str) -> tuple[float, float]:
    """Seconds of the restorer, and the share beside it, but for the first picture."""
    timed("-m", "evalkit", "restore", folder, "-o", out, "--with", condition)
    lines = (out / "evalkit-restore.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [row for row in map(json.loads, lines) if row["done"]][1:]
    restorer_s = sum(row["restorer_seconds"] for row in rows)
    return restorer_s, sum(row["seconds"] for row in rows) / restorer_s - 1


def main() -> None:
    with TemporaryDirectory() as name:
        folder = Path(name) / "in"
        folder.mkdir()
        for n in range(20):
            picture = data.astronaut()[n * 5 : n * 5 + 180, 100 + n * 3 : 280 + n * 3]
            write_image(folder / f"{n}.png", picture)
        for n in range(3):
            out, one = Path(name) / str(n), folder / "0.png"
            command = ("-m", "evalkit", "restore", one, "-o", out, "--with", LIGHT)
            wall_s, cpu_s = timed(*command)
            _, torch_s = timed("-c", "import torch")
            verdict = "met" if wall_s < PROMPT_S else "missed"
            print(
                f"one picture of 180 px by {LIGHT}: {wall_s:.2f} s ({cpu_s:.2f} s of "
                f"CPU, {torch_s:.2f} s of it to import torch; under {PROMPT_S:g} s: "
                f"{verdict})"
            )
        for condition in (LIGHT, USUAL):
            restorer_s, beside = batch(folder, Path(name) / condition, condition)
            verdict = "met" if beside <= BESIDE else "missed"
            print(
                f"20 pictures of 180 px by {condition}: {restorer_s:.1f} s, and "
                f"{beside:.1%} beside (at most {BESIDE:.0%}: {verdict})"
            )


if __name__ == "__main__":
    main()
