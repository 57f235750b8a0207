import errno
import subprocess
import sys

import numpy as np
import pytest

from evalkit.errors import ImageError
from evalkit.images import read_image, write_image


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


def test_an_encoder_s_own_error_becomes_ours(tmp_path, small, monkeypatch):
    import imagecodecs

    def fail(*_, **__):
        raise RuntimeError("out of its depth")

    monkeypatch.setattr(imagecodecs, "jpegxl_encode", fail)
    with pytest.raises(ImageError, match=r"JPEG XL cannot hold.*out of its depth"):
        write_image(tmp_path / "a.jxl", small)
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
