import re

import pytest
import yaml

from evalkit.article._register import load_article, load_claims, read_claims
from evalkit.errors import TableError

IDS = [
    *(f"S{n}" for n in range(1, 9)),
    *(f"Q{n}" for n in range(1, 22)),
    *(f"G{n}" for n in range(1, 30)),
    *(f"D{n}" for n in range(1, 14)),
    *(f"R{n}" for n in range(1, 10)),
]

GOOD = {
    "id": "X1",
    "section": "1",
    "subject": "gpen",
    "setting": "any",
    "quantity": "time",
    "claimed": 1.5,
    "kind": "measure",
    "test": "profile",
}

ARTICLE = {
    "title": "A Test",
    "author": "nobody",
    "author_role": "none",
    "platform": None,
    "language": "English",
    "machine": {"gpu": "none"},
}


@pytest.fixture
def write(tmp_path):
    def write(*claims):
        path = tmp_path / "claims.yaml"
        path.write_text(
            yaml.safe_dump({"article": ARTICLE, "claims": list(claims)}),
            encoding="utf-8",
        )
        return path

    return write


def test_every_claim_is_there_once_and_in_order():
    assert [claim.id for claim in load_claims()] == IDS


def test_numbers_are_numbers():
    claimed = {claim.id: claim.claimed for claim in load_claims()}
    # read from the article's tables by hand
    assert (claimed["G1"], claimed["G2"], claimed["G9"]) == (3.2, 18.4, 0)
    assert (claimed["Q1"], claimed["Q6"], claimed["D2"]) == (4.7, 4.6, 1.8)
    assert (claimed["S3"], claimed["S6"], claimed["G20"]) == (3, 50, 94)
    assert claimed["G21"] == "at least 3"


def test_text_is_one_line_without_loose_spaces():
    for claim in load_claims():
        for text in (claim.setting, claim.quantity, claim.test, claim.caution or "x"):
            assert re.fullmatch(r"\S+( \S+)*", text), claim.id


def test_the_article_is_named_with_its_machine():
    article = load_article()
    assert article.author == "张小明"
    assert article.title.startswith("GPEN与Real-ESRGAN对比评测")
    assert article.machine["python"] == "Python 3.10.12"
    assert "4090" in article.machine["gpu"]


def test_every_claim_says_what_counts_as_it_and_a_range_is_a_range():
    for claim in load_claims():
        assert claim.range, claim.id
        for part in claim.parts:
            low, high = part.bounds(claim.number)
            assert low < high, claim.id
        assert claim.settled_by or claim.id in ("G29", "D4", "D5")
        assert (claim.kind in ("rating", "rule")) <= bool(
            claim.pictures or claim.id in ("Q11", "Q14", "Q15")
        )


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ({"near": 0.5}, "so: from 1 to 2 s"),
        ({"factor": 1.25}, "so: from 1.2 to 1.875 s"),
        ({"least": 0, "is_effect": True, "unit": "marks"}, "so: more than 0 marks"),
        ({"most": -1}, "so: at most -1 s"),
        ({"least": 94, "most": 117.5, "unit": "%"}, "so: from 94 to 100 %"),
        ({}, "so"),
    ],
)
def test_a_range_in_words(write, part, words):
    claim = GOOD | {"unit": "s", "parts": [{"says": "so"} | part]}
    assert read_claims(write(claim))[0].range == words


def test_a_range_near_no_number_is_refused(write):
    claim = GOOD | {"claimed": "much", "parts": [{"says": "so", "near": 0.5}]}
    with pytest.raises(TableError, match="'so' is near no claimed number"):
        _ = read_claims(write(claim))[0].range


def test_an_unknown_key_of_a_part_is_refused(write):
    with pytest.raises(TableError, match=r"unknown key .*parts.*lest"):
        read_claims(write(GOOD | {"parts": [{"says": "so", "lest": 1}]}))


def test_a_good_claim_is_read(write):
    (claim,) = read_claims(write(GOOD))
    assert (claim.id, claim.claimed, claim.unit) == ("X1", 1.5, None)


def test_an_unknown_key_is_refused(write):
    told = r"unknown key claims\[X1\]\.verdikt; known: id, section"
    with pytest.raises(TableError, match=told):
        read_claims(write(GOOD | {"verdikt": "reproduced"}))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"section": 2.1}, "section must be text; found 2.1"),
        ({"claimed": True}, "claimed must be text, or a whole .* found True"),
        ({"claimed": None}, "claimed must be text, or a whole .* found nothing"),
        ({"caution": ""}, "caution must be text of at least 1 .* found ''"),
        ({"kind": "opinion"}, r"claims\[X1\]\.kind must be 'protocol', 'rating'"),
    ],
)
def test_a_wrong_value_is_refused(write, change, message):
    with pytest.raises(TableError, match=message):
        read_claims(write(GOOD | change))


def test_a_missing_field_is_refused(write):
    with pytest.raises(TableError, match=r"claims\[X1\]\.test is missing"):
        read_claims(write({k: v for k, v in GOOD.items() if k != "test"}))


def test_a_claim_given_twice_is_refused(write):
    with pytest.raises(TableError, match="names twice: X1"):
        read_claims(write(GOOD, GOOD))


def test_a_file_of_another_layout_is_refused(tmp_path):
    path = tmp_path / "claims.yaml"
    path.write_text("claims: []\n", encoding="utf-8")
    with pytest.raises(TableError, match="article is missing"):
        read_claims(path)
