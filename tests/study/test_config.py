"""study.yaml: what is refused and what it resolves to."""

import re
from pathlib import Path

import pytest

from evalkit.errors import StudyError
from evalkit.paths import SHIPPED, runs_dir
from evalkit.study import Study, read_study, resolve_study
from evalkit.study.config import Rating, check_owner, write_study
from evalkit.study.experiment import asked_for, by_notebook


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
            "rating: conditions that are not the study's: ['bicubic']",
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
        ("name: [", "not YAML: line 1, column 8: "),
        ("name: latest\nconditions: [lanczos]", "latest, adhoc"),
        ("name: adhoc\nconditions: [lanczos]", "latest, adhoc"),
        ("name: con\nconditions: [lanczos]", "names of devices"),
        ("name: lpt1\nconditions: [lanczos]", "names of devices"),
        (f"name: {'a' * 101}\nconditions: [lanczos]", "at most 100 letters"),
        ("name: a.\nconditions: [lanczos]", "name"),
        ("name: a\n1: 2\nconditions: [lanczos]", "line 2, column 1: expected a text"),
        ("name: a\nyes: 2\nconditions: [lanczos]", "found True"),
        ("name: a\nconditions: [{restorer: lanczos, 2: 3}]", "found 2"),
        ("name: a\n[b]: 2\nconditions: [lanczos]", "found ['b']"),
        ("name: a\nname: b\nconditions: [lanczos]", "'name' stands there twice"),
        ("name: a\nrating: {mode: ab, mode: acr}", "'mode' stands there twice"),
        ("name: a\nconditions: [{restorer: [1]}]", "{restorer: ..., setting: ...}"),
        ("name: a\nconditions: [lanczos]\nrepeats: true", "repeats"),
        ("name: a\nconditions: [lanczos]\nseed: true", "seed"),
        ("name: a\nconditions: [lanczos]\nrating: {subjects: true}", "subjects"),
        ("name: a\nconditions: [lanczos]\nrecursive: 1", "recursive"),
        (f"name: a\nconditions: {'[' * 5000}", "nested too deep"),
        (f"name: a\nconditions: {'[' * 5000}{']' * 5000}", "nested too deep"),
        (f"name: a\nconditions: {'{a: ' * 5000}", "nested too deep"),
        (f"name: a\nconditions: [lanczos]\nseed: {'9' * 5000}", "cannot be read"),
        ("name: a\nconditions: [lanczos]\nseed: 2020-13-45", "cannot be read"),
        ("name: a\nconditions: [!!python/name:os.system '']", "not YAML"),
        ("name: a\nconditions: [\x07]", "not YAML"),
        ("", "expected keys and values"),
    ],
    ids=range(40),
)
def test_a_study_with_a_mistake_is_refused_by_name(tmp_path, text, said):
    with pytest.raises(StudyError, match=r"my\.yaml") as caught:
        read_study(study_file(tmp_path, text))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("encoding", "said"),
    [
        ("latin-1", "byte "),
        ("gbk", "byte "),
        ("utf-16", "byte 1 "),
        ("utf-16-le", "byte "),
    ],
)
def test_a_study_in_another_encoding_is_refused_in_a_line(tmp_path, encoding, said):
    text = "name: a\nconditions: [lanczos]\nimages: é相册\n"
    path = tmp_path / "my.yaml"
    path.write_bytes(text.encode(encoding, errors="ignore"))
    with pytest.raises(StudyError, match=rf"my\.yaml: expected text in UTF-8.*{said}"):
        read_study(path)


def test_plain_letters_in_utf16_without_its_mark_are_refused_in_a_line(tmp_path):
    path = tmp_path / "my.yaml"
    path.write_bytes("name: a\nconditions: [lanczos]\n".encode("utf-16-be"))
    with pytest.raises(StudyError, match=r"another encoding \(it holds zero bytes"):
        read_study(path)


def test_a_study_with_excels_or_notepads_mark_is_read(tmp_path):
    path = tmp_path / "my.yaml"
    path.write_text("name: a\nconditions: [lanczos]\n", encoding="utf-8-sig")
    assert read_study(path).name == "a"


