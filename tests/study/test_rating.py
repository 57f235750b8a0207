"""Rating in a run folder: planned of what was made, served by the command, resumed."""

import asyncio
import hashlib
import json
import re
import shutil
import signal
import subprocess
import sys

import httpx
import pandas as pd
import pytest
from answers import answer
from skimage import data

from evalkit import report
from evalkit.comparisons import analyse_scores
from evalkit.errors import StudyError
from evalkit.images import write_image
from evalkit.rating import frozen_plans
from evalkit.rating._schema import items_of
from evalkit.report._run_folder import RunFolder
from evalkit.study import (
    detectable_difference,
    plan_rating,
    plan_table,
    rate,
    rating_status,
    ratings_store,
    restore,
    serve_rating,
)
from evalkit.study.frozen_plan import plan_kept
from evalkit.study.rating import (
    rated_outputs,
    rating_notes,
    rating_site,
    ratings_digest,
)
from evalkit.study.run_folder import open_run

CONDITIONS = ["lanczos", "lanczos@scale=2", "bicubic"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run folder with three pictures, restored under each condition."""
    folder = tmp_path_factory.mktemp("made")
    for name, photograph in {
        "face": data.astronaut()[60:124, 190:254],
        "cup": data.coffee()[100:148, 200:264],
        "cat": data.chelsea()[40:88, 100:164],
    }.items():
        write_image(folder / "album" / f"{name}.png", photograph)
    run = open_run(str(folder / "run"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVALKIT_CACHE", str(folder / "cache"))
        images = run.images(str(folder / "album"))
        for condition in CONDITIONS:
            restore(run, condition, images, say=lambda _: None)
    return run


@pytest.fixture
def run(made, tmp_path):
    """A copy of it."""
    return open_run(str(shutil.copytree(made.path, tmp_path / "run")))


def test_a_plan_has_every_output_the_anchor_and_what_is_asked_for(run):
    outputs = rated_outputs(run, CONDITIONS)
    cells = outputs.groupby("role")["condition"].agg(frozenset).to_dict()
    assert cells == {
        "source": {"source"},
        "anchor": {"bicubic"},
        "system": {"lanczos", "lanczos@scale=2"},
    }
    progress = plan_rating(run, CONDITIONS, subjects=2)
    assert list(progress.index) == ["s01", "s02"]
    # training of 3, then 3 sources under 3 conditions and 1 repeat, 2 golds, a trap
    assert list(progress["items"]) == [3 + 9 + 1 + 3] * 2
    files = {path.suffix for path in (run.path / "rating" / "stimuli").iterdir()}
    assert files == {".webp"}


def test_references_are_hidden_among_the_outputs(tmp_path):
    run = open_run(str(tmp_path / "run"))
    images = run.images("quick").head(2)
    restore(run, "lanczos", images, say=lambda _: None)
    outputs = rated_outputs(run, ["lanczos"])
    assert (outputs["role"] == "reference").sum() == 2
    assert set(outputs["source"]) == set(images["source"])


def test_planning_again_with_more_subjects_and_conditions_keeps_every_answer(run):
    plan_rating(run, ["lanczos"], subjects=1)
    session = rate(run, "s01")._session
    view = session.handle({"type": "start"})
    for _ in range(6):
        view = session.handle(answer(view, 4))
    before = ratings_store(run).scores()
    progress = plan_rating(run, CONDITIONS, subjects=3)
    assert list(progress["answered"]) == [6, 0, 0]
    assert session.view()["item"] == view["item"]
    pd.testing.assert_frame_equal(ratings_store(run).scores(), before)


def test_random_weights_can_never_enter(run, monkeypatch):
    file = run.path / "records.jsonl"
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    lines[0]["weights_kind"] = "random"
    file.write_text(
        "".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8"
    )
    with pytest.raises(StudyError, match="found random ones: lanczos"):
        plan_rating(open_run(str(run.path)), CONDITIONS)
    assert not (run.path / "rating" / "stimuli").exists()


def test_nothing_made_is_nothing_to_rate_and_no_failure(tmp_path, album):
    run = open_run(str(tmp_path / "empty"))
    run.images(str(album))
    said = []
    assert plan_rating(run, ["lanczos"], say=said.append).empty
    assert "Nothing to rate" in said[0]
    assert detectable_difference(run).empty
    assert rate(run, say=said.append) is None
    with pytest.raises(StudyError, match="notebook 70_rate makes one"):
        serve_rating(run)


def test_a_plan_says_what_it_lacks(run):
    said = []
    plan_rating(run, ["lanczos"], say=said.append)
    assert said == [
        "only lanczos has pictures to rate: the panel compares it with the anchor, and "
        "with no other restorer",
        f"training shows {said[1].split()[2]} which is rated, too: of 3 sources none "
        "can be spared",
    ]
    assert rating_notes(run) == said
    plan_rating(run, CONDITIONS, say=said.append)
    assert len(said) == 3


@pytest.mark.slow
def test_the_plan_is_tabled_for_panels_of_other_sizes(run, monkeypatch):
    with pytest.raises(StudyError, match="expected a plan"):
        plan_table(run)
    plan_rating(run, CONDITIONS, subjects=4)
    table = plan_table(run)
    assert {3, 4, 5, 24} <= {*table.index}
    assert {3, 8, 24} <= {*table.columns}
    assert table.loc[12, 3] == detectable_difference(run).loc[12, "mos_difference"]
    assert table[24].is_monotonic_decreasing
    assert table.loc[24].dropna().is_monotonic_decreasing
    command = [sys.executable, "-m", "evalkit.cli", "rate", str(run.path), "--plan"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout.startswith("The smallest difference of two mean scores")
    assert f"{table.loc[12, 8]:.2f}" in done.stdout
    smallest = f"4 people and 3 pictures find a difference of {table.loc[4, 3]:.2f} "
    assert smallest in done.stdout
    # what notebook 80_scores shows
    assert smallest in str(report.answer(run.path, "detectable"))
    monkeypatch.setattr(RunFolder, "learned_conditions", ["a network"])
    # the answer, which `make study` prints and the report begins with
    steps = report.answer(run.path).of("next")
    assert any(smallest in row["text"] for row in steps if row["rule"] == "people")
    plan_rating(run, CONDITIONS, mode="ab", minutes=20)
    answer = str(report.answer(run.path, "detectable"))
    assert "pictures find no share under 90 % of the choices" in answer
    table = plan_table(run)
    assert pd.isna(table.loc[12, 3])
    assert table.loc[24, 24] < table.loc[12, 12] < 0.9


@pytest.mark.parametrize(
    ("question", "kind", "text"),
    [
        ("quality", "quality", None),
        ("identity", "identity", None),
        ("Which is sharper?", "own", "Which is sharper?"),
    ],
)
def test_a_session_is_told_what_is_asked(run, question, kind, text):
    plan_rating(run, CONDITIONS, question=question, organiser="Ana")
    view = rate(run, "s01")._session.handle({"type": "start"})
    assert view["question"] == {"kind": kind, "text": text}
    assert view["organiser"] == "Ana"


def test_a_plan_is_frozen_before_the_first_score(run):
    plan_rating(run, CONDITIONS, subjects=1, minutes=10)
    plan_rating(run, CONDITIONS, subjects=2, minutes=20)
    kept = json.loads((run.path / "rating" / "plan.json").read_text("utf-8"))
    (first,) = frozen_plans(ratings_store(run))
    assert kept["frozen"] == {"frozen_at": first.frozen_at, "digest": first.digest}
    assert first.content["stopping"]["subjects"] == 2
    canonical = json.dumps(
        first.content, sort_keys=True, separators=(",", ":"), ensure_ascii=False
    )
    assert hashlib.sha256(canonical.encode()).hexdigest() == first.digest
    session = rate(run, "s01")._session
    view = session.handle({"type": "start"})
    while view["item"]["is_training"]:
        view = session.handle(answer(view, 3))
    session.handle(answer(view, 3))
    plan_rating(run, CONDITIONS, subjects=2, minutes=20)
    assert frozen_plans(ratings_store(run)) == [first]
    assert plan_kept(run).startswith(f"as planned; frozen {first.frozen_at}")
    assert "changed since the first score: analysis (now)" in plan_kept(
        run, confidence=0.9
    )
    plan_rating(run, CONDITIONS, subjects=3, minutes=20)
    again = frozen_plans(ratings_store(run))
    assert again[0] == first
    assert f"stopping ({again[1].frozen_at}); frozen {first.frozen_at}" in plan_kept(
        run
    )
    panel = analyse_scores(run, say=lambda _: None)["scores_panel"]
    assert panel.set_index("quantity").loc["plan", "note"] == plan_kept(run)


def test_the_rule_of_stopping_is_frozen(run):
    ab = {"mode": "ab", "minutes": 20, "stopping": "sequential"}
    with pytest.raises(StudyError, match="expected 4 or more choices of each pair"):
        plan_rating(run, CONDITIONS, subjects=1, **ab)
    plan_rating(run, CONDITIONS, subjects=5, **ab)
    (plan,) = frozen_plans(ratings_store(run))
    rule = plan.content["stopping"]
    # 3 pictures under 3 conditions, by 5 people
    assert (rule["choices"], rule["pairs"], rule["looks"]) == (15, 3, 4)
    assert analyse_scores(run, say=lambda _: None)["scores_looks"].empty
    told: list[str] = []
    rating_status(run, told.append)
    there = httpx.ASGITransport(rating_site(run))
    owner = f"http://owner/o/{ratings_store(run).secret('owner')}/"

    async def page() -> str:
        async with httpx.AsyncClient(transport=there) as client:
            return (await client.get(owner)).text

    told.append(asyncio.run(page()))
    # a quarter of 15 choices, of 3 in each session
    assert sum("about 2 more until the next look" in text for text in told) == 2


def test_the_plan_says_what_it_could_detect(run):
    plan_rating(run, CONDITIONS, subjects=3, mode="both", minutes=20)
    found = detectable_difference(run)
    assert list(found.index) == [3, 12, 24]
    assert found["mos_difference"].between(0.5, 2.9).all()
    assert found["share_won"].isna().all()  # by three pictures no taste is told


def test_without_a_subject_it_says_how_to_begin_and_waits_for_nobody(run):
    plan_rating(run, CONDITIONS)
    said = []
    assert rate(run, say=said.append) is None
    assert f"evalkit rate {run.path}" in said[1]
    assert ratings_store(run).scores().empty


def test_the_order_is_drawn_from_a_secret_of_the_run(run, tmp_path):
    other = open_run(str(shutil.copytree(run.path, tmp_path / "other")))

    def order(of_run) -> list[tuple]:
        plan_rating(of_run, CONDITIONS, subjects=1, mode="both", minutes=20, seed=5)
        with ratings_store(of_run).read() as connection:
            items = items_of(connection, "s01")
        return [(item["source"], item["left"], item["right"]) for item in items]

    first = order(run)
    assert order(run) == first
    assert order(other) != first
    secret = ratings_store(run).secret("order")
    for file in run.path.rglob("*"):
        if file.is_file() and not file.name.startswith("ratings.sqlite"):
            assert secret.encode() not in file.read_bytes()


def test_the_digest_of_a_run_changes_with_its_scores(run):
    assert ratings_digest(run) == ""
    assert not (run.path / "ratings.sqlite").exists()
    plan_rating(run, CONDITIONS)
    before = ratings_digest(run)
    session = rate(run, "s01")._session
    session.handle(answer(session.handle({"type": "start"}), 2))
    assert ratings_digest(run) != before


def test_the_article_stands_beside_the_restorers_it_wrote_about(run):
    file = run.path / "rating" / "plan.json"
    plan_rating(run, CONDITIONS)
    settings = json.loads(file.read_text(encoding="utf-8"))
    settings["conditions"] += ["gpen-512@runner=upstream", "gpen-1024"]
    settings["conditions"] += ["realesrgan-animevideo-x4"]
    file.write_text(json.dumps(settings), encoding="utf-8")
    session = rate(run, "s01")._session
    assert session._published == {
        "gpen-512@runner=upstream": "portrait 4.7, building 2.9, text 2.1"
    }


def test_the_command_serves_a_link_to_each_subject_on_this_machine_only(run):
    plan_rating(run, CONDITIONS, subjects=2)
    command = [sys.executable, "-m", "evalkit.cli", "rate", str(run.path)]
    command += ["--port", "0", "--subject", "visitor"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        lines = [server.stdout.readline() for _ in range(6)]
        links = dict(
            re.findall(
                r"^(\S+)  (http://127\.0\.0\.1:\d+/r/\S+/)", "".join(lines), re.M
            )
        )
        assert list(links) == ["s01", "s02", "visitor"]
        assert "Ctrl+C" in lines[3]
        assert f"{rating_notes(run)[0]}\n" in lines
        view = httpx.post(links["visitor"] + "event", json={"type": "start"}).json()
        httpx.post(links["visitor"] + "event", json=answer(view, 5))
        assert list(ratings_store(run).scores()["subject"]) == ["visitor"]
        port = int(re.search(r":(\d+)/", links["s01"])[1])
        with pytest.raises(StudyError, match=f"cannot listen on 127.0.0.1:{port}"):
            serve_rating(run, port=port, say=lambda _: None)
    finally:
        server.send_signal(signal.SIGINT)
        assert server.wait(10) in (0, 130, -signal.SIGINT)


@pytest.mark.slow
def test_the_commands_export_import_and_delete(run, tmp_path):
    plan_rating(run, CONDITIONS)
    session = rate(run, "s01")._session
    session.handle(answer(session.handle({"type": "start"}), 2))

    def evalkit(*arguments: str) -> str:
        command = [sys.executable, "-m", "evalkit.cli", "scores", *map(str, arguments)]
        return subprocess.run(
            command, check=True, capture_output=True, text=True
        ).stdout

    file = tmp_path / "scores.csv"
    assert evalkit("export", file, run.path).startswith("1 answers")
    assert evalkit("delete", "s01", run.path) == "s01 is deleted\n"
    assert ratings_store(run).scores().empty
    assert evalkit("import", file, run.path) == "1 new answers\n"
    assert len(ratings_store(run).scores()) == 1
