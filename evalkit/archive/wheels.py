"""The wheels that a host without network lacks, of the versions that are locked."""

import base64
import hashlib
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from importlib import metadata
from importlib.metadata import PathDistribution
from pathlib import Path
from tempfile import TemporaryDirectory

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from evalkit.errors import PackageMissingError, StudyError
from evalkit.paths import CLONE

LOCK = "requirements.lock"
GLIBC = "x86_64-manylinux_2_28"
"""The oldest Linux that a bundle is for: glibc 2.28, of 2018."""

HOSTS_OWN = re.compile(r"torch|torchvision|triton|nvidia-(?!ml-py)|cuda-")
"""What is larger than any part, and is chosen for the host's card."""

NOT_NEEDED = frozenset(
    {"jupyterlab", "tb-nightly", "gfpgan", "yapf", "uvicorn", "segno"}
)
"""Of evalkit's and upstream's requirements: nothing that a study's steps run."""

OF_DEVICE = {"cuda": frozenset({"openvino"}), "cpu": frozenset[str]()}
"""What is of no use there: OpenVINO is the engine of processors."""


def read_packages(text: str) -> dict[str, str]:
    r"""Versions by name, of what ``pip freeze`` or ``pip list`` writes.

    Examples
    --------
    >>> read_packages("numpy==2.3.1\nPackage Version\n------- -------\nPyYAML 6.0")
    {'numpy': '2.3.1', 'pyyaml': '6.0'}

    """
    found: dict[str, str] = {}
    for line in text.splitlines():
        match = re.match(r"([A-Za-z0-9][\w.-]*)(?:==|\s+)(\d[\w.!+-]*)(?:\s|$)", line)
        if match:
            found[canonicalize_name(match[1])] = match[2]
    return found


def locked_for(python: str) -> dict[str, str]:
    """The lines of the lock for a version of Python on Linux, by name.

    Raises
    ------
    StudyError
        This evalkit is not a clone, which alone has a lock and can be made a wheel.

    """
    if CLONE is None:
        raise StudyError("expected a clone of evalkit; an installed one has no lock")
    text = (CLONE / LOCK).read_text(encoding="utf-8").replace(" \\\n", " ")
    lines = [line for line in text.splitlines() if line and line[0] not in " #"]
    found: dict[str, str] = {}
    for line in lines:
        requirement = Requirement(line.partition(" --hash")[0])
        if not requirement.marker or requirement.marker.evaluate(_target(python)):
            found[canonicalize_name(requirement.name)] = line
    return found


def _target(python: str, extra: str = "") -> dict[str, str]:
    """What markers of requirements are asked about (PEP 508)."""
    return {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "platform_machine": "x86_64",
        "os_name": "posix",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "extra": extra,
    }


def needed(python: str, device: str) -> dict[str, SpecifierSet]:
    """What a study needs of other packages, and which versions they all allow."""
    found: dict[str, SpecifierSet] = {}
    left_out = NOT_NEEDED | OF_DEVICE[device]
    waiting = [("evalkit", "")]
    seen: set[tuple[str, str]] = set()
    while waiting:
        package, extra = waiting.pop()
        for requirement in _requirements(package, python, extra):
            name = canonicalize_name(requirement.name)
            if name in left_out:
                continue
            found[name] = found.get(name, SpecifierSet()) & requirement.specifier
            if HOSTS_OWN.match(name):  # and with it what that needs
                continue
            for more in {"", *requirement.extras} - {n for p, n in seen if p == name}:
                seen.add((name, more))
                waiting.append((name, more))
    return found


def _requirements(package: str, python: str, extra: str) -> Iterator[Requirement]:
    try:
        lines = metadata.requires(package) or []
    except metadata.PackageNotFoundError:  # of another Python or system
        return
    for line in lines:
        requirement = Requirement(line)
        if not requirement.marker or requirement.marker.evaluate(
            _target(python, extra)
        ):
            yield requirement


def lacking(
    has: Mapping[str, str], python: str, device: str
) -> tuple[dict[str, str], list[str]]:
    """What to bring to a host, and what it lacks that nobody can bring.

    Parameters
    ----------
    has
        The host's versions by name.

    Returns
    -------
    tuple
        Lines of the lock by name; of `HOSTS_OWN`, what the host must have in addition.

    """
    locked, lines, missing = locked_for(python), {}, []
    for name, allowed in sorted(needed(python, device).items()):
        if name in has and allowed.contains(has[name], prereleases=True):
            continue
        if HOSTS_OWN.match(name):
            found = f" (it has {has[name]})" if name in has else ""
            missing.append(f"{name}{allowed}{found}")
        elif name in locked:
            lines[name] = locked[name]
    return lines, missing


def make_wheels(lines: Mapping[str, str], python: str, folder: Path) -> None:
    """Write a wheel of each line of the lock, and of evalkit itself, into a folder.

    uv brings and checks them, from its cache or wherever it is set up to look.

    Raises
    ------
    PackageMissingError
        uv is not installed, or cannot have one of them; with what it said.

    """
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as made:
        lock = Path(made, "lock.txt")
        lock.write_text("\n".join(lines.values()), encoding="utf-8")
        target = Path(made, "target")
        if lines:
            _uv_install(target, python, "--require-hashes", "--requirement", str(lock))
        _uv_install(target, python, str(CLONE))
        for info in sorted(target.glob("*.dist-info")):
            _wheel(info, folder)


def _uv_install(target: Path, python: str, *what: str) -> None:
    command = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-deps"]
    command += ["--target", str(target), "--python-version", python]
    command += ["--python-platform", GLIBC, "--python", sys.executable, *what]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    if done.returncode:
        said = " ".join(done.stderr.split())[-400:]
        raise PackageMissingError(f"uv could not bring the packages: {said}")


def _wheel(where: Path, folder: Path) -> None:
    """A wheel of an installed package (PEP 427), each file by its digest."""
    package, info = PathDistribution(where), where.name
    name = re.sub(r"[-.]+", "_", package.metadata["Name"])
    stem = f"{name}-{package.version}"
    facts = (where / "WHEEL").read_text(encoding="utf-8")
    tags = re.findall(r"^Tag: (\S+)", facts, re.MULTILINE)
    parts = zip(*(tag.split("-") for tag in tags), strict=True)
    compressed = "-".join(".".join(sorted({*part})) for part in parts)
    rows = []
    path = folder / f"{stem}-{compressed}.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        for file in package.files or ():
            place = _place_in(file.as_posix(), info, stem)
            if place:
                content = Path(str(file.locate())).read_bytes()
                rows.append(f"{place},{_record_digest(content)},{len(content)}\n")
                wheel.writestr(place, content)
        wheel.writestr(f"{info}/RECORD", "".join([*rows, f"{info}/RECORD,,\n"]))


OF_INSTALLER = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json")


def _place_in(file: str, info: str, stem: str) -> str | None:
    """Where an installed file lies in a wheel; None for what an installer makes."""
    top = file.partition("/")[0]
    if top == "bin" or "__pycache__" in file or file.startswith(".."):
        return None
    if top == info and file.removeprefix(f"{info}/") in OF_INSTALLER:
        return None
    return f"{stem}.data/data/{file}" if top in ("share", "etc") else file


def _record_digest(content: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest())
    return f"sha256={digest.decode().rstrip('=')}"
