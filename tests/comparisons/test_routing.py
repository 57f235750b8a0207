"""What is said of pictures before they are restored: choice, reasons, cost."""

import pytest
from typer.testing import CliRunner

from evalkit.cli import app
from evalkit.comparisons import route_album, route_pictures
from evalkit.errors import ImageError
from evalkit.images import write_image
from evalkit.provenance import environment
from evalkit.study import open_run
from evalkit.study.measurement import Measurement
from evalkit.tables import COST


@pytest.fixture
def folder(tmp_path, astronaut):
    folder = tmp_path / "album"
    folder.mkdir()
    write_image(folder / "cloth.png", astronaut[400:450, 300:400])
    write_image(folder / "face.png", astronaut[:256, 100:356])
    (folder / "broken.jpg").write_bytes(b"no picture")
    return folder


def said(paths, run=None) -> str:
    lines: list[str] = []
    route_pictures(paths, run, say=lines.append)
    return "\n".join(lines)


def test_each_picture_gets_its_choice_and_reasons_and_a_folder_its_shares(folder):
    told = said([folder])
    assert (
        f"{folder / 'cloth.png'}: realesrgan-x4plus\n    rule 3 of 8, no face" in told
    )
    assert f"{folder / 'face.png'}: gpen-512\n    rule 7 of 8, portrait" in told
    assert "gpen-512 was chosen, and realesrgan-x4plus is used" in told
    assert f"{folder / 'broken.jpg'}: left out:" in told
    assert "2 pictures: 50% " in told
    assert "the article's rule for folders: by picture" in told
    assert "0 of 2 pictures have a known cost" in told


def test_costs_are_predicted_from_this_machines_records_by_area(folder, tmp_path):
    run = open_run(str(tmp_path / "run"))
    here = str(environment()["machine"]["machine"])
    name = "realesrgan-x4plus"
    rows = [  # condition, machine, side, seconds, memory: 10, 20 and 30 s a megapixel
        (name, here, 1000, 10.0, 700.0),
        (f"{name}@scale=2", here, 500, 5.0, 900.0),
        (name, here, 100, 0.3, 100.0),  # half of it, at the least, is 5,000 px
        (f"{name}@runner=upstream", here, 100, 99.0, 9999.0),
        (name, "another machine", 100, 99.0, 9999.0),
    ]
    columns = ("condition", "machine", "source_width_px", "wall_time_s", "peak_rss_mib")
    frame = [dict(zip(columns, row, strict=True)) for row in rows]
    for n, row in enumerate(frame):
        row |= {
            "restorer": name,
            "source": f"s{n}",
            "source_height_px": row["source_width_px"],
        }
    run.write(COST, COST.frame(frame))
    told = said([folder], run)
    assert "about 0.1 s (0.05 to 0.15), up to 900 MiB" in told  # 100x50 px
    seconds = 20 * (100 * 50 + 256 * 256) / 1e6
    assert f"about {seconds:.3g} s (0.705 to 2.12) one after the other" in told


def test_no_cost_is_told_of_sizes_far_from_those_that_were_measured(folder, tmp_path):
    run = open_run(str(tmp_path / "run"))
    row = {"condition": "realesrgan-x4plus", "restorer": "realesrgan-x4plus"}
    row |= {"machine": environment()["machine"]["machine"], "source": "large"}
    row |= {"source_width_px": 1000, "source_height_px": 1000, "wall_time_s": 9.0}
    run.write(COST, COST.frame([row | {"peak_rss_mib": 100.0}]))
    told = said([folder], run)
    assert "no cost is predicted for 0.005 megapixels: pictures of 1 to 1" in told
    assert "0 of 2 pictures have a known cost" in told


def test_a_pdf_is_a_document_whatever_it_shows(tmp_path, astronaut):
    from PIL import Image

    pages = [Image.fromarray(astronaut[:256, 100:356])] * 2
    pages[0].save(tmp_path / "face.pdf", save_all=True, append_images=pages[1:])
    told = said([tmp_path / "face.pdf"])
    assert told.count("rule 1 of 8, document: is_pdf 1 > 0") == 2
    assert "face.pdf, page 2 of 2: realesrgan-x4plus" in told


def test_a_file_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(ImageError, match=r"gone\.png: expected a picture"):
        said([tmp_path / "gone.png"])


def test_the_command_says_the_same(folder):
    result = CliRunner().invoke(app, ["route", str(folder)])
    assert result.exit_code == 0, result.output
    assert result.output.strip() == said([folder]).strip()


@pytest.mark.slow
def test_route_and_a_study_give_one_answer_for_a_page_and_for_a_told_kind(
    tmp_path, astronaut
):
    from PIL import Image

    album = tmp_path / "album"
    album.mkdir()
    pages = [Image.fromarray(astronaut[:256, 100:356])] * 2
    pages[0].save(album / "page.pdf", save_all=True, append_images=pages[1:])
    write_image(album / "door.png", astronaut[:256, 100:356])
    write_image(album / "face.png", astronaut[:255, 100:356])
    (album / "kinds.csv").write_text("file,kind\ndoor,surveillance\n", encoding="utf-8")
    run = open_run(str(tmp_path / "run"))
    images = run.images(str(album))
    assert images.set_index("source")["page_of"].dropna().to_dict() == {
        "page-p1": "pdf",
        "page-p2": "pdf",
    }
    routed = route_album(run).set_index("source")
    assert routed["rule"].to_dict() == {
        "door": "camera frame",
        "face": "portrait",
        "page-p1": "document",
        "page-p2": "document",
    }
    told = said([album])
    assert "page.pdf, page 2 of 2: realesrgan-x4plus" in told
    assert "door.png: realesrgan-x4plus" in told
    assert "face.png: gpen-512" in told
    measured = Measurement(run, "auto", "quality")
    rows = images.set_index("source", drop=False).to_dict("index")
    facts = {name: measured.facts_of_file(row)["facts"] for name, row in rows.items()}
    assert facts["page-p1"]["is_pdf"] == 1
    assert facts["door"] == {"is_pdf": 0, "is_camera": 1, "folder_faces": 1}
    made = rows["door"] | {"source": "door@512px", "base_source": "door"}
    assert measured.facts_of_file(made)["facts"] == facts["door"]
    before = measured.key(rows["door"])
    measured._facts["folder_faces"] = 0.95
    assert measured.key(rows["door"]) == before  # on the same side of the limit
    measured._facts["folder_faces"] = 0.5
    assert measured.key(rows["door"]) != before
    other = Measurement(run, "lanczos", "quality")
    assert other.facts_of_file(rows["door"]) == {}
