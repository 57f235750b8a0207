"""Install a bundled study on a host without network, run it, and pack what it found.

A program of the standard library alone, for Python 3.11 and 3.12: ``python there.py``
in the folder of the parts. It unpacks each part once, so they may come one by one; when
all are there it installs and runs. Run again, it goes on where it was.
"""

import argparse
import hashlib
import importlib.util
import json
import os
import re
import site
import subprocess
import sys
import sysconfig
import venv
import zipfile
import zlib
from pathlib import Path
from typing import Any

PART = re.compile(r"evalkit-(\d+)-of-(\d+)\.zip")
INDEX = "bundle.json"
RESULTS = "results.json"
SAME = "same.json"

VALUE = (
    *("records.jsonl", "environment.json", "study.yaml", "tables/*.csv"),
    *("report.html", "report.zh.html", "tables/*.md", "figures/*.png"),
    *("notebooks/*.ipynb", "snakemake.log"),
)
"""What comes back, the most valuable first: what does not fit is named."""

MIB = 2**20


def main() -> None:
    """Unpack, install, run and pack."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--into", default="evalkit-there", help="the folder to work in")
    parser.add_argument("--limit", default=15, type=float, help="MiB of the results")
    parser.add_argument("--seconds", type=float, help="what the study may take")
    asked = parser.parse_args()
    folder = Path(asked.into).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    index = unpack(Path(__file__).resolve().parent, folder)
    python = install(folder, index)
    status = run(python, folder, asked.seconds)
    packed = pack(folder / "runs" / index["study"], Path.cwd(), asked.limit * MIB)
    print(f"results: {packed.name}, {packed.stat().st_size / MIB:.1f} MiB")
    sys.exit(status)


def unpack(parts: Path, folder: Path) -> dict[str, Any]:
    """Unpack the parts that are there, each once; end where one is missing."""
    found = {path: PART.fullmatch(path.name) for path in sorted(parts.iterdir())}
    done, n_parts = folder / "unpacked", 0
    index: dict[str, Any]
    done.mkdir(exist_ok=True)
    for path, name in found.items():
        if name:
            n_parts = int(name[2])
            if not (done / name[1]).is_file():
                with zipfile.ZipFile(path) as archive:
                    archive.extractall(folder)
                (done / name[1]).touch()
    missing = [n for n in range(1, n_parts + 1) if not (done / str(n)).is_file()]
    if missing or not n_parts:
        print(
            f"{n_parts - len(missing)} of {n_parts} parts are here, missing: {missing}"
        )
        sys.exit(0 if n_parts else "there.py: expected evalkit-N-of-M.zip beside it")
    index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    wrong = [
        name for name, sha in index["files"].items() if digest(folder / name) != sha
    ]
    if wrong:
        sys.exit(f"there.py: damaged, bring these parts again: {', '.join(wrong)}")
    return index


def digest(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal; empty where there is none."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def install(folder: Path, index: dict[str, Any]) -> Path:
    """An environment of the brought wheels, before those that the host has."""
    found = f"{sys.version_info[0]}.{sys.version_info[1]}"
    if found != index["python"]:
        sys.exit(f"there.py: expected Python {index['python']}, found {found}")
    where = folder / "environment"
    python = where / "bin" / "python"
    if (where / "installed").is_file():
        return python
    has_pip = importlib.util.find_spec("pip") is not None
    venv.EnvBuilder(clear=True, symlinks=True, with_pip=not has_pip).create(where)
    values = {"base": str(where), "platbase": str(where)}
    purelib = Path(sysconfig.get_path("purelib", "venv", vars=values))
    # behind what was brought; a host's own environment has others than its base
    hosts = [*site.getsitepackages(), site.getusersitepackages()]
    (purelib / "hosts.pth").write_text("\n".join(hosts), encoding="utf-8")
    pip = [str(python), "-m", "pip"]
    if has_pip:
        pip = [sys.executable, "-m", "pip", "--python", str(python)]
    options = ["--no-index", "--no-deps", "--no-cache-dir", "--quiet"]
    options += ["--disable-pip-version-check", "--ignore-installed"]
    wheels = sorted((folder / "wheels").glob("*.whl"))
    command = [*pip, "install", *options, *map(str, wheels)]
    if subprocess.run(command, check=False).returncode:
        sys.exit("there.py: the wheels could not be installed, see above")
    (where / "installed").touch()
    return python


def run(python: Path, folder: Path, seconds: float | None) -> int:
    """Run the study, or go on with it; its exit status, 124 where time ran out."""
    for name in ("PYTHONPATH", "EVALKIT_ACCEPT", "EVALKIT_COMMANDS"):
        os.environ.pop(name, None)
    variables = {
        **os.environ,
        "EVALKIT_RUNS": str(folder / "runs"),
        "EVALKIT_CACHE": str(folder / "cache"),
        "EVALKIT_MIRROR": str(folder / "mirror"),
        "EVALKIT_OFFLINE": "1",
    }
    command = [str(python), "-m", "evalkit", "study", "study.yaml"]
    try:
        return subprocess.run(
            command, cwd=folder, env=variables, timeout=seconds, check=False
        ).returncode
    except subprocess.TimeoutExpired:
        print(f"there.py: {seconds:g} s have passed; what is there is packed")
        return 124


def pack(run: Path, out: Path, limit: float) -> Path:
    """Pack what a run found into one file under a limit, in bytes."""
    if not all((run / name).is_file() for name in VALUE[:2]):
        sys.exit("there.py: the study has made no record")
    facts = json.loads((run / "environment.json").read_text(encoding="utf-8"))
    machine = facts["machine"]["machine"]
    path, left_out = out / f"results-{run.name}-{machine}.zip", []
    partial = path.with_suffix(".part")
    room = limit - 4096  # of the index
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
        for pattern in VALUE:
            for file in sorted(run.glob(pattern)):
                name = file.relative_to(run).as_posix()
                size = len(zlib.compress(file.read_bytes()))
                size += 2 * len(name.encode()) + 200
                if size > room:
                    left_out.append(name)
                    continue
                room -= size
                archive.write(file, name)
        same = run.parent.parent / SAME  # pictures by the digests of their originals
        index = {"format": 1, "study": run.name, "machine": machine}
        index["same"] = (
            json.loads(same.read_text(encoding="utf-8")) if same.is_file() else {}
        )
        archive.writestr(RESULTS, json.dumps(index))
    if left_out:
        print(
            f"over the limit of {limit / MIB:g} MiB, left there: {', '.join(left_out)}"
        )
    if "records.jsonl" in left_out:
        partial.unlink()
        sys.exit("there.py: the records are over the limit; raise --limit")
    partial.replace(path)
    return path


if __name__ == "__main__":
    main()
