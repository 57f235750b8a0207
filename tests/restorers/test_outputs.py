import json
import os
import shutil
import unicodedata
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from evalkit.errors import SettingError, UnknownNameError
from evalkit.images import write_image
from evalkit.paths import imageset_dir
from evalkit.restorers import (
    condition_name,
    load_restorer,
    outputs,
    parse_condition,
    plan_restorer,
)
from evalkit.restorers.outputs import joined_in_words


def picture(value, dtype=np.uint8):
    return np.full((6, 8, 3), value, dtype)


SOURCE = picture(0)


@pytest.fixture
def folder(tmp_path):
    """Two outputs, of the sources ``anna`` and ``bert``."""
    write_image(tmp_path / "anna.png", picture(10))
    write_image(tmp_path / "bert.png", picture(20))
    return tmp_path


def restore(folder, source, image=SOURCE):
    return load_restorer(f"outputs:{folder}").restore(image, source=source)


def test_an_output_is_found_by_the_sources_stem(folder):
    made = restore(folder, "bert")
    np.testing.assert_array_equal(made.image, picture(20))
    assert made.notes[0].startswith("made by others: bert.png, SHA-256 ")


def test_pairs_join_what_is_named_differently_and_the_stem_wins(folder):
    write_image(folder / "result" / "0001.png", picture(30))
    (folder / "pairs.csv").write_text(
        "source,output\nclara.jpg,result/0001.png\nanna,result/0001.png\n",
        encoding="utf-8",
    )
    assert restore(folder, "clara").image[0, 0, 0] == 30
    assert restore(folder, "anna").image[0, 0, 0] == 10


def test_a_source_without_an_output_is_refused_and_those_with_one_are_named(folder):
    with pytest.raises(UnknownNameError, match="'clara'; known: anna, bert"):
        restore(folder, "clara")


def test_without_the_sources_name_nothing_is_guessed(folder):
    with pytest.raises(SettingError, match=r"source='stem'.*known: anna, bert"):
        restore(folder, None)


def test_a_batch_is_joined_by_its_names(folder):
    made = load_restorer(f"outputs:{folder}").restore_batch(
        [SOURCE, SOURCE], sources=["bert", "anna"]
    )
    assert [restored.image[0, 0, 0] for restored in made] == [20, 10]


@pytest.mark.parametrize(
    ("stored", "source", "expected"),
    [
        (picture(20), picture(0, np.uint16), 20 * 257),
        (picture(20 * 257 + 100, np.uint16), picture(0), 20),
        (picture(65535, np.uint16), picture(0), 255),
    ],
)
def test_the_output_gets_the_sources_depth(stored, source, expected, tmp_path):
    write_image(tmp_path / "anna.png", stored)
    made = restore(tmp_path, "anna", source).image
    assert made.dtype == source.dtype
    assert (made == expected).all()


def test_an_image_sets_published_outputs_go_by_its_name():
    write_image(imageset_dir("some-set") / "published" / "anna.png", picture(40))
    assert restore("some-set", "anna").image[0, 0, 0] == 40


def test_what_is_neither_a_folder_nor_such_a_set_is_refused(tmp_path):
    with pytest.raises(
        SettingError, match="'nowhere' is no folder, no ZIP and no image set"
    ):
        plan_restorer("outputs:nowhere")
    with pytest.raises(SettingError, match="holds no pictures"):
        plan_restorer(f"outputs:{tmp_path}")
    with pytest.raises(UnknownNameError, match="outputs:<folder>"):
        plan_restorer("outputs")


def test_two_outputs_of_one_source_are_refused(folder):
    write_image(folder / "anna.jpg", picture(10))
    with pytest.raises(SettingError, match=r"anna\.jpg and anna\.png are both"):
        plan_restorer(f"outputs:{folder}")


