import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import yaml

from evalkit import report
from evalkit.errors import StudyError
from evalkit.images import write_image
from evalkit.paths import file_name
from evalkit.records import RecordStore
from evalkit.tables import (
    COST,
    IMAGES,
    MEMORY,
    METRICS,
    PATHOLOGIES,
    SCORES_MOS,
    VERDICTS,
)

EVIL = "<script>alert(1)</script>"
X4, RANDOM = "realesrgan-x4plus", "gpen-512"
MACHINE = "workshop-pc-2c-0123abcd"
ENVIRONMENT = {
    "machine": {
        "machine": MACHINE,
        "cpu": "Workshop CPU",
        "cores": 2,
        "memory_gib": 23.5,
        "gpus": [],
        "os": "Linux 6.1",
        "python": "CPython 3.11.7",
    },
    "versions": {"torch": "2.15.0", "onnx": None},
    "commit": {"commit": "a" * 40, "dirty": False},
}


class Page(HTMLParser):
    """What a browser would make of the report: tags, texts, pictures."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.source = text
        self.text = ""
        self._tag = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self._tag = tag
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        if self._tag not in ("script", "style"):
            self.text += f" {data}"

    def attributes(self, tag: str, name: str) -> list[str | None]:
        return [attributes.get(name) for found, attributes in self.tags if found == tag]

    def says(self, sentence: str) -> bool:
        return sentence in re.sub(r"\s+", " ", self.text)


class Builder:
    """A tiny run folder, made part by part."""

    def __init__(self, path: Path) -> None:
        self.path = path / "run"
        self.files = path / "sources"
        self.images: list[dict] = []
        self.records: list[dict] = []
        self.path.mkdir()

    def picture(self, name: str, pixels: np.ndarray, **facts) -> None:
        file = self.files / f"{file_name(name)}.png"
        write_image(file, pixels)
        row = {"source": name, "path": str(file), "sha256": f"sha of {name}"}
        self.images.append({"kind": "portrait", "is_synthetic": False} | row | facts)

    def record(self, condition: str, source: str, **facts) -> None:
        row = {
            "key": f"{condition} {source}",
            "experiment": "quality",
            "run": len(self.records) + 1,
            "phase": "cold",
            "machine": MACHINE,
            "condition": condition,
            "source": source,
            "source_sha256": f"sha of {source}",
            "weights_kind": "none",
            "outcome": "ok",
        }
        self.records.append(row | facts)

    def output(self, condition: str, source: str, pixels: np.ndarray, **facts) -> None:
        path = f"outputs/{file_name(condition)}/{file_name(source)}.png"
        write_image(self.path / path, pixels)
        self.record(condition, source, output=path, wall_time_s=2.5, **facts)

    def write(self, conditions: list[str] | None = None, images: str = "quick") -> Page:
        IMAGES.write(IMAGES.frame(self.images), self.path / "tables")
        if self.records:
            RecordStore(self.path).append(self.records)
        if conditions:
            study = {"name": "tiny", "images": images, "conditions": conditions}
            (self.path / "study.yaml").write_text(
                yaml.safe_dump(study), encoding="utf-8"
            )
        return Page(report.write_report(self.path).read_text(encoding="utf-8"))


@pytest.fixture
def run(tmp_path) -> Builder:
    return Builder(tmp_path)


@pytest.fixture
def face(astronaut) -> np.ndarray:
    return astronaut[:96, 150:278]


def enlarged(picture: np.ndarray) -> np.ndarray:
    return picture.repeat(4, axis=0).repeat(4, axis=1)


def test_one_file_holds_every_picture_and_fetches_nothing(run, face):
    run.picture("portrait", face)
    run.output("lanczos", "portrait", enlarged(face))
    page = run.write(["lanczos"])
    sources = [src for src in page.attributes("img", "src") if src is not None]
    assert len(sources) == 4  # source and output, whole and detail
    assert all(src.startswith("data:image/webp;base64,") for src in sources)
    assert not [t for t, a in page.tags if t in ("iframe", "object", "embed")]
    links = page.attributes("a", "href") + page.attributes("link", "href")
    assert not [href for href in links if re.match(r"[a-z]+:(?!,)|//", href or "")]
    assert "outputs/lanczos/portrait.png" in links
    assert not [a for t, a in page.tags if t == "script" and "src" in a]


def test_every_picture_has_a_text_for_those_who_cannot_see_it(run, face):
    run.picture("portrait", face)
    run.output("lanczos", "portrait", enlarged(face))
    page = run.write(["lanczos"])
    shown = [a for tag, a in page.tags if tag == "img" and "src" in a]
    assert [a["alt"] for a in shown] == [
        "portrait, the source",
        "portrait, the source: the detail",
        "portrait, restored by lanczos",
        "portrait, restored by lanczos: the detail",
    ]


def test_the_first_lines_tell_what_where_and_with_which_weights(run, face):
    (run.path / "environment.json").write_text(
        json.dumps(ENVIRONMENT), encoding="utf-8"
    )
    run.picture("portrait", face, is_synthetic=True)
    run.picture("page", face, kind="text")
    weights = {"weights_kind": "package", "weights_sha256": "4fa0d38905f7" + "5" * 52}
    run.output(X4, "portrait", enlarged(face), **weights)
    page = run.write([X4, "lanczos"])
    assert page.says("Study tiny")
    assert page.says("2 conditions on 2 pictures, none of them with a pristine")
    assert page.says("1 portrait, 1 text")
    assert page.says("Workshop CPU, 2 cores, 23.5 GiB of memory, no GPU")
    assert page.says("carried by an installed package (SHA-256 4fa0d38905f7…)")
    parts = ["Answer", "What cannot be concluded", "What was compared", "portrait;"]
    places = [page.text.index(part) for part in parts]
    assert places == sorted(places)
    assert places[2] < 2500


def test_what_cannot_be_concluded_follows_from_the_run(run, face):
    (run.path / "environment.json").write_text(
        json.dumps(ENVIRONMENT), encoding="utf-8"
    )
    run.picture("portrait", face, is_synthetic=True)
    run.record("lanczos", "portrait", outcome="oom", error="out of memory")
    page = run.write(["lanczos"])
    assert page.says("Nobody has rated these pictures")
    assert page.says("1 of 1 sources were degraded by a formula of ours")
    assert page.says("1 picture cannot speak for all pictures")
    assert page.says("There was no GPU")
    assert page.says("No source has a pristine reference")
    assert page.says("1 of 1 runs failed")
    assert not page.says("random weights")


def test_a_run_with_a_gpu_real_photographs_and_scores_is_not_warned_of(run, face):
    gpu = {"name": "NVIDIA H200", "memory_mib": 143771}
    machine = ENVIRONMENT["machine"] | {"gpus": [gpu]}
    (run.path / "environment.json").write_text(
        json.dumps(ENVIRONMENT | {"machine": machine}), encoding="utf-8"
    )
    for n in range(31):
        run.picture(f"p{n}", face[:32, :32], reference=str(run.files / "p0.png"))
    page = run.write(["lanczos"])
    assert page.says("NVIDIA H200 (143771 MiB)")
    for sentence in (
        "no GPU",
        "degraded by a formula",
        "cannot speak",
        "no pristine",
    ):
        assert not page.says(sentence)


def test_pictures_of_random_weights_are_never_shown(run, face):
    run.picture("portrait", face)
    noise = np.random.default_rng(0).integers(0, 256, (384, 512, 3)).astype(np.uint8)
    run.output(RANDOM, "portrait", noise, weights_kind="random")
    page = run.write([RANDOM])
    assert len([src for src in page.attributes("img", "src") if src]) == 2
    assert page.says("RANDOM weights: time and memory only, no picture")
    assert page.says("gpen-512 ran with random weights")
    assert page.says("since its weights are random and its output is noise")
    assert not [h for h in page.attributes("a", "href") if h and h.endswith(".png")]


def test_pictures_are_shown_once_the_released_weights_are_there(run, face):
    run.picture("portrait", face)
    run.record(RANDOM, "portrait", experiment="cost", weights_kind="random")
    run.output(RANDOM, "portrait", enlarged(face), weights_kind="released")
    page = run.write([RANDOM])
    assert len([src for src in page.attributes("img", "src") if src]) == 4
    assert not page.says("random weights")


def test_a_reader_s_own_folder_is_named_without_its_path(run, face):
    run.picture("portrait", face)
    page = run.write(["lanczos"], images="/home/reader/Pictures/album")
    assert page.says("image set album")
    assert "/home/reader" not in (run.path / "report.html").read_text(encoding="utf-8")


def test_a_newer_record_takes_the_place_of_an_older_one(run, face):
    run.picture("portrait", face)
    run.record("lanczos", "portrait", outcome="crash", error="signal 9")
    run.output("lanczos", "portrait", enlarged(face))
    page = run.write(["lanczos"])
    assert len([src for src in page.attributes("img", "src") if src]) == 4
    assert page.says("signal 9")  # in the list of failures


def test_failures_that_differ_in_their_picture_alone_are_one_row(run, face):
    for name in ("anna", "bert", "carl"):
        run.picture(name, face)
        error = f"UnknownNameError: unknown source {name!r}; known: dora"
        run.record("theirs", name, run=1, outcome="error", error=error)
    run.record("theirs", "carl", experiment="cost", outcome="crash", error="signal 9")
    page = run.write(["theirs", "lanczos"])
    assert page.says("anna and 2 more alike")
    assert page.says("4 of 4 runs failed, of theirs; they are listed")
    assert page.says("no picture, error: UnknownNameError: unknown source 'bert'.")
    assert page.says("unknown source 'anna'; known: dora")  # among the failures
    assert not page.says("unknown source 'bert'; known")


def test_what_the_machine_interrupted_is_said_and_is_no_failure(run, face):
    run.picture("portrait", face)
    run.record("lanczos", "portrait", outcome="interrupted", error="disk full")
    run.output("bicubic", "portrait", enlarged(face))
    page = run.write(["lanczos", "bicubic"])
    assert page.says("The machine interrupted 1 cell, which count nowhere (first: disk")
    assert page.says("Run the study again to have them")
    assert page.says("no picture, interrupted: disk full")
    assert not page.says("runs failed")


def test_what_was_interrupted_before_the_code_changed_is_not_said(run, face):
    run.picture("portrait", face)
    run.record("lanczos", "portrait", outcome="interrupted", error="disk full")
    run.output("lanczos", "portrait", enlarged(face), key="of newer code")
    assert not run.write(["lanczos"]).says("interrupted")


def test_a_condition_that_failed_is_a_line_with_its_reason(run, face):
    run.picture("portrait", face)
    run.record(
        X4, "portrait", outcome="oom", error="3.2 GiB wanted", notes=["tile 200"]
    )
    page = run.write([X4, "bicubic"])
    assert page.says("no picture, oom: 3.2 GiB wanted")
    assert page.says("tile 200")
    assert page.says("no picture, not restored in this run")


def test_names_cannot_become_code(run, face):
    run.picture(EVIL, face, note=EVIL, licence='"><img src=x onerror=alert(1)>')
    run.output(EVIL, EVIL, enlarged(face), notes=[EVIL, "</script>"])
    run.picture("broken", face, error=f"cut off {EVIL}")
    verdict = dict.fromkeys(VERDICTS.columns, EVIL) | {"n_intervals": 1}
    VERDICTS.write(VERDICTS.frame([verdict]), run.path / "tables")
    page = run.write([EVIL])
    assert [tag for tag, _ in page.tags].count("script") == 1
    assert not [a for _, a in page.tags if any(name.startswith("on") for name in a)]
    assert page.says(EVIL)


def test_only_our_own_script_may_run(run, face):
    import base64
    import hashlib

    run.picture("portrait", face)
    run.write()
    text = (run.path / "report.html").read_text(encoding="utf-8")
    script = re.search(r'<script type="module">(.*?)</script>', text, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)[1]
    assert "default-src 'none'" in policy
    assert f"script-src 'sha256-{digest}'" in policy


def test_cost_stands_beside_the_article_s_and_unknown_is_said(run, face):
    run.picture("portrait", face)
    run.output(X4, "portrait", enlarged(face))
    row = {
        "condition": X4,
        "restorer": X4,
        "source": "portrait",
        "machine": MACHINE,
        "weights_kind": "package",
        "source_width_px": 128,
        "source_height_px": 96,
        "n_runs": 3,
        "n_failed": 0,
        "wall_time_s": 1.3149,
        "wall_time_low_s": 1.27,
        "wall_time_high_s": 1.36,
        "restore_time_s": 0.4321,
        "stages_s": {"network": 0.2111, "encode": 0.8, "upload": 0.0004},
        "peak_rss_mib": 812.4,
        "energy_j": 61.4,
        "notes": ["our layers ran in place of theirs"],
    }
    COST.write(COST.frame([row]), run.path / "tables")
    page = run.write([X4])
    assert page.says("1.31 s (median of 3 runs)")
    assert page.says("1.27 to 1.36")
    assert page.says("restore() alone 0.432 s")
    assert page.says("encode 800 ms")
    assert page.says("network 211 ms")
    assert not page.says("upload")  # less than a millisecond
    assert not page.says("12.3 s")  # of a GPU and 1024x768 px
    assert page.says("nothing of this device and size")
    assert page.says("RTX 4090")
    alike = {"source_width_px": 1024, "source_height_px": 768}
    alike |= {"setting": {"device": "cuda:0", "precision": "fp32"}}
    COST.write(COST.frame([row | alike]), run.path / "tables")
    assert run.write([X4]).says("12.3 s time per picture")
    assert page.says("not measured")
    assert not page.says("GPU memory by NVML")  # a column of nulls
    assert page.says("GPU energy of a run, J")
    assert page.says("61.4")
    assert page.says("our layers ran in place of theirs")
    assert page.says("Times are medians of at most 3 runs")


def test_metrics_stand_below_the_pictures_as_secondary(run, face):
    run.picture("portrait", face)
    run.output(X4, "portrait", enlarged(face))
    rows = [
        {
            "condition": X4,
            "source": source,
            "metric": "psnr",
            "value": value,
            "unit": "dB",
            "higher_is_better": True,
            "resampling": "area",
        }
        for source, value in (("portrait", 24.0), ("page", 30.0))
    ]
    METRICS.write(METRICS.frame(rows), run.path / "tables")
    page = run.write([X4])
    assert page.says("27 dB")  # the median of 24 and 30
    assert page.says("24 to 30")
    assert page.says("all outputs brought there by area")
    assert page.text.index("Secondary.") > page.text.index("Compare: zoom")


def test_what_was_changed_of_an_album_is_shown_without_any_reference(run, face):
    run.picture("portrait", face)
    run.output(X4, "portrait", enlarged(face))
    row = {"condition": X4, "source": "portrait", "unit": "dB", "resampling": "area"}
    values = {"whole": (-1.25, None), "skin": (-7.5, None), "faces": (None, "no face")}
    rows = [
        row | {"metric": "texture_energy", "region": name, "value": v, "note": note}
        for name, (v, note) in values.items()
    ]
    PATHOLOGIES.write(PATHOLOGIES.frame(rows), run.path / "tables")
    page = run.write([X4])
    assert page.says("No output has a pristine reference")
    assert page.says("What each condition changed of its source")
    assert page.says("texture_energy")
    assert page.says("-1.25 dB")
    assert not page.says("-7.5")  # of the skin: in the linked table
    assert not page.says("was not measured")
    assert [a for tag, a in page.tags if tag == "details" and "open" in a]


def test_verdicts_can_be_filtered_by_kind_and_verdict(run):
    rows = [
        {"claim": "G1", "kind": "measure", "verdict": "not testable here"},
        {"claim": "D5", "kind": "upstream", "verdict": "contradicted"},
        {"claim": "S1", "kind": "protocol", "verdict": "followed", "n_intervals": 40}
        | {"range": "three portraits", "settled_by": "a GPU: make verdicts"},
    ]
    VERDICTS.write(VERDICTS.frame(rows), run.path / "tables")
    page = run.write()
    assert {"claim-G1", "claim-D5", "claim-S1"} <= {*page.attributes("tr", "id")}
    assert page.says("Counts as it: three portraits")
    assert page.says("What would settle it: a GPU: make verdicts.")
    assert page.says(
        "Of how it worked, and of what another program offers, apart: 1 fol"
    )
    assert page.says("1 not testable here, 1 contradicted")
    chinese = (run.path / "report.zh.html").read_text(encoding="utf-8")
    assert "Real-ESRGAN 默认不是半精度" in chinese
    assert "three portraits" not in chinese
    assert 'href="report.html#claim-G1"' in chinese
    assert page.says("at most 1.4 wrong verdicts are to be expected")
    marked = [
        (a.get("data-kind"), a.get("data-verdict")) for t, a in page.tags if t == "tr"
    ]
    assert ("measure", "not testable here") in marked
    assert ("upstream", "contradicted") in marked
    assert page.says(
        "claims, in our words, and what this run says to it: 1 not testable"
    )


def test_the_time_is_split(run):
    timing = {"started_at": "2026-01-01T00:00:00Z", "total_s": 200.0, "model_s": 150.0}
    (run.path / "timing.json").write_text(json.dumps(timing), encoding="utf-8")
    page = run.write()
    assert page.says("took 200 s: 150 s loading and running the restorers, 50 s (25 %)")


def test_a_crop_that_the_study_chose_is_taken(run, face):
    (run.path / "crops.json").write_text(
        json.dumps({"portrait": [10, 20, 40, 30]}), encoding="utf-8"
    )
    run.picture("portrait", face)
    assert run.write().says("detail of 40x30 px at x 10, y 20")


def test_a_source_that_is_gone_is_said(run, face):
    run.picture("portrait", face)
    (run.files / "portrait.png").unlink()
    run.output("lanczos", "portrait", enlarged(face))
    page = run.write(["lanczos"])
    assert page.says("No picture: the file is no longer there")
    assert len([src for src in page.attributes("img", "src") if src]) == 1


def test_an_empty_run_folder_has_a_report(tmp_path):
    (tmp_path / "empty").mkdir()
    page = Page(report.write_report(tmp_path / "empty").read_text(encoding="utf-8"))
    assert page.says("0 conditions on 0 pictures")
    assert page.says("does not say which machine")
    assert page.says("Every picture could be read and every run ended well.")


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(StudyError, match="expected a run folder"):
        report.write_report(tmp_path / "nowhere")


@pytest.mark.parametrize("limit", [500_000, 150_000, 60_000])
def test_the_limit_holds_and_all_views_of_a_picture_are_treated_alike(
    run, monkeypatch, limit
):
    noise = np.random.default_rng(0).integers(0, 256, (150, 200, 3)).astype(np.uint8)
    for name in ("one", "two", "three"):
        run.picture(name, noise)
        run.output("lanczos", name, enlarged(noise))
        run.output("bicubic", name, enlarged(noise))
    monkeypatch.setattr(report, "MAX_BYTES", limit)
    page = run.write(["lanczos", "bicubic"])
    assert (run.path / "report.html").stat().st_size <= limit
    n_shown = len([src for src in page.attributes("img", "src") if src]) // 6
    assert page.says("reduced further than usual") == (n_shown > 0)
    assert page.says("for want of room") == (n_shown < 3)
    sizes = page_sizes(page)
    assert all(sizes[6 * n + 2] == sizes[6 * n + 4] for n in range(n_shown))


def page_sizes(page: Page) -> list[tuple[int, int]]:
    import base64
    import io

    from PIL import Image

    return [
        Image.open(io.BytesIO(base64.b64decode(src.partition(",")[2]))).size
        for src in page.attributes("img", "src")
        if src
    ]


def test_views_are_at_most_1280_px_and_crops_are_at_full_size(run):
    noise = np.random.default_rng(0).integers(0, 256, (300, 400, 3)).astype(np.uint8)
    run.picture("one", noise)
    run.output("lanczos", "one", enlarged(noise))
    page = run.write(["lanczos"])
    # a crop is 120x90 px of the source, so 480x360 px of an output 4 times as large
    assert page_sizes(page) == [(400, 300), (120, 90), (1280, 960), (480, 360)]


def test_a_picture_of_one_pixel_has_a_report(run):
    run.picture("dot", np.zeros((1, 1), np.uint8))
    run.output("lanczos", "dot", np.zeros((4, 4), np.uint8))
    assert page_sizes(run.write(["lanczos"])) == [(1, 1), (1, 1), (4, 4), (4, 4)]


def test_the_charts_tell_ratios_and_what_memory_is_made_of(run, face):
    (run.path / "environment.json").write_text(
        json.dumps(ENVIRONMENT), encoding="utf-8"
    )
    run.picture("portrait", face)
    run.output(X4, "portrait", enlarged(face), restorer=X4)
    slow = f"{X4}@runner=upstream"
    row = {"restorer": X4, "source": "portrait", "machine": MACHINE, "n_runs": 3}
    row |= {"source_width_px": 128, "source_height_px": 96}
    times = {slow: 12.0, X4: 3.0}
    rows = [row | {"condition": c, "wall_time_s": t} for c, t in times.items()]
    COST.write(COST.frame(rows), run.path / "tables")
    held = {"start_rss_mib": 300, "loaded_rss_mib": 450, "peak_rss_mib": 1000}
    of_x4 = {"condition": X4, "source": "portrait", "machine": MACHINE} | held
    MEMORY.write(MEMORY.frame([of_x4]), run.path / "tables")
    mos = {"method": "none", "kind": "all", "n_subjects": 3, "n_sources": 1}
    scores = [
        mos | {"condition": slow, "mos": 4.0},
        mos | {"condition": X4, "mos": 3.5},
    ]
    SCORES_MOS.write(SCORES_MOS.frame(scores), run.path / "tables")
    page = run.write([slow, X4])
    assert page.says("portrait, 128x96 px")
    assert page.says("12 s 4 x")
    assert page.says(f"Pictures an hour, one at a time : {slow} 300; {X4} 1,200 (cost)")
    assert page.says("Most instances that ran side by side : not measured")
    assert page.says("Licence : realesrgan-x4plus BSD-3-Clause (records)")
    assert page.says("fastest of its restorer")
    assert page.says("300 / 450 / 1000")
    styles = page.attributes("i", "style")
    assert {"left: 0%; width: 30.0%", "left: 30.0%; width: 15.0%"} <= {*styles}
    assert "left: 45.0%; width: 55.0%" in styles
    assert page.attributes("circle", "class") == ["best", "best"]  # faster, or better


def test_an_album_is_run_again_with_its_place_left_open(run, face):
    from evalkit.study.config import read_study

    run.picture("portrait", face)
    study = {"name": "mine-album", "images": "/home/reader/album"}
    study |= {"conditions": ["lanczos"]}
    (run.path / "study.yaml").write_text(yaml.safe_dump(study), encoding="utf-8")
    page = run.write()
    assert page.says('make study STUDY=study.yaml IMAGES="<your folder album>"')
    printed = re.search(r"<pre[^>]*>(.*?)</pre>", page.source, re.DOTALL)[1]
    (run.path / "again.yaml").write_text(printed, encoding="utf-8")
    again = read_study(run.path / "again.yaml")
    assert (again.name, again.images) == ("mine", "auto")


def test_every_claim_has_our_chinese_words():
    from evalkit.article import load_claims
    from evalkit.report._claims import said_of

    claims = [claim.id for claim in load_claims()]
    said = [said_of(claim, "zh") for claim in claims]
    assert all(re.search("[\u4e00-\u9fff]{2}", sentence) for sentence in said)
    assert len(set(said)) == len(claims)
