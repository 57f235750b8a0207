"""The registry: what it must name, and what it refuses."""

import pytest
import yaml

from evalkit.errors import WeightsError
from evalkit.weights._registry import notice, registry

KNOWN = {
    "size_bytes": 3,
    "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    "note": "FIPS 180-4's example: the text abc",
}
ENTRY = {
    "name": "mine",
    "network": "none",
    "licence": "MIT",
    "citation": "FIPS 180-4, 2015",
    "files": [{"file": "mine.pth", **KNOWN, "urls": ["https://example.org/mine.pth"]}],
}


@pytest.fixture
def write(monkeypatch, tmp_path):
    """``write(entries, notices)`` makes a registry and names it in EVALKIT_WEIGHTS."""
    path = tmp_path / "weights.yaml"
    monkeypatch.setenv("EVALKIT_WEIGHTS", str(path))

    def dump(weights, notices=(), **others):
        content = {"weights": list(weights), "notices": dict(notices), **others}
        path.write_text(yaml.safe_dump(content), encoding="utf-8")
        return path

    return dump


@pytest.mark.parametrize(
    "name",
    [
        "gpen-bfr-256",
        "gpen-bfr-512",
        "gpen-bfr-1024",
        "gpen-bfr-2048",
        "gpen-realesrnet-x2",
        "gpen-onnx-256",
        "gpen-onnx-512",
        "gpen-onnx-1024",
        "gpen-onnx-2048",
        "realesrgan-x4plus",
        "realesrgan-x2plus",
        "realesrnet-x4plus",
        "realesrgan-x4plus-anime",
        "realesrgan-general-x4",
        "realesrgan-general-wdn-x4",
        "realesrgan-animevideo-x4",
        "retinaface-r50",
        "parsenet",
        "retinaface-mobile0.25",
        "yunet",
        "bisenet",
        "arcface",
        "sface",
        "gfpgan-1.4",
        "restoreformer",
        "codeformer",
        "alexnet",
    ],
)
def test_the_shipped_registry_names(name):
    entry = registry()[name]
    assert entry.network
    assert entry.licence
    assert entry.citation
    assert entry.files


def test_every_shipped_file_can_be_fetched_or_has_no_digest():
    files = [file for entry in registry().values() for file in entry.files]
    assert all(file.urls for file in files if file.sha256)
    unverified = {file.file for file in files if file.sha256 is None}
    assert unverified == {
        "GPEN-BFR-1024.pth",
        "GPEN-BFR-2048.pth",
        "realesrnet_x1.pth",
        "realesrnet_x4.pth",
    }


def test_the_digest_in_a_published_name_is_the_registered_one():
    [file] = registry()["alexnet"].files  # PyTorch writes the first digits in the name
    assert file.file == f"alexnet-owt-{file.sha256[:8]}.pth"


def test_all_of_gpen_and_nothing_else_needs_its_notice():
    asking = {name for name, entry in registry().items() if entry.accept == "gpen"}
    assert asking == {name for name in registry() if name.startswith("gpen-")}
    assert "academic and non-commercial use only" in notice("gpen")


def test_registered_weights_in_the_mirror_are_in_the_registry(mirror):
    known = {file.sha256 for entry in registry().values() for file in entry.files}
    manifests = [path for folder in mirror for path in folder.glob("manifest.csv")]
    lines = [
        line
        for path in manifests
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    listed = [line for line in lines if line.split(",")[0].endswith((".pth", ".onnx"))]
    assert listed
    assert {line.split(",")[2] for line in listed} <= known


def test_another_registry_is_merged_over_the_shipped_one(write):
    write([])
    n_shipped = len(registry())
    write([ENTRY, {**ENTRY, "name": "gpen-bfr-512", "files": []}])
    assert len(registry()) == n_shipped + 1
    assert registry()["mine"].files[0].size_bytes == 3
    assert registry()["gpen-bfr-512"].accept is None


def test_a_changed_registry_is_read_again(write):
    write([ENTRY])
    assert "mine" in registry()
    write([{**ENTRY, "name": "another"}])
    assert "another" in registry()
    assert "mine" not in registry()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"licenze": "MIT"}, "licenze"),
        ({"licence": None}, "licence"),
        ({"accept": "gpem"}, "expected accept to be one of"),
        ({"files": [{"file": "a", **KNOWN, "url": "https://a"}]}, "url"),
        ({"files": [{"file": "a", **KNOWN, "urls": ["ftp://a"]}]}, "got 'ftp://a'"),
        ({"files": [{"file": "a", **KNOWN, "sha256": "abc"}]}, "got 'abc'"),
        ({"files": [{"file": "a", **KNOWN, "sha256": None}]}, "both of size_bytes"),
        ({"files": [{"file": "a", **KNOWN}] * 2}, "file a is named twice"),
        ({"files": [{"file": "alexnet-owt-7be5be79.pth", **KNOWN}]}, "named twice"),
        ({"files": [{"file": "../a", **KNOWN}]}, r"got '\.\./a'"),
        ({"files": [{"file": "/a", **KNOWN}]}, "got '/a'"),
        ({"carried_by": {"package": "a"}}, "carried_by"),
    ],
)
def test_an_entry_that_is_not_as_expected_is_refused(write, change, told):
    path = write([{**ENTRY, **change}])
    with pytest.raises(WeightsError, match=told) as caught:
        registry()
    assert str(path) in str(caught.value) or "weights mine" in str(caught.value)


def test_a_name_given_twice_is_refused(write):
    write([ENTRY, {**ENTRY, "files": []}])
    with pytest.raises(WeightsError, match="names twice: mine"):
        registry()


def test_an_unknown_key_at_the_top_is_refused(write):
    write([], wieghts=[])
    with pytest.raises(WeightsError, match="wieghts"):
        registry()


def test_a_registry_that_is_not_there_is_told(monkeypatch):
    monkeypatch.setenv("EVALKIT_WEIGHTS", "/no/such.yaml")
    with pytest.raises(WeightsError, match=r"/no/such\.yaml"):
        registry()


def test_a_registry_that_is_no_yaml_is_told(write):
    write([]).write_text("weights: [", encoding="utf-8")
    with pytest.raises(WeightsError, match="is not a registry"):
        registry()
