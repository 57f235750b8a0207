"""What this machine can run, what is missing, and how to get it."""

import importlib.util
import os
import platform
import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pandas as pd

from evalkit.errors import PackageMissingError, WeightsError
from evalkit.paths import CLONE, cache_dir, mirror_dirs, package_dir, runs_dir
from evalkit.provenance import machine
from evalkit.restorers import plan_restorer, restorers
from evalkit.weights import registered, registry, status

TRIED = "Linux x86_64"
"""As `platform` names it; macOS, Windows, WSL and aarch64 have not been tried."""

UPSTREAM = {
    "basicsr": "runner=upstream of Real-ESRGAN, and NIQE",
    "realesrgan": "runner=upstream of Real-ESRGAN",
    "facexlib": "RetinaFace and ParseNet, which find and parse faces",
}
"""The packages that Python 3.11 and 3.12 alone can have, and what needs them."""

TOOLS = {
    "openvino": "the CPU engine",
    "onnxruntime": "onnx-... restorers",
    "spandrel": "checkpoint:<file>, any network file that it knows",
    "imagecodecs": "pictures of 16 bits, AVIF, JPEG XL; PNGs in half the time",
    "tifffile": "TIFF of 16 bits",
    "pi_heif": "HEIC pictures",
    "pypdfium2": "pages of a PDF",
    "IPython": "notebooks",
}
"""Modules that one kind of work alone needs; the rest goes on without them."""

NEEDED_FREE_BYTES = 4 * 2**30
"""GPEN's and Real-ESRGAN's weights and the outputs of a default study, with room."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the doctor.

    Attributes
    ----------
    subject
        What was looked at.
    is_there
        Whether it can be used.
    state
        What was found.
    what_to_do
        How to get it; empty when it is there or cannot be had.

    """

    subject: str
    is_there: bool
    state: str
    what_to_do: str = ""


def diagnose() -> list[Finding]:
    """Look at the machine, the restorers' weights, the tools; download nothing."""
    os.environ["EVALKIT_OFFLINE"] = "1"
    return [*_machine(), *_folders(), *_restorers(), *_tools()]


def summarise(findings: Iterable[Finding]) -> tuple[str, str]:
    """What this machine can do, and what it cannot, in a line each."""
    is_usable = {finding.subject: finding.is_there for finding in findings}
    names = [name for name in is_usable if name in restorers()]
    can = [name for name in names if is_usable[name]]
    lacking = [name for name in names if not is_usable[name]]
    where = "on its GPU" if is_usable["GPU"] else "on its CPU"
    first = (
        f"This machine can make pictures with {len(can)} of {len(names)} restorers "
        f"{where}, compare them, and serve rating sessions."
    )
    cannot = [f"make pictures with {', '.join(lacking)}"] if lacking else []
    cannot += [] if is_usable["GPU"] else ["measure time and memory on a GPU"]
    cannot += [f"keep a study in {n}" for n in ("cache", "runs") if not is_usable[n]]
    limits = f"It cannot {'; '.join(cannot)}." if cannot else "It lacks nothing."
    return first, f"{limits} What is missing, and how to get it, is below."


def weights_named(names: Iterable[str]) -> list[str]:
    """The names in the weights registry that names of restorers or families stand for.

    A restorer stands for all weights that it may load and that can be had, a family
    for those of every member.

    Raises
    ------
    UnknownNameError
        A name is none of these.
    WeightsError
        A restorer loads no weights.

    """
    weights_names: dict[str, None] = {}
    for name in names:
        family = [s for n, s in restorers().items() if f"{n}-".startswith(f"{name}-")]
        wanted = [weights for spec in family for weights in spec.weights]
        if name in registry() or not family:
            weights_names[registered(name).name] = None
            continue
        if not wanted:
            raise WeightsError(f"{name} loads no weights: there is nothing to fetch")
        available = [w for w in wanted if any(f.sha256 for f in registry()[w].files)]
        weights_names |= dict.fromkeys(available or wanted)
    return list(weights_names)