START = "name: a\nconditions: [lanczos"
WRONG = [
    (
        "name: a\nconditions: [bicubic, {restorer: lanczos, tile: 9}]",
        "conditions[1]: lanczos has no tile",
    ),
    (
        f"{START}, bicubic, {{restorer: realesrgan-x4plus, tile: -5}}]",
        "my.yaml: conditions[2]: tile must be 0 or more; found -5",
    ),
    (
        f"{START}, {{restorer: realesrgan-x4plus, tile: 99999}}]",
        "conditions[1]: tile must be 16384 or less; found 99999",
    ),
    (
        f"{START}, realesrgan-x4plus@precision=fp61]",
        "conditions[1]: precision must be 'auto' or 'fp32' or 'tf32' or 'fp16' or "
        "'bf16'; found 'fp61'; did you mean fp16?",
    ),
    (
        f"{START}, {{restorer: realesrgan-x4plus, tile: [1]}}]",
        "tile must be 'auto' or a number from 0 to 16384; found [1]",
    ),
    (f"{START}, {{restorer: realesrgan-x4plus, tiel: 1}}]", "did you mean tile?"),
    (f"{START}, realesrgan-x4pluss]", "did you mean realesrgan-x4plus?"),
    (f"{START}, 'lanczos@scale=2,scale=3']", "scale is given twice"),
    (f"{START}, lanczos@name=x]", "unknown option of lanczos 'name'"),
    (f"{START}, {{restorer: [1]}}]", "conditions[1]: must be a condition's name or {"),
    (f"{START}, {{restorer: lanczos, 1: 2}}]", "expected a text as key, found 1"),
    (f"{START}, {{restorer: lanczos, name: x}}]", "conditions[1]: must be"),
    (f"{START}, 5]", "found 5"),
    (f"{START}, null]", "found nothing"),
    ("name: a", "conditions is missing"),
    ("conditions: [lanczos]", "name is missing"),
    ("name: a\nconditions: lanczos", "conditions must be a list; found 'lanczos'"),
    ("name: 3\nconditions: [lanczos]", "name must be text; found 3"),
    (f"{START}]\nrepaets: 3", "unknown key repaets; known: name, images, recursive"),
    (f"{START}]\nrepaets: 3", "did you mean repeats?"),
    (f"{START}]\nrepeats: 0", "repeats must be 1 or more, or 'auto'; found 0"),
    (f"{START}]\nrepeats: 10001", "repeats must be 10000 or less, or 'auto'"),
    (f"{START}]\nrepeats: true", "repeats must be a whole number, or 'auto'"),
    (f"{START}]\nrepeats: 1.5", "repeats must be a whole number, or 'auto'"),
    (f"{START}]\nrepeats: autp", "found 'autp'; did you mean auto?"),
    (f"{START}]\nseed: -1", "seed must be 0 or more; found -1"),
    (f"{START}]\nseed: [1]", "seed must be a whole number; found [1]"),
    (f"{START}]\nimages: 4", "images must be text; found 4"),
    (f"{START}]\nexperiments: [speed]", "experiments[0] must be 'batch', 'size'"),
    (f"{START}]\nexperiments: [sizes]", "did you mean size?"),
    (f"{START}]\nexperiments: 7", "experiments must be a list, or 'auto'; found 7"),
    (
        f"{START}]\naccept: [gpne]",
        "accept[0] must be 'gpen' or 'command'; found 'gpne'; did you",
    ),
    (f"{START}]\naccept: gpen", "accept must be a list; found 'gpen'"),
    (f"{START}]\nrating: 3", "rating must be keys and values; found 3"),
    (f"{START}]\nrating: {{mode: bot}}", "rating.mode must be 'acr', 'ab' or 'both'"),
    (f"{START}]\nrating: {{subject: 2}}", "unknown key rating.subject; known: "),
    (f"{START}]\nrating: {{subject: 2}}", "did you mean subjects?"),
    (f"{START}]\nrating: {{subjects: 0}}", "rating.subjects must be 1 or more"),
    (f"{START}]\nrating: {{subjects: true}}", "rating.subjects must be a whole number"),
    (f"{START}]\nrating: {{minutes: .nan}}", "rating.minutes must be a finite number"),
    (f"{START}]\nrating: {{question: fidelty}}", "did you mean fidelity"),
    (f"{START}]\nrating: {{question: 3}}", "must be quality, fidelity, identity or"),
    (f"{START}]\nrating: {{question: '{'a ' * 150}'}}", "at most 200 letters"),
    (f"{START}]\nrating: {{minutes: 0}}", "rating.minutes must be more than 0"),
    (f"{START}]\nrating: {{minutes: 601}}", "rating.minutes must be 600 or less"),
    (f"{START}]\nrating: {{minutes: long}}", "rating.minutes must be a number"),
    (f"{START}]\nrating: {{conditions: [3]}}", "rating.conditions[0] must be text"),
    (f"{START}]\nseed: -1\nrepeats: 0", "seed must be 0 or more; found -1"),
    (f"{START}]\nseed: -1\nrepeats: 0", "repeats must be 1 or more"),
    (f"{START}]\nname2: {'x' * 300}", "unknown key name2"),
    (f"{START}]\nseed: {'x' * 300}", f"found '{'x' * 76}..."),
    (f"{START}]\nseed: 0x{'f' * 5000}", "found a int too large to show"),
]
OF_PYDANTIC = re.compile(
    "Input should|Extra inputs|Field required|Value error|validation error|pydantic"
    "|permitted|valid (string|integer|number|list|dictionary)|type=|literal\\["
)


