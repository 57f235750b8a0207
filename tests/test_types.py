"""Types at the door: mypy refuses a wrong call through every public door."""

import importlib
import re
import subprocess
import sys
from importlib.util import find_spec

import pytest

from evalkit.paths import CLONE, PACKAGE

RIGHT = """
from pathlib import Path

import numpy as np

import evalkit
from evalkit import article, comparisons, experiments, faces, features, figures, images
from evalkit import imagesets, metrics, rating, records, report, restorers, stats
from evalkit import study, tables, weights
from evalkit.imagesets import ImageSet, Made, Recipe, build
from evalkit.metrics import Metric
from evalkit.restorers import Context, CostBound, Option, Plan, Restorer, RestorerSpec
from evalkit.restorers import Settings

picture = evalkit.read_image("source.png")


class Same(Restorer):
    def _restore(self, image: images.Picture, context: Context) -> images.Picture:
        context.progress(1, 1)
        return image


def plan(spec: RestorerSpec, settings: Settings) -> Plan:
    return Plan(spec=spec, requested=settings, resolved=settings)


def work(settings: Settings, height: int, width: int) -> CostBound:
    return CostBound("none", 0, height * width, 2 * height * width)


def no_difference(output: images.Picture, source: images.Picture) -> float:
    return float(np.mean(output - source))


def prepare(folder: Path) -> object:
    made = Made(path=folder / "a.png")
    return build(folder, [Recipe(facts={}, inputs=(), make=lambda _: made)])


run = study.open_run("")
restorer: Restorer = evalkit.load_restorer("lanczos", tile=200, scale=3)
seconds: float = restorer.restore(picture).stages_s["resize"]
spec = RestorerSpec(
    name="same",
    task="nothing",
    scale=1,
    citation="nobody, 2026",
    licence="MIT",
    plan=plan,
    build=Same,
    work=work,
    options={"scale": Option(default=1, low=1, high=2, description="of a side")},
)
Metric(
    name="no_difference",
    unit="",
    higher_is_better=None,
    citation="nobody, 2026",
    needs="source",
    compute=no_difference,
)
article.evaluate(run.path)
comparisons.draw_scores(run, comparisons.analyse_scores(run))
experiments.measure_cost(run, "lanczos", imagesets.prepare("quick"), repeats=3)
figures.save(figures.forest(stats.p910(None).quality), Path(), "mos")
metrics.metrics()["psnr"].compute(picture, picture)
rating.export_csv(rating.Store(Path("ratings.sqlite")), Path("ratings.csv"))
report.write_report(run.path)
study.run_study(Path("study.yaml"), images="quick")
"""

WRONG = """
run = study.open_run("")
article.evaluate("runs/latest")  # arg-type
article.no_such_verdict()  # attr-defined
comparisons.analyse_scores("runs/latest")  # arg-type
comparisons.draw_scores(run)  # call-arg
evalkit.load_restorer(3)  # arg-type
evalkit.load_restorer("lanczos", device=0)  # arg-type
evalkit.load_restorer("lanczos").restroe(picture)  # attr-defined
evalkit.no_such_door  # attr-defined
evalkit.read_image(3)  # arg-type
evalkit.write_image(picture, "output.png")  # arg-type
experiments.measure_cost("not a run", 3, nonsense=1)  # arg-type call-arg
experiments.no_such_experiment(run)  # attr-defined
faces.detect(picture, confidence="high")  # arg-type
features.sharpness("source.png")  # arg-type
figures.save("figure", "folder", "name")  # arg-type
figures.no_such_figure  # attr-defined
images.resize(picture, 3)  # call-arg
imagesets.prepare(3)  # arg-type
imagesets.imagesets()["quick"].no_such_fact  # attr-defined
metrics.metrics()["psnr"].compute_it  # attr-defined
Metric(name="mae", unit="", needs="nobody")  # arg-type call-arg
Option(default=3)  # call-arg
CostBound("none")  # call-arg
rating.Store(3)  # arg-type
rating.plan_session(None, number=1)  # call-arg
records.code_digest(3)  # arg-type
report.write_report(run)  # arg-type
restorers.plan_restorer(3)  # arg-type
restorers.restorers()["lanczos"].scale.upper()  # attr-defined
restorer.restore("source.png")  # arg-type
restorer.restore(picture, progess=print)  # call-arg
stats.no_such_statistic(5)  # attr-defined
stats.mean_opinion_scores(None, confidence="95 %")  # arg-type
stats.krippendorff_alpha()  # call-arg
study.run_study(3, imags="quick")  # arg-type call-arg
study.open_run(3)  # arg-type
tables.COST.no_such_column_check()  # attr-defined
weights.find(3)  # arg-type
"""

ROOMS = ("", ".comparisons", ".experiments", ".figures", ".rating", ".records")
ROOMS += (".stats", ".study")
"""Of evalkit, those with a stub."""


@pytest.mark.slow
def test_mypy_refuses_each_wrong_call_and_no_right_one(need, tmp_path):
    need(find_spec("mypy"), "install requirements-ci.lock, which has mypy")
    file = tmp_path / "calls.py"
    file.write_text(RIGHT + WRONG, encoding="utf-8")
    mypy = [sys.executable, "-m", "mypy", "--cache-dir", tmp_path / "cache", file]
    done = subprocess.run(mypy, capture_output=True, text=True, check=False, cwd=CLONE)
    refused: dict[int, set[str]] = {}
    for line, code in re.findall(r"calls.py:(\d+): error: .*\[(.*)\]", done.stdout):
        refused.setdefault(int(line), set()).add(code)
    text = (RIGHT + WRONG).splitlines()
    wrong = {n: set(t.partition("  # ")[2].split()) for n, t in enumerate(text, 1)}
    assert refused == {n: codes for n, codes in wrong.items() if codes}, done.stdout


@pytest.mark.parametrize("room", ROOMS)
def test_a_door_opens_every_name_of_its_stub_and_names_them_for_another(room):
    door = importlib.import_module(f"evalkit{room}")
    stub = PACKAGE.joinpath(*room.split("."), "__init__.pyi")
    names = re.findall(r"(\w+) as \1\b", stub.read_text(encoding="utf-8"))
    assert len(names) > 5
    assert {name for name in names if not hasattr(door, name)} == set()
    with pytest.raises(AttributeError, match=f"'no_such_name'; known: .*{names[0]}"):
        _ = door.no_such_name


def test_evalkit_says_that_it_has_types():
    stubs = {path.parent for path in PACKAGE.rglob("__init__.pyi")}
    assert stubs == {PACKAGE.joinpath(*room.split(".")) for room in ROOMS}
    assert (PACKAGE / "py.typed").is_file()
