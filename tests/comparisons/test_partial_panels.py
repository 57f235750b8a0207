"""Any state of any session is an ordinary state. All subjects here are simulated."""

import shutil
import uuid

import numpy as np
import pandas as pd
import pytest
from answers import fill
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from evalkit.article import evaluate
from evalkit.comparisons import analyse_scores, draw_scores
from evalkit.comparisons.scores import TABLES
from evalkit.images import write_image
from evalkit.report import write_report
from evalkit.study import open_run
from evalkit.study.rating import ratings_store
from evalkit.tables import IMAGES, VERDICTS

SOURCES = {"p0": "portrait", "p1": "building", "p2": "text"}
CONDITIONS = {
    "bicubic": "anchor",
    "gpen-512@runner=upstream": "system",
    "realesrgan-x4plus@runner=upstream": "system",
    "reference": "reference",
}


def item(source, left, right, value, **more):
    kind = "ab" if right else "acr"
    role = "system" if right else CONDITIONS.get(left, left)
    values = {"kind": kind, "role": role, "source": source, "left": left}
    return values | {"right": right, "value": value, "expected": None, **more}


scores = st.builds(
    item,
    st.sampled_from([*SOURCES]),
    st.sampled_from([*CONDITIONS]),
    st.none(),
    st.sampled_from([None, *"12345"]),
    tags=st.sampled_from(["[]", '["plastic"]', '["not-a-real-person", "good"]']),
    is_training=st.booleans(),
    is_repeat=st.booleans(),
)
choices = st.builds(
    item,
    st.sampled_from([*SOURCES]),
    st.sampled_from(["bicubic", "gpen-512@runner=upstream"]),
    st.sampled_from(["realesrgan-x4plus@runner=upstream", "reference"]),
    st.sampled_from([None, "left", "right", "same"]),
    tags=st.just("[]"),
)
checks = st.one_of(
    st.builds(
        item,
        st.sampled_from([*SOURCES]),
        st.sampled_from(["gold", "trap"]),
        st.none(),
        st.sampled_from([None, "1", "5"]),
        expected=st.just("1"),
        tags=st.just("[]"),
    ),
    st.builds(
        item,
        st.sampled_from([*SOURCES]),
        st.just("bicubic"),
        st.just("gold"),
        st.sampled_from([None, "left", "right"]),
        role=st.just("gold"),
        expected=st.just("left"),
        tags=st.just("[]"),
    ),
)


@st.composite
def panels(draw):
    """Up to four subjects, each with any answers: of every kind, of one, or none."""
    kinds = draw(
        st.lists(st.sampled_from([scores, choices, checks]), min_size=1, unique=True)
    )
    sessions = st.lists(st.one_of(kinds), max_size=12)
    panel = draw(st.lists(sessions, min_size=1, max_size=4))
    rows = [
        {"subject": f"s{n}", **row}
        for n, session in enumerate(panel)
        for row in session
    ]
    return pd.DataFrame(rows)


def run_with(folder, panel):
    run = open_run(str(folder / uuid.uuid4().hex))
    picture = folder / "picture.png"
    write_image(picture, np.full((8, 8, 3), 99, np.uint8))
    images = [
        {"source": name, "kind": kind, "is_synthetic": False, "path": str(picture)}
        for name, kind in SOURCES.items()
    ]
    run.write(IMAGES, IMAGES.frame(images))
    if len(panel):
        fill(ratings_store(run), panel)
    return run


@pytest.mark.slow
@pytest.mark.filterwarnings("error::RuntimeWarning")
@settings(
    max_examples=6,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # shrinking takes minutes
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(panel=panels())
def test_no_state_of_a_panel_stops_scores_or_verdicts(tmp_path, panel):
    run = run_with(tmp_path, panel)
    found = analyse_scores(run, say=lambda _: None)
    for table in TABLES:
        pd.testing.assert_frame_equal(run.read(table), found[table.name])
    answers = run.answers()
    counted = answers.scores.dropna(subset=["score"])
    n_scores = found["scores_subjects"].set_index("subject")["n_scores"]
    assert found["scores_quality"]["quality"].notna().all()
    assert n_scores.to_dict() == counted.groupby("subject").size().to_dict()
    draw_scores(run, found)
    verdicts = evaluate(run.path)
    assert verdicts["verdict"].notna().all()
    run.write(VERDICTS, verdicts)
    assert write_report(run.path).is_file()
    shutil.rmtree(run.path)
