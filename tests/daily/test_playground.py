"""The playground of a notebook: its widgets are set as a reader would set them."""

import io
import json
import re
import zipfile
from datetime import UTC, datetime

import numpy as np
import pytest
from traitlets import Bunch
from typer.testing import CliRunner

import evalkit
from evalkit.cli import app
from evalkit.daily.controls import NAMED, controls_of
from evalkit.daily.playground import Playground
from evalkit.errors import ImageError
from evalkit.images.encode import encoded
from evalkit.restorers import restorers


@pytest.fixture
def play(album) -> Playground:
    """One that begins with two pictures."""
    return evalkit.playground(album)


def upload(play: Playground, **files: bytes) -> None:
    play.upload.value = tuple(
        Bunch(
            name=name.replace("_png", ".png"),
            type="image/png",
            size=len(content),
            content=memoryview(content),
            last_modified=datetime.now(UTC),
        )
        for name, content in files.items()
    )


def zip_of(play: Playground) -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(play.saved.content))


def test_a_batch_is_restored_shown_and_saved_and_what_is_broken_is_named(play, album):
    picture = evalkit.read_image(album / "cup.png")
    upload(play, cup_png=encoded(album / "a.png", picture[:20]), none_png=b"none")
    play.panel.restorer.value = "bicubic"
    play.panel.controls["scale"].value = 3
    play.go.click()
    assert "3 restored, 1 not" in play.said.value
    assert "none.png" in play.said.value
    assert str(play.pictures()[-1].parent) not in play.said.value
    restorer = evalkit.load_restorer("bicubic", scale=3)
    with zip_of(play) as archive:
        assert sorted(archive.namelist()) == ["cup-2.png", "cup.png", "face.png"]
        (album / "back.png").write_bytes(archive.read("cup-2.png"))
    expected = restorer.restore(picture[:20]).image
    assert np.array_equal(evalkit.read_image(album / "back.png"), expected)
    assert play.picture.value == 0
    for _, number in reversed(play.picture.options):
        play.picture.value = number
        (shown,) = play.view.children
        (comparison,) = shown.comparisons
        source, made = comparison.views
        assert made.size == (3 * source.size[0], 3 * source.size[1])
        assert made.name == "bicubic@scale=3"


def test_a_file_that_is_called_like_a_page_is_shown_as_it_is(album):
    file = (album / "cup.png").rename(album / "cup, page 2.png")
    play = evalkit.playground(file)
    play.panel.restorer.value = "lanczos"
    play.go.click()
    (shown,) = play.view.children
    assert shown.comparisons[0].name == "cup, page 2"


@pytest.mark.parametrize("spec", restorers().values(), ids=restorers())
def test_controls_write_json_that_sets_them_again(play, spec):
    if spec.argument:
        assert spec.name not in play.panel.restorer.options
        return
    panel = play.panel
    panel.restorer.value = spec.name
    expected = {"name": spec.name}
    for control in controls_of(spec):
        if control.name in NAMED:
            option, widget = control.option, panel.controls[control.name]
            is_choice = control.kind == "choice"
            other = option.low if option.default == option.high else option.high
            value = control.choices[-1] if is_choice else other
            expected[control.name] = value
            is_text = not is_choice and not isinstance(option.default, int | float)
            widget.value = str(value) if is_text else value
    assert panel.settings == expected
    panel.parameters.value = json.dumps({"name": "auto"})
    assert panel.restorer.value == "auto"
    panel.parameters.value = json.dumps(expected)
    assert panel.restorer.value == spec.name
    assert panel.settings == expected
    for name in expected.keys() & panel.controls.keys():
        assert panel.controls[name].value in (expected[name], str(expected[name]))


def test_the_json_keeps_what_has_no_control_and_says_what_is_wrong(play):
    panel = play.panel
    given = {"name": "gpen-512", "detector": "cascade", "device": "cuda:7"}
    panel.parameters.value = json.dumps(given)
    assert panel.controls["device"].value is None
    panel.controls["strength"].value = 40
    assert panel.settings == given | {"strength": 40}
    panel.restorer.value = "realesrgan-x4plus"
    assert panel.settings == {"name": "realesrgan-x4plus", "device": "cuda:7"}
    panel.controls["tile"].value = "x"
    assert "tile must be" in play.said.value
    panel.controls["tile"].value = ""
    for wrong in ("{", "[]", '{"name": "outputs:/"}'):
        panel.parameters.value = wrong
        play.go.click()
        assert "expected" in play.said.value
    panel.restorer.value = "lanczos"
    assert panel.settings == {"name": "lanczos"}


def test_gpen_without_its_notice_accepted_says_what_to_do(play):
    play.panel.restorer.value = "gpen-512"
    play.go.click()
    assert "--accept gpen" in play.said.value
    assert play.saved.content == b""


def test_the_router_and_what_fits_are_told_as_the_commands_tell_them(play, album):
    play.ask.click()
    printed = CliRunner().invoke(app, ["route", str(album / "cup.png")]).stdout
    chosen, reason, *_ = printed.splitlines()
    said = play.advice.value
    assert f"cup.png: {chosen.rpartition(': ')[2]} is advised" in said
    assert reason.strip().partition(" (")[0].replace("<", "&lt;") in said
    play.panel.restorer.value = "realesrgan-animevideo-x4"
    play.memory.value = 4
    asked = ["fit", "--size", "64x48", "--memory", "4GiB"]
    asked += ["--with", "realesrgan-animevideo-x4"]
    printed = CliRunner().invoke(app, asked).stdout
    words = r"fits|does not fit|cannot be known"
    assert re.findall(words, play.fitting.value) == re.findall(words, printed)


def test_what_fits_is_of_the_first_picture_that_can_be_read(play, tmp_path):
    (tmp_path / "trunc.png").write_bytes(b"\x89PNG")
    play = evalkit.playground(tmp_path / "trunc.png")
    play.panel.restorer.value = "lanczos"
    play.memory.value = 4
    assert play.said.value.count("trunc.png") == 1
    assert str(tmp_path) not in play.said.value
    upload(play, cup_png=encoded(tmp_path / "a.png", np.zeros((48, 64, 3), np.uint8)))
    play.language.value = "zh"
    play.memory.value = 5
    assert "64x48 px" in play.fitting.value
    assert "仅为计算" in play.fitting.value


def test_both_languages(play):
    english = [play.go.description, play.panel.restorer.description]
    play.language.value = "zh"
    chinese = [play.go.description, play.panel.restorer.description]
    assert english == ["Restore", "Restorer"]
    assert all(re.search("[\u4e00-\u9fff]", each) for each in chinese)
    play.panel.restorer.value = "gpen-512"
    labels = [label for label, _ in play.panel.controls["skin_protection"].options]
    assert labels == ["关", "开"]


def test_without_pictures_it_says_so(tmp_path):
    play = evalkit.playground()
    for button in (play.go, play.ask):
        play.said.value = ""
        button.click()
        assert "choose some first" in play.said.value
    with pytest.raises(ImageError, match="found nothing"):
        evalkit.playground(tmp_path / "none")
