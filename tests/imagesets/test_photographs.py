import hashlib
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from evalkit.errors import WeightsError
from evalkit.images import write_image
from evalkit.imagesets import prepare
from evalkit.imagesets._registered import RegisteredPicture, registered
from evalkit.paths import cache_dir


def test_every_class_is_there_but_gpen_s_own(mirror):
    kinds = prepare("photographs")["kind"].value_counts().to_dict()
    assert kinds == {
        "portrait": 8,
        "group": 7,
        "mixed": 7,
        "building": 6,
        "text": 8,
        "product": 6,
        "surveillance": 6,
    }


def test_files_are_those_registered_byte_by_byte(mirror):
    for row in prepare("photographs").itertuples():
        content = Path(row.path).read_bytes()
        assert hashlib.sha256(content).hexdigest() == row.sha256
        assert row.sha256 == registered()[row.source].sha256


def test_without_network_and_mirror_every_row_says_what_to_do(monkeypatch):
    monkeypatch.delenv("EVALKIT_MIRROR", raising=False)
    table = prepare("photographs")
    assert len(table) == 48
    assert table["error"].str.contains("EVALKIT_MIRROR").all()
    assert table["path"].isna().all()


@pytest.fixture
def picture(tmp_path, astronaut, monkeypatch):
    """A registered picture at an address of this machine."""
    monkeypatch.delenv("EVALKIT_MIRROR", raising=False)
    monkeypatch.delenv("EVALKIT_OFFLINE")
    write_image(tmp_path / "face.png", astronaut)
    content = (tmp_path / "face.png").read_bytes()
    handler = partial(SimpleHTTPRequestHandler, directory=tmp_path)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield RegisteredPicture(
            name="face",
            kind="portrait",
            file="face.png",
            size_bytes=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
            width_px=512,
            height_px=512,
            origin="here",
            url=f"http://127.0.0.1:{server.server_port}/face.png",
            licence="public domain",
            note="one face",
        )
        server.shutdown()


def test_a_picture_is_downloaded_once_and_verified(picture, tmp_path):
    path = picture.fetch()
    assert path == cache_dir() / "pictures" / "face.png"
    assert path.read_bytes() == (tmp_path / "face.png").read_bytes()
    (tmp_path / "face.png").unlink()
    assert picture.fetch() == path


def test_another_picture_at_the_address_is_refused(picture, tmp_path):
    content = (tmp_path / "face.png").read_bytes()
    (tmp_path / "face.png").write_bytes(content[:-1] + b"!")
    with pytest.raises(WeightsError, match="expected SHA-256"):
        picture.fetch()


def test_the_registry_is_complete():
    for picture in registered().values():
        assert len(picture.sha256) == 64
        assert picture.size_bytes > 0
        assert picture.licence
        if picture.url:
            assert picture.origin in picture.url
    without_address = [p.name for p in registered().values() if not p.url]
    assert without_address == ["mot20_05_frame_0020"]  # a frame of a film
