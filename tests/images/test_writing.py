import errno
import subprocess
import sys

import cv2
import numpy as np
import pytest
from PIL import Image

from evalkit.errors import ImageError
from evalkit.images import encode, read_image, write_image
from evalkit.machine.out_of_memory import is_out_of_memory


def with_alpha(image: np.ndarray) -> np.ndarray:
    alpha = np.linspace(0, 255, image.shape[1]).astype(np.uint8)
    return np.dstack([image, np.broadcast_to(alpha, image.shape[:2])])


@pytest.mark.parametrize("n_channels", [1, 3, 4])
@pytest.mark.parametrize("suffix", [".jxl", ".avif", ".webp", ".jpe", ".jfif"])
def test_what_is_written_is_read_again(tmp_path, small, suffix, n_channels):
    image = np.ascontiguousarray(with_alpha(small)[..., :n_channels].squeeze())
    path = tmp_path / f"a{suffix}"
    if suffix in (".jpe", ".jfif") and n_channels == 4:
        with pytest.raises(ImageError, match="JPEG has no alpha; write"):
            write_image(path, image)
        return
    write_image(path, image)
    read = read_image(path)
    if suffix == ".webp" and n_channels == 1:  # WebP has no grey
        assert np.abs(np.diff(read.astype(int), axis=2)).max() <= 2
        read = np.ascontiguousarray(read[..., 1])
    assert read.shape == image.shape
    if suffix == ".jxl":
        np.testing.assert_array_equal(read, image)
    seen = read[..., -1] > 99 if n_channels == 4 else np.full(small.shape[:2], True)
    assert np.abs(read[seen].astype(int) - image[seen]).mean() < 4


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(7, 13), (7, 13, 3), (7, 13, 4), (1, 1), (1, 9, 3)])
def test_a_png_holds_every_pixel_for_every_reader(tmp_path, monkeypatch, shape, dtype):
    monkeypatch.setattr("evalkit.images.png.MAX_CHUNK_BYTES", 100)  # many IDAT chunks
    chance = np.random.default_rng(0)
    image = chance.integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)
    path = tmp_path / "a.png"
    write_image(path, np.asfortranarray(image))
    np.testing.assert_array_equal(read_image(path), image)
    by_libpng = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if image.ndim == 3:
        by_libpng = by_libpng[..., [2, 1, 0, 3][: image.shape[2]]]
    np.testing.assert_array_equal(by_libpng, image)
    with Image.open(path) as by_pillow:
        by_pillow.verify()  # the chunks' checksums
    if dtype == np.uint8 or image.ndim == 2:  # Pillow keeps 16 bits of grey only
        np.testing.assert_array_equal(np.asarray(Image.open(path)), image)


def test_a_png_of_a_photograph_is_packed(tmp_path):
    smooth = cv2.resize(np.eye(8, dtype=np.uint8) * 255, (512, 512))
    write_image(tmp_path / "a.png", smooth)
    assert (tmp_path / "a.png").stat().st_size < smooth.size / 4


@pytest.mark.parametrize(
    ("suffix", "side", "others"),
    [
        (".png", 1_000_000, "TIFF"),  # libpng, PNG_USER_WIDTH_MAX
        (".jpg", 65_500, "TIFF or PNG"),  # libjpeg, JPEG_MAX_DIMENSION
        (".webp", 16_383, "TIFF or PNG"),  # RFC 9649, 2.5: 14 bits
        (".avif", 32_768, "TIFF or PNG"),  # libavif, its decoder's limit
        (".jxl", 1_000_000, "TIFF"),
        (".heic", 16_384, "TIFF or PNG"),
    ],
)
def test_the_longest_side_of_each_format(tmp_path, suffix, side, others):
    path = tmp_path / f"a{suffix}"
    for shape in ((1, side + 1), (side + 1, 1)):
        with pytest.raises(ImageError, match=f"up to {side} px.*write {others}$"):
            write_image(path, np.zeros(shape, np.uint8))
        write_image(tmp_path / "whole.tif", np.zeros(shape, np.uint8))
    assert [p.name for p in tmp_path.iterdir()] == ["whole.tif"]
    if suffix != ".heic":
        write_image(path, np.zeros((1, side), np.uint8))
        assert read_image(path).shape[:2] == (1, side)


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".avif", ".jxl", ".heic"])
def test_8_bits_are_said(tmp_path, deep, suffix):
    with pytest.raises(ImageError, match="has 8 bits, not 16; write"):
        write_image(tmp_path / f"a{suffix}", deep)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("encoder", "suffix", "name"),
    [("deflate_encode", ".png", "PNG"), ("jpegxl_encode", ".jxl", "JPEG XL")],
)
def test_an_encoder_s_own_error_becomes_ours(
    tmp_path, small, monkeypatch, encoder, suffix, name
):
    import imagecodecs

    def fail(*_, **__):
        raise RuntimeError("out of its depth")

    monkeypatch.setattr(imagecodecs, encoder, fail)
    with pytest.raises(ImageError, match=rf"{name} cannot hold.*out of its depth"):
        write_image(tmp_path / f"a{suffix}", small)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".jxl", ".avif", ".tif"])
def test_a_full_disk_stays_the_machine_s_fault(tmp_path, small, suffix):
    code = """if True:
        import resource, sys
        from evalkit.images import read_image, write_image
        image = read_image(sys.argv[1])
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
        import signal
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        try:
            write_image(sys.argv[2], image)
        except OSError as error:
            print(error.errno)
    """
    write_image(tmp_path / "source.png", small)
    told = subprocess.check_output(
        [sys.executable, "-c", code, tmp_path / "source.png", tmp_path / f"a{suffix}"]
    )
    assert int(told) == errno.EFBIG
    assert [p.name for p in tmp_path.iterdir()] == ["source.png"]


def test_heic_is_written_where_pillow_heif_is_there(tmp_path, small, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(ImageError, match=r"pip install 'evalkit\[heic\]'.*GPL"):
        write_image(tmp_path / "a.heic", small)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.delitem(sys.modules, "pillow_heif")
    pytest.importorskip("pillow_heif", reason="pip install 'evalkit[heic]'")
    write_image(tmp_path / "a.heic", small)
    assert np.abs(read_image(tmp_path / "a.heic").astype(int) - small).mean() < 4


def test_a_package_that_has_no_memory_to_be_loaded_runs_out_of_memory(
    tmp_path, monkeypatch
):
    """It keeps to itself why a part of it could not be imported."""
    imagecodecs = pytest.importorskip("imagecodecs")

    def late(*_, **__):
        raise imagecodecs.DelayedImportError("deflate_encode")

    def starved(_):
        raise ImportError("libdeflate.so: failed to map segment from shared object")

    monkeypatch.setattr(imagecodecs, "deflate_encode", late)
    monkeypatch.setattr(encode, "import_module", starved)
    with pytest.raises(ImportError) as caught:
        write_image(tmp_path / "a.png", np.zeros((2, 2), np.uint8))
    assert is_out_of_memory(caught.value)
