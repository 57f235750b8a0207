"""What a GPU is to show: our runners against the originals', and the article beside.

``python benchmarks/gpu.py [--runs N] [--tiny]`` prints Markdown tables. Every call is
made once uncounted and then in turn with its rival's, N times; medians count. Peak
memory is what PyTorch reserves in one call more, from an emptied cache: with both's
weights, without the context. Real-ESRGAN has its released weights and GPEN random ones:
cost does not depend on their values, and no picture is kept. Without a GPU small
pictures and small networks go through the same code on the CPU, which shows that this
program runs and nothing else: no target is measured there.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

import cv2
import numpy as np
import torch
from real_esrgan import FLOP_PER_PIXEL, in_turns
from skimage import data

from evalkit import load_restorer
from evalkit.article._figures import CLAIMED, FIGURES
from evalkit.errors import OutOfMemoryError
from evalkit.experiments import MEMORY, TIME
from evalkit.profiling.floors import operations_per_s
from evalkit.restorers import Restored
from evalkit.restorers.engines.torch import pick_device
from evalkit.restorers.gpen.generators import engine_for, random_generator

X4PLUS_TARGET = 2.5
"""Of `restore` at 1024x768: so many times RealESRGANer's speed, and at most so many
times as long as the network's operations at the rate of a product of matrices."""

FACES_TARGET = 5.0
"""Faces together against one at a time."""

NOT_MEASURED = "not measured: no GPU"


@dataclass(frozen=True, kw_only=True)
class Form:
    """What is run: all of it on a GPU, or something small of each kind on a CPU."""

    device: str
    precision: str
    x4plus: str = "realesrgan-x4plus"
    gpen: str = "gpen-512"
    face_px: int = 512
    n_faces: int = 29  # as many as Solvay has
    n_batch: int = 5  # the article's
    size_px: tuple[int, int] = (1024, 768)
    large_px: tuple[int, int] = (2048, 1536)

    @property
    def has_gpu(self) -> bool:
        """Whether targets and memory are measured."""
        return self.device != "cpu"


TINY = Form(
    device="cpu",
    precision="fp32",
    x4plus="realesrgan-animevideo-x4",
    gpen="gpen-256",
    face_px=256,
    n_faces=2,
    n_batch=2,
    size_px=(32, 24),
    large_px=(48, 36),
)


@dataclass(frozen=True, kw_only=True)
class Found:
    """Medians of one call; None where this device has no such meter."""

    time_s: float
    network_s: float | None
    peak_mib: float | None


Call = Callable[[], Sequence[Restored]]


def measured(calls: dict[str, Call], form: Form, n_runs: int) -> dict[str, Found]:
    """Every call in turn with the others, then once more for its memory."""
    stages: dict[str, list[float]] = {name: [] for name in calls}

    def kept(name: str) -> None:
        made = calls[name]()
        stages[name].append(sum(one.stages_s.get("network", 0) for one in made))

    seconds = in_turns({name: partial(kept, name) for name in calls}, n_runs)
    return {
        name: Found(
            time_s=median(seconds[name]),
            network_s=median(stages[name][1:]) or None,
            peak_mib=peak_mib(calls[name], form),
        )
        for name in calls
    }


def peak_mib(call: Callable[[], Any], form: Form) -> float | None:
    if not form.has_gpu:
        return None
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    call()
    return torch.cuda.max_memory_reserved() / 2**20


