import numpy as np
import pypdfium2
import pytest

from evalkit.errors import ImageError, SettingError
from evalkit.images import n_pages, read_image


def pdf(pages: list[str], content: bytes = b"") -> bytes:
    """Pages of the dictionary entries given (PDF 1.7, 7.7.3.3)."""
    kids = " ".join(f"{4 + n} 0 R" for n in range(len(pages)))
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        f"<</Type/Pages/Count {len(pages)}/Kids[{kids}]>>".encode(),
        b"<</Length %d>>stream\n" % len(content) + content + b"\nendstream",
    ]
    objects += [
        f"<</Type/Page/Parent 2 0 R/Contents 3 0 R/Resources<<>>{page}>>".encode()
        for page in pages
    ]
    made, places = b"%PDF-1.7\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(made))
        made += b"%d 0 obj" % number + body + b"endobj\n"
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    size = b"%d" % (len(objects) + 1)
    start = b"%d" % len(made)
    made += b"xref\n0 " + size + b"\n0000000000 65535 f \n" + table
    return (
        made
        + b"trailer<</Size "
        + size
        + b"/Root 1 0 R>>\nstartxref\n"
        + start
        + b"\n%%EOF"
    )


RED_CORNER = b"1 0 0 rg 0 0 50 50 re f"


@pytest.mark.parametrize(
    ("unit", "side"), [("", 278), ("/UserUnit 2", 556), ("/UserUnit 0.5", 139)]
)
def test_a_page_s_own_unit_is_honoured(tmp_path, unit, side):
    """PDF 1.7, table 30: UserUnit in multiples of 1/72 inch; shown at 200 dpi."""
    page = f"/MediaBox[0 0 100 100]{unit}"
    (tmp_path / "a.pdf").write_bytes(pdf(["/MediaBox[0 0 100 100]", page], RED_CORNER))
    image = read_image(tmp_path / "a.pdf", page=1)
    assert image.shape == (side, side, 3)
    assert image[-3, 2].tolist() == [255, 0, 0]
    assert image[2, 2].tolist() == [255, 255, 255]
    assert read_image(tmp_path / "a.pdf", page=0).shape == (278, 278, 3)


def test_a_turned_page_s_unit(tmp_path):
    page = "/MediaBox[0 0 100 50]/Rotate 90/UserUnit 1.5"
    (tmp_path / "a.pdf").write_bytes(pdf([page], RED_CORNER))
    image = read_image(tmp_path / "a.pdf")
    assert image.shape == (417, 209, 3)
    assert image[2, 2].tolist() == [255, 0, 0]


def test_a_line_is_refused_by_its_side(tmp_path):
    (tmp_path / "a.pdf").write_bytes(pdf(["/MediaBox[0 0 25000000 1]"]))
    with pytest.raises(ImageError, match=r"69444444x3 px; a side may have 1000000 px"):
        read_image(tmp_path / "a.pdf")


def test_a_page_s_unit_counts_for_the_limit(tmp_path):
    page = "/MediaBox[0 0 1000 1000]/UserUnit 100"
    (tmp_path / "a.pdf").write_bytes(pdf([page]))
    with pytest.raises(ImageError, match="limit is 200 megapixels"):
        read_image(tmp_path / "a.pdf")


def test_a_page_that_takes_too_long_is_given_up(tmp_path, monkeypatch):
    fills = b"0 0 3000 3000 re f\n" * 200_000  # 4 MB; minutes
    content = pdf(["/MediaBox[0 0 3000 3000]", "/MediaBox[0 0 9 9]"], fills)
    (tmp_path / "a.pdf").write_bytes(content)
    monkeypatch.setenv("EVALKIT_MAX_PAGE_SECONDS", "1.5")
    with pytest.raises(ImageError, match=r"page 0 took more than 1\.5 s to render; "):
        read_image(tmp_path / "a.pdf")
    assert n_pages(tmp_path / "a.pdf") == 2


def test_the_time_is_a_positive_number(tmp_path, monkeypatch):
    (tmp_path / "a.pdf").write_bytes(pdf(["/MediaBox[0 0 9 9]"]))
    for wrong in ("0", "-1", "soon", "nan"):
        monkeypatch.setenv("EVALKIT_MAX_PAGE_SECONDS", wrong)
        with pytest.raises(SettingError, match="EVALKIT_MAX_PAGE_SECONDS"):
            read_image(tmp_path / "a.pdf")


def test_a_page_is_what_pdfium_renders(tmp_path):
    (tmp_path / "a.pdf").write_bytes(pdf(["/MediaBox[0 0 72 36]"], RED_CORNER))
    image = read_image(tmp_path / "a.pdf")
    page = pypdfium2.PdfDocument(tmp_path / "a.pdf")[0]
    expected = page.render(scale=200 / 72 * (1 - 1e-6), rev_byteorder=True).to_numpy()
    np.testing.assert_array_equal(image, expected)


def test_damage_in_a_page_is_an_error_of_ours(tmp_path):
    content = pdf(["/MediaBox[0 0 9 9]"]).replace(
        b"/Type/Page/Parent", b"/Type/Oops/Pa"
    )
    (tmp_path / "a.pdf").write_bytes(content[:200])
    with pytest.raises(ImageError):
        read_image(tmp_path / "a.pdf")
