import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from evalkit.errors import ImageError
from evalkit.images import read_image
from evalkit.images.album import readable
from evalkit.imagesets import left_out, prepare
from evalkit.paths import file_name
from evalkit.tables import IMAGES


@pytest.fixture
def album(tmp_path, astronaut):
    """Two good files of one stem, files of pages, broken files, no pictures."""
    folder = tmp_path / "album"
    folder.mkdir()
    face = Image.fromarray(astronaut[:80, 150:250])
    face.save(folder / "face.jpg")
    face.convert("L").save(folder / "face.png")
    upside_down = face.transpose(Image.Transpose.ROTATE_180)
    for name in ("fax.tif", "scan.pdf"):
        face.save(folder / name, save_all=True, append_images=[upside_down])
    (folder / "empty.png").touch()
    (folder / "letter.png").write_text("Dear reader", encoding="utf-8")
    (folder / "camera.NEF").write_bytes(b"MM\0*\0\0\0\x08 and more")
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7 and no more")
    (folder / "notes.txt").write_text("not a picture", encoding="utf-8")
    (folder / ".hidden.png").touch()
    (folder / "inside").mkdir()
    face.save(folder / "inside" / "face.png")
    return folder


def test_every_page_is_a_source_and_every_broken_file_a_row(album):
    table = prepare(str(album)).set_index("source")
    good = table[table["error"].isna()]
    assert good.index.tolist() == [
        *("face", "face-2", "fax-p1", "fax-p2", "scan-p1", "scan-p2")
    ]
    required = ["kind", "path", "sha256", "width_px", "height_px"]
    assert good[required].notna().all(axis=None)
    errors = table["error"].dropna()
    assert "zero bytes" in errors["empty"]
    assert "not a picture" in errors["letter"]
    assert "convert it to" in errors["camera"]
    assert "PDF that cannot be read" in errors["broken-p1"]
    assert len(table) == 10


def test_pages_are_kept_as_png_and_files_stay_where_they_are(album):
    table = prepare(album).set_index("source")
    assert table.loc["face", "path"] == str(album / "face.jpg")
    first, second = (table.loc[f"fax-p{n}", "path"] for n in (1, 2))
    assert first.endswith("sources/fax-p1.png")
    np.testing.assert_array_equal(read_image(second), read_image(first)[::-1, ::-1])
    assert "page 2 of 2 of fax.tif" in table.loc["fax-p2", "note"]


def test_a_new_file_leaves_the_others_rows(album, astronaut):
    before = prepare(album).set_index("source")
    Image.fromarray(astronaut).save(album / "zoe.png")
    after = prepare(album).set_index("source")
    assert after.drop("zoe").equals(before)


def test_a_changed_file_is_read_anew(album, astronaut):
    before = prepare(album).set_index("source")
    Image.fromarray(astronaut).save(album / "face.jpg")
    after = prepare(album).set_index("source")
    assert after.loc["face", "sha256"] != before.loc["face", "sha256"]
    assert after.loc["face", "width_px"] == 512


def test_a_repaired_file_is_taken(album, astronaut):
    prepare(album)
    Image.fromarray(astronaut).save(album / "empty.png")
    assert prepare(album).set_index("source")["error"].isna()["empty"]


def test_a_folder_without_pictures_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing to see", encoding="utf-8")
    with pytest.raises(ImageError, match=r"holds no picture; read: \.apng"):
        prepare(tmp_path)


def picture(path: Path, value: int = 0, kind: str = "PNG") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 6), (value, 0, 0)).save(path, kind)


def test_a_picture_is_known_by_its_content_and_the_rest_is_named(tmp_path):
    kinds = {"b.jfif": "JPEG", "c.jpe": "JPEG", "d.apng": "PNG", "e.dat": "WEBP"}
    kinds |= {"no suffix": "GIF", "photo v1.2": "TIFF", "f.txt": "BMP"}
    for name, kind in kinds.items():
        picture(tmp_path / name, kind=kind)
    (tmp_path / "gone.png").symlink_to("/nowhere.png")
    (tmp_path / "gone").symlink_to("/nowhere")
    (tmp_path / "film.mov").write_bytes(b"\0\0\0\x14ftypqt  \0\0\0\0")
    (tmp_path / "notes.txt").write_text("no picture", encoding="utf-8")
    (tmp_path / "x\ny").touch()
    (tmp_path / "layers.psd").write_bytes(b"8BPS and so on")
    os.mkfifo(tmp_path / "pipe.png")
    picture(tmp_path / ".kept.png")
    for name in ("Thumbs.db", "desktop.ini", ".DS_Store", "._b.jpg"):
        (tmp_path / name).write_text("litter", encoding="utf-8")
    table = prepare(tmp_path).set_index("source")
    assert table.index[table["error"].isna()].tolist() == [
        *("b", "c", "d", "e.dat", "f.txt", "no suffix", "photo v1.2")
    ]
    assert "no such file" in table["error"]["gone"]
    assert "convert it" in table["error"]["layers"]
    assert left_out(tmp_path) == [
        "not read: .kept.png (hidden), film.mov (no picture), gone (a link to "
        "nothing), notes.txt (no picture), pipe.png (no file), x%0ay (no picture)"
    ]


