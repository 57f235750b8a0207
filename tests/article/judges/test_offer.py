"""What evalkit offers beside another program: looked at as it is judged."""

import pytest

from evalkit.article import Evidence, evaluators
from evalkit.article.judges import offer
from evalkit.tables import PATHOLOGIES


def judge(run, claim):
    return evaluators()[claim].judge(Evidence(run.path))[:3]


@pytest.mark.parametrize("claim", ["D7", "D8", "D9", "D10"])
def test_an_offer_is_shown_only_where_its_command_exists(run, monkeypatch, claim):
    name = offer.OFFERS[claim].commands[0]
    monkeypatch.setattr(offer, "commands", lambda: {name})
    verdict, found, evidence = judge(run, claim)
    assert verdict == "shown"
    assert found.startswith(f"evalkit {name} ")
    assert "another program" in evidence
    monkeypatch.setattr(offer, "commands", set)
    verdict, _, evidence = judge(run, claim)
    assert verdict == "not testable here"
    assert f"no command {name}" in evidence


def test_the_commands_are_those_of_the_command_line():
    assert {"study", "rate", "doctor"} <= offer.commands()


def test_parameters_are_tried(run):
    assert judge(run, "D11")[0] == "shown"


def test_faces_that_were_parsed_without_gpen_reproduce_the_claim(run):
    assert judge(run, "D6")[0] == "shown"
    row = {"condition": "lanczos", "source": "s0", "metric": "halo", "region": "hair"}
    PATHOLOGIES.write(PATHOLOGIES.frame([row | {"value": 1.0}]), run.path / "tables")
    verdict, found, _ = judge(run, "D6")
    assert (verdict, found) == ("reproduced", "hair and skin told on 1 pictures")
