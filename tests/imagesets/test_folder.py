import numpy as np
import pytest
from PIL import Image

from evalkit.errors import ImageError
from evalkit.images import read_image
from evalkit.imagesets import prepare


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
    (folder / "camera.NEF").write_bytes(b"II*\0\x08\0\0\0")
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
    assert "convert it to one of" in errors["camera"]
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
    with pytest.raises(ImageError, match=r"holds no picture; read: "):
        prepare(tmp_path)
