"""Weights found, fetched from a local server, verified, listed and loaded."""

import os
import traceback
from functools import partial
from hashlib import sha256
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from threading import Thread

import pytest
import torch
import yaml

from evalkit.errors import (
    HashMismatchError,
    LicenceError,
    UnknownNameError,
    WeightsError,
)
from evalkit.weights import (
    WeightsInUse,
    each_notice_once,
    fetch,
    find,
    load_state,
    registry,
    status,
    user_weights,
    verify,
    weights_dir,
)

STATE = {"conv.weight": torch.arange(12.0).reshape(4, 3, 1, 1), "bias": torch.ones(4)}


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture
def stand_in(monkeypatch, tmp_path):
    """A file on a local server, registered as gpen-bfr-512; the server's folder."""
    folder = tmp_path / "served"
    folder.mkdir()
    torch.save({"params_ema": STATE}, folder / "stand-in.pth")
    content = (folder / "stand-in.pth").read_bytes()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder))
    thread = Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    file = {
        "file": "stand-in.pth",
        "size_bytes": len(content),
        "sha256": sha256(content).hexdigest(),
        "note": "made by the test",
        "urls": [f"http://127.0.0.1:{server.server_port}/stand-in.pth"],
    }
    entry = {
        "name": "gpen-bfr-512",
        "network": "stand-in",
        "licence": "none",
        "citation": "none",
        "accept": "gpen",
        "files": [file],
    }
    path = tmp_path / "registry.yaml"
    path.write_text(
        yaml.safe_dump({"weights": [entry], "notices": {}}), encoding="utf-8"
    )
    monkeypatch.setenv("EVALKIT_WEIGHTS", str(path))
    monkeypatch.setenv("EVALKIT_OFFLINE", "0")
    monkeypatch.setenv("EVALKIT_MIRROR", "")
    monkeypatch.setenv("EVALKIT_ACCEPT", "")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield folder
    server.shutdown()
    thread.join()
    server.server_close()


def test_gpen_is_refused_until_its_notice_is_accepted(stand_in):
    with pytest.raises(LicenceError) as caught:
        fetch("gpen-bfr-512", accept=["another"])
    assert "academic and non-commercial use only" in str(caught.value)
    assert "accept: [gpen]" in str(caught.value)
    assert not weights_dir().exists()


def test_gpen_is_fetched_once_accepted_after_its_notice(stand_in, capsys):
    found = fetch("gpen-bfr-512", accept=["gpen"])
    content = (stand_in / "stand-in.pth").read_bytes()
    path = weights_dir() / "stand-in.pth"
    digest = sha256(content).hexdigest()
    assert found == WeightsInUse("gpen-bfr-512", path, digest, "released")
    assert path.read_bytes() == content
    told = capsys.readouterr().err
    assert told.index("academic and non-commercial") < told.index("100%")


def test_several_that_need_it_show_a_notice_once(stand_in, capsys):
    (stand_in / "stand-in.pth").unlink()
    with each_notice_once():
        for _ in range(2):
            with pytest.raises(WeightsError):
                fetch("gpen-bfr-512", accept=["gpen"])
    assert capsys.readouterr().err.count("academic and non-commercial") == 1
    with pytest.raises(WeightsError):
        fetch("gpen-bfr-512", accept=["gpen"])
    assert "academic and non-commercial" in capsys.readouterr().err


def test_what_was_fetched_is_found_without_asking_again(stand_in, monkeypatch, capsys):
    monkeypatch.setenv("EVALKIT_ACCEPT", "another,gpen")
    fetched = fetch("gpen-bfr-512")
    capsys.readouterr()
    monkeypatch.setenv("EVALKIT_ACCEPT", "")
    monkeypatch.setenv("EVALKIT_OFFLINE", "1")
    (stand_in / "stand-in.pth").unlink()
    assert fetch("gpen-bfr-512") == fetched == find("gpen-bfr-512")
    assert verify(["gpen-bfr-512"])["path"].tolist() == [str(fetched.path)]
    assert capsys.readouterr().err == ""