def _machine() -> Iterator[Finding]:
    system = f"{platform.system()} {platform.machine()}"
    yield Finding(
        subject="platform",
        is_there=system == TRIED,
        state=f"{system}, Python {platform.python_version()}",
        what_to_do="" if system == TRIED else f"not tried here: {TRIED} only was",
    )
    if CLONE:
        text = (CLONE / "requirements.lock").read_text(encoding="utf-8")
        notes = re.findall(r"^# ((?:Download|Disk): .*)$", text, re.MULTILINE)
        yield Finding(subject="set-up", is_there=True, state=" ".join(notes))
    facts = machine()
    yield Finding(
        subject="processor",
        is_there=True,
        state=f"{facts['cpu']}, {facts['cores']} cores, {facts['memory_gib']:.0f} GiB",
    )
    names = ", ".join(gpu["name"] for gpu in facts["gpus"])
    yield Finding(
        subject="GPU",
        is_there=bool(names),
        state=names or "NVML finds no NVIDIA GPU: GPU memory and time are not measured",
        what_to_do="" if names else "run the study where there is one; see README",
    )


def _folders() -> Iterator[Finding]:
    for subject, folder in (("cache", cache_dir()), ("runs", runs_dir())):
        existing = next(p for p in (folder, *folder.parents) if p.exists())
        free = shutil.disk_usage(existing).free
        is_there = free >= NEEDED_FREE_BYTES and os.access(existing, os.W_OK)
        variable = f"EVALKIT_{subject.upper()}"
        yield Finding(
            subject=subject,
            is_there=is_there,
            state=f"{folder}, {free / 2**30:.0f} GiB free, "
            f"{NEEDED_FREE_BYTES / 2**30:.0f} GiB needed",
            what_to_do="" if is_there else f"make room, or set {variable}",
        )
    mirrors = [str(folder) for folder in mirror_dirs()]
    missing = [str(folder) for folder in mirror_dirs() if not folder.is_dir()]
    yield Finding(
        subject="mirrors",
        is_there=not missing,
        state=", ".join(mirrors) or "EVALKIT_MIRROR is not set",
        what_to_do=f"no such folder: {', '.join(missing)}" if missing else "",
    )


def _restorers() -> Iterator[Finding]:
    for name, spec in restorers().items():
        if spec.argument:
            continue
        try:
            kind = plan_restorer(name).weights_kind
        except PackageMissingError as error:
            yield Finding(subject=name, is_there=False, state=str(error))
            continue
        except WeightsError:
            kind = "missing"
        states = {
            "none": "needs no weights",
            "missing": "its weights are not here",
            "random": "random weights: cost only, no picture",
        }
        is_there = kind not in ("missing", "random")
        yield Finding(
            subject=name,
            is_there=is_there,
            state=states.get(kind, f"weights: {kind}"),
            what_to_do="" if is_there else _how_to_get(spec.weights[0]),
        )


def _how_to_get(weights: str) -> str:
    listed = status().set_index("name").loc[weights]
    if listed["state"] == "unverified":
        return "no digest is known: name a file of yours, weights=<path>"
    accept = f" --accept {listed['accept']}" if pd.notna(listed["accept"]) else ""
    return f"evalkit weights fetch {weights}{accept}"


def _tools() -> Iterator[Finding]:
    for package, use in UPSTREAM.items():
        is_there = package_dir(package) is not None
        yield Finding(
            subject=package,
            is_there=is_there,
            state=use,
            what_to_do="" if is_there else "make PYTHON=/path/to/python3.12",
        )
    for module, use in TOOLS.items():
        package = module.replace("_", "-")
        is_there = importlib.util.find_spec(module) is not None
        yield Finding(
            subject=package,
            is_there=is_there,
            state=use,
            what_to_do="" if is_there else f"pip install {package.lower()}",
        )
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    yield Finding(
        subject="chromium",
        is_there=chromium is not None,
        state=chromium or "browser tests are skipped",
        what_to_do="" if chromium else "apt-get install chromium",
    )
