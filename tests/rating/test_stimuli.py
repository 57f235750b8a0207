"""Stimuli tell nothing: one size, one length, no metadata, no name, no random noise."""

import struct
from io import BytesIO

import numpy as np
import pytest
from fontTools.ttLib import TTFont
from PIL import Image, PngImagePlugin
from skimage import data

from evalkit.errors import StudyError
from evalkit.paths import data_file
from evalkit.rating import (
    Item,
    Session,
    Store,
    name_stimuli,
    plan_session,
    write_stimuli,
)
from evalkit.rating.items import TRAPS
from evalkit.rating.stimuli import (
    LANGUAGES,
    Stimulus,
    draw,
    stimulus_file,
    trap_words,
)


def chunks(webp: bytes) -> list[bytes]:
    """The chunk types of a WebP file, as its container's specification has them."""
    riff, length, kind = struct.unpack("<4sI4s", webp[:12])
    assert (riff, kind) == (b"RIFF", b"WEBP")
    place, types = 12, []
    while place < 8 + length:
        kind, size = struct.unpack("<4sI", webp[place : place + 8])
        types.append(kind)
        place += 8 + size + size % 2
    assert not webp[place:].strip(b"\0")
    return types


@pytest.fixture
def written(outputs, tmp_path):
    items = plan_session(outputs, number=0, seed=7, mode="both", minutes=60)
    stimuli = name_stimuli(outputs, 7)
    write_stimuli(items, outputs, stimuli, tmp_path)
    return {
        cell: (tmp_path / f"{stimulus.name}.webp").read_bytes()
        for cell, stimulus in stimuli.items()
        if (tmp_path / f"{stimulus.name}.webp").is_file()
    }


def test_all_of_a_source_have_one_size_and_one_length(written, outputs):
    for source in set(outputs["source"]):
        mine = [png for (its, _), png in written.items() if its == source]
        assert len(mine) >= 4
        assert len({len(png) for png in mine}) == 1
        assert {Image.open(BytesIO(png)).size for png in mine} == {(192, 144)}


def test_a_trap_is_there_in_every_language_as_long_as_all_of_its_source(
    outputs, tmp_path
):
    stimuli = name_stimuli(outputs, 7)
    source = outputs["source"][0]
    items = [
        Item(kind="acr", role="trap", source=source, left="trap-2", expected="2"),
        Item(kind="acr", role="anchor", source=source, left="bicubic"),
    ]
    write_stimuli(items, outputs, stimuli, tmp_path)
    files = list(tmp_path.iterdir())
    assert len({path.stat().st_size for path in files}) == 1
    # the source, the anchor and two traps
    assert len(files) == 2 + len(LANGUAGES)
    name = stimuli[source, "trap-2"].name
    trap, other = (stimulus_file(tmp_path, name, language) for language in LANGUAGES)
    assert trap.read_bytes() != other.read_bytes()
    assert chunks(other.read_bytes()) == [b"VP8L"]
    anchor = stimuli[source, "bicubic"].name
    assert len({stimulus_file(tmp_path, anchor, n) for n in LANGUAGES}) == 1


def test_a_session_shows_a_trap_in_the_language_that_it_is_read_in(
    outputs, panel, answer, tmp_path
):
    store = Store(tmp_path / "ratings.sqlite")
    session = Session(store, "s01", panel(store))
    view = session.handle({"type": "start"})
    n_traps = 0
    while view["state"] == "rate":
        (address,) = view["item"]["stimuli"]
        shown = []
        for language in LANGUAGES:
            session.handle({"type": "language", "language": language})
            shown.append(session.stimulus(address))
        n_traps += shown[0] != shown[1]
        view = session.handle(answer(view))
    assert n_traps == 1