def photograph(width: int, height: int) -> np.ndarray:
    """A portrait with one face, at any size."""
    face = data.astronaut()[: 512 * height // width]
    return np.asarray(cv2.resize(face, (width, height), interpolation=cv2.INTER_CUBIC))


def quotient(other: float | None, mine: float | None) -> str:
    return "-" if other is None or mine is None else f"{other / mine:.2f}x"


def told(value: float | None, how: str) -> str:
    return "-" if value is None else format(value, how)


def row(work: str, mine: Found, other: Found, target: str) -> str:
    networks = quotient(other.network_s, mine.network_s)
    return (
        f"| {work} | {mine.time_s:.4f} | {other.time_s:.4f} "
        f"| {other.time_s / mine.time_s:.2f}x | {told(mine.network_s, '.4f')} "
        f"| {told(other.network_s, '.4f')} | {networks} "
        f"| {told(mine.peak_mib, ',.0f')} | {told(other.peak_mib, ',.0f')} | {target} |"
    )


def verdict(form: Form, value: float, least: float) -> str:
    if not form.has_gpu:
        return f">= {least:g}x: {NOT_MEASURED}"
    return f">= {least:g}x: {'met' if value >= least else 'missed'}"


def load(form: Form, name: str, runner: str, precision: str) -> Any:
    weights = "random" if name == form.gpen else None
    given = {"device": form.device, "precision": precision, "weights": weights}
    return load_restorer(name, runner=runner, **given)


def real_esrgan(form: Form, n_runs: int) -> None:
    ours = load(form, form.x4plus, "tuned", form.precision)
    theirs = load(form, form.x4plus, "upstream", form.precision)
    for size in (form.size_px, form.large_px):
        image = photograph(*size)
        calls: dict[str, Call] = {
            "ours": lambda image=image: [ours.restore(image)],
            "theirs": lambda image=image: [theirs.restore(image)],
        }
        is_aim = size == form.size_px
        work = f"{form.x4plus} {form.precision}, {size[0]}x{size[1]}; RealESRGANer"
        try:
            found = measured(calls, form, n_runs)
        except OutOfMemoryError as error:
            if is_aim:
                raise
            print(f"| {work} | not measured: {error} |" + " |" * 8, flush=True)
            continue
        mine, other = found["ours"], found["theirs"]
        ratio = other.time_s / mine.time_s
        target = verdict(form, ratio, X4PLUS_TARGET) if is_aim else ""
        print(row(work, mine, other, target), flush=True)
        if is_aim:
            floor = floor_told(form, mine)
    batch = [photograph(*form.size_px)] * form.n_batch
    calls = {
        "ours": lambda: ours.restore_batch(batch),
        "theirs": lambda: [theirs.restore(image) for image in batch],
    }
    found = measured(calls, form, max(1, n_runs // 2))
    work = f"{form.x4plus}, batch of {form.n_batch}; RealESRGANer, one at a time"
    print(row(work, found["ours"], found["theirs"], ""), flush=True)
    calls["theirs"] = lambda: [ours.restore(image) for image in batch]
    found = measured(calls, form, max(1, n_runs // 2))
    work = f"{form.x4plus}, batch of {form.n_batch}; ours, one at a time"
    print(row(work, found["ours"], found["theirs"], ""), flush=True)
    print(f"\n{floor}\n")


def floor_told(form: Form, mine: Found) -> str:
    """How the time compares with that of the operations alone."""
    if not form.has_gpu:
        return (
            f"x4plus's operations at the matrix rate, at most {X4PLUS_TARGET:g} times "
            f"as long: {NOT_MEASURED}"
        )
    rate = median(operations_per_s(form.device, form.precision) for _ in range(3))
    operations = FLOP_PER_PIXEL * form.size_px[0] * form.size_px[1]
    times = mine.time_s / (operations / rate)
    return (
        f"x4plus's {operations / 1e12:.1f} TFLOP take {operations / rate:.4f} s at "
        f"{rate / 1e12:.0f} TFLOP/s, the rate of a product of matrices; restore() "
        f"takes {times:.2f} times as long (at most {X4PLUS_TARGET:g}: "
        f"{'met' if times <= X4PLUS_TARGET else 'missed'})"
    )


def gpen(form: Form, n_runs: int) -> None:
    ours = load(form, form.gpen, "tuned", form.precision)
    theirs = load(form, form.gpen, "upstream", "fp32")  # its script has no other
    face = photograph(form.face_px, form.face_px)
    found = measured(
        {
            "ours": lambda: [ours.restore(face, aligned=True)],
            "theirs": lambda: [theirs.restore(face, aligned=True)],
        },
        form,
        n_runs,
    )
    work = f"{form.gpen} {form.precision}, one face; upstream fp32"
    print(row(work, found["ours"], found["theirs"], ""), flush=True)
    print(many_faces(form, n_runs), flush=True)
    batch = [photograph(*form.size_px)] * form.n_batch
    found = measured(
        {
            "ours": lambda: ours.restore_batch(batch),
            "theirs": lambda: [ours.restore(image) for image in batch],
        },
        form,
        max(1, n_runs // 2),
    )
    work = f"{form.gpen}, batch of {form.n_batch} pictures; one at a time"
    print(row(work, found["ours"], found["theirs"], ""), flush=True)


def many_faces(form: Form, n_runs: int) -> str:
    """The network alone: as many faces as a large group has."""
    side, settings = form.face_px, {"device": form.device, "runner": "tuned"}
    network = random_generator(side, 0)
    engine, _ = engine_for(network, side, settings, form.precision)
    draw = np.random.default_rng(0)
    faces = draw.uniform(-1, 1, (form.n_faces, 3, side, side)).astype(np.float32)
    calls: dict[str, Callable[[], object]] = {
        "together": lambda: engine(faces),
        "singly": lambda: [engine(face[None]) for face in faces],
    }
    seconds = in_turns(calls, n_runs)
    mine, other = (
        Found(time_s=median(seconds[k]), network_s=None, peak_mib=peak_mib(v, form))
        for k, v in calls.items()
    )
    target = verdict(form, other.time_s / mine.time_s, FACES_TARGET)
    work = f"{form.gpen}'s network, {form.n_faces} faces together; one at a time"
    return row(work, mine, other, target)


def article(form: Form, n_runs: int) -> None:
    """Its figures of time and memory by ratio, and the same ratios here."""
    names = {"realesrgan-x4plus": form.x4plus, "gpen-512": form.gpen}
    cells: dict[tuple[str, str, str, int], Found] = {}
    claims = {
        claim: figure
        for claim, figure in FIGURES.items()
        if figure.device == "cuda"
        and figure.quantity in (TIME, MEMORY)
        and (figure.width_px, figure.height_px) == (1024, 768)
    }
    kinds = {(figure.restorer, figure.precision) for figure in claims.values()}
    for restorer, precision in sorted(kinds):
        own = precision if form.has_gpu else "fp32"
        made = {
            runner: load(form, names[restorer], runner, own)
            for runner in ("upstream", "tuned")
        }
        for n_pictures in (1, 5):
            n = n_pictures if n_pictures == 1 else form.n_batch
            batch = [photograph(*form.size_px)] * n
            calls: dict[str, Call] = {
                runner: partial(one.restore_batch, batch)
                for runner, one in made.items()
            }
            for runner, found in measured(calls, form, max(1, n_runs // 2)).items():
                cells[runner, restorer, precision, n_pictures] = found
    for claim, figure in claims.items():
        against = FIGURES[figure.against]
        ratios = []
        for runner in ("upstream", "tuned"):
            one, other = (
                cells[runner, f.restorer, f.precision, f.n_pictures]
                for f in (figure, against)
            )
            is_time = figure.quantity == TIME
            values = (
                (one.time_s, other.time_s)
                if is_time
                else (one.peak_mib, other.peak_mib)
            )
            ratios.append(quotient(*values) if form.has_gpu else NOT_MEASURED)
        theirs = float(CLAIMED[claim]) / float(CLAIMED[figure.against])
        told_of = f"{figure.restorer} {figure.precision}, {figure.n_pictures} pictures"
        print(
            f"| {claim} / {figure.against} | {figure.quantity} of {told_of} "
            f"| {theirs:.2f}x | {' | '.join(ratios)} |",
            flush=True,
        )


HEAD = (
    "| work; against | s | against, s | ratio | network, s | against, s | ratio "
    "| peak MiB | against, MiB | target |\n" + "|---" * 10 + "|"
)
ARTICLE_HEAD = (
    "| claims | the article's | by it | upstream here | tuned here |\n"
    + "|---" * 5
    + "|"
)


def main(n_runs: int, *, is_tiny: bool) -> None:
    device = pick_device("auto")
    form = Form(device=device, precision="fp16")
    if is_tiny or device == "cpu":
        form = TINY
        print(
            "Small pictures and networks on a CPU: this shows that the program runs.\n"
            f"The targets of a GPU: {NOT_MEASURED}."
        )
    else:
        print(f"PyTorch {torch.__version__}, {torch.cuda.get_device_name(device)}")
    print(f"\n{HEAD}")
    real_esrgan(form, n_runs)
    print(HEAD)
    gpen(form, n_runs)
    print(f"\n{ARTICLE_HEAD}")
    article(form, n_runs)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--tiny", action="store_true", help="small, on the CPU")
    arguments = parser.parse_args()
    main(arguments.runs, is_tiny=arguments.tiny)
