"""What a study of a small album costs beside its models, against papermill by hand.

`python benchmarks/album.py` makes a study of four pictures of 180 px under two light
conditions, then runs the same notebooks one after the other with the program
`papermill`, as one would without a study. It prints wall and CPU time of all processes
(workers included; Linux), wall time beside that of the models, and both ratios.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from skimage import data

from evalkit.images import write_image
from evalkit.paths import SHIPPED

CONDITIONS = ["lanczos", "realesrgan-animevideo-x4"]
STUDY = f"name: album\nconditions: {json.dumps(CONDITIONS)}\nrepeats: 3\n"


def cpu_s() -> float:
    """Of all that this machine has run, the reason to run nothing else meanwhile."""
    line = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0]
    user, nice, system = map(int, line.split()[1:4])
    return (user + nice + system) / os.sysconf("SC_CLK_TCK")


def timed(commands: list[list[str]], folder: Path) -> tuple[float, float]:
    begin, cpu_begin = time.perf_counter(), cpu_s()
    os.environ["EVALKIT_RUNS"] = str(folder)
    for command in commands:
        subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - begin, cpu_s() - cpu_begin


def by_hand(album: Path, folder: Path) -> list[list[str]]:
    """The notebooks in the order in which a study runs them."""
    images = {"images": str(album)}
    steps = [("00_environment", {}), ("10_images", images)]
    for name in ("20_restore", "30_cost"):
        steps += [(name, {**images, "condition": one}) for one in CONDITIONS]
    both = {**images, "conditions": CONDITIONS}
    steps += [("60_compare", both), ("70_rate", both)]
    steps += [("80_scores", {}), ("90_verdict", {})]
    commands = []
    for number, (name, given) in enumerate(steps):
        given = {"run_dir": str(folder / "run"), **given}
        files = [SHIPPED / "notebooks" / f"{name}.ipynb", folder / f"{number}.ipynb"]
        commands.append([sys.executable, "-m", "papermill", *map(str, files)])
        commands[-1] += ["-y", json.dumps(given), "--no-progress-bar"]
    return commands


def main() -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        for kind in ("astronaut", "coffee", "chelsea", "rocket"):
            picture = getattr(data, kind)()[60:240, 160:340]
            write_image(folder / "album" / f"{kind}.png", picture)
        (folder / "album.yaml").write_text(STUDY, encoding="utf-8")
        study = [sys.executable, "-m", "evalkit.cli", "study"]
        study += [str(folder / "album.yaml"), "--images", str(folder / "album")]
        wall_s, own_s = timed([study], folder / "runs")
        timing = folder / "runs" / "latest" / "timing.json"
        model_s = json.loads(timing.read_text(encoding="utf-8"))["model_s"]
        again_s, _ = timed([study], folder / "runs")
        hand_s, hand_cpu_s = timed(by_hand(folder / "album", folder), folder)
    print("what,wall_s,wall_beside_models_s,cpu_s,wall_ratio,cpu_ratio")
    ratios = f"{hand_s / wall_s:.2f},{hand_cpu_s / own_s:.2f}"
    print(f"study,{wall_s:.1f},{wall_s - model_s:.1f},{own_s:.1f},{ratios}")
    print(f"papermill by hand,{hand_s:.1f},{hand_s - model_s:.1f},{hand_cpu_s:.1f},1,1")
    print(f"study, nothing to do,{again_s:.1f},{again_s:.1f},,,")


if __name__ == "__main__":
    main()
