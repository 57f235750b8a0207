"""Limits of the router fitted to planted features, and to the labelled photographs."""

import json

import numpy as np
import pandas as pd
import pytest
from router import TRIED, fit

from evalkit.comparisons import assess_routing
from evalkit.restorers._routing import FEATURES, RULES
from evalkit.study import open_run


def planted(shares):
    rows = dict.fromkeys(FEATURES, 0.0) | {"n_faces": 1, "largest_face_px": 300}
    return pd.DataFrame([rows | {"face_share": share} for share in shares])


def test_a_limit_is_found_between_the_classes_and_in_the_middle_of_those_that_do():
    values = planted([0.06, 0.07, 0.09, 0.2, 0.3, 0.4])
    wanted = np.array(["hybrid"] * 3 + ["gpen"] * 3)
    routes, limits = fit(values, wanted)
    assert limits["portrait: face_share"] == 0.12  # of 0.1, 0.12, 0.15
    np.testing.assert_array_equal(routes, wanted)


def test_a_picture_has_no_say_in_the_limit_it_is_judged_by():
    routes, limits = fit(planted([0.09, 0.11]), np.array(["hybrid", "gpen"]))
    assert limits["portrait: face_share"] == 0.1  # both are right
    # each alone puts the limit beyond the other
    np.testing.assert_array_equal(routes, ["gpen", "hybrid"])


def test_a_class_has_no_say_in_the_limits_its_pictures_are_judged_by():
    values = planted([0.09, 0.09, 0.11, 0.11])
    wanted = np.array(["hybrid", "hybrid", "gpen", "gpen"])
    alone, _ = fit(values, wanted)
    np.testing.assert_array_equal(alone, wanted)  # its twin speaks for it
    by_class, _ = fit(values, wanted, np.array(["group", "group", "one", "one"]))
    np.testing.assert_array_equal(by_class, ["gpen", "gpen", "hybrid", "hybrid"])


def test_the_limits_of_the_rules_are_among_those_tried():
    of_rules = {
        (rule.name, test.feature): test.limit for rule in RULES for test in rule.tests
    }
    assert all(of_rules[name] in limits for name, limits in TRIED.items())


@pytest.mark.soak
def test_photographs_go_where_they_are_wanted_by_limits_fitted_to_the_others(
    mirror, tmp_path
):
    found = assess_routing(open_run(str(tmp_path / "run")), say=lambda _: None)
    routing = found["routing"]
    wanted = routing["wanted"].to_numpy()
    fitted, _ = fit(routing, wanted)
    by_article = routing["published"].map(lambda text: json.loads(text)["article"])
    assert len(routing) == 48
    assert min((routing["route"] == wanted).sum(), (fitted == wanted).sum()) >= 45
    assert (by_article == wanted).sum() < 40  # no hybrid, no crowd, no painted figure
