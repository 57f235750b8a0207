"""What a page or a session shows of a private picture: its pixels, and no EXIF."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from evalkit.images import read_image
from evalkit.rating import pack, stimuli
from evalkit.report import _views

MAKER, PLACE = 271, 34853  # tags of EXIF: Make, GPSInfo


@pytest.fixture
def private(tmp_path, astronaut):
    """A JPEG that says by which camera and where it was taken."""
    exif = Image.Exif()
    exif[MAKER] = "A camera of mine"
    exif.get_ifd(PLACE)[1] = "N"
    path = tmp_path / "private.jpg"
    Image.fromarray(astronaut[:64, :64]).save(path, exif=exif)
    assert b"A camera of mine" in path.read_bytes()
    return path


def decoded(uri: str) -> bytes:
    return base64.b64decode(uri.partition(",")[2])


def test_the_report_a_session_and_a_stimulus_carry_no_exif(private):
    image = read_image(private)
    shown = io.BytesIO()
    stimuli.on_grey(image).save(shown, "WEBP", **stimuli.WEBP)
    (of_pack,) = pack._encoded({"private": private.read_bytes()}, pack.CODECS).values()
    of_report = _views._data_uri(np.asarray(image), 64, 80)
    for content in (shown.getvalue(), decoded(of_pack), decoded(of_report)):
        assert b"camera" not in content
        assert not Image.open(io.BytesIO(content)).getexif()
