"""How what stands beside the work grows with a study: the table of docs/scale.md.

`python benchmarks/scale.py [N...]` makes N tiny pictures for each N (100, 1000, 10000),
restores them with lanczos, and prints the seconds of each stage, each in a process of
its own, with the largest memory of that process.

The work itself is made short, since it is the same for each picture: the router looks
at the first `N_LOOKED_AT` and the others get what it saw there; all are restored in one
process in place of one each, and their records added at once. What that adds to each
picture of a study is the last stage. Outputs and records are what a study has.
"""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from PIL import Image

from evalkit import load_restorer, report, study
from evalkit.images import pixel_sha256, read_image
from evalkit.imagesets import prepare
from evalkit.records import plain_records
from evalkit.study.attempt import keep_new
from evalkit.study.looks import look_at
from evalkit.study.measurement import Measurement
from evalkit.tables import LOOKS, RECORDS

N_LOOKED_AT = 20
N_ADDED = 100
FACTS = {"run": 1, "phase": "cold", "outcome": "ok", "wall_time_s": 0.01, "notes": []}
FACTS |= {"started_at": "2026-01-01T00:00:00.000+00:00", "stages_s": {}}
SIDE_PX = 8
CONDITION = "lanczos"


def pictures(folder: Path, n: int) -> None:
    """Write that many pictures, no two of them alike."""
    rng = np.random.default_rng(n)
    folder.mkdir()
    for number in range(n):
        pixels = rng.integers(0, 256, (SIDE_PX, SIDE_PX, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"p{number:06}.png")


def look(run, album):
    images = prepare(album)
    looks = look_at(images.head(N_LOOKED_AT), LOOKS.frame([]))
    repeated = looks.iloc[np.arange(len(images)) % len(looks)]
    run.write(LOOKS, repeated.assign(sha256=images["sha256"].to_numpy()))


def plan(run, album):
    run.images(str(album))


def restore(run, album):
    restorer = load_restorer(CONDITION)
    what = _measurement(run)
    rows, no_records = [], RECORDS.frame([])
    for row in run.images(str(album)).to_dict("records"):
        restored = restorer.restore(read_image(row["path"]))
        target = run.path / what.target(row, no_records)
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(restored.image).save(target)
        facts = what.facts(row, what.key(row)) | FACTS
        facts["output"] = target.relative_to(run.path).as_posix()
        rows.append(facts | {"output_sha256": pixel_sha256(restored.image)})
    run.records.append(rows)


def add(run, _album):
    newest = plain_records(run.records.read().tail(1))[0]
    for number in range(N_ADDED):
        keep_new(run, newest | {"experiment": "added", "run": number + 1})


def rate(run, _album):
    sys.path.append(str(Path(__file__).parents[1] / "tests"))
    import answers

    n = len(run.usable)
    told = {"subject": [f"s{i % 10}" for i in range(n)], "source": range(n)}
    told = pd.DataFrame({**told, "score": 3}).astype({"source": str})
    answers.fill(study.ratings_store(run), answers.scores(told))
    study.ratings_store(run).answers()


def _measurement(run):
    what = Measurement(run, CONDITION, "quality", keeps_outputs=True)
    return replace(what, arguments={"is_watched": False})


def resume(run, album):
    study.restore(run, CONDITION, run.images(str(album)), say=lambda _: None)


def records(run, _album):
    run.records.read()


def conclude(run, _album):
    study.record_environment(run)
    study.close_records(run)
    report.write_report(run.path)


STAGES: dict[str, Callable] = {
    "work, made short: look": look,
    "plan: the table of pictures, and links to them": plan,
    "work, made short: restore": restore,
    "resume: nothing is left to restore": resume,
    "read all records": records,
    "records.parquet and report": conclude,
    f"add {N_ADDED} records, one by one": add,
    "rating store: write and read a score a picture": rate,
}


def stage(name: str, run_dir: str, album: str) -> None:
    """Be the process of one stage; print its seconds and MiB."""
    run, start = study.open_run(run_dir), time.perf_counter()
    STAGES[name](run, Path(album))
    seconds = time.perf_counter() - start
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps([seconds, peak_mib]))


def measure(n: int) -> dict[str, tuple[float, float]]:
    """Seconds and MiB of each stage of a study of `n` pictures."""
    found = {}
    with TemporaryDirectory() as folder:
        album, run = Path(folder, "album"), Path(folder, "run")
        pictures(album, n)
        for title in STAGES:
            command = [sys.executable, __file__, "--stage", title, str(run), str(album)]
            done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
            found[title] = tuple(json.loads(done.stdout.splitlines()[-1]))
            print(n, title, *found[title], file=sys.stderr, flush=True)
    return found


def main(sizes: list[int]) -> None:
    """Print the table, with the slope between the last two sizes: 1 is linear."""
    found = {n: measure(n) for n in sizes}
    print("|".join(["", "stage", *(f"{n:,}" for n in sizes), "slope", "MiB", ""]))
    print("|".join(["", *["---"] * (len(sizes) + 3), ""]))
    for title in STAGES:
        seconds = [found[n][title][0] for n in sizes]
        slope = ""
        if len(sizes) > 1:
            growth = np.log(seconds[-1] / seconds[-2]) / np.log(sizes[-1] / sizes[-2])
            slope = f"{growth:.2f}"
        peak = f"{found[sizes[-1]][title][1]:.0f}"
        cells = [title, *(f"{s:.2g} s" for s in seconds), slope, peak]
        print("|".join(["", *cells, ""]))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--stage"]:
        stage(*sys.argv[2:])
    else:
        main([int(n) for n in sys.argv[1:]] or [100, 1000, 10000])