@pytest.mark.parametrize("condition", TRAPS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_trap_says_the_word_and_the_digit_of_a_key(condition, language):
    words = trap_words(condition, language)
    expected = {
        "trap-2": ("2 Poor", "2 差"),
        "trap-4": ("4 Good", "4 良"),
        "trap-left": ("Left", "左"),
        "trap-right": ("Right", "右"),
    }[condition]
    assert words.endswith(expected[LANGUAGES.index(language)])
    # else: pyftsubset NotoSansCJK-Regular.ttc --font-number=2 --text=... of them all
    glyphs = TTFont(data_file("trap.otf")).getBestCmap()
    assert {ord(letter) for letter in words} - {ord("\n")} <= {*glyphs}


@pytest.mark.parametrize("condition", TRAPS)
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("size", [(64, 64), (1280, 64), (64, 960), (1280, 960)])
def test_the_words_of_a_trap_are_within_the_picture(
    outputs, tmp_path, condition, language, size
):
    Image.new("RGB", size).save(tmp_path / "black.png")
    row = {"path": tmp_path / "black.png", "role": "source", "source": "black"}
    row |= {"condition": "source", "width_px": size[0], "height_px": size[1]}
    shown = np.asarray(draw(condition, row, Stimulus("", *size), language))
    is_white = shown.min(axis=2) > 128
    edges = [is_white[0], is_white[-1], is_white[:, 0], is_white[:, -1]]
    assert is_white.any()
    assert not np.concatenate(edges).any()


def test_they_are_webp_without_loss_and_without_metadata(written):
    for webp in written.values():
        assert chunks(webp) == [b"VP8L"]


def test_they_take_fewer_bytes_than_a_png(outputs, tmp_path):
    large = Image.fromarray(data.astronaut()).resize((1024, 1024))
    large.save(tmp_path / "large.png")
    size = {"width_px": 1024, "height_px": 1024, "path": str(tmp_path / "large.png")}
    row = outputs[outputs["condition"] == "source"].iloc[[0]].assign(**size)
    stimuli = name_stimuli(row, 7)
    item = Item(kind="acr", role="system", source=row["source"].iloc[0], left="source")
    write_stimuli([item], row, stimuli, tmp_path / "stimuli")
    (path,) = (tmp_path / "stimuli").iterdir()
    shown = Image.open(path)
    file = BytesIO()
    shown.save(file, "PNG")
    assert path.stat().st_size < 0.8 * len(file.getvalue())


def test_metadata_of_an_output_does_not_come_along(outputs, tmp_path):
    row = outputs[outputs["condition"] == "sharp-x4"].iloc[0]
    told = PngImagePlugin.PngInfo()
    told.add_text("Software", "sharp-x4-token")
    Image.open(row["path"]).save(tmp_path / "told.png", pnginfo=told)
    told = outputs.replace({row["path"]: str(tmp_path / "told.png")})
    item = Item(kind="acr", role="system", source=row["source"], left="sharp-x4")
    stimuli = name_stimuli(told, 7)
    write_stimuli([item], told, stimuli, tmp_path / "stimuli")
    for path in (tmp_path / "stimuli").iterdir():
        assert b"token" not in path.read_bytes()
        assert not any(name in path.name for name in ("sharp", "photo"))


def test_an_output_of_the_shown_size_keeps_every_pixel(written, outputs):
    for row in outputs[outputs["condition"] == "sharp-x4"].to_dict("records"):
        shown = np.asarray(Image.open(BytesIO(written[row["source"], "sharp-x4"])))
        np.testing.assert_array_equal(shown, np.asarray(Image.open(row["path"])))


def test_the_anchor_is_the_source_by_bicubic_interpolation(written, outputs):
    for row in outputs[outputs["condition"] == "bicubic"].to_dict("records"):
        shown = Image.open(BytesIO(written[row["source"], "bicubic"]))
        expected = Image.open(row["path"]).resize((192, 144), Image.Resampling.BICUBIC)
        np.testing.assert_array_equal(np.asarray(shown), np.asarray(expected))


def test_a_condition_that_comes_later_changes_no_picture(outputs, tmp_path):
    items = plan_session(outputs, number=0, seed=7, minutes=60)
    early = outputs[outputs["condition"] != "sharp-x4"]
    write_stimuli(
        [item for item in items if item.left != "sharp-x4"],
        early,
        name_stimuli(early, 7),
        tmp_path,
    )
    before = {p.name: np.asarray(Image.open(p)) for p in tmp_path.iterdir()}
    write_stimuli(items, outputs, name_stimuli(outputs, 7), tmp_path)
    for name, picture in before.items():
        np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / name)), picture)
    test_all_of_a_source_have_one_size_and_one_length(
        {
            cell: (tmp_path / f"{stimulus.name}.webp").read_bytes()
            for cell, stimulus in name_stimuli(outputs, 7).items()
            if (tmp_path / f"{stimulus.name}.webp").is_file()
        },
        outputs,
    )


def test_another_picture_is_another_stimulus(outputs):
    changed = outputs.assign(picture=outputs["picture"].str[::-1])
    before, after = (
        {s.name for s in name_stimuli(frame, 7).values()}
        for frame in (outputs, changed)
    )
    assert not before & after


def test_random_weights_are_refused_again(outputs, tmp_path):
    item = Item(kind="acr", role="system", source="photo-0", left="soft-x2")
    noise = outputs.assign(weights_kind="random")
    with pytest.raises(StudyError, match="found random ones"):
        write_stimuli([item], noise, name_stimuli(outputs, 7), tmp_path)
    assert not list(tmp_path.iterdir())


def test_an_output_of_other_proportions_is_refused(outputs, tmp_path):
    Image.new("RGB", (64, 64)).save(tmp_path / "square.png")
    row = outputs[outputs["condition"] == "soft-x2"].iloc[0]
    wrong = outputs.replace({row["path"]: str(tmp_path / "square.png")})
    item = Item(kind="acr", role="system", source=row["source"], left="soft-x2")
    with pytest.raises(StudyError, match=r"soft-x2 of photo-0: .* found 64x64 px"):
        write_stimuli([item], wrong, name_stimuli(wrong, 7), tmp_path / "stimuli")


@pytest.mark.parametrize("mode", ["L", "RGBA", "I;16"])
def test_grey_transparent_and_16_bit_outputs_are_shown_in_8_bit_colour(
    outputs, tmp_path, mode
):
    values = np.full((36, 48), 0x8080 if mode == "I;16" else 0x80)
    picture = Image.fromarray(values.astype(np.uint16 if mode == "I;16" else np.uint8))
    if mode == "RGBA":
        picture = Image.new("RGBA", (48, 36), (255, 0, 0, 0))
    picture.save(tmp_path / "output.png")
    row = outputs[outputs["condition"] == "soft-x2"].iloc[0]
    told = outputs.replace({row["path"]: str(tmp_path / "output.png")})
    item = Item(kind="acr", role="system", source=row["source"], left="soft-x2")
    stimuli = name_stimuli(told, 7)
    write_stimuli([item], told, stimuli, tmp_path / "stimuli")
    name = stimuli[row["source"], "soft-x2"].name
    shown = Image.open(tmp_path / "stimuli" / f"{name}.webp")
    assert (shown.mode, shown.getextrema()) == ("RGB", ((128, 128),) * 3)