@pytest.mark.parametrize(
    ("pairs", "told"),
    [
        ("source,result\nanna,0001.png\n", "expected columns source, output"),
        ("", "expected columns source, output; got"),
        ("source,output\nclara,0001.png\n", "there is no .*0001.png"),
        ("source,output\nclara\n", "row 2: expected"),
        ("source,output\nclara,\n", "row 2: expected"),
        (
            "source,output\nclara,anna.png\nclara,bert.png\n",
            "'clara' stands there twice",
        ),
        ("source,output\nc.jpg,anna.png\nc.png,bert.png\n", "two outputs of 'c'"),
        ("source,output\nclara,../secret.png\n", "secret.png: expected a file inside"),
        ("source,output\nclara,/secret.png\n", "/secret.png: expected a file inside"),
        ("source,output\nclara,link.png\n", "link.png: expected a file inside"),
        ("source,output\nclara,dir/x.png\n", "dir/x.png: expected a file inside"),
    ],
)
def test_pairs_that_do_not_fit_are_refused(pairs, told, folder, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "x.png"
    write_image(outside, SOURCE)
    (folder / "dir").symlink_to(outside.parent)
    if "link" in pairs:
        (folder / "link.png").symlink_to(outside)
    (folder / "pairs.csv").write_text(pairs, encoding="utf-8")
    with pytest.raises(SettingError, match=told):
        plan_restorer(f"outputs:{folder}")


def test_a_picture_that_is_a_link_out_of_the_folder_is_refused(
    folder, tmp_path_factory
):
    outside = tmp_path_factory.mktemp("outside") / "x.png"
    write_image(outside, SOURCE)
    (folder / "clara.png").symlink_to(outside)
    with pytest.raises(SettingError, match=r"clara\.png: expected a file inside"):
        plan_restorer(f"outputs:{folder}")


@pytest.mark.parametrize("encoding", ["latin-1", "gbk", "utf-16"])
def test_pairs_in_another_encoding_are_refused_in_a_line(encoding, folder):
    text = "source,output\né相册,anna.png\n".encode(encoding, errors="ignore")
    (folder / "pairs.csv").write_bytes(text)
    with pytest.raises(SettingError, match="expected UTF-8"):
        plan_restorer(f"outputs:{folder}")


@pytest.mark.parametrize("source", ["photo v1.2", "photo v1.2.jpg"])
def test_a_stem_with_a_dot_is_a_stem_and_excels_mark_is_none_of_it(source, folder):
    text = f"source,output\r\n{source},anna.png\r\n"
    (folder / "pairs.csv").write_text(text, encoding="utf-8-sig")
    assert restore(folder, "photo v1.2").image[0, 0, 0] == 10


def test_the_one_output_whose_name_begins_with_the_sources_is_its_output(folder):
    for name in ("photo_upscayl_4x", "photo2_x", "cat_a", "cat_b"):
        write_image(folder / f"{name}.png", picture(len(name) + (name == "cat_b")))
    assert restore(folder, "photo").image[0, 0, 0] == len("photo_upscayl_4x")
    assert restore(folder, "photo2").image[0, 0, 0] == len("photo2_x")
    with pytest.raises(UnknownNameError, match="'an'"):
        restore(folder, "an")
    with pytest.raises(UnknownNameError, match="'ann'"):
        restore(folder, "ann")
    (folder / "pairs.csv").write_text("source,output\ncat_2,cat_b.png\n", "utf-8")
    assert restore(folder, "cat").image[0, 0, 0] == 5
    (folder / "pairs.csv").unlink()
    with pytest.raises(SettingError, match=r"cat_a, cat_b may all be made of cat; say"):
        restore(folder, "cat")


NAMES_OF_TOOLS = {
    "Upscayl": "{}_upscayl_4x_upscayl-standard-4x.png",
    "chaiNNer": "{}_4x-UltraSharp.webp",
    "ComfyUI": "{}_00001_.png",
    "Topaz": "{}-standard v2-4x-faceai v2.jpeg",
    "Gigapixel": "{}-gigapixel-standard v2-4x.tif",
}


def save(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path, quality=100, lossless=True)


@pytest.mark.parametrize("name", NAMES_OF_TOOLS.values(), ids=NAMES_OF_TOOLS)
@pytest.mark.parametrize("is_zip", [False, True], ids=["folder", "ZIP"])
def test_outputs_of_other_tools_join_in_any_size_and_format(name, is_zip, tmp_path):
    sources = ["photo", "photo_2", "photo 2", "IMG_0001", "相册 é"]
    folder = tmp_path / "their results"
    for value, source in enumerate(sources):
        save(folder / name.format(source), np.full((9 + value, 7, 3), value, np.uint8))
    if is_zip:  # the folder within, as any file manager packs it
        folder = shutil.make_archive(folder, "zip", tmp_path, folder.name)
    restorer = load_restorer(f"outputs:{folder}")
    for value, source in enumerate(sources):
        made = restorer.restore(SOURCE, source=source, others=sources).image
        assert made.shape == (9 + value, 7, 3)
        assert abs(int(made[0, 0, 0]) - value) <= 1
    assert joined_in_words(restorer.plan, sources) == []


def test_an_output_is_of_the_longest_source_that_begins_its_name(folder):
    write_image(folder / "photo_2_upscayl.png", picture(5))
    assert restore(folder, "photo").image[0, 0, 0] == 5  # as far as anybody knows
    restorer = load_restorer(f"outputs:{folder}")
    for others in (["photo", "photo_2"], ["photo_2"]):
        with pytest.raises(UnknownNameError, match="'photo'"):
            restorer.restore(SOURCE, source="photo", others=others)
    made = restorer.restore(SOURCE, source="photo_2", others=["photo", "photo_2"])
    assert made.image[0, 0, 0] == 5


def test_what_does_not_join_is_said_and_how_it_would_be(folder):
    write_image(folder / "ComfyUI_00001_.png", picture(5))
    sources = ["anna", "bert", "clara", "dora"]
    lines = joined_in_words(plan_restorer(f"outputs:{folder}"), sources)
    assert [line.strip() for line in lines[:3]] == [
        "2 of 4 sources have an output in the folder",
        "of no source here: ComfyUI_00001_.png",
        "without an output: clara, dora",
    ]
    head, row = lines[3].split("the line ")[1].split(" and below it ")
    (folder / "pairs.csv").write_text(f"{head}\n{row}\n", encoding="utf-8")
    assert restore(folder, "clara").image[0, 0, 0] == 5  # the advice, followed
    with pytest.raises(UnknownNameError, match=r"pairs\.csv beside the pictures does"):
        restore(folder, "dora")


def test_accents_join_however_an_archive_writes_them(folder):
    write_image(folder / f"{unicodedata.normalize('NFD', 'Zoé')}_4x.png", picture(5))
    assert restore(folder, unicodedata.normalize("NFC", "Zoé")).image[0, 0, 0] == 5


def zip_of(path, members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_a_zips_pairs_join_and_what_macos_adds_is_left_out(folder, tmp_path):
    png = (folder / "anna.png").read_bytes()
    archive = zip_of(
        tmp_path / "a.zip",
        {
            "out/1.png": png,
            "out/pairs.csv": "source,output\nclara,1.png\n",
            "__MACOSX/out/._1.png": b"x",
            "out/.DS_Store": b"x",
        },
    )
    assert restore(archive, "clara").image[0, 0, 0] == 10


@pytest.mark.parametrize("name", ["../out.png", "/out.png", "a/../../out.png"])
def test_a_zip_writes_nothing_outside_of_its_folder(name, folder, tmp_path):
    archive = zip_of(tmp_path / "a.zip", {name: (folder / "anna.png").read_bytes()})
    restore(archive, "out")
    made = [path for path in tmp_path.rglob("out.png") if path.is_file()]
    assert not made
    assert not Path("/out.png").exists()


def test_a_zip_that_is_damaged_or_too_large_is_refused(folder, tmp_path, monkeypatch):
    archive = zip_of(tmp_path / "a.zip", {"a.png": b"0" * 1000})
    monkeypatch.setattr(outputs, "MOST_UNPACKED", 999)
    with pytest.raises(SettingError, match="unpack it yourself"):
        plan_restorer(f"outputs:{archive}")
    monkeypatch.undo()
    content = bytearray(archive.read_bytes())
    content[60] ^= 1
    archive.write_bytes(content)
    with pytest.raises(SettingError, match="cannot be unpacked: Bad CRC"):
        plan_restorer(f"outputs:{archive}")


def test_a_folder_of_any_name_is_a_condition(tmp_path):
    for name in ("a@b", "{draft}", "x=1,y", "100% #1 'q' \"相册\"", "e@scale"):
        folder = tmp_path / name
        write_image(folder / "anna.png", picture(10))
        condition = condition_name(**parse_condition(f"outputs:{folder}"))
        assert condition == f"outputs:{name}"
        made = load_restorer(**parse_condition(condition)).restore(
            SOURCE, source="anna"
        )
        assert made.image[0, 0, 0] == 10


def test_the_plan_changes_with_the_content_of_the_folder(folder):
    before = plan_restorer(f"outputs:{folder}").resolved
    assert plan_restorer(f"outputs:{folder}").resolved == before
    stat = (folder / "anna.png").stat()
    write_image(folder / "anna.png", picture(11))
    os.utime(folder / "anna.png", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    changed = plan_restorer(f"outputs:{folder}").resolved
    write_image(folder / "clara.png", picture(11))
    grown = plan_restorer(f"outputs:{folder}").resolved
    digests = [plan["content_sha256"] for plan in (before, changed, grown)]
    assert len(set(digests)) == 3


def test_nothing_is_said_of_weights_and_parameters_go_through_json(folder):
    restorer = load_restorer(f"outputs:{folder}")
    assert restorer.weights_kind == "none"
    parameters = json.loads(json.dumps(restorer.parameters))
    assert parameters["name"] == f"outputs:{folder}"
    assert load_restorer(**parameters).plan.resolved == restorer.plan.resolved