@pytest.mark.parametrize(("text", "said"), WRONG)
def test_what_is_wrong_is_said_in_our_words(tmp_path, text, said):
    with pytest.raises(StudyError) as caught:
        read_study(study_file(tmp_path, text))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not OF_PYDANTIC.search(str(caught.value))


OF_30_COST = by_notebook(asked_for(), 1)["30_cost"]["experiments"]
VALUES_OF_ALL_KINDS = ["-1", "0", "true", "null", "1.5", ".inf", "x", "[]", "{}"]
VALUES_OF_ALL_KINDS += ["[[1]]", "{a: 1}", "2020-01-01", "!!binary aGk=", "''", "1e400"]


@pytest.mark.parametrize("key", [*Study.model_fields, *Rating.model_fields])
def test_no_value_of_any_key_brings_pydantics_words(tmp_path, key):
    base = {"name": "a", "conditions": "[lanczos]"}
    for value in VALUES_OF_ALL_KINDS:
        if key in Study.model_fields:
            content = base | {key: value}
        else:
            content = base | {"rating": f"{{{key}: {value}}}"}
        text = "\n".join(f"{name}: {told}" for name, told in content.items())
        told = key
        try:
            read_study(study_file(tmp_path, text))
        except StudyError as error:
            told = str(error)
        assert key in told
        assert not OF_PYDANTIC.search(told)


@pytest.mark.parametrize(
    "question",
    ["quality", "fidelity", "identity", "Which is sharper?", "哪一张更清晰", "Sharp?"],
)
def test_a_question_is_one_of_three_or_in_words_of_ones_own(tmp_path, question):
    file = study_file(tmp_path, f"{START}]\nrating: {{question: '{question}'}}")
    assert read_study(file).rating.question == question


def test_looks_are_for_choices_between_two(tmp_path):
    rule = "stopping: sequential"
    file = study_file(tmp_path, f"{START}]\nrating: {{mode: ab, {rule}}}")
    assert read_study(file).rating.stopping == "sequential"
    file = study_file(tmp_path, f"{START}]\nrating: {{mode: both, {rule}}}")
    with pytest.raises(
        StudyError, match=r"rating\.stopping: sequential is for choices"
    ):
        read_study(file)


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
    [(True, "article", 50, ["stability"]), (False, "quick", "auto", [])],
)
def test_auto_depends_on_cuda(tmp_path, has_cuda, images, repeats, experiments):
    study = read_study(study_file(tmp_path, "name: a\nconditions: [lanczos]"))
    resolved = resolve_study(study, images=None, has_cuda=has_cuda)
    assert (resolved.images, resolved.repeats) == (images, repeats)
    assert resolved.experiments == experiments


