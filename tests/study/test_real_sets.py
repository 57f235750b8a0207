"""GPEN with a stand-in weights file, and the registered sets, through the steps."""

from functools import partial
from hashlib import sha256
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
import torch
import yaml
from skimage import data

from evalkit.comparisons import compare_metrics, compare_side_by_side
from evalkit.images import write_image
from evalkit.restorers.gpen import random_generator
from evalkit.study import restore
from evalkit.study.run_folder import open_run
from evalkit.tables import IMAGES
from evalkit.weights import fetch


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_arguments):
        pass


@pytest.fixture
def stand_in(monkeypatch, tmp_path):
    """A file of GPEN-256's layout on a local server, registered as the released one."""
    folder = tmp_path / "served"
    folder.mkdir()
    file = folder / "stand-in.pth"
    torch.save(random_generator(256, seed=1).state_dict(), file)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder))
    Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    entry = {
        "name": "gpen-bfr-256",
        "network": "stand-in",
        "licence": "none",
        "citation": "none",
        "accept": "gpen",
        "files": [
            {
                "file": file.name,
                "size_bytes": file.stat().st_size,
                "sha256": sha256(file.read_bytes()).hexdigest(),
                "note": "made by the test",
                "urls": [f"http://127.0.0.1:{server.server_port}/{file.name}"],
            }
        ],
    }
    registry = tmp_path / "registry.yaml"
    registry.write_text(
        yaml.safe_dump({"weights": [entry], "notices": {}}), encoding="utf-8"
    )
    monkeypatch.setenv("EVALKIT_WEIGHTS", str(registry))
    monkeypatch.setenv("EVALKIT_OFFLINE", "0")
    monkeypatch.setenv("EVALKIT_MIRROR", "")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield
    server.shutdown()


@pytest.fixture
def run(tmp_path):
    return open_run(str(tmp_path / "run"))


@pytest.mark.slow
def test_gpen_makes_pictures_where_its_weights_can_be_had(
    stand_in, run, tmp_path, monkeypatch
):
    assert fetch("gpen-bfr-256", accept=["gpen"]).kind == "released"
    monkeypatch.setenv("EVALKIT_OFFLINE", "1")  # detectors and parser are missing
    album = tmp_path / "album"
    album.mkdir()
    write_image(album / "face.png", data.astronaut()[:256, 100:356])
    condition = "gpen-256"
    records = restore(run, condition, run.images(str(album)), say=[].append)
    (record,) = records.to_dict("records")
    assert (record["outcome"], record["weights_kind"]) == ("ok", "released")
    assert (run.path / record["output"]).is_file()
    (figure,) = compare_side_by_side(run, ["lanczos", condition])
    assert figure.is_file()


def test_gpens_published_outputs_stand_beside_real_esrgan(mirror, run):
    images = run.images("gpen-official")
    images = images[images["source"] == "solvay"]
    run.write(IMAGES, images)
    conditions = ["outputs:gpen-official", "realesrgan-animevideo-x4"]
    for condition in conditions:
        records = restore(run, condition, images, say=[].append)
        assert list(records["outcome"]) == ["ok"], records["error"].to_list()
    widths = run.quality().set_index("condition")["output_width_px"].to_dict()
    assert widths == {conditions[0]: 2656, conditions[1]: 4 * 1328}
    (figure,) = compare_side_by_side(run, conditions)
    assert figure.is_file()


@pytest.mark.parametrize("name", ["article", "photographs", "gpen-official"])
def test_the_registered_sets_go_through(name, mirror, run):
    images = run.images(name)
    assert images["error"].isna().all(), images["error"].dropna().to_list()
    smallest = images.assign(area=images["width_px"] * images["height_px"])
    smallest = smallest.nsmallest(3, "area").drop(columns="area")
    run.write(IMAGES, smallest)
    records = restore(run, "lanczos@scale=2", smallest, say=[].append)
    assert list(records["outcome"]) == ["ok"] * 3
    metrics = compare_metrics(run)
    n_references = smallest["reference"].notna().sum()
    assert metrics["source"].nunique() == n_references
    assert metrics.loc[metrics["metric"] == "psnr", "value"].notna().all()
