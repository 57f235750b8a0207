"""`evalkit publish`: the archive is read again; what nobody may see is not there."""

import hashlib
import io
import json
import re
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa
from answers import fill, scores
from PIL import ExifTags, Image
from skimage import data

from evalkit.archive.publish import publish
from evalkit.images import read_image, write_image
from evalkit.paths import file_name
from evalkit.provenance import environment
from evalkit.rating import Store, import_csv
from evalkit.rating._schema import ANSWERS, ITEMS, SUBJECTS
from evalkit.records import RecordStore
from evalkit.study.run_folder import Run
from evalkit.tables import COST, IMAGES

SECRET = "organiser-of-this-panel"
WINDOW = {"window_width_px": 1234, "window_height_px": 777, "pixel_ratio": 1}
WINDOW |= {"scale": 1, "least_scale": 1, "most_scale": 1, "zoom_used": False}
WINDOW |= {"source_opened": False, "full_screen": False}
FOUND = re.compile(r"(?<![\w/+.])/[\w.~-]+/[^\s\"'<>\\,;)&]+")


def photograph(path: Path, pixels: np.ndarray) -> None:
    """A JPEG that says where it was taken, and lies on its side."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.Artist] = "Somebody"
    exif.get_ifd(ExifTags.IFD.GPSInfo).update({1: "N", 2: (48.0, 8.0, 0.0)})
    Image.fromarray(pixels).save(path, exif=exif, comment=b"at home", quality=90)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    """A finished run: a licensed picture, one without, two subjects, one agreed."""
    tmp_path = tmp_path_factory.mktemp("published")
    album = tmp_path / "my own album"
    album.mkdir()
    photograph(album / "open.jpg", data.coffee()[100:148, 200:264])
    write_image(album / "private.png", data.astronaut()[60:124, 190:254])
    run = Run(tmp_path / "runs" / "holiday")
    records = RecordStore(run.path)
    images = []
    for file, licence in (("open.jpg", "CC0"), ("private.png", None)):
        pixels = read_image(album / file)
        row = {"source": file[:-4], "path": str(album / file), "licence": licence}
        row |= {"sha256": hashlib.sha256((album / file).read_bytes()).hexdigest()}
        row |= {"height_px": pixels.shape[0], "width_px": pixels.shape[1]}
        images.append(row | {"kind": "other", "note": f"file {album / file}"})
        output = run.output_path("bicubic", row["source"])
        output.parent.mkdir(parents=True, exist_ok=True)
        write_image(output, pixels.repeat(2, axis=0).repeat(2, axis=1))
        made = {"experiment": "quality", "run": 1, "phase": "cold", "machine": "m"}
        made |= {"outcome": "ok", "output": str(output.relative_to(run.path))}
        made |= {"key": file, "source": row["source"], "source_sha256": row["sha256"]}
        made |= {"condition": "bicubic", "restorer": "bicubic", "weights_kind": "none"}
        records.append([made | {"notes": [f"read from {album / file}"]}])
        theirs = run.output_path(f"outputs:{album}", row["source"])
        theirs.parent.mkdir(parents=True, exist_ok=True)
        write_image(theirs, pixels)
        made |= {"output": str(theirs.relative_to(run.path)), "restorer": "outputs"}
        made |= {"condition": f"outputs:{album}", "key": f"theirs {file}"}
        records.append([made])
    run.write(IMAGES, IMAGES.frame(images))
    run.write(COST, COST.frame([]))
    files = {
        "environment.json": json.dumps(environment()),
        "study.yaml": f"name: holiday\nimages: {album}\nconditions: "
        f"[bicubic, 'outputs:{album}']\n"
        f"rating: {{organiser: {SECRET}, conditions: [bicubic]}}\n",
        "report.html": "the old one",
        "notebooks/10_images.ipynb": json.dumps(
            notebook(f"{album}/open.jpg, {SECRET}")
        ),
        "notebooks/80_scores.ipynb": json.dumps(notebook("of anna")),
    }
    for name, text in files.items():
        (run.path / name).parent.mkdir(parents=True, exist_ok=True)
        (run.path / name).write_text(text, encoding="utf-8")
    answered(Store(run.path / "ratings.sqlite"))
    return run


def notebook(text: str) -> dict:
    """An executed one that printed a text and showed a picture."""
    shown = {"output_type": "display_data", "data": {"image/png": "iVBORw0KGgo="}}
    outputs = [{"output_type": "stream", "name": "stdout", "text": [text]}, shown]
    cells = [{"cell_type": "code", "source": [], "metadata": {}, "outputs": outputs}]
    return {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


def answered(store: Store) -> None:
    rows = [
        {"subject": subject, "source": source, "condition": condition, "score": score}
        for subject, score in (("anna", 4), ("bertil", 2))
        for source in ("open", "private")
        for condition in ("bicubic", "lanczos")
    ]
    fill(store, scores(pd.DataFrame(rows)))
    agreed = {"agreed_at": "2026-05-17T08:00:00+00:00"}
    screen = {"dark_steps": 1, "bright_steps": 2, "width_px": 1234, "height_px": 777}
    with store.write() as connection:
        for subject in ("anna", "bertil"):
            values = {**agreed, "may_publish": subject == "anna", "language": "en"}
            change = sa.update(SUBJECTS).where(SUBJECTS.c.subject == subject)
            connection.execute(change.values(**values, screen=json.dumps(screen)))
        names = [f"{side}_stimulus" for side in ("left", "right", "source")]
        connection.execute(sa.update(ITEMS).values(dict.fromkeys(names, "ab")))
        given = {"answered_at": "2026-05-17T09:10:11+00:00", "seen": json.dumps(WINDOW)}
        connection.execute(sa.update(ANSWERS).values(**given))


def unpacked(run, **options) -> dict[str, bytes]:
    """What is in the archive, by name."""
    file = publish(run, run.path / "../out.zip", say=lambda _: None, **options)
    with zipfile.ZipFile(file) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def found(run) -> dict[str, bytes]:
    return unpacked(run)


def test_it_is_read_again_and_every_file_is_what_its_digest_says(found, tmp_path):
    found = dict(found)
    sums = found.pop("SHA256SUMS").decode().splitlines()
    listed = {name: digest for digest, name in (line.split("  ") for line in sums)}
    assert listed == {n: hashlib.sha256(b).hexdigest() for n, b in found.items()}
    for name, content in found.items():
        (tmp_path / "read" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "read" / name).write_bytes(content)
    again = Run(tmp_path / "read")
    assert list(again.read(IMAGES)["source"]) == ["open", "private"]
    assert len(again.records.read()) == 4
    store = Store(tmp_path / "again.sqlite")
    assert import_csv(store, tmp_path / "read" / "scores.csv") == 4
    assert set(store.scores()["score"]) == {4}


def test_no_path_is_in_it(found, run):
    hidden = file_name(run.study["conditions"][1])  # outputs:/.../my own album
    for name, content in found.items():
        assert hidden not in name
        if not name.startswith(("pictures/", "outputs/")):
            text = content.decode()
            assert hidden not in text, name
            assert str(run.path.parent.parent) not in text, name
            paths = [path for path in FOUND.findall(text) if Path(path).exists()]
            assert not paths, name


def test_only_the_scores_of_those_who_agreed_are_in_it(found):
    everything = b"".join(found.values())
    for name in (b"anna", b"bertil", SECRET.encode(), b"2026-05-17"):
        assert name not in everything, name
    assert b"1234" not in found["scores.csv"]  # a digest may have it elsewhere
    mos = found["tables/scores_mos.csv"].decode()
    assert '"bicubic"' in mos
    assert ",4.0" in mos  # and not the mean with the other's, 3
    assert "notebooks/80_scores.ipynb" not in found
    assert "answers of 1 of 2 people" in found["tables/left_out.csv"].decode()


def test_windows_times_and_words_are_in_it_where_asked_for(run):
    found = unpacked(run, keep=("window", "times", "text"))
    assert b"1234" in found["scores.csv"]
    assert b"2026-05-17T09:10:11" in found["scores.csv"]
    assert SECRET.encode() in found["study.yaml"]


def test_pictures_without_a_licence_are_left_out_and_named(found):
    pictures = {n for n in found if n.startswith(("pictures/", "outputs/"))}
    (theirs,) = pictures - {"pictures/open.jpg", "outputs/bicubic/open.png"}
    assert theirs.startswith("outputs/outputs_my own album~")
    assert theirs.encode() in found["records.jsonl"]
    listed = found["tables/left_out.csv"].decode()
    assert '"private","no licence is known"' in listed
    shown = json.loads(found["notebooks/10_images.ipynb"])["cells"][0]["outputs"]
    assert [output["output_type"] for output in shown] == ["stream"]
    assert found["report.html"].count(b"data:image/webp") > 0
    assert b"No picture: left out of this copy" in found["report.html"]
    assert b"images: my own album\n" in found["study.yaml"]


def test_the_archive_says_in_english_what_the_command_says_in_chinese(
    found, run, tmp_path, monkeypatch
):
    said = []
    monkeypatch.setenv("EVALKIT_LANG", "zh")
    publish(run, tmp_path / "a.zip", say=said.append)
    assert any("notebooks/10_images.ipynb 中的图片" in line for line in said)
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        (listed,) = [n for n in archive.namelist() if n.endswith("left_out.csv")]
        assert archive.read(listed) == found["tables/left_out.csv"]


def test_a_picture_keeps_its_orientation_and_nothing_else(found, run, tmp_path):
    found = found["pictures/open.jpg"]
    for text in (b"Somebody", b"GPS", b"at home"):
        assert text not in found
    with Image.open(io.BytesIO(found)) as image:
        assert dict(image.getexif()) == {ExifTags.Base.Orientation: 6}
    source = Path(run.read(IMAGES)["path"][0])
    copy = tmp_path / "copy.jpg"
    copy.write_bytes(found)
    assert np.array_equal(read_image(copy), read_image(source))


def test_a_run_that_is_not_finished_is_refused(tmp_path, refused):
    assert "expected a finished run" in refused("publish", tmp_path)


def test_the_database_of_a_panel_is_not_taken_for_the_copys(run, monkeypatch):
    url = f"sqlite:///{run.path / 'ratings.sqlite'}"
    monkeypatch.setenv("EVALKIT_RATINGS", url)
    assert ",4.0" in unpacked(run)["tables/scores_mos.csv"].decode()
