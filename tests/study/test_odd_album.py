"""Nothing in an album of odd pictures stops a step: values, figures, plan, verdicts."""

import html
import json
import re
from functools import partial
from pathlib import Path

import numpy as np
import oddities
import pandas as pd
import pytest
from strangers import BROKEN_CODE

from evalkit.article import Verdict, evaluate
from evalkit.comparisons import (
    compare_metrics,
    compare_pathologies,
    compare_side_by_side,
    draw_pathologies,
)
from evalkit.images import pixel_sha256, read_image, resize, write_image
from evalkit.metrics import Metric, metrics
from evalkit.records import RecordStore
from evalkit.report import write_report
from evalkit.study import open_run, plan_rating
from evalkit.tables import IMAGES, METRICS, PATHOLOGIES

pytestmark = pytest.mark.slow

CONDITIONS = ["gpen-512", "realesrgan-x4plus", "realesrgan-x4plus@runner=upstream"]
"""Those that the judges ask for; what stands for their outputs is enlarged."""


def make_run(folder: Path, names: list[str]):
    """A run folder of portraits with references, as if all had been restored."""
    rows, records = [], []
    for name in names:
        source = oddities.PICTURES[name]()
        height, width = source.shape[:2]
        path = folder / "album" / f"{name}.png"
        write_image(path, source)
        row = {"source": name, "kind": "portrait", "path": str(path), "sha256": name}
        row |= {"reference": str(path), "reference_sha256": name}
        row |= {"width_px": width, "height_px": height}
        rows.append(row | {"is_synthetic": len(rows) % 2 == 0})
        for number, condition in enumerate(CONDITIONS):
            scale = number + 1
            made = resize(source, scale * width, scale * height)
            output = f"outputs/{condition}/{name}.png"
            write_image(folder / "run" / output, made)
            record = {"experiment": "quality", "key": f"{condition} {name}", "run": 1}
            record |= {"condition": condition, "source": name, "source_sha256": name}
            record |= {"restorer": condition.partition("@")[0], "phase": "cold"}
            record |= {"machine": "m", "outcome": "ok", "weights_kind": "released"}
            record |= {"wall_time_s": 1.0, "peak_rss_mib": 9.0, "output": output}
            records.append(record | {"output_sha256": pixel_sha256(made)})
    run = open_run(str(folder / "run"))
    run.write(IMAGES, IMAGES.frame(rows))
    RecordStore(run.path).append(records)
    return run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("odd"), list(oddities.PICTURES))


@pytest.fixture(scope="module")
def tables(run):
    return {"metrics": compare_metrics(run), "pathologies": compare_pathologies(run)}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("table", ["metrics", "pathologies"])
def test_each_picture_has_each_value_or_a_note(tables, table):
    rows = tables[table]
    is_there = rows["value"].notna()
    assert rows.loc[~is_there, "note"].notna().all()
    finite = np.isfinite(rows.loc[is_there, "value"].astype(float))
    assert set(rows.loc[is_there, "metric"][~finite]) <= {"psnr"}
    assert rows.loc[is_there, "note"][~finite].str.startswith("infinite").all()
    needs = ("reference",) if table == "metrics" else ("source", "nothing")
    known = {name for name, metric in metrics().items() if metric.needs in needs}
    made = rows[rows["condition"] != "source"]
    for _, mine in made.groupby(["condition", "source"]):
        assert set(mine["metric"]) == known
    assert set(made["source"]) == set(oddities.PICTURES)


def test_a_picture_that_is_not_odd_lacks_what_it_does_not_show(tables):
    rows = pd.concat(tables.values())
    plain = rows[(rows["source"] == "RGB 8 bit") & rows["value"].isna()]
    of_content = {name for name, metric in metrics().items() if metric.shows}
    assert set(plain["metric"]) == of_content | {"lpips", "niqe"}


def test_every_picture_has_its_figures(tmp_path, capsys):
    names = ["tiny 1x1", "line 4000x1", "banner 18x1500", "black", "RGBA 16 bit"]
    run = make_run(tmp_path, names)
    compare_pathologies(run)
    assert len(compare_side_by_side(run, CONDITIONS[:2])) == len(names)
    assert len(draw_pathologies(run, CONDITIONS[:1], names)) == len(names)
    assert not capsys.readouterr().out


def test_the_judges_judge(run, tables):
    verdicts = evaluate(run.path)
    assert set(verdicts["verdict"]) <= {verdict.value for verdict in Verdict}
    told = verdicts[["found", "evidence"]].fillna("").agg(" ".join, axis=1)
    assert not told.str.contains(r"\bnan\b|\binf\b|<NA>").any()


def test_a_run_of_dots_alone_has_tables_and_verdicts(tmp_path):
    run = make_run(tmp_path, ["tiny 1x1", "transparent 1x1"])
    assert compare_metrics(run)["note"].notna().any()
    pathologies = compare_pathologies(run)
    told = pathologies[pathologies["value"].isna()]
    assert told["note"].notna().all()
    assert len(evaluate(run.path))
    assert len(compare_side_by_side(run, CONDITIONS)) == 2


