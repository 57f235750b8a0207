"""Whether `evalkit fit` can be believed: predicted peaks against measured ones.

    python benchmarks/fit.py [FOLDER]

Some cells (a condition and a size) are measured; from them alone the peaks of 20 others
are predicted, and then measured. Last, each of the 20 runs in a control group whose
memory is the least in which ``evalkit fit`` says that it fits. That needs the right to
make one (root, or a container that is). What FOLDER holds is not measured again.
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import ceil
from pathlib import Path
from typing import NamedTuple

from evalkit.daily.evidence import Measured, measured_in
from evalkit.daily.fit import MARGIN
from evalkit.daily.measuring import measure
from evalkit.daily.predicting import HERE, Predictor
from evalkit.paths import runs_dir
from evalkit.restorers import parse_condition, plan_restorer

Sizes = Sequence[tuple[int, int]]

ANIME, GPEN, X4PLUS = "realesrgan-animevideo-x4", "gpen-512", "realesrgan-x4plus"
FITTED: dict[str, Sizes] = {
    "lanczos": [(256, 256), (640, 480), (2000, 1500)],
    "bicubic": [(256, 256), (640, 480), (2000, 1500)],
    ANIME: [(96, 96), (256, 256), (640, 480), (800, 600)],
    f"{ANIME}@tile=128": [(640, 480)],
    f"{ANIME}@precision=fp32": [(96, 96), (256, 256), (640, 480)],
    f"{ANIME}@precision=fp32,tile=128": [(640, 480)],
    GPEN: [(256, 256), (512, 512), (1600, 1200)],
    X4PLUS: [(64, 64), (128, 128), (256, 192)],
}
HELD_OUT: dict[str, Sizes] = {
    "lanczos": [(800, 600), (1024, 768), (1600, 1200)],
    "bicubic": [(800, 600), (1024, 768), (1600, 1200)],
    ANIME: [(160, 120), (320, 240), (480, 360)],
    f"{ANIME}@tile=128": [(320, 240), (500, 400)],
    f"{ANIME}@tile=256": [(320, 240), (640, 480)],
    f"{ANIME}@precision=fp32": [(160, 120), (320, 240), (480, 360)],
    f"{ANIME}@precision=fp32,tile=128": [(320, 240)],
    GPEN: [(1024, 1024)],
    X4PLUS: [(96, 96), (192, 160)],
}

GROUPS = Path("/sys/fs/cgroup")
NO_GROUP = "not tried: no right to make a control group"
RESTORE = """
import sys
from evalkit.images import read_image, write_image
from evalkit.restorers import load_restorer, parse_condition
condition, source, target = sys.argv[1:]
restorer = load_restorer(**parse_condition(condition))
write_image(target, restorer.restore(read_image(source)).image)
"""


class Row(NamedTuple):
    """A cell that was not fitted: MiB, and how it ended in the memory that fits."""

    condition: str
    size: tuple[int, int]
    predicted: float
    measured: float
    ending: str

    @property
    def error(self) -> float:
        """Of the prediction, as a share of what was measured."""
        return self.predicted / self.measured - 1


def check(
    folder: Path, fitted: dict[str, Sizes], held_out: dict[str, Sizes]
) -> Iterator[Row]:
    """Measure, predict, measure again, and run in the memory that is said to fit."""
    for condition, sizes in fitted.items():
        measure(condition, sizes, folder=folder / "fitted")
    known = list(measured_in(folder / "fitted"))
    predictor = Predictor(known, known[0].machine)
    for condition, sizes in held_out.items():
        measure(condition, sizes, folder=folder / "held-out")
    cells = list(measured_in(folder / "held-out"))
    for condition, sizes in held_out.items():
        plan = plan_restorer(**parse_condition(condition))
        for size in sizes:
            name, setting = plan.spec.name, plan.resolved
            estimate = predictor.estimate("memory", name, setting, size)
            if estimate.evidence != HERE or estimate.value is None:
                raise SystemExit(f"{condition} {size}: outside what was measured")
            limit_mib = ceil(estimate.value * (1 + MARGIN))
            source = folder / "held-out" / "sources" / f"face-{size[0]}x{size[1]}.png"
            yield Row(
                condition=condition,
                size=size,
                predicted=estimate.value,
                measured=_measured(cells, name, dict(setting), size),
                ending=run_within(limit_mib, condition, source),
            )


def _measured(
    cells: Sequence[Measured], name: str, setting: dict[str, object], size: object
) -> float:
    return max(
        cell.memory_mib
        for cell in cells
        if (cell.restorer, (cell.width, cell.height)) == (name, size)
        and cell.setting == setting
    )


def run_within(limit_mib: int, condition: str, source: Path) -> str:
    """Restore in a fresh process held to so much memory; ``ok``, or how it ended."""
    target = source.with_name("limited.png")
    command = [sys.executable, "-c", RESTORE, condition, str(source), str(target)]
    try:
        with memory_group(limit_mib) as procs:
            done = subprocess.run(
                command,
                preexec_fn=lambda: procs.write_text(str(os.getpid()), encoding="ascii"),
                capture_output=True,
                encoding="utf-8",
                check=False,
            )
    except PermissionError:
        return NO_GROUP
    target.unlink(missing_ok=True)
    return f"{done.returncode}: {done.stderr[-200:]}" if done.returncode else "ok"


@contextmanager
def memory_group(limit_mib: int) -> Iterator[Path]:
    """A control group (version 2, else 1) of so much memory; gives its list of members.

    Raises
    ------
    OSError
        This process may not make one.

    """
    is_v2 = (GROUPS / "cgroup.controllers").is_file()
    group = (GROUPS if is_v2 else GROUPS / "memory") / f"evalkit-fit-{os.getpid()}"
    limit = "memory.max" if is_v2 else "memory.limit_in_bytes"
    group.mkdir()
    try:
        (group / limit).write_text(str(limit_mib * 2**20), encoding="ascii")
        yield group / "cgroup.procs"
    finally:
        group.rmdir()


def table(rows: Sequence[Row]) -> str:
    """The rows as Markdown."""
    lines = ["| condition | px | predicted | measured | error | in the limit |"]
    lines.append("|---|---|---|---|---|---|")
    lines += [
        f"| {row.condition} | {row.size[0]}x{row.size[1]} | {row.predicted:.0f} MiB | "
        f"{row.measured:.0f} MiB | {row.error:+.0%} | {row.ending} |"
        for row in rows
    ]
    return "\n".join(lines)


def main() -> None:
    """Print the table, and the worst."""
    folder = Path(sys.argv[1]) if sys.argv[1:] else runs_dir() / "fit-benchmark"
    rows = list(check(folder, FITTED, HELD_OUT))
    print(table(rows))
    n_ok = sum(row.ending == "ok" for row in rows)
    worst = max(abs(row.error) for row in rows)
    print(f"worst error {worst:.1%}; {n_ok} of {len(rows)} ran in the memory that fits")


if __name__ == "__main__":
    main()
