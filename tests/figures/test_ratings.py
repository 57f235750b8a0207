"""Figures of ratings, on simulated answers."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from evalkit import figures
from evalkit.tables import SCORES_METRICS, SCORES_MOS, SCORES_PANEL, SCORES_SUBJECTS

LONG = "realesrgan-x4plus@precision=fp16,runner=upstream,tile=200"


def told(figure: Figure) -> str:
    """All text, after a check that none of it is cut off."""
    FigureCanvasAgg(figure).draw()
    texts = [*figure.findobj(lambda artist: hasattr(artist, "get_text"))]
    shown = [text for text in texts if text.get_text() and text.get_visible()]
    boxes = [text.get_window_extent() for text in shown]
    width, height = figure.bbox.size
    inside = [
        box.x0 >= -1 and box.x1 <= width + 1 and box.y0 >= -1 and box.y1 <= height + 1
        for box in boxes
    ]
    # a tick beyond the axes' limits is laid out and never drawn
    outside = [
        text.get_text() for text, ok in zip(shown, inside, strict=True) if not ok
    ]
    assert not [text for text in outside if not text.replace(".", "").isdigit()]
    return "\n".join(text.get_text() for text in shown)


def test_bars_show_the_share_of_each_score():
    ratings = pd.DataFrame(
        {
            "subject": ["a", "b", "a", "b"] * 2,
            "source": ["p", "p", "q", "q"] * 2,
            "condition": [LONG] * 4 + ["bicubic"] * 4,
            "score": [5, 5, 4, 1, 1, 1, 2, 1],
        }
    )
    figure = figures.score_distribution(ratings)
    assert "2 subjects, 2 sources" in told(figure)
    widths = np.array([bar.get_width() for bar in figure.axes[0].patches])
    # five scores, the worse condition first
    assert widths.reshape(5, 2).T.tolist() == [[75, 25, 0, 0, 0], [25, 0, 0, 25, 50]]


def test_the_forest_marks_the_articles_values():
    rows = [
        {"method": "none", "kind": kind, "condition": condition, "mos": mos}
        | {"n_subjects": 3, "n_sources": 2, "ci_low": low, "ci_high": 4.5}
        | {"claimed": claimed}
        for kind, condition, mos, low, claimed in [
            ("all", LONG, 3.5, 3.0, None),
            ("portrait", LONG, 3.25, 2.0, 3.4),
            ("portrait", "gpen-512", 4.25, None, 4.7),
        ]
    ]
    figure = figures.forest(SCORES_MOS.frame(rows))
    text = told(figure)
    assert "3 subjects, 2 sources" in text
    assert "3.25   3 x 2" in text
    (diamonds,) = [a for a in figure.axes[0].lines if a.get_marker() == "D"]
    assert sorted(diamonds.get_xdata()) == [3.4, 4.7]


def test_subjects_show_bias_inconsistency_and_who_is_left_out():
    rows = [
        {"subject": f"s{i}", "n_scores": 9, "bias": i / 4 - 0.5, "inconsistency": 0.5}
        | {"bias_low": i / 4 - 0.9, "bias_high": i / 4 - 0.1}
        | {"inconsistency_low": 0.4, "inconsistency_high": 0.7}
        | {"rejected_by": "bt500 and p910" if i == 2 else None}
        for i in range(4)
    ]
    text = told(figures.subjects(SCORES_SUBJECTS.frame(rows), 9))
    assert "4 subjects, 9 sources" in text
    assert "s2\nout by bt500 and p910" in text


@pytest.mark.parametrize("has_metrics", [True, False])
def test_agreement_says_what_is_not_known(has_metrics):
    panel = [
        {"quantity": "subjects", "value": 3},
        {"quantity": "sources", "value": 7},
        {"quantity": "Krippendorff's alpha, ordinal", "value": 0.61},
        {"quantity": "ICC(2,1)"},
    ]
    metrics = [{"metric": "psnr", "srcc": -0.3, "low": -0.5, "high": 0.1}] * has_metrics
    figure = figures.agreement(SCORES_PANEL.frame(panel), SCORES_METRICS.frame(metrics))
    text = told(figure)
    assert "3 subjects, 7 sources" in text
    assert "0.61" in text
    assert "not known" in text
    assert ("psnr" in text) == has_metrics


def test_the_win_matrix_has_shares_and_counts():
    names = [LONG, "bicubic", "gpen-512"]
    wins = pd.DataFrame([[0, 7.5, 4], [2.5, 0, 0], [6, 0, 0]], names, names)
    choices = pd.DataFrame({"subject": ["a", "b", "c"], "source": ["p", "p", "q"]})
    text = told(figures.win_matrix(wins, choices))
    assert "3 subjects, 2 sources" in text
    assert "75 %\n7.5 of 10" in text
    assert "40 %\n4 of 10" in text
    assert "0 of 0" not in text
