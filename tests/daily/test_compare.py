"""`evalkit compare`: a row of pictures, what each took, and who is missing why."""

import base64
import io
import re
from html import unescape

import numpy as np
import pytest
from PIL import Image
from skimage import data
from typer.testing import CliRunner

import evalkit
from evalkit.cli import app
from evalkit.daily import compare as module
from evalkit.daily.compare import View, compare_file, compare_pictures
from evalkit.daily.compare_page import write_page
from evalkit.errors import SettingError, UnknownNameError
from evalkit.texts import text


@pytest.fixture
def picture(tmp_path):
    """A photograph as a phone writes it: turned, with a place and a maker."""
    file = tmp_path / "private place" / "me.jpg"
    file.parent.mkdir()
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Maker of phones", 6
    exif.get_ifd(0x8825)[1] = "N"
    Image.fromarray(data.astronaut()[:48, 200:264]).save(file, exif=exif)
    return file


def views_in(page: str) -> list[Image.Image]:
    encoded = re.findall(r'src="data:image/webp;base64,([^"]+)"', page)
    return [Image.open(io.BytesIO(base64.b64decode(one))) for one in encoded]


def test_a_broken_condition_is_said_and_the_others_are_shown(picture, tmp_path):
    said, page = [], tmp_path / "page.html"
    (tmp_path / "empty").mkdir()
    conditions = ["lanczos", f"outputs:{tmp_path / 'empty'}", "bicubic@scale=2"]
    is_whole = compare_pictures([picture], conditions, page, say=said.append)
    assert not is_whole
    assert re.match(r"me\.jpg: lanczos: [\d.e-]+ s, \d+ MiB$", said[0])
    assert said[1].endswith(": empty holds no pictures")
    html = page.read_text(encoding="utf-8")
    source, lanczos, bicubic = views_in(html)
    assert source.size == (48, 64)  # upright
    assert lanczos.size == (192, 256)
    assert bicubic.size == (96, 128)
    assert np.array_equal(np.asarray(lanczos), _restored(picture, "lanczos"))
    assert "scale 4" in html
    assert "No picture:" in html


def _restored(path, condition):
    picture = evalkit.read_image(path)
    return evalkit.load_restorer(condition).restore(picture).image


def test_nothing_of_the_file_travels_but_its_name_and_its_pixels(picture, tmp_path):
    conditions = ["lanczos", f"outputs:{tmp_path / 'nothing'}"]
    compare_pictures([picture], conditions, tmp_path / "page.html", say=str)
    html = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "private place" not in html
    assert str(tmp_path) not in html
    for view in views_in(html):
        assert not view.getexif()
        assert not {"exif", "xmp"} & {*view.info}
    for language in ("en", "zh"):
        assert text("compare.caution", language) in unescape(html)


@pytest.mark.parametrize("condition", ["gpen-512", "hybrid"])
def test_gpen_keeps_its_place_and_noise_never_takes_it(
    picture, tmp_path, condition, monkeypatch
):
    monkeypatch.delenv("EVALKIT_MIRROR", raising=False)
    comparison = compare_file(picture, [condition])
    place = comparison.views[1]
    assert not place.uri
    assert "random" in place.reason
    assert place.command == "evalkit weights fetch gpen-bfr-512 --accept gpen"
    assert comparison.failed == []
    write_page([comparison], tmp_path / "page.html")
    assert place.command in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_absent_weights_come_with_the_command_that_fetches_them(picture, monkeypatch):
    monkeypatch.delenv("EVALKIT_MIRROR", raising=False)
    place = compare_file(picture, ["realesrgan-general-x4"]).views[1]
    assert "\n" not in place.reason
    assert place.command == "evalkit weights fetch realesrgan-general-x4"


def test_the_routers_choice_comes_first(picture, monkeypatch):
    monkeypatch.delenv("EVALKIT_MIRROR", raising=False)
    monkeypatch.setattr(module, "_restored", lambda _, name: View(name, reason="no"))
    said = []
    views = compare_file(picture, say=said.append).views
    names = [view.name for view in views]
    assert names[0] == "source"
    assert f"router's choice is {names[1]}" in said[0]
    assert {"gpen-512", "lanczos", "realesrgan-x4plus"} <= {*names}
    assert "realesrgan-general-x4" not in names  # it would be downloaded
    assert len(names) == len({*names})


def test_a_picture_that_cannot_be_read_is_left_out(picture, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_restored", lambda _, name: View(name, reason="no"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    command = ["compare", str(picture), "broken.png", "--with", "lanczos"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 3
    assert "broken.png: left out: " in result.stdout
    assert (tmp_path / "me-compared.html").is_file()


def test_an_unknown_condition_is_refused_before_anything_runs(picture, tmp_path):
    with pytest.raises(UnknownNameError, match="did you mean lanczos"):
        compare_pictures([picture], ["lancos"], tmp_path / "page.html")
    with pytest.raises(SettingError, match="scale must be 16 or less"):
        compare_pictures([picture], ["lanczos@scale=99"], tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


def test_a_large_view_is_reduced_and_a_middling_one_lossy():
    large = module.shown_as(View("large"), np.zeros((3000, 5000, 3), np.uint8))
    assert large.size == (5000, 3000)
    assert large.shown == (4472, 2683)
    assert not large.is_lossless
    small = module.shown_as(View("small"), np.zeros((30, 50), np.uint16))
    assert small.shown == small.size == (50, 30)
    assert small.is_lossless


def test_a_notebook_gets_the_same(picture):
    widget = evalkit.compare(evalkit.read_image(picture), ["lanczos"])
    assert [view.size for view in views_in(widget.html)] == [(48, 64), (192, 256)]
    assert widget.html.startswith("<main")
    assert "export function mount" in widget._esm
