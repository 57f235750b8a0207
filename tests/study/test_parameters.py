"""Undeclared parameters of notebooks are refused, however they are given."""

import pytest

from evalkit.errors import StudyError
from evalkit.study.parameters import (
    check_given_cells,
    check_parameters,
    declared_parameters,
)

PARAMETERS = 'condition: str = "lanczos"  # a name\nrepeats: int = 3\n'
BEGIN = 'run = study.begin("30_cost", run_dir)'


def test_names_and_types_are_read_from_the_tagged_cell():
    declared = declared_parameters("30_cost")
    assert declared["condition"] == "str"
    assert declared["repeats"] == "int"


def test_an_unknown_notebook_is_refused():
    with pytest.raises(StudyError, match="30_cost"):
        declared_parameters("30_costs")


@pytest.mark.parametrize(
    "given",
    [{"conditon": "lanczos"}, {"repeats": "3"}, {"repeats": True}, {"condition": 3}],
)
def test_a_wrong_name_or_type_is_refused(given):
    with pytest.raises(StudyError, match=next(iter(given))):
        check_parameters("30_cost", given)


def test_right_ones_pass():
    check_parameters("30_cost", {"condition": "lanczos", "repeats": 5})


def test_what_papermill_injects_is_checked():
    injected = '# Parameters\nconditon = "lanczos"\n'
    with pytest.raises(StudyError, match="'conditon'"):
        check_given_cells("30_cost", ["", PARAMETERS, injected, BEGIN])


def test_an_edited_parameters_cell_is_checked():
    edited = PARAMETERS.replace("condition", "conditon")
    with pytest.raises(StudyError, match="'conditon'"):
        check_given_cells("30_cost", ["", edited, BEGIN])


def test_cells_of_ones_own_are_not_parameters():
    check_given_cells("30_cost", ["", PARAMETERS, "mine = 3", BEGIN])
    check_given_cells("30_cost", ["", "conditon: str = 'x'", PARAMETERS, BEGIN])
    check_given_cells("30_cost", ["", PARAMETERS, "%time 1 + 1", BEGIN])