def test_the_plan_leaves_out_what_nobody_could_judge(run):
    said = []
    progress = plan_rating(run, CONDITIONS, subjects=2, minutes=120, say=said.append)
    assert (progress["items"] > 10).all()
    assert "tiny 1x1 is not rated: shown at 4x4 px" in "\n".join(said)
    plan = json.loads((run.path / "rating" / "plan.json").read_text(encoding="utf-8"))
    assert ["black", None, "it looks the same under every condition"] in (
        plan["left_out"]
    )


def test_where_nothing_can_be_judged_that_is_one_line(tmp_path):
    run = make_run(tmp_path, ["tiny 1x1"])
    said = []
    progress = plan_rating(run, CONDITIONS, say=said.append)
    assert progress.empty
    assert said[-1] == (
        "Nothing to rate: none of these conditions has made a picture that can be "
        "judged."
    )
    assert not (run.path / "rating" / "plan.json").exists()


def test_the_report_shows_them_all(run, tables):
    page = write_report(run.path).read_text(encoding="utf-8")
    assert len(page.encode()) <= 15_000_000
    for name in oddities.PICTURES:
        assert html.escape(name) in page
    # a source, a reference and three outputs of each, whole and a crop
    assert page.count("data:image/webp") == 2 * 5 * len(oddities.PICTURES)


def fail_on(width: int, output, *_given, **_region) -> float:
    """A metric with a bug that one size brings out."""
    return {output.shape[1]: 1.0}.get(0, 0.0) if output.shape[1] != width else {}[0]


@pytest.mark.parametrize("needs", ["reference", "source"])
def test_a_bug_in_a_metric_costs_the_values_it_cannot_give(
    needs, tmp_path, monkeypatch, capsys
):
    run = make_run(tmp_path, ["RGB 8 bit", "noise"])
    name = "psnr" if needs == "reference" else "halo"
    registry = dict(metrics())
    told = {"unit": "", "higher_is_better": True, "citation": "x:y", "needs": needs}
    registry[name] = Metric(name=name, compute=partial(fail_on, 48), **told)
    for module in ("side_by_side", "pathologies"):
        monkeypatch.setattr(f"evalkit.comparisons.{module}.metrics", lambda: registry)
    measure = compare_metrics if needs == "reference" else compare_pathologies
    with pytest.raises(KeyError):
        measure(run)
    monkeypatch.delenv("EVALKIT_STRICT")
    rows = measure(run).set_index(["metric", "condition", "source"])
    mine = rows.loc[name].xs("noise", level="source")
    assert set(mine["note"]) == {"KeyError: 0"}
    assert rows.loc[name].xs("RGB 8 bit", level="source")["value"].notna().all()
    others = rows.drop(index=name, level="metric").xs("noise", level="source")
    assert others["value"].notna().any()
    assert f"{name} of gpen-512 of noise: left out, by a fault of evalkit" in (
        capsys.readouterr().out
    )


def test_want_of_memory_costs_one_picture(tmp_path, monkeypatch):
    run = make_run(tmp_path, ["RGB 8 bit", "noise"])

    def read(path, **given):
        if "noise" in Path(path).name:
            raise MemoryError
        return read_image(path, **given)

    monkeypatch.setattr("evalkit.comparisons.side_by_side.read_image", read)
    monkeypatch.setattr("evalkit.comparisons.pathologies.read_image", read)
    for rows in (compare_metrics(run), compare_pathologies(run)):
        mine = rows[rows["source"] == "noise"]
        assert mine["note"].str.startswith("not enough memory").all()
        assert rows.loc[rows["source"] != "noise", "value"].notna().any()


def test_an_output_that_is_gone_is_a_note_and_a_frame(tmp_path):
    run = make_run(tmp_path, ["RGB 8 bit", "noise"])
    (run.path / "outputs" / "gpen-512" / "noise.png").unlink()
    rows = compare_pathologies(run).set_index(["condition", "source", "metric"])
    assert "noise.png" in rows.loc[("gpen-512", "noise", "halo"), "note"]
    assert pd.notna(rows.loc[("realesrgan-x4plus", "noise", "halo"), "value"])
    assert len(compare_side_by_side(run, CONDITIONS)) == 2


def test_the_whole_study_of_the_odd_album_is_complete(strangers):
    run = open_run(str(strangers))
    images = run.read(IMAGES)
    broken = images[images["error"].notna()]
    assert {"empty", "cut off", "page of html", BROKEN_CODE} == set(broken["source"])
    good = set(images["source"]) - set(broken["source"])
    assert set(oddities.PICTURES) < good
    pathologies = run.read(PATHOLOGIES)
    assert set(pathologies["source"]) == good
    assert pathologies.loc[pathologies["value"].isna(), "note"].notna().all()
    assert run.read(METRICS).empty
    quality = run.quality()
    quality = quality[quality["condition"] == "lanczos"]
    assert set(quality.loc[quality["outcome"] == "ok", "source"]) == good
    page = (strangers / "report.html").read_text(encoding="utf-8")
    for source in oddities.PICTURES:
        assert html.escape(source) in page
    for notebook in (strangers / "notebooks").glob("*.ipynb"):
        warned = re.findall(r"\w*Warning", notebook.read_text(encoding="utf-8"))
        assert {*warned} <= {"ProfileWarning"}, notebook.name  # those that are broken
