import numpy as np
import psutil
import pytest

from evalkit.experiments import _frame as frame
from evalkit.images import write_image
from evalkit.study.run_folder import open_run
from evalkit.tables import IMAGES


@pytest.mark.parametrize("shape", [(200, 300, 3), (300, 40), (3000, 4000, 4)])
def test_any_picture_fits_the_frame(tmp_path, shape):
    path = tmp_path / "a.png"
    write_image(path, np.full(shape, 200, np.uint8))
    row = {"source": "a", "path": str(path), "sha256": "0" * 64}
    framed = frame._framed(open_run(str(tmp_path / "run")), IMAGES.frame([row]), None)
    made = framed.iloc[0]
    assert (made["width_px"], made["height_px"]) == (1024, 768)
    assert (made["source"], made["base_source"]) == ("a@1024x768", "a")


def test_what_a_cpu_cannot_do_in_time_or_memory_is_left_out(monkeypatch):
    gpen = "gpen-512@device=cpu,runner=upstream"
    assert not frame._why_not(gpen)
    large = "realesrgan-x4plus@device=cpu,runner=upstream"
    available = type("Memory", (), {"available": 64 * 2**30})
    monkeypatch.setattr(psutil, "virtual_memory", lambda: available)
    assert "28 TFLOP" in frame._why_not(large)
    available.available = 11 * 2**30
    assert frame._why_not(large) == "it takes 12 GiB, and 11 are free"
