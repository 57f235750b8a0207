"""The article's commands: run where the program is, else what stands in for it."""

import pytest

from evalkit.article._register import load_programs
from evalkit.article.commands import (
    AS_PRINTED,
    GPEN_OPTIONS,
    PROGRAM,
    _parsed,
    try_commands,
)
from evalkit.study.run_folder import open_run

NAMED = f"{AS_PRINTED} -n realesrgan-x4plus"


@pytest.fixture
def run(tmp_path):
    return open_run(str(tmp_path / "run"))


def attempt(run, album):
    images = run.images(str(album))
    table = try_commands(run, images, longest_px=32, say=lambda _: None)
    return table.set_index("command")


@pytest.mark.slow
def test_without_the_program_our_restorer_runs_its_default(run, album, monkeypatch):
    monkeypatch.setenv("PATH", "")
    table = attempt(run, album)
    printed, named = table.loc[AS_PRINTED], table.loc[NAMED]
    assert "default=realesr-animevideov3" in load_programs()[PROGRAM].facts["-n"]
    assert printed["network"] == "realesrgan-animevideo-x4"
    assert named["network"] == "realesrgan-x4plus"
    assert "not on the PATH" in printed["tried"]
    assert table["exit_code"].isna().sum() == 2
    assert printed["output_width_px"] == 128
    assert named["command_time_s"] > printed["command_time_s"]


@pytest.mark.slow
def test_the_program_is_run_and_its_output_tells_its_network(
    run, album, tmp_path, monkeypatch
):
    # stands in for the program: it copies a picture that our restorer made
    attempt(run, album)
    made = run.output_path("ncnn-realesrgan-animevideo-x4", "cup@32px")
    program = tmp_path / "bin" / PROGRAM
    program.parent.mkdir()
    program.write_text(
        '#!/bin/sh\n[ "$*" = "-i input.png -o output.png -s 4" ] && [ -f input.png ] '
        f'&& cp "{made}" output.png && exit 0\necho "no such model" >&2\nexit 255\n',
        encoding="utf-8",
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    table = attempt(run, album)
    printed, named = table.loc[AS_PRINTED], table.loc[NAMED]
    assert printed["tried"] == str(program)
    assert (printed["exit_code"], named["exit_code"]) == (0, 255)
    assert printed["network"] == "realesrgan-animevideo-x4"
    assert "inf dB from realesrgan-animevideo-x4" in printed["does"]
    assert named.isna()["network"]
    assert named["does"] == "no such model"


def test_real_esrgans_script_refuses_fp16_as_argparse_does():
    options = load_programs()["inference_realesrgan.py"].facts
    row = _parsed("inference_realesrgan.py --fp16", options, "")
    assert row["exit_code"] == 2
    assert "unrecognized arguments: --fp16" in row["does"]


def test_gpens_script_takes_tile_for_the_tiles_of_its_background():
    row = _parsed("demo.py --tile 128", GPEN_OPTIONS, "")
    assert row["exit_code"] == 0
    assert "'tile_size': '128'" in row["does"]