def test_subfolders_are_counted_or_read(tmp_path):
    picture(tmp_path / "face.png", 1)
    picture(tmp_path / "Portrait" / "old" / "face.png", 2)
    picture(tmp_path / "trips" / "face", 3)
    picture(tmp_path / ".trash" / "face.png", 4)
    (tmp_path / "trips" / "again").symlink_to(tmp_path)
    assert prepare(tmp_path)["source"].tolist() == ["face"]
    assert left_out(tmp_path) == [
        "not read: 2 pictures in 2 subfolders; recursive: true in the study's file, "
        "or --recursive, reads them"
    ]
    table = prepare(tmp_path, recursive=True).set_index("source")
    names = ["Portrait - old - face", "face", "trips - face"]
    assert table.index.tolist() == names
    assert table["kind"].tolist() == ["portrait", "folder", "folder"]
    assert table["kind_from"][names[0]] == "subfolder"
    assert table["note"][names[0]] == "file Portrait/old/face.png"
    assert left_out(tmp_path, recursive=True) == [
        "not read: again (a link to a folder)"
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_kinds_are_told_by_a_file(tmp_path, encoding):
    for name in ("a.png", "b.png", "portrait/c.png", "相册.png"):
        picture(tmp_path / name)
    told = "file,kind\r\na,text\r\nportrait/c.png,group\r\n相册.png, portrait\r\n"
    (tmp_path / "kinds.csv").write_bytes(told.encode(encoding))
    table = prepare(tmp_path, recursive=True).set_index("source")
    assert table["kind"].to_dict() == {
        "a": "text",
        "b": "folder",
        "portrait - c": "group",
        "相册": "portrait",
    }
    assert left_out(tmp_path, recursive=True) == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"file,kind\na,prtrait\n", "unknown kinds .'prtrait'.; known: aligned-face"),
        (b"file,kind\nz,text\n", "there is no picture z"),
        (b"file,kind\na\n", "row 2"),
        (b"file,kind\na,text\na,group\n", "'a' stands there twice"),
        (b"file,sort\na,text\n", "expected columns"),
        (b"", "expected columns"),
        ("file,kind\né,text\n".encode("latin-1"), "expected UTF-8"),
        ("file,kind\na,text\n".encode("utf-16"), "expected UTF-8"),
        (b'file,kind\n"a,text\n', "no comma-separated values"),
    ],
)
def test_a_file_of_kinds_with_a_mistake_is_refused_in_a_line(tmp_path, content, said):
    picture(tmp_path / "a.png")
    (tmp_path / "kinds.csv").write_bytes(content)
    with pytest.raises(ImageError, match=rf"kinds\.csv: .*{said}"):
        prepare(tmp_path)


def test_no_two_sources_share_a_file_where_case_or_form_is_ignored(tmp_path):
    names = ["A", "a", "é", "e\u0301", "straße", "STRASSE", "a-2", "ﬁ", "fi"]
    for value, name in enumerate(names):
        picture(tmp_path / f"{name}.png", value)
    table = prepare(tmp_path)
    folded = [name.casefold() for name in table["source"]]
    assert len(set(folded)) == len(names)
    for row in table.itertuples():
        file = row.note.removeprefix("file ")
        assert read_image(row.path)[0, 0, 0] == names.index(file.removesuffix(".png"))


NAMES = [
    *(b"NA", b"null", b"\xb2\xe2\xca\xd4", b"caf\xe9", "修".encode() * 83, b"a" * 251),
    *(b"x\r", b"y\n", b"\x01", b"\x7f", b"\x1b[31m", "\u202eגבר😀".encode(), b"q'\"`"),
    *(b"a|b", b"a,b;c", b"=1+1", b"-x", b"+x", b"@x", b"~x", b"z. ", b"z.", b"con"),
    *(b"{draft}", b"$HOME", b"%s", b"#", b"*?[a]", b"<b>&amp;", b"\\", b":", b" "),
]


def test_whatever_a_picture_is_called_its_path_is_text_and_its_name_readable(tmp_path):
    for value, name in enumerate(NAMES):
        picture(tmp_path / os.fsdecode(name + b".png"), value)
    table = prepare(tmp_path)
    assert table["error"].isna().all()
    assert table["source"].is_unique
    found = IMAGES.read(IMAGES.write(table, tmp_path / "tables"))
    pd.testing.assert_frame_equal(found, table)
    values = [int(read_image(path)[0, 0, 0]) for path in found["path"]]
    assert sorted(values) == list(range(len(NAMES)))
    of_value = dict(zip(values, found["source"], strict=True))
    escaped = {NAMES.index(name): name for name in (b"\xb2\xe2\xca\xd4", b"caf\xe9")}
    escaped |= {i: n for i, n in enumerate(NAMES) if min(n) < 32 or n == b"\x7f"}
    assert [of_value[i] for i in escaped] == [
        *("%b2%e2%ca%d4", "caf%e9", "x%0d", "y%0a", "%01", "%7f", "%1b[31m")
    ]
    assert readable("a\u2028b") == "a%e2%80%a8b"  # as a browser writes it
    kept = {i: n.decode() for i, n in enumerate(NAMES) if i not in escaped}
    assert {i: of_value[i] for i in kept} == kept
    assert all(name.isprintable() or "\u202e" in name for name in found["source"])
    pd.testing.assert_frame_equal(prepare(tmp_path), table)


def test_pages_of_a_file_with_a_long_name_are_kept(tmp_path):
    page = Image.new("RGB", (8, 6))
    for suffix in ("tif", "pdf"):
        path = tmp_path / f"{'修' * 80}.{suffix}"
        page.save(path, save_all=True, append_images=[page])
    table = prepare(tmp_path)
    assert table["error"].isna().all()
    assert len({*table["path"]}) == 4
    assert {Path(path).stem for path in table["path"]} == {
        file_name(source).removesuffix(".png") for source in table["source"]
    }


def test_a_subfolder_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    picture(tmp_path / "a.png")
    (tmp_path / "locked").mkdir()
    scan = os.scandir

    def refuse(path):
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    with monkeypatch.context() as patched:  # what removes the folder scans it, too
        patched.setattr(os, "scandir", refuse)
        assert left_out(tmp_path, recursive=True) == [
            "not read: locked (Permission denied)"
        ]
