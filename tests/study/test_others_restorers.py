"""Files of weights and programs of the reader's as conditions of a study."""

import shlex
import sys

import pytest

pytest.importorskip("spandrel", reason="pip install 'evalkit[models]'")
from fresh_networks import save_network

from evalkit.errors import SettingError, StudyError, WeightsError
from evalkit.restorers import plan_restorer
from evalkit.study import open_run, read_study, restore
from evalkit.study.config import write_study
from evalkit.study.launch import fetch_weights
from evalkit.study.steps import shorten_conditions

SCRIPT = "import shutil, sys; shutil.copy(sys.argv[1], sys.argv[2])"

STUDY = """
name: mine
accept: {accept}
conditions:
  - checkpoint:{network}
  - checkpoint:{network}@tile=64
  - restorer: 'command:{command}'
    timeout_s: 60
"""

NAMES = [
    "checkpoint:4x Ünknown",
    "checkpoint:4x Ünknown@tile=64",
    "command:theirs@timeout_s=60",
]


@pytest.fixture
def home(tmp_path):
    """The reader's own folder, with a file of weights and a script."""
    home = tmp_path / "home of reader"
    home.mkdir()
    save_network("Compact", home / "4x Ünknown.pth")
    (home / "theirs.py").write_text(SCRIPT, encoding="utf-8")
    return home


@pytest.fixture
def write(home, tmp_path):
    """``write(accept)``: a study file that names both."""

    def write(accept="[command]", text=STUDY):
        command = shlex.join([sys.executable, str(home / "theirs.py")]) + " {in} {out}"
        path = tmp_path / "mine.yaml"
        command = command.replace("'", "''")
        network = home / "4x Ünknown.pth"
        text = text.format(accept=accept, network=network, command=command)
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.mark.slow
def test_a_study_calls_them_by_short_names_and_its_folder_holds_no_path(
    write, home, album, tmp_path
):
    study = read_study(write())
    assert study.conditions == NAMES
    said = []
    fetch_weights(study, said.append)
    run = open_run(str(tmp_path / "runs" / "mine"))
    write_study(study, run.path / "study.yaml")
    images = run.images(str(album)).head(1)
    for condition in (NAMES[0], NAMES[2]):
        records = restore(run, condition, images, say=said.append)
        assert records["outcome"].eq("ok").all(), records["error"].tolist()
        assert records["condition"].eq(condition).all()
        assert run.output_path(condition, "cup").is_file()
    assert records["peak_rss_mib"].gt(1).all()
    assert any(line.startswith("accepted, and run for each picture") for line in said)
    names = [path.relative_to(run.path).as_posix() for path in run.path.rglob("*")]
    texts = [p.read_bytes() for p in run.path.rglob("*") if p.is_file()]
    assert not [name for name in names if "home of reader" in name]
    assert not [text for text in texts if b"home of reader" in text]


def test_a_program_runs_only_where_the_study_accepts_it_and_never_from_its_run(
    write, tmp_path
):
    with pytest.raises(SettingError, match=r"accept: \[command\]"):
        fetch_weights(read_study(write(accept="[]")), lambda _: None)
    study = read_study(write())
    fetch_weights(study, lambda _: None)
    write_study(study, tmp_path / "shared" / "study.yaml")
    shared = read_study(tmp_path / "shared" / "study.yaml")
    assert shared.accept == []


def test_the_resolved_study_alone_finds_neither(write, tmp_path, monkeypatch):
    write_study(read_study(write()), tmp_path / "shared.yaml")
    monkeypatch.delenv("EVALKIT_ARGUMENTS")  # as on another's machine
    shared = read_study(tmp_path / "shared.yaml")
    assert shared.conditions == NAMES
    with pytest.raises(WeightsError, match=r"names a file by its stem.*give its path"):
        plan_restorer(NAMES[0])
    with pytest.raises(SettingError, match="in the study that named it"):
        plan_restorer("command:theirs")


def test_a_file_that_is_refused_stops_a_study_before_it_begins(write, home):
    (home / "4x Ünknown.pth").write_bytes(b"no network")
    with pytest.raises(WeightsError, match=r"4x Ünknown: .* cannot be read"):
        fetch_weights(read_study(write()), lambda _: None)


def test_two_files_of_one_name_are_refused(write, home):
    (home / "other").mkdir()
    save_network("Compact", home / "other" / "4x Ünknown.pth")
    more = "  - checkpoint:{network}/../other/4x Ünknown.pth\n"
    text = (STUDY + more).replace("{network}/..", str(home))
    with pytest.raises(StudyError, match=r"is .* already, and cannot be .*call one"):
        read_study(write(text=text))


def test_a_notebooks_parameters_get_short_names(home):
    network = home / "4x Ünknown.pth"
    namespace = {
        "condition": f"checkpoint:{network}",
        "conditions": ["lanczos@scale=4", f"checkpoint:{network}@tile=64"],
    }
    shorten_conditions(namespace)
    assert namespace == {
        "condition": NAMES[0],
        "conditions": ["lanczos@scale=4", NAMES[1]],
    }
    assert plan_restorer(NAMES[0]).weights[0].path == network