def test_a_file_in_a_mirror_needs_no_acceptance(stand_in, monkeypatch):
    monkeypatch.setenv("EVALKIT_MIRROR", str(stand_in))
    found = fetch("gpen-bfr-512")
    assert (found.kind, found.path) == ("mirror", stand_in / "stand-in.pth")


def test_offline_tells_where_to_put_the_file(stand_in, monkeypatch, capsys):
    monkeypatch.setenv("EVALKIT_OFFLINE", "1")
    with pytest.raises(WeightsError) as caught:
        fetch("gpen-bfr-512", accept=["gpen"])
    assert str(weights_dir() / "stand-in.pth") in str(caught.value)
    assert capsys.readouterr().err == ""


def test_another_file_at_the_address_is_refused(stand_in):
    served = stand_in / "stand-in.pth"
    served.write_bytes(served.read_bytes()[:-1] + b"x")
    with pytest.raises(HashMismatchError, match="gpen-bfr-512 cannot be had"):
        fetch("gpen-bfr-512", accept=["gpen"])
    assert find("gpen-bfr-512") is None


def state_of(name):
    return status().set_index("name").loc[name, "state"]


def test_damage_in_the_cache_is_seen_told_and_mended(stand_in):
    assert state_of("gpen-bfr-512") == "missing"
    with pytest.raises(WeightsError, match="evalkit weights fetch"):
        verify(["gpen-bfr-512"])
    path = fetch("gpen-bfr-512", accept=["gpen"]).path
    assert state_of("gpen-bfr-512") == "here"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert find("gpen-bfr-512") is None
    assert state_of("gpen-bfr-512") == "damaged"
    with pytest.raises(HashMismatchError, match=r"expected .* found"):
        verify(["gpen-bfr-512"])
    assert fetch("gpen-bfr-512", accept=["gpen"]).kind == "released"
    assert state_of("gpen-bfr-512") == "here"


def test_verify_reads_anew_a_file_whose_time_and_size_did_not_change(stand_in):
    path = fetch("gpen-bfr-512", accept=["gpen"]).path
    os.utime(path, (1e9, 1e9))
    assert find("gpen-bfr-512")
    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"x")
    os.utime(path, (1e9, 1e9))
    assert find("gpen-bfr-512")  # remembered for this process
    with pytest.raises(HashMismatchError):
        verify(["gpen-bfr-512"])


def test_unverified_weights_are_listed_and_never_fetched(monkeypatch):
    monkeypatch.setenv("EVALKIT_OFFLINE", "0")
    assert state_of("gpen-bfr-2048") == "unverified"
    with pytest.raises(WeightsError, match="never fetched"):
        fetch("gpen-bfr-2048", accept=["gpen"])


def test_the_status_has_every_entry_once():
    table = status()
    assert table["name"].tolist() == list(registry())
    unsized = table.loc[table["size_bytes"].isna(), "state"]
    assert set(unsized) == {"unverified"}


def test_verify_takes_all_that_is_here_by_default(monkeypatch):
    monkeypatch.setenv("EVALKIT_MIRROR", "")
    table = verify()
    assert set(table["state"]) == {"here"}
    assert set(table["name"]) == {
        "realesrgan-x4plus",
        "realesrgan-x4plus-anime",
        "realesrgan-animevideo-x4",
    }


def test_an_unknown_name_is_refused():
    with pytest.raises(UnknownNameError, match=r"known: .*gpen-bfr-512"):
        find("gpen-512")


def test_registered_files_of_the_mirror_are_found_by_what_they_hold(mirror):
    found = find("retinaface-mobile0.25")  # its name in the mirror is another
    assert found.kind == "mirror"
    assert found.path.is_absolute()
    assert found.path.stat().st_size == 1833129
    state = load_state(found)
    assert "body.stage1.0.0.weight" in state  # facexlib's name, without "module."
    assert find("yunet").kind == "mirror"
    assert find("realesrgan-animevideo-x4").kind == "mirror"


def test_a_file_of_the_readers_own_is_known_by_its_digest(tmp_path):
    path = tmp_path / "mine.pth"
    path.write_bytes(b"abc")
    found = user_weights("gpen-bfr-512", path)
    assert found.kind == "user"
    assert found.sha256.startswith("ba7816bf")  # FIPS 180-4's example
    with pytest.raises(WeightsError, match="there is no file"):
        user_weights("gpen-bfr-512", tmp_path / "other.pth")


