"""`evalkit collect`: merged by machine, whatever else an archive tries is refused."""

import json
import os
import zipfile

import pytest

from evalkit.archive import collect as collecting
from evalkit.archive import there
from evalkit.archive.collect import collect
from evalkit.tables import COST, IMAGES

TIMES = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]


@pytest.fixture
def packed(timed, tmp_path):
    """``packed(machine)``: what a host's there.py packed."""

    def pack(machine, times=TIMES, same=None, **changed):
        run = timed(f"{machine}-{len(times)}/runs/tiny", times, machine, **changed)
        row = {"condition": "lanczos", "source": "cup", "machine": machine}
        run.write(COST, COST.frame([row | {"n_runs": len(times)}]))
        picture = {"source": "cup", "sha256": "0" * 64, "path": f"/home/{machine}/cup"}
        run.write(IMAGES, IMAGES.frame([picture]))
        (run.path / "report.html").write_text("a page", encoding="utf-8")
        (run.path.parent.parent / there.SAME).write_text(json.dumps(same or {}))
        return there.pack(run.path, tmp_path, 2**20)

    return pack


def silent(files, into):
    return collect(files, into, say=lambda _: None)


def test_machines_stay_apart_and_nothing_is_added_twice(packed, tmp_path, told):
    files = [packed("one"), packed("two", gpus=[{"name": "A GPU"}])]
    run = silent(files, tmp_path / "all")
    run = silent(files, tmp_path / "all")
    records = run.records.read()
    assert records.groupby("machine").size().to_dict() == {"one": 6, "two": 6}
    assert list(run.read(COST)["machine"]) == ["one", "two"]
    assert len(run.read(IMAGES)) == 1
    listed = (run.path / "tables" / "images.csv").read_text(encoding="utf-8")
    assert '"on two"' in listed  # and not below this machine's folder
    assert (run.path / "machines" / "two" / "report.html").read_text() == "a page"
    status, out, _ = told("diff", run.path)
    assert status == 0
    assert 'machine, gpus: [] -> [{"name": "A GPU"}]' in out


def test_more_runs_of_a_machine_are_added(packed, tmp_path):
    silent([packed("one", TIMES[:3])], tmp_path / "all")
    run = silent([packed("one")], tmp_path / "all")
    assert sorted(run.records.read()["run"]) == [1, 2, 3, 4, 5, 6]


def test_a_picture_that_travelled_bare_is_known_again(packed, tmp_path):
    file = packed("one", same={"0" * 64: "9" * 64})
    run = silent([file], tmp_path / "all")
    assert set(run.records.read()["source_sha256"]) == {"9" * 64}
    assert list(run.read(IMAGES)["sha256"]) == ["9" * 64]


def test_the_most_valuable_is_packed_first(timed, tmp_path, capsys):
    run = timed("runs/tiny", TIMES)
    (run.path / "report.html").write_bytes(os.urandom(9000))
    file = there.pack(run.path, tmp_path, 10_000)
    assert file.stat().st_size <= 10_000
    with zipfile.ZipFile(file) as archive:
        assert "records.jsonl" in archive.namelist()
        assert "report.html" not in archive.namelist()
    assert "left there: report.html" in capsys.readouterr().out


HOSTILE = {
    "outside": ("../evil.csv", 0),
    "absolute": ("/tmp/evil.csv", 0),
    "windows": ("tables\\..\\evil.csv", 0),
    "a drive": ("C:evil.csv", 0),
    "a link": ("tables/link.csv", 0o120777 << 16),
    "a program": ("tables/evil.py", 0),
    "deep": ("tables/a/b.csv", 0),
    "hidden": (".lock.json", 0),
    "not simple": ("tables/./x.csv", 0),
}


def added(file, name, content=b"x", attributes=0):
    info = zipfile.ZipInfo(name)
    info.external_attr = attributes
    with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(info, content, zipfile.ZIP_DEFLATED)
    return file


@pytest.mark.parametrize("how", HOSTILE)
def test_an_archive_with_anything_else_is_refused(packed, refused, tmp_path, how):
    name, attributes = HOSTILE[how]
    file = added(packed("one"), name, attributes=attributes)
    line = refused("collect", file, "--into", tmp_path / "all")
    assert "is refused" in line
    assert not (tmp_path / "all").exists()
    assert not [*tmp_path.rglob("evil*")]


def test_a_bomb_is_refused_before_it_is_unpacked(
    packed, refused, tmp_path, monkeypatch
):
    monkeypatch.setattr(collecting, "MAX_BYTES", 2**22)
    file = added(packed("one"), "tables/bomb.csv", b"\0" * 2**22)
    assert file.stat().st_size < 2**16
    assert "more than 4 MiB" in refused("collect", file, "--into", tmp_path / "all")


def test_what_is_damaged_or_of_another_machine_is_refused(packed, refused, tmp_path):
    into = ("--into", tmp_path / "all")
    whole = packed("one")
    torn = tmp_path / "torn.zip"
    torn.write_bytes(whole.read_bytes()[:-300])
    assert "expected what there.py packed" in refused("collect", torn, *into)
    content = bytearray(whole.read_bytes())
    content[60] ^= 0xFF
    torn.write_bytes(content)
    assert "is damaged" in refused("collect", torn, *into)
    other = tmp_path / "other.zip"
    with zipfile.ZipFile(whole) as old, zipfile.ZipFile(other, "w") as archive:
        for name in old.namelist():
            now = b'"two"' if name == there.RESULTS else b'"one"'
            archive.writestr(name, old.read(name).replace(b'"one"', now))
    assert "expected records of two" in refused("collect", other, *into)
    assert not (tmp_path / "all").exists()


def test_the_run_of_this_machine_is_never_mixed_with_others(packed, refused, timed):
    own = timed("own", TIMES)
    line = refused("collect", packed("two"), "--into", own.path)
    assert "is the run of this machine" in line
    assert len(own.records.read()) == 6
