import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf

from evalkit.errors import TableError
from evalkit.stats import scale_effect


def seen(seed, effect, n_subjects=8, n_sources=8):
    """Scores of simulated subjects, each of whom saw each picture at a scale."""
    rng = np.random.default_rng(seed)
    subject, source, condition = np.indices((n_subjects, n_sources, 2)).reshape(3, -1)
    scale = rng.choice([0.5, 1.0], (n_subjects, n_sources))[subject, source]
    score = 3 + condition + rng.normal(0, 0.3, n_subjects)[subject]
    score = score + rng.normal(0, 0.5, n_sources)[source] + effect * np.log2(scale)
    rows = {"subject": subject, "source": source, "condition": condition}
    noise = rng.normal(0, 0.7, len(score))
    return pd.DataFrame(rows | {"scale": scale, "score": score + noise})


def test_the_effect_is_that_of_a_regression_on_the_stimuli():
    ratings = seen(1, 0.5)
    found = scale_effect(ratings)
    ratings["doublings"] = np.log2(ratings["scale"])
    line = smf.ols("score ~ C(source) * C(condition) + doublings", ratings).fit()
    assert found["effect"] == pytest.approx(line.params["doublings"])
    assert found["share_at_1"] == (ratings["scale"] == 1).mean()
    assert (found["n_scores"], found["n_subjects"], found["n_sources"]) == (128, 8, 8)


@pytest.mark.parametrize("effect", [0.0, 0.5])
def test_its_interval_holds_the_truth_as_often_as_is_said(effect):
    found = [scale_effect(seen(seed, effect)) for seed in range(120)]
    held = np.mean([row["low"] <= effect <= row["high"] for row in found])
    assert held >= 0.9


def test_one_scale_has_no_effect_and_one_subject_no_interval():
    assert np.isnan(scale_effect(seen(1, 0).assign(scale=1.0))["effect"])
    few = seen(2, 0).query("subject == 0")
    few = pd.concat([few, few.assign(scale=few["scale"] * 2, score=few["score"] + 1)])
    found = scale_effect(few)
    assert found["effect"] == pytest.approx(1)
    assert np.isnan(found["low"])


def test_a_scale_that_is_none_is_refused():
    with pytest.raises(TableError, match="column scale"):
        scale_effect(seen(1, 0).drop(columns="scale"))
    with pytest.raises(TableError, match="above 0"):
        scale_effect(seen(1, 0).assign(scale=0.0))
