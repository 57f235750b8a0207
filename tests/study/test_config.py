"""study.yaml: what is refused and what it resolves to."""

import re
from pathlib import Path

import pytest

from evalkit.errors import StudyError
from evalkit.paths import SHIPPED
from evalkit.study import read_study, resolve_study
from evalkit.study._experiments import VALUES


def study_file(folder: Path, text: str) -> Path:
    path = folder / "my.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_shipped_study_compares_both_runners_and_acknowledges_gpen():
    study = read_study(SHIPPED / "study.yaml")
    assert "realesrgan-x4plus@runner=upstream" in study.conditions
    assert "gpen-512" in study.conditions
    assert study.accept == ["gpen"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: a\nconditions: [lanczos]\nconditoins: []", "conditoins"),
        (
            "name: a\nconditions: [lanczos]\nrating: {conditions: [bicubic]}",
            "rating: Value error, conditions that are not the study's: ['bicubic']",
        ),
        ("name: a\nconditions: [lanczos]\nrating: {mode: vote}", "rating.mode"),
        ("name: a\nconditions: [lanczos]\nexperiments: [speed]", "experiments"),
        ("name: a\nconditions: [lanczsos]", "unknown restorer 'lanczsos'; known:"),
        ("name: a\nconditions: [lanczos@scale=2,scael=3]", "scael"),
        ("name: a\nconditions: [lanczos@scale]", "expected setting=value"),
        ("name: a\nconditions: [realesrgan-x4plus@precision=fp12]", "'fp16'"),
        ("name: a\nconditions: [lanczos, lanczos@scale=4]", "given twice: lanczos"),
        ("name: a\nconditions: []", "at least 1"),
        ("name: A/b\nconditions: [lanczos]", "name"),
        ("name: a\nconditions: [lanczos]\nrepeats: 0", "repeats"),
        ("name: a\nconditions: [lanczos]\naccept: [all]", "accept"),
        ("- lanczos", "expected keys and values"),
        ("name: [", "not YAML"),
    ],
)
def test_a_study_with_a_mistake_is_refused_by_name(tmp_path, text, said):
    with pytest.raises(StudyError, match=r"my\.yaml") as caught:
        read_study(study_file(tmp_path, text))
    assert said in str(caught.value)


def test_a_study_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(StudyError, match="expected a study file"):
        read_study(tmp_path / "none.yaml")


def test_a_condition_may_be_written_as_keys_and_gets_its_name(tmp_path):
    text = (
        "name: a\nconditions:\n"
        "- {restorer: realesrgan-x4plus, tile: 200, precision: fp32}\n"
    )
    study = read_study(study_file(tmp_path, text))
    assert study.conditions == ["realesrgan-x4plus@precision=fp32,tile=200"]


@pytest.mark.parametrize(
    ("has_cuda", "images", "repeats", "experiments"),
    [(True, "article", 50, ["stability"]), (False, "quick", 3, [])],
)
def test_auto_depends_on_cuda(tmp_path, has_cuda, images, repeats, experiments):
    study = read_study(study_file(tmp_path, "name: a\nconditions: [lanczos]"))
    resolved = resolve_study(study, images=None, has_cuda=has_cuda)
    assert (resolved.images, resolved.repeats) == (images, repeats)
    assert resolved.experiments == experiments


def test_every_experiment_of_30_cost_can_be_asked_for(tmp_path):
    text = f"name: a\nconditions: [lanczos]\nexperiments: {[*VALUES]}"
    assert read_study(study_file(tmp_path, text)).experiments == [*VALUES]


def test_a_folder_adds_its_name_to_the_study(tmp_path):
    album = tmp_path / "Grandma's Album_1"
    album.mkdir()
    study = read_study(study_file(tmp_path, "name: a\nconditions: [lanczos]"))
    resolved = resolve_study(study, images=str(album), has_cuda=False)
    assert resolved.name == "a-grandma-s-album-1"
    assert resolved.images == str(album)


def test_a_folder_with_a_chinese_name_gets_a_digest(tmp_path):
    album = tmp_path / "相册"
    album.mkdir()
    study = read_study(study_file(tmp_path, "name: a\nconditions: [lanczos]"))
    resolved = resolve_study(study, images=str(album), has_cuda=False)
    assert re.fullmatch(r"a-[0-9a-f]{8}", resolved.name)


def test_images_that_are_neither_a_set_nor_a_folder_are_refused(tmp_path):
    study = read_study(study_file(tmp_path, "name: a\nconditions: [lanczos]"))
    with pytest.raises(StudyError, match="quick"):
        resolve_study(study, images="quikc", has_cuda=False)
