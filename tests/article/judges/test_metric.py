"""Verdicts on planted values of the table of pathologies."""

import pytest

from evalkit.article import evaluators, load_claims
from evalkit.tables import PATHOLOGIES

GPEN, X4PLUS = "gpen-512@runner=upstream", "realesrgan-x4plus@runner=upstream"


@pytest.fixture
def measured(run):
    """``measured(n, kind=..., **values)``: the same values for n pictures.

    A value's name is ``<restorer>_<metric>__<region>`` or ``source_<metric>``.
    """

    def write(
        n,
        *,
        kind="portrait",
        n_synthetic=0,
        resampling="none",
        original=None,
        **values,
    ):
        sources = [f"p{i}" for i in range(n)]
        run.images(
            *(
                {
                    "source": name,
                    "kind": kind,
                    "is_synthetic": i < n_synthetic,
                    "original": original or name,
                }
                for i, name in enumerate(sources)
            )
        )
        conditions = {"gpen": GPEN, "x4plus": X4PLUS, "source": "source"}
        base = {"source_sharpness": 0.6, "source_colourfulness": 40.0}
        rows = []
        for name, given in (base | values).items():
            restorer, _, rest = name.partition("_")
            metric, _, region = rest.partition("__")
            given = given if isinstance(given, list) else [given] * n
            rows += [
                {
                    "condition": conditions[restorer],
                    "source": source,
                    "metric": metric,
                    "region": region or "whole",
                    "value": value + 0.01 * (i % 3),
                    "resampling": resampling,
                }
                for i, (source, value) in enumerate(zip(sources, given, strict=True))
            ]
        PATHOLOGIES.write(PATHOLOGIES.frame(rows), run.path / "tables")
        return run

    return write


def test_every_claim_of_a_metric_has_a_judge_and_is_not_tested_without_a_table(run):
    names = [claim.id for claim in load_claims() if claim.kind == "metric"]
    assert set(names) <= set(evaluators())
    for name in names:
        verdict, _, evidence = run.judge(name)
        assert verdict == "not yet tested"
        assert "in this run" in evidence


@pytest.mark.parametrize(
    ("claim", "values", "expected"),
    [
        ("Q7", {"gpen_blockiness_change": -2, "source_blockiness": 3}, "reproduced"),
        ("Q7", {"gpen_blockiness_change": 2, "source_blockiness": 3}, "contradicted"),
        ("Q7", {"gpen_blockiness_change": -2, "source_blockiness": 0}, "inconclusive"),
        ("Q8", {"x4plus_blockiness_change": 1, "source_blockiness": 3}, "reproduced"),
        ("Q8", {"x4plus_blockiness_change": -1, "source_blockiness": 3}, None),
        ("Q16", {"gpen_highlights__skin": 0}, "reproduced"),
        ("Q16", {"gpen_highlights__skin": 3}, "contradicted"),
        ("Q18", {"gpen_halo__hair": 0.1}, "reproduced"),
        ("Q18", {"gpen_halo__hair": 2}, "contradicted"),
        ("Q18", {"gpen_halo__hair": 2, "source_sharpness": 0.1}, "inconclusive"),
        ("Q18", {"gpen_halo__faces": 2}, "inconclusive"),
    ],
)
def test_a_claim_of_one_part(measured, claim, values, expected):
    run = measured(6, **values)
    assert run.judge(claim)[0] == (expected or "inconclusive")


@pytest.mark.parametrize(
    ("colder", "lips", "shine", "expected"),
    [
        (-3, 3, 2, "reproduced"),
        (0, 0, 0, "contradicted"),
        (-3, 0, 0, "contradicted"),
    ],
)
def test_a_claim_falls_with_any_of_its_parts(measured, colder, lips, shine, expected):
    run = measured(
        6,
        x4plus_colour_shift_b__skin=colder,
        x4plus_colour_shift_a__lips=lips,
        x4plus_highlights__skin=shine,
    )
    verdict, found, _ = run.judge("Q9")
    assert verdict == expected
    assert found.count(";") == 2


@pytest.mark.parametrize("texture", [5, -5])
def test_wax_and_over_sharpening_both_count(measured, texture):
    run = measured(6, x4plus_texture_energy__skin=texture, x4plus_highlights__skin=2)
    assert run.judge("Q13")[0] == "reproduced"


def test_of_a_change_either_way_it_is_said_how_many_went_which(measured):
    texture = [-4, -3, -2, -1, 1, 5]
    run = measured(6, x4plus_texture_energy__skin=texture, x4plus_highlights__skin=2)
    found = run.judge("Q13")[1]
    assert (
        "either way on 6 originals: 4 less fine texture, 2 more fine texture" in found
    )
    assert found.startswith("by 2.49 [")


