"""The article as a published comparison; a second one; and none at all."""

import sys
import tomllib
from importlib.metadata import entry_points

import pandas as pd
import pytest

from evalkit import discover
from evalkit.article import Evaluator, claims_of, evaluate, evaluators, load_claims
from evalkit.article.comparison import folder_route
from evalkit.comparisons.scores import _with_claims
from evalkit.errors import EvalkitError, TableError
from evalkit.experiments import summarise_floors
from evalkit.paths import CLONE
from evalkit.study import open_run
from evalkit.study.published import PublishedComparison, published, published_scores
from evalkit.tables import IMAGES

CLAIM = """
- id: {id}
  section: "1"
  subject: lanczos
  setting: any
  quantity: pictures
  claimed: 2
  kind: protocol
  test: count them
"""
HEAD = """
article:
  title: A second one
  author: nobody
  author_role: invented by a test
  platform: null
  language: English
  machine: {gpu: none}
claims:"""
MODULE = """
from pathlib import Path

from evalkit.article import Evaluator, Judgement, Verdict
from evalkit.study.published import PublishedComparison, PublishedScore

def n_pictures(evidence):
    n = len(evidence.usable)
    verdict = Verdict.REPRODUCED if n >= 2 else Verdict.CONTRADICTED
    return Judgement(verdict, str(n), "tables/images.csv")

ENTRIES = (
    PublishedComparison(
        name="second",
        claims=Path(__file__).with_name("second.yaml"),
        judges=lambda: [Evaluator("X1", n_pictures)],
        scores=(PublishedScore("portrait", "lanczos", 2.5),),
    ),
)
"""


@pytest.fixture
def anew():
    published.cache_clear()
    yield
    published.cache_clear()
    sys.modules.pop("second", None)


@pytest.fixture
def install(tmp_path, monkeypatch, anew):
    """A YAML file and a module, as an installer leaves them."""

    def install(*ids):
        site = tmp_path / "site"
        facts = site / "second-1.0.dist-info"
        facts.mkdir(parents=True)
        claims = "".join(CLAIM.format(id=name) for name in ids)
        files = {
            site / "second.yaml": HEAD + claims,
            site / "second.py": MODULE,
            facts / "METADATA": "Metadata-Version: 2.1\nName: second\nVersion: 1.0\n",
            facts / "entry_points.txt": "[evalkit.study.published]\nsecond = second\n",
        }
        for path, text in files.items():
            path.write_text(text, encoding="utf-8")
        monkeypatch.syspath_prepend(site)

    return install


@pytest.mark.parametrize(("n", "verdict"), [(2, "reproduced"), (1, "contradicted")])
def test_a_second_article_is_a_yaml_file_and_a_module(install, run, n, verdict):
    install("X1", "X2")
    run.images(*[{}] * n)
    verdicts = evaluate(run.path).set_index("claim")
    assert [*verdicts.index] == [claim.id for claim in load_claims()] + ["X1", "X2"]
    assert verdicts.loc["X1", ["verdict", "found"]].tolist() == [verdict, str(n)]
    assert verdicts.loc["X2", "verdict"] == "not yet tested"
    assert verdicts.loc["S1", "verdict"] == "not followed"


def test_its_scores_stand_beside_a_panels(install):
    install("X1")
    assert ("portrait", "lanczos", 2.5) in published_scores()
    assert ("portrait", "gpen-512", 4.7) in published_scores()


def test_two_comparisons_do_not_share_a_claims_name(install, tmp_path):
    install("S1", "X1")
    with pytest.raises(TableError, match="not unique"):
        evaluate(tmp_path)


def test_claims_are_optional_and_judges_of_none_are_refused():
    silent = PublishedComparison(name="silent")
    assert claims_of(silent) == ()
    loud = PublishedComparison(name="loud", judges=lambda: [Evaluator("X1", None)])
    with pytest.raises(EvalkitError, match="loud: claim X1 is no claim"):
        evaluators(loud)


def test_without_an_entry_point_what_was_measured_stands_alone(
    tmp_path, monkeypatch, anew
):
    monkeypatch.setattr(discover, "entry_points", lambda group: [])
    run = open_run(str(tmp_path / "run"))
    run.write(IMAGES, IMAGES.frame([]))
    assert published() == {}
    assert summarise_floors(run).empty
    index = pd.MultiIndex.from_tuples([("none", "portrait", "gpen-512")])
    assert _with_claims(pd.DataFrame({"mos": [4.0]}, index))["claimed"].isna().all()


def test_what_pyproject_offers_is_installed():
    text = (CLONE / "pyproject.toml").read_text(encoding="utf-8")
    for group, points in tomllib.loads(text)["project"]["entry-points"].items():
        installed = {point.name: point.value for point in entry_points(group=group)}
        assert points.items() <= installed.items(), "set up anew: make study or test"


@pytest.mark.parametrize(
    ("share", "route"), [(1, "gpen"), (0.9, "gpen"), (0.89, None), (0, "realesrgan")]
)
def test_the_articles_rule_for_folders(share, route):
    assert folder_route(share) == route
