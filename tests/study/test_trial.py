"""The blind test of a site: of two restorers, or there is none."""

from evalkit.study import open_run
from evalkit.study.trial import make_trial


def test_a_run_without_two_restorers_has_no_blind_test(tmp_path):
    page = tmp_path / "trial.html"
    assert not make_trial(open_run(str(tmp_path / "run")), page)
    assert not page.exists()