def test_the_bound_of_a_source_has_its_unit(measured):
    run = measured(6, gpen_blockiness_change=-1, source_blockiness=0.1)
    rows = PATHOLOGIES.read(PATHOLOGIES.path(run.path / "tables"))
    rows.loc[rows["metric"] == "blockiness", "unit"] = "dB"
    PATHOLOGIES.write(rows, run.path / "tables")
    assert "blockiness of 1 dB or more" in run.judge("Q7")[2]
    run = measured(6, gpen_halo__hair=1, source_sharpness=0.1)
    assert "sharpness of 0.3 (no unit) or more" in run.judge("Q18")[2]


def test_skin_without_colour_tells_nothing_of_its_tone(measured):
    values = {"gpen_colour_shift_a__skin": 0, "gpen_colour_shift_b__skin": 0}
    assert measured(6, **values).judge("Q10")[0] == "reproduced"
    grey = measured(6, source_colourfulness=0, **values)
    assert grey.judge("Q10")[0] == "inconclusive"


def test_a_brighter_face_with_more_detail(measured):
    values = {"gpen_highlights__skin": 0, "gpen_texture_energy__faces": 4}
    run = measured(6, gpen_colour_shift_lightness__faces=5, **values)
    assert run.judge("Q17")[0] == "reproduced"
    run = measured(6, gpen_colour_shift_lightness__faces=-5, **values)
    assert run.judge("Q17")[0] == "contradicted"


def test_hardness_is_held_against_gpen_on_the_same_pictures(measured):
    run = measured(
        6,
        x4plus_halo__hair=3,
        gpen_halo__hair=1,
        x4plus_coherence_change__hair=-0.2,
    )
    assert run.judge("Q19")[0] == "reproduced"
    run = measured(
        6,
        x4plus_halo__hair=3,
        gpen_halo__hair=3,
        x4plus_coherence_change__hair=0.1,
    )
    assert run.judge("Q19")[0] == "contradicted"


def test_what_shrinking_may_hide_is_not_refuted(measured):
    values = {"x4plus_texture_energy__skin": 0, "x4plus_highlights__skin": 2}
    assert measured(6, **values).judge("Q13")[0] == "contradicted"
    shrunk = measured(6, resampling="area", **values)
    assert shrunk.judge("Q13")[0] == "inconclusive"
    outlined = measured(6, resampling="area", gpen_halo__hair=2)
    assert outlined.judge("Q18")[0] == "contradicted"


@pytest.mark.parametrize("n", [2, 5])
def test_fewer_than_six_pictures_decide_nothing(measured, n):
    verdict, found, _ = measured(n, gpen_highlights__skin=0).judge("Q16")
    assert verdict == "inconclusive"
    assert f"on {n} originals" in found


def test_pictures_of_one_face_count_once(measured):
    run = measured(6, gpen_highlights__skin=0, original="one face")
    verdict, found, evidence = run.judge("Q16")
    assert verdict == "inconclusive"
    assert "on 1 original" in found
    assert "a verdict takes 6 originals" in evidence


@pytest.mark.parametrize(
    ("n_amplified", "n", "verdict"),
    [(0, 80, "contradicted"), (1, 40, "inconclusive"), (6, 6, "reproduced")],
)
def test_sometimes_is_one_in_twenty_and_can_be_refuted(
    measured, n_amplified, n, verdict
):
    change = [1.0] * n_amplified + [-2.0] * (n - n_amplified)
    run = measured(n, x4plus_blockiness_change=change, source_blockiness=3)
    assert run.judge("Q8")[0] == verdict


def test_pictures_that_disagree_decide_nothing(measured):
    run = measured(6, gpen_highlights__skin=[0, 0, 0, 3, 3, 3])
    assert run.judge("Q16")[0] == "inconclusive"


def test_a_text_or_a_building_is_no_portrait(measured):
    run = measured(6, kind="building", gpen_highlights__skin=0)
    assert run.judge("Q16")[0] == "not yet tested"


@pytest.mark.parametrize(
    ("made", "real", "expected"),
    [(-6, 0, "reproduced"), (0, 0, "contradicted"), (2, 0, "contradicted")],
)
def test_composed_pictures_are_held_against_real_ones(measured, made, real, expected):
    run = measured(12, n_synthetic=6, x4plus_texture_energy=[made] * 6 + [real] * 6)
    assert run.judge("D12")[0] == expected
    run = measured(4, x4plus_texture_energy=0)
    assert run.judge("D12")[0] == "inconclusive"