@pytest.mark.parametrize(
    "content",
    [
        STATE,
        {"params_ema": STATE, "params": {"bias": torch.zeros(4)}},
        {"params": STATE},
        {"g": {}, "d": {}, "g_ema": STATE},
        {"params": {f"module.{name}": tensor for name, tensor in STATE.items()}},
    ],
    ids=["plain", "params_ema", "params", "g_ema", "module"],
)
def test_a_state_dict_is_unwrapped(tmp_path, content):
    torch.save(content, tmp_path / "a.pth")
    state = load_state(user_weights("a", tmp_path / "a.pth"))
    assert state.keys() == STATE.keys()
    assert all(torch.equal(state[name], STATE[name]) for name in STATE)


class Trap:
    """Unpickled without care, it runs a command."""

    def __reduce__(self):
        return os.system, ("touch trapped",)


def test_a_file_with_code_in_it_is_refused_unrun(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"params": Trap()}, "a.pth")
    with pytest.raises(WeightsError, match="cannot be read by PyTorch") as caught:
        load_state(user_weights("a", Path("a.pth")))
    assert not Path("trapped").exists()
    text = "".join(traceback.format_exception(caught.value))
    assert "trusted source" not in text  # PyTorch's advice would run it
    assert "allowlist" not in text
    assert "weights_only" not in str(caught.value)
    assert "may be hostile" in str(caught.value)


@pytest.mark.parametrize("kind", [torch.complex64, torch.int32, torch.uint8])
def test_weights_that_are_no_real_numbers_are_refused(tmp_path, kind):
    torch.save({"conv.weight": torch.ones(2, dtype=kind)}, tmp_path / "a.pth")
    with pytest.raises(WeightsError, match=f"found {kind} in conv.weight"):
        load_state(user_weights("a", tmp_path / "a.pth"))


def test_a_counter_beside_the_weights_is_whole(tmp_path):
    state = {"bn.weight": torch.ones(2), "bn.num_batches_tracked": torch.tensor(3)}
    torch.save(state, tmp_path / "a.pth")
    assert load_state(user_weights("a", tmp_path / "a.pth")).keys() == state.keys()


@pytest.mark.parametrize("content", [b"", b"<html>", b"PK\x03\x04", b"\x80\x02}q\x00."])
def test_a_file_that_holds_no_weights_is_refused(tmp_path, content):
    (tmp_path / "a.pth").write_bytes(content)
    with pytest.raises(WeightsError, match=r"a\.pth"):
        load_state(user_weights("a", tmp_path / "a.pth"))


@pytest.mark.parametrize("content", [[1], {"a": 1}, {"params": 3}, torch.ones(2)])
def test_a_file_that_holds_something_else_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(WeightsError, match="expected a state dict"):
        load_state(user_weights("a", tmp_path / "a.pth"))


@pytest.mark.parametrize("is_zip", [True, False])
def test_a_damaged_file_is_refused_or_read_never_a_foreign_error(tmp_path, is_zip):
    path, random = tmp_path / "a.pth", Random(is_zip)
    torch.save(STATE, path, _use_new_zipfile_serialization=is_zip)
    content = path.read_bytes()
    n_refused = 0
    for _ in range(150):
        damaged = bytearray(content[: random.randrange(len(content) // 2, 2000)])
        damaged[random.randrange(len(damaged))] ^= 255
        path.write_bytes(damaged)
        try:
            load_state(user_weights("a", path))
        except WeightsError:
            n_refused += 1
    assert n_refused > 100


def test_ncnn_weights_ask_for_the_names_of_the_network(monkeypatch):
    monkeypatch.setenv("EVALKIT_MIRROR", "")
    with pytest.raises(WeightsError, match="expected `like`"):
        load_state(find("realesrgan-animevideo-x4"))


def test_random_weights_have_no_file():
    with pytest.raises(WeightsError, match="random weights have no file"):
        load_state(WeightsInUse("gpen-bfr-512", None, None, "random"))