def test_every_experiment_of_30_cost_can_be_asked_for(tmp_path):
    text = f"name: a\nconditions: [lanczos]\nexperiments: {OF_30_COST}"
    assert read_study(study_file(tmp_path, text)).experiments == OF_30_COST


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


def resolved_name(folder: Path | str, name: str = "s") -> str:
    study = Study(name=name, conditions=["lanczos"])
    return resolve_study(study, images=str(folder), has_cuda=False).name


def test_no_two_folders_have_one_name_and_one_folder_has_one(tmp_path, monkeypatch):
    folders = [
        *(
            "a/相册2020",
            "b/合影2020",
            "c/holiday",
            "d/holiday",
            "e/Holiday",
            "f/holiday!",
        ),
        *("g/a b", "h/a-b", "i/é", "j/e\u0301", f"k/{'x' * 200}", f"l/{'x' * 201}"),
    ]
    for folder in folders:
        (tmp_path / folder).mkdir(parents=True)
    names = [resolved_name(tmp_path / folder) for folder in folders]
    assert len(set(names)) == len(folders)
    assert names[2] == "s-holiday"
    assert re.fullmatch("s-2020-[0-9a-f]{8}", names[0])
    assert all(re.fullmatch("[a-z0-9-]{1,100}", name) for name in names)
    assert [resolved_name(tmp_path / folder) for folder in folders] == names
    (tmp_path / "link").symlink_to(tmp_path / "c")
    monkeypatch.chdir(tmp_path / "d")
    spelt = (f"{tmp_path}/c/holiday/", f"{tmp_path}/link/holiday", "../c/./holiday")
    assert {resolved_name(spelling) for spelling in spelt} == {"s-holiday"}


def test_a_run_that_is_there_keeps_its_folder(tmp_path):
    for folder in ("a/holiday", "b/holiday"):
        (tmp_path / folder).mkdir(parents=True)
    theirs = Study(
        name="s-holiday", images=str(tmp_path / "a/holiday"), conditions=["lanczos"]
    )
    write_study(theirs, runs_dir() / "s-holiday" / "study.yaml")
    assert re.fullmatch("s-holiday-[0-9a-f]{8}", resolved_name(tmp_path / "b/holiday"))
    assert resolved_name(tmp_path / "a/holiday") == "s-holiday"
    with pytest.raises(StudyError, match=r"holds the pictures of .*a/holiday"):
        check_owner(theirs.model_copy(update={"images": str(tmp_path / "b/holiday")}))
    check_owner(theirs)
    check_owner(theirs.model_copy(update={"name": "new"}))


def test_a_folder_whose_path_is_not_utf8_is_refused(tmp_path):
    folder = tmp_path / "caf\udce9"
    folder.mkdir()
    with pytest.raises(StudyError, match=r"path is UTF-8, found .*caf\\udce9.*rename"):
        resolved_name(folder)


def test_images_that_are_neither_a_set_nor_a_folder_are_refused(tmp_path):
    study = read_study(study_file(tmp_path, "name: a\nconditions: [lanczos]"))
    with pytest.raises(StudyError, match="quick"):
        resolve_study(study, images="quikc", has_cuda=False)


@pytest.mark.parametrize("has_cuda", [False, True])
@pytest.mark.parametrize("name", ["study.yaml", "verdicts.yaml", "panel.yaml"])
def test_each_shipped_study_is_one_on_either_device(
    tmp_path, monkeypatch, name, has_cuda
):
    monkeypatch.chdir(tmp_path)  # where none of them lies
    study = read_study(Path(name), has_cuda=has_cuda)
    resolved = resolve_study(study, images=None, has_cuda=has_cuda)
    assert resolved.conditions


def test_a_key_may_have_one_value_for_each_device(tmp_path):
    text = "name: a\nconditions: [lanczos]\nrepeats: {cpu: 7, cuda: 50}\n"
    file = study_file(tmp_path, text)
    assert read_study(file).repeats == 7
    assert read_study(file, has_cuda=True).repeats == 50
