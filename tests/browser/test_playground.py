"""The playground in JupyterLab and Voila: uploads are restored, shown and saved."""

import importlib.util
import io
import zipfile

import numpy as np
import pytest
from browsers import lab_options, run_cell, serving
from PIL import Image

import evalkit

CELL = "import evalkit\nevalkit.playground()"


@pytest.fixture(params=["voila", "jupyterlab"])
def opened(request, page, tmp_path, free_port, wait_for_port, need):
    """The page with the playground, by a visit or by running the notebook's cell."""
    by = request.param
    need(importlib.util.find_spec(by), f"install {by}: the extra lab of evalkit")
    page.set_default_timeout(120_000)
    if by == "voila":
        page.set_viewport_size({"width": 390, "height": 800})
        options = ["one.ipynb", "--no-browser", f"--port={free_port}"]
    else:
        options = lab_options(free_port)
    with serving(tmp_path, CELL, by, *options):
        wait_for_port(free_port)
        address = f"http://127.0.0.1:{free_port}"
        page.goto(address if by == "voila" else f"{address}/lab/tree/one.ipynb")
        if by == "jupyterlab":
            run_cell(page)
        yield page


@pytest.mark.slow
def test_uploads_come_back_beside_their_sources_and_as_a_zip(opened, album):
    page = opened
    (album / "none.png").write_bytes(b"no picture")
    page.get_by_text("中文", exact=True).click()
    page.get_by_label("修复程序").select_option("bicubic")
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="选择图片").click()
    chooser.value.set_files(sorted(album.iterdir()))
    page.get_by_role("button", name="选择图片 (3)").wait_for()
    page.get_by_role("button", name="开始修复").click()
    page.locator(".evalkit-compare .viewer img").first.wait_for()
    assert page.locator(".evalkit-compare .viewer img").count() == 2
    assert page.get_by_text("跳过：none.png").count() == 1
    with page.expect_download() as saved:
        page.get_by_text("全部保存为 ZIP").click()
    with zipfile.ZipFile(saved.value.path()) as archive:
        assert archive.namelist() == ["cup.png", "face.png"]
        made = np.asarray(Image.open(io.BytesIO(archive.read("cup.png"))))
    source = evalkit.read_image(album / "cup.png")
    restored = evalkit.load_restorer("bicubic").restore(source).image
    assert np.array_equal(made, restored)
    width = page.viewport_size["width"]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
